"""What was said in a project -> files that train: Accordant's own rows, or the shapes of TRL's trainers.

::

    file            Accordant's rows                   TRL's
    rankings        Ranking: the K-wise groups         (TRL has no such shape)
    pairs           Pair, of rankings and of pairs     prompt, chosen, rejected, and margin in all rows or in none
    ratings         Rating                             (TRL has no such shape)
    thumbs          Thumb                              prompt, completion, label
    demonstrations  Chat                               prompt, completion; of conversations messages
    prompts         Prompt: what red teams wrote       prompt
    vetted          rows that were accepted or edited, in their own fields

Every row but the vetted has `group_id`, the item that it is from, and `prompt_id`, which equal prompts share (what a red team
wrote has none). Where a project has prompts of both kinds, those that are conversations are in files of their own
(`pairs-messages`), since a column has one type. With splits each part is a folder, and all rows of a prompt, of whatever kind,
are in one part; so is a vetted row whose prompt was edited with the one that was imported. A conversation of one user's turn is
the same prompt as its text. Hidden gold is never written. `export.json` says how the files were made and what was left out, by
reason; of a consensus, each item and every two answers of a ranking once.

Left out: margins and weights that TRL does not know (`weight` is written, and TRL passes it over); pairs of ratings and thumbs,
which `accordant data convert` makes.
"""

from __future__ import annotations

import json
import os
import shutil
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, cast

from accordant.data import shapes
from accordant.data.convert import Rules, pairs_of_pairs, pairs_of_rankings
from accordant.data.fields import Bad, present
from accordant.data.kinds import PARSERS, recognise
from accordant.data.output import write_values
from accordant.data.rows import plain
from accordant.data.split import asked, key, split
from accordant.feedback import consensus
from accordant.feedback.adjudication import ruled, rulings
from accordant.feedback.answers import Said, item_of, said
from accordant.feedback.export import rows as rows_of
from accordant.feedback.export import vetted
from accordant.feedback.store import Store
from accordant.feedback.votes import by_item
from accordant.types import MADE, Chat, Document, Pair, Prompt, PromptText, Ranking, Row, Thumb, UserError

KINDS = {
    "rank": "rankings", "pair": "pairs", "pairs": "pairs", "likert": "ratings", "thumb": "thumbs",
    "demonstration": "demonstrations", "red_team": "prompts", "vet": "vetted",
}  # fmt: skip
"""Which file the rows of a task are written to."""
_NO_TRL = ("rankings", "ratings")


@dataclass(frozen=True)
class How:
    """The choices that an export has.

    Args:
        shape: Accordant's own rows or TRL's.
        form: JSON lines or Parquet.
        which: what each labeler said, or what they say together.
        margins: grades of pairs -> margins by Llama 2's small or large scale; None: no margin.
        ties: answers that were judged equally good, in a ranking too, become a pair with `tie`, or no pair; TRL has no such
            pairs.
        rejects: answers marked F are in no pair, or lose to every ranked one.
        method: of a consensus, labelers "weighted" by how reliable they are, or "borda", which counts all alike.
        min_confidence: of a consensus, what the probability of an order (with Borda its share of the labelers) must exceed.
        splits: of each part its number of distinct prompts, or their share; the rest is "train". Empty: no parts.
        seed: of the splits.
        ai: with what AI labelers said.
        surplus: with answers that came after their place had been given away.
    """

    shape: Literal["accordant", "trl"] = "accordant"
    form: Literal["jsonl", "parquet"] = "jsonl"
    which: Literal["each", "consensus"] = "each"
    margins: Literal["small", "large"] | None = None
    ties: Literal["drop", "keep"] = "drop"
    rejects: Literal["exclude", "lose"] = "exclude"
    method: Literal["weighted", "borda"] = "weighted"
    min_confidence: float = 0.6
    splits: Mapping[str, int | float] = field(default_factory=dict)
    seed: int = 0
    ai: bool = False
    surplus: bool = False

    def __post_init__(self) -> None:
        if not 0.5 <= self.min_confidence < 1:
            raise UserError(f"min_confidence is {self.min_confidence:g}; it must be at least 0.5 and below 1")
        if self.shape == "trl" and self.ties == "keep":
            raise UserError("TRL's trainers have no pairs of equally good answers: drop the ties, or write Accordant's rows")


@dataclass(frozen=True)
class _Line:
    """A row on its way into a file."""

    kind: str
    row: Row  # what the row is split by, and what is written unless there are `values`
    item: int
    values: Mapping[str, Any] = field(default_factory=dict)  # a vetted row's own fields
    imported: Row | None = None  # of a vetted row, what its item asks, from which an edit may have led away


def write(store: Store, project_id: int, folder: str | Path, how: How | None = None) -> dict[str, int]:
    """Write the files and return the number of rows in each, by its name without the ending ("pairs", "test/pairs").

    Args:
        folder: is made, whole or not at all; it must be new or empty.
        how: None: as `How` is by itself.

    Raises:
        UserError: the folder is not empty; nothing has been said that makes a row; the splits leave no prompt for "train".
    """
    how, target = how or How(), Path(folder)
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise UserError(f"{target} exists and is no empty folder: an export is written into a folder of its own")
    answers = said(store, project_id, ai=how.ai, surplus=how.surplus)
    left_out: Counter[str] = Counter()
    by_admins = [one for one in ruled(store, project_id) if one.gold is None] if how.which == "consensus" else []
    everything = answers + by_admins
    lines = _lines(everything, rulings(store, project_id), how, left_out)
    if not lines:
        reasons = "; ".join(f"{count} {reason}" for reason, count in (+left_out).items())
        what = f"{len(answers)} answers" + (f" and {len(by_admins)} rulings" if by_admins else "")
        raise UserError(f"of {what} none gives a row: {reasons or 'nothing has been said yet'}")
    files = _parts(lines, how)
    names = _prompt_ids(everything)
    temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    try:
        for name, some in files.items():
            try:
                write_values(temporary / f"{name}.{how.form}", _values(some, how, names))
            except UserError as error:
                raise UserError(str(error).replace(str(temporary), str(target))) from error
        counts = {name: len(some) for name, some in files.items()}
        told = {"schema": 1, "rows": counts, "left_out": dict(+left_out), "answers": len(answers)}
        told |= {"rulings": len(by_admins), "settings": asdict(how)}
        (temporary / "export.json").write_text(json.dumps(told, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        target.parent.mkdir(parents=True, exist_ok=True)
        os.replace(temporary, target)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return counts


# --- answers -> rows -------------------------------------------------------------------------------------------------


def _lines(answers: Sequence[Said], ruled: Mapping[int, Mapping[str, Any]], how: How, left_out: Counter[str]) -> list[_Line]:
    found = _each(answers, how, left_out) if how.which == "each" else _together(answers, ruled, how, left_out)
    lines: list[_Line] = []
    for line in found:
        if line.kind in _NO_TRL and how.shape == "trl":
            left_out[f"{line.kind}, for which TRL has no shape"] += 1
        else:
            lines.append(line)
    return lines


def _each(answers: Sequence[Said], how: How, left_out: Counter[str]) -> list[_Line]:
    """What each labeler said."""
    rules = Rules(ties=how.ties, rejects=how.rejects)
    lines: list[_Line] = []
    for one in answers:
        if one.task == "vet":
            kept = vetted([one])
            lines += [_vetted(values, one) for values in kept]
            left_out["rows that were rejected in vetting"] += not kept
            continue
        made = rows_of([one], how.margins)
        left_out["answers that say no order: both bad, or cannot judge"] += not made
        for row in made.get(one.task, []):
            if isinstance(row, Pair):
                lines += [_Line("pairs", pair, one.item_id) for pair in pairs_of_pairs([row], rules, left_out)]
                continue
            lines.append(_Line(KINDS[one.task], row, one.item_id))
            if isinstance(row, Ranking):
                lines += [_Line("pairs", pair, one.item_id) for pair in pairs_of_rankings([row], rules, left_out)]
    return lines


def _together(answers: Sequence[Said], ruled: Mapping[int, Mapping[str, Any]], how: How, left_out: Counter[str]) -> list[_Line]:
    """What the labelers of each item say together; a ruling overrides them."""
    made = consensus.consensus_rows(
        answers, ruled, margins=how.margins, min_confidence=how.min_confidence, method=how.method, rejects=how.rejects,
        left_out=left_out,
    )  # fmt: skip
    rules = Rules(ties=how.ties)
    lines: list[_Line] = []
    heard: set[int] = set()
    for task, some in made.items():
        for row in some:
            item = item_of(row.source)
            heard.add(item)  # a tie that is dropped is counted as one, and not again below
            lines += [_Line(KINDS[task], one, item) for one in _kept(row, rules, left_out)]
    for item, votes in by_item(one for one in answers if one.task == "vet").items():
        accepted = consensus.vetted(votes, ruled)
        heard |= {item} if accepted else set()
        lines += [_vetted(values, votes[0]) for values in accepted]
    silent = Counter(one.task for one in {one.item_id: one for one in answers}.values() if one.item_id not in heard)
    left_out.update({f"items ({task}) that give no row together": count for task, count in silent.items()})
    return lines


def _kept(row: Row, rules: Rules, left_out: Counter[str]) -> Iterable[Row]:
    return pairs_of_pairs([row], rules, left_out) if isinstance(row, Pair) else [row]


def _vetted(values: Mapping[str, Any], one: Said) -> _Line:
    """`one`: of the item's answers, for what was asked: the stored prompt, or where it has none what the imported row is."""
    imported = Prompt(one.prompt) if one.prompt else _as_row(one.row or {})
    return _Line("vetted", _as_row(values), one.item_id, values, imported)


def _as_row(values: Mapping[str, Any]) -> Row:
    """A vetted row as what it is split by: the row that its fields make, or else all that it says."""
    try:
        fields = present(shapes.opened(values)[0])
        kind = recognise(fields)
        if kind is not None:
            row: Row = PARSERS[kind](fields, MADE)
            return row
    except Bad:  # not a row of a kind that is known here, which a vetted one need not be
        pass
    return Document(json.dumps(values, sort_keys=True))


# --- rows -> files ---------------------------------------------------------------------------------------------------


def _parts(lines: Sequence[_Line], how: How) -> dict[str, list[_Line]]:
    """The lines by file: "pairs", or "test/pairs" with splits."""
    homes: dict[int, str] = {}
    if how.splits:
        rows = [asked(line.row) for line in lines]
        together = [key(asked(line.imported or line.row)) for line in lines]
        home = {id(row): name for name, some in split(rows, how.splits, how.seed, together).items() for row in some}
        homes = {id(line): f"{home[id(row)]}/" for line, row in zip(lines, rows, strict=True)}
    mixed = {kind for kind in {line.kind for line in lines} if len({_talks(one) for one in lines if one.kind == kind}) > 1}
    files: dict[str, list[_Line]] = {}
    for line in lines:
        kind = f"{line.kind}-messages" if line.kind in mixed and _talks(line) else line.kind
        files.setdefault(f"{homes.get(id(line), '')}{kind}", []).append(line)
    return files


def _talks(line: _Line) -> bool:
    """Whether the prompt is a conversation; vetted rows stay together whatever they hold."""
    return not line.values and not isinstance(line.row, Document) and isinstance(_prompt(line.row), tuple)


def _prompt(row: Row) -> PromptText:
    return cast("PromptText", row.prompt)  # type: ignore[union-attr]


def _prompt_ids(answers: Sequence[Said]) -> dict[str, int]:
    """The least id of each prompt's text."""
    found: dict[str, int] = {}
    for one in answers:
        text = key(asked(Prompt(one.prompt)))
        found[text] = min(found.get(text, one.prompt_id), one.prompt_id)
    return found


def _values(lines: Sequence[_Line], how: How, prompt_ids: Mapping[str, int]) -> list[dict[str, Any]]:
    values = []
    for line in lines:
        if line.values:
            values.append(dict(line.values))
            continue
        known = key(asked(line.row))
        ids = ({"prompt_id": prompt_ids[known]} if known in prompt_ids else {}) | {"group_id": line.item}
        values.append((_trl(line.row, how) if how.shape == "trl" else plain(line.row)) | ids)
    return values


def _trl(row: Row, how: How) -> dict[str, Any]:
    """A row in the shape of TRL's trainers: text, or messages where the prompt is messages."""
    prompt = plain(Prompt(_prompt(row)))["prompt"]

    def answer(text: str) -> Any:
        return text if isinstance(prompt, str) else [{"role": "assistant", "content": text}]

    match row:
        case Pair():
            margin = {"margin": row.margin} if how.margins else {}
            weight = {"weight": row.weight} if how.which == "consensus" else {}
            return {"prompt": prompt, "chosen": answer(row.chosen), "rejected": answer(row.rejected)} | margin | weight
        case Thumb():
            return {"prompt": prompt, "completion": answer(row.completion), "label": row.up}
        case Chat():
            if isinstance(prompt, str):
                return {"prompt": prompt, "completion": row.completion}
            return {"messages": [*prompt, *answer(row.completion)]}
        case _:
            return {"prompt": prompt}
