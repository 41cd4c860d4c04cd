"""Records -> rows: which kind of row a record is, and whether it is a good one.

A row is recognised by its fields, the first match deciding:

    ========================================  ==========  ====================================================
    fields                                    becomes     remarks
    ========================================  ==========  ====================================================
    chosen, rejected, optionally prompt       `Pair`      without a prompt, it is what both answers begin with; tie: true
    prompt, completions, ranks (or groups)    `Ranking`   ranks: 1 = best, equal = tie, null = rejected
    prompt, completion, scores                `Rating`    scores: {"quality": 4.0}
    prompt, completion, up                    `Thumb`     up: true or false
    prompt, completion                        `Chat`
    messages                                  `Chat`      the last turn is the completion
    text, label                               `Labelled`
    text                                      `Document`
    prompt                                    `Prompt`
    ========================================  ==========  ====================================================

A prompt is text, or a list of messages {"role": ..., "content": ...}; an answer is text, or a list that ends with one
assistant message. All bad rows are named, by file and line, before anything is trained.

Left out: training on every assistant turn; conversion from other data sets' own field names.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import fields as fields_of
from difflib import get_close_matches
from pathlib import Path
from typing import Any, TypeVar

from accordant.data import fields as want
from accordant.data.fields import Bad, Fields
from accordant.data.files import Complaint, Record, records
from accordant.types import (
    Chat,
    Document,
    Labelled,
    Pair,
    Prompt,
    PromptText,
    Ranking,
    Rating,
    Row,
    Source,
    Thumb,
    UserError,
)

RowT = TypeVar("RowT", bound=Row)

_NAMED = 20  # complaints that an error lists before it only counts


def read(path: str | Path, kind: type[RowT] | None = None) -> list[RowT]:
    """The rows of a file or hub data set, all of one kind: `kind`, or the kind of most rows.

    Args:
        path: a .jsonl, .json, .csv or .parquet file, or "hub:owner/name:split" or "hub:owner/name/config:split".
        kind: the row type wanted; fields that it does not know are ignored, so that `Prompt` reads pairs, too.

    Raises:
        UserError: the file is not there or empty, or rows are bad: up to 20 are named, and all are counted.
    """
    rows, complaints = check(path, kind)
    if complaints:
        lines = [f"{path}: {len(complaints)} of {len(rows) + len(complaints)} rows are bad"]
        lines += [f"  {complaint}" for complaint in complaints[:_NAMED]]
        lines += [f"  and {len(complaints) - _NAMED} more"] if len(complaints) > _NAMED else []
        raise UserError("\n".join(lines))
    if not rows:
        raise UserError(f"{path}: there are no rows in it; write at least one")
    return rows


def check(path: str | Path, kind: type[RowT] | None = None) -> tuple[list[RowT], list[Complaint]]:
    """The good rows of a file, and a complaint about each other one, in order.

    Raises:
        UserError: the file is not there, or of an unknown kind.
    """
    found = list(records(path))
    recognised = Counter(_recognise(record.fields) for record in found if isinstance(record, Record))
    del recognised[None]
    usual = recognised.most_common(1)[0][0] if recognised else None
    rows: list[RowT] = []
    complaints: list[Complaint] = []
    for record in found:
        if isinstance(record, Complaint):
            complaints.append(record)
            continue
        try:
            rows.append(_row(record, kind, usual))
        except Bad as bad:
            complaints.append(Complaint(record.source, str(bad)))
    return rows, complaints


def write_jsonl(path: str | Path, rows: Iterable[Row]) -> None:
    """Write rows of one kind so that `read` gives them back exactly, but for their source, which is the new file.

    The file appears whole or not at all: it is written beside its place, flushed to the disk, then renamed.

    Raises:
        ValueError: the rows are of several kinds.
    """
    rows = list(rows)
    kinds = sorted({type(row).__name__ for row in rows})
    if len(kinds) > 1:
        raise ValueError(f"rows of several kinds ({', '.join(kinds)}) cannot share a file: write one file for each")
    target = Path(path)
    temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    try:
        with open(temporary, "w", encoding="utf-8", newline="\n") as file:
            file.writelines(json.dumps(_plain(row), ensure_ascii=False, allow_nan=False) + "\n" for row in rows)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, target)
    finally:
        temporary.unlink(missing_ok=True)


def _plain(row: Row) -> dict[str, Any]:
    """A row as JSON values, by field name; its source is the place where it is written."""
    values = {field.name: getattr(row, field.name) for field in fields_of(row) if field.name != "source"}
    if isinstance(values.get("prompt"), tuple):
        values["prompt"] = [{"role": message.role, "content": message.content} for message in values["prompt"]]
    if isinstance(row, Rating):
        values["scores"] = dict(row.scores)
    return values


# --- what kind of row a record is ------------------------------------------------------------------------------------


def _row(record: Record, wanted: type[RowT] | None, usual: type[Row] | None) -> Any:
    """The record as a row of the kind that is wanted, or else of the kind that most rows of the file are."""
    fields = want.present(want.unspelled(record.fields) if record.spelled else record.fields)
    recognised = _recognise(fields)
    kind = wanted or usual
    if kind is None:
        raise Bad(f"the fields {sorted(fields)} make no known row; {_shapes()}")
    if wanted and not _readable_as(fields, wanted):
        raise Bad(f"the fields {sorted(fields)} make no {wanted.__name__} row; {_shapes(wanted)}")
    if not wanted and recognised is not usual:
        raise Bad(_odd_one(fields, recognised, kind))
    _refuse_typos(fields, kind)
    return PARSERS[kind](fields, record.source)


def _recognise(fields: Fields) -> type[Row] | None:
    for names, kind in _RECOGNISED:
        if all(name in fields for name in names):
            return kind
    return None


def _readable_as(fields: Fields, kind: type[Row]) -> bool:
    return any(all(name in fields for name in names) for names, of in _RECOGNISED if of is kind)


def _odd_one(fields: Fields, recognised: type[Row] | None, usual: type[Row]) -> str:
    """What is wrong with a row that is not of the kind that most rows of its file are: what it lacks, if it has a part."""
    near = max(
        (names for names, of in _RECOGNISED if of is usual),
        key=lambda names: sum(name in fields for name in names) / len(names),
    )
    missing = [f"`{name}`" for name in near if name not in fields]
    if missing and (recognised is None or recognised in _PART_OF.get(usual, ())):
        verb = "is" if len(missing) == 1 else "are"
        return (
            f"{' and '.join(missing)} {verb} missing: the other rows are {usual.__name__} rows, this one has only the fields "
            f"{sorted(fields)}; complete it or delete it"
        )
    other = recognised.__name__ if recognised else "unknown"
    return f"a {other} row among {usual.__name__} rows; complete it, or keep kinds in separate files"


def _refuse_typos(fields: Fields, kind: type[Row]) -> None:
    """An unknown column is nobody's harm, but `weigth` would silently be no weight."""
    lost = _LOST_IF_MISSPELT.get(kind, ())
    for name in fields:
        near = get_close_matches(name, lost, n=1, cutoff=0.8)
        if near and name not in lost and near[0] not in fields:
            raise Bad(f"unknown field {name!r}; did you mean {near[0]!r}?")


_RECOGNISED: tuple[tuple[tuple[str, ...], type[Row]], ...] = (
    (("chosen", "rejected"), Pair),
    (("completions", "ranks"), Ranking),
    (("completions", "groups"), Ranking),
    (("completion", "scores"), Rating),
    (("completion", "up"), Thumb),
    (("completion",), Chat),
    (("messages",), Chat),
    (("text", "label"), Labelled),
    (("text",), Document),
    (("prompt",), Prompt),
    (("messages",), Prompt),  # only where prompts are asked for: by itself it is a Chat
)

_LOST_IF_MISSPELT: dict[type[Row], tuple[str, ...]] = {
    Prompt: ("completion", "completions", "chosen", "rejected"),
    Document: ("label",),
    Pair: ("margin", "weight", "tie"),
    Ranking: ("labeler", "rejected"),
    Rating: ("labeler",),
    Thumb: ("labeler",),
}


_PART_OF: dict[type[Row], tuple[type[Row], ...]] = {
    Chat: (Prompt,),
    Pair: (Prompt,),
    Ranking: (Prompt,),
    Rating: (Prompt, Chat),
    Thumb: (Prompt, Chat),
    Labelled: (Document,),
}
"""The kinds that a row of another kind becomes when a field of it is missing."""


def _shapes(kind: type[Row] | None = None) -> str:
    shapes = ["+".join(names) for names, of in _RECOGNISED if kind in (None, of)]
    return "give " + " or ".join(dict.fromkeys(shapes))


# --- one parser for each kind ----------------------------------------------------------------------------------------


def _prompt(fields: Fields, source: Source) -> Prompt:
    return Prompt(want.prompt(fields), source)


def _document(fields: Fields, source: Source) -> Document:
    return Document(want.text(fields, "text"), source)


def _labelled(fields: Fields, source: Source) -> Labelled:
    return Labelled(want.text(fields, "text"), want.integer(fields, "label", least=0), source)


def _chat(fields: Fields, source: Source) -> Chat:
    if fields.get("label") is not None:
        raise Bad("the answer has a `label`; judged answers are no demonstrations: keep the good ones, without labels")
    if "messages" in fields and "completion" not in fields:
        turns = want.messages(fields, "messages")
        if len(turns) < 2 or turns[-1].role != "assistant":
            raise Bad(
                f"`messages` has {len(turns)} turns and ends with {turns[-1].role}; it must end with the assistant's "
                "answer to an earlier turn"
            )
        return Chat(turns[:-1], turns[-1].content, source)
    prompt, completion = want.answer(fields, "completion")
    return Chat(want.one_prompt(fields, {"completion": prompt}), completion, source)


def _rating(fields: Fields, source: Source) -> Rating:
    chat = _chat(fields, source)
    return Rating(chat.prompt, chat.completion, want.scores(fields, "scores"), want.labeler(fields), source)


def _thumb(fields: Fields, source: Source) -> Thumb:
    chat = _chat(fields, source)
    return Thumb(chat.prompt, chat.completion, want.flag(fields, "up", default=None), want.labeler(fields), source)


def _pair(fields: Fields, source: Source) -> Pair:
    before_chosen, chosen = want.answer(fields, "chosen")
    before_rejected, rejected = want.answer(fields, "rejected")
    prompt: PromptText
    if "prompt" not in fields and not before_chosen and not before_rejected:
        prompt, chosen, rejected = want.shared_prefix(chosen, rejected)
    else:
        prompt = want.one_prompt(fields, {"chosen": before_chosen, "rejected": before_rejected})
    margin = want.number(fields, "margin", default=0.0)
    weight = want.number(fields, "weight", default=1.0)
    if margin < 0:
        raise Bad(f"`margin` is {margin}; it must be at least 0: swap chosen and rejected instead")
    if weight <= 0:
        raise Bad(f"`weight` is {weight}; it must be above 0: delete the row instead")
    return Pair(prompt, chosen, rejected, margin, weight, want.flag(fields, "tie", default=False), source)


def _ranking(fields: Fields, source: Source) -> Ranking:
    prompt = want.prompt(fields)
    completions = want.texts(fields, "completions")
    if "groups" in fields:
        groups = tuple(want.integers(group, "groups") for group in want.sequence(fields, "groups"))
        marked = fields.get("rejected")
        rejected = () if marked is None else want.integers(marked, "rejected")
    else:
        groups, rejected = want.groups_of_ranks(fields, "ranks", len(completions))
    placed = sorted(index for group in (*groups, rejected) for index in group)
    if placed != list(range(len(completions))) or () in groups:
        raise Bad(
            f"the ranking places the answers {placed}, and there are {len(completions)}, counted from 0; place each "
            "once, in a group that is not empty or among the rejected"
        )
    return Ranking(prompt, completions, groups, rejected, want.labeler(fields), source)


PARSERS: dict[type[Row], Callable[[Fields, Source], Any]] = {
    Prompt: _prompt,
    Document: _document,
    Chat: _chat,
    Labelled: _labelled,
    Pair: _pair,
    Ranking: _ranking,
    Rating: _rating,
    Thumb: _thumb,
}
