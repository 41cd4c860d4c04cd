"""`accordant data`: look at rows, convert, filter and split them.

The work is done in `accordant.data`; here it is asked for and told.

Nothing heavy is imported before a command needs it.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from accordant.types import UserError

if TYPE_CHECKING:
    from accordant.data.check import Checked
    from accordant.data.reading import Reading
    from accordant.data.show import Piece
    from accordant.data.template import Template

app = typer.Typer(
    name="data", help="Check, convert, filter, split and show rows.",
    no_args_is_help=True, add_completion=False, rich_markup_mode=None,
)  # fmt: skip

Given = Annotated[str, typer.Argument(metavar="IN", help="rows: .jsonl, .json, .csv, .parquet, or hub:owner/name:split")]
Out = Annotated[Path, typer.Argument(metavar="OUT", help="rows to write: .jsonl or .parquet")]
SourceName = Annotated[str, typer.Option("--source", help="named source that the files are of, as `prepare` knows them")]
Renamed = Annotated[list[str] | None, typer.Option("--map", metavar="THEIRS=OURS", help="rename a field; repeat for more")]
Options = Annotated[list[str] | None, typer.Option("--option", metavar="KEY=VALUE", help="an option of the source")]
OnBad = Annotated[Literal["error", "drop"], typer.Option(help="bad rows stop the command, or are named and left out")]
MaxLength = Annotated[int, typer.Option(min=0, help="longest row in tokens; 0 = the context that the model's folder names")]

# --- check -----------------------------------------------------------------------------------------------------------


@app.command()
def check(
    files: Annotated[list[str], typer.Argument(metavar="FILE...", help="rows that should share no prompt")],
    json_: Annotated[bool, typer.Option("--json", help="print one JSON object instead")] = False,
    source: SourceName = "file",
    map: Renamed = None,
    option: Options = None,
    tokenizer: Annotated[str | None, typer.Option(help="model folder or hub name, to measure lengths with")] = None,
    max_length: MaxLength = 0,
    against: Annotated[list[str] | None, typer.Option(metavar="FILE", help="rows to share no prompt with; repeat")] = None,
    near: Annotated[float, typer.Option(help="Jaccard similarity from which two prompts are near-duplicates")] = 0.7,
    strict: Annotated[bool, typer.Option("--strict", help="exit with 1 if there is any complaint")] = False,
    all_: Annotated[bool, typer.Option("--all", help="print every complaint, not the first 20 of a kind")] = False,
) -> None:
    """Say what files hold and what is wrong with them: bad, repeated, conflicting, over-long rows, shared prompts."""
    from accordant.data import check as checks
    from accordant.data.findings import as_json, lines, printable
    from accordant.data.reading import LISTED, Reading
    from accordant.data.show import length

    if all_ and json_:
        raise UserError("--all is about the printed list; --json gives every complaint anyway: leave --all out")
    if not 0 < near <= 1:
        raise UserError(f"--near is {near:g}; a Jaccard similarity is above 0 and at most 1")
    twice = next((file for file in files if files.count(file) > 1 or file in (against or ())), None)
    if twice:
        raise UserError(f"{twice} is given twice, so that each of its prompts would be shared; give it once")
    reading = Reading.of(source, map, option)
    limit = max_length
    template = None
    if tokenizer is not None:
        template, context = _template(tokenizer)
        limit = limit or context
    elif max_length:
        raise UserError("--max-length counts tokens: say whose with --tokenizer FOLDER")
    read = [_checked(reading, file) for file in files]
    # A row of theirs that cannot be read would be compared with nothing, so it is an error.
    others = [checks.Checked(file, Reading.of().read(file, "error", _noted).rows) for file in against or ()]
    measure = None if template is None else (lambda row: length(row, template))
    report = checks.check([one for one, _ in read], others, measure, limit, near)
    if json_:
        print(printable(json.dumps(as_json(report, limit), ensure_ascii=False, indent=1)))
    else:
        notes = {one.name: passed for one, passed in read}
        print(printable("\n".join(lines(report, notes, limit, 0 if all_ else LISTED))))
    if strict and report.findings:
        raise typer.Exit(1)


def _checked(reading: Reading, path: str) -> tuple[Checked, Sequence[str]]:
    from accordant.data.check import Checked
    from accordant.data.files import Complaint
    from accordant.types import Source

    found = reading.check(path)
    empty = [Complaint(Source(path, 0), "there are no rows in it; write at least one")]
    return Checked(path, found.rows, found.complaints or ([] if found.rows else empty)), found.notes


def _noted(line: str) -> None:
    """Beside a report on stdout, which may be JSON."""
    print(line, file=sys.stderr)


# --- convert ---------------------------------------------------------------------------------------------------------


@app.command()
def convert(
    given: Given,
    out: Out,
    to: Annotated[str, typer.Option(help="pairs, rankings, kwise, ratings, thumbs, chats or prompts")],
    ties: Annotated[Literal["keep", "drop"], typer.Option(help="equally good answers: a pair with tie, or none")] = "drop",
    rejects: Annotated[Literal["lose", "exclude"], typer.Option(help="rejected answers lose, or are in no pair")] = "lose",
    attribute: Annotated[str | None, typer.Option(help="the rating to go by; by default the mean of all")] = None,
    min_gap: Annotated[float, typer.Option(help="scores closer than this make no pair")] = 0.0,
    consensus: Annotated[
        bool, typer.Option("--consensus", help="what several labelers agree on, weighted by the share")
    ] = False,
    min_share: Annotated[float, typer.Option(help="a consensus needs more than this share of the labelers")] = 0.5,
    grades: Annotated[
        Literal["small", "large"] | None, typer.Option(help="margins from a `grade` field: Llama 2's small or large scale")
    ] = None,
    source: SourceName = "file",
    map: Renamed = None,
    option: Options = None,
    on_bad: OnBad = "error",
) -> None:
    """Turn rows of one kind into another, or into another file format; whatever is dropped is counted."""
    from accordant.data import convert as conversions
    from accordant.data.carry import carried, parents
    from accordant.data.findings import nulls, number, own_fields
    from accordant.data.grades import graded
    from accordant.data.origin import write_origins
    from accordant.data.output import write
    from accordant.data.reading import Reading, ready
    from accordant.data.sources.loaded import nearest

    rules = conversions.Rules(ties, rejects, attribute, min_gap, consensus, min_share)
    if grades is not None and to != "pairs":
        raise UserError(f"--grades sets the margins of pairs, and {to} have none; leave it out, or convert --to pairs")
    reading = Reading.of(source, map, option)
    ready(out, given)
    # No row has a field `grade`, so its name is not one that reading knows.
    named = {theirs: ours for theirs, ours in reading.map.items() if grades is not None and ours == "grade"}
    reading = replace(reading, map={theirs: ours for theirs, ours in reading.map.items() if theirs not in named})
    found = reading.read(given, on_bad, print)
    rows = found.rows
    if grades is not None:
        field = next(iter(named), "grade")
        held = {name for record in found.kept for name in record.fields}
        if named and field not in held:
            raise UserError(f"map: {given} has no field {field!r}; {nearest(field, sorted(held))}")
        rows = list(graded(rows, [record.fields.get(field) for record in found.kept] or [None] * len(rows), grades))
    converted = conversions.convert(rows, to, rules)
    own = carried(found.kept, parents(rows, converted.rows, to, consensus)) if found.kept else None
    changed = write(out, converted.rows, own.fields if own else ())
    write_origins(out, reading.origins(given, len(rows)))
    print(f"{number(len(rows), f'{type(rows[0]).__name__} row')} -> {number(len(converted.rows), _ROWS[to])} in {out}")
    for reason, count in converted.dropped.items():
        print(f"  dropped, {reason}: {count:,}")
    for line in (*own_fields(own), *nulls(changed)):
        print(f"  {line}")


_ROWS = {
    "pairs": "pair", "rankings": "ranking", "kwise": "ranking", "ratings": "rating", "thumbs": "thumb", "chats": "chat",
    "prompts": "prompt",
}  # fmt: skip


# --- filter ----------------------------------------------------------------------------------------------------------


@app.command("filter")
def filter_(
    given: Given,
    out: Out,
    classifier: Annotated[str, typer.Option(help="classifier checkpoint: folder or hub name")],
    above: Annotated[float, typer.Option(help="rows that score above this are dropped")],
    label: Annotated[str | None, typer.Option(help="label whose score counts; not needed where there is one output")] = None,
    output: Annotated[Literal["probability", "logit"], typer.Option(help="what the score is of the label")] = "probability",
    window: Annotated[int, typer.Option(help="judge texts in windows of this many words; 0 = whole")] = 0,
    dropped: Annotated[Path | None, typer.Option(help="write the dropped rows there, with their scores")] = None,
    source: SourceName = "file",
    map: Renamed = None,
    option: Options = None,
    on_bad: OnBad = "error",
) -> None:
    """Drop rows whose text or answer a classifier scores above a threshold, and say how many and of which kind."""
    from accordant.data.filter import filter_rows, shares
    from accordant.data.findings import counted, nulls, number
    from accordant.data.reading import Reading, beside, came, ready

    if output == "probability" and not 0 <= above < 1:
        raise UserError(f"--above is {above:g}, and probabilities lie between 0 and 1; give such a one, or --output logit")
    reading = Reading.of(source, map, option)
    ready(out, given)
    if dropped is not None:
        ready(dropped, given)
        if dropped.resolve() == out.resolve():
            raise UserError(f"--dropped {dropped} is OUT; name another file")
    loaded = reading.read(given, on_bad, print)
    rows = loaded.rows
    with _progress("scoring", len(rows)) as advance:
        score = _scorer(classifier, label, output)
        found = filter_rows(rows, score, above, window, advance, [id(record) for record in loaded.kept])
    for kind, (gone, count) in shares(rows, found).items():
        print(f"{kind}: {gone:,} of {number(count, 'row')} dropped ({gone / count:.1%})")
    scores = sorted(found.scores)
    low, middle, high = scores[0], scores[len(scores) // 2], scores[-1]
    print(f"scores: lowest {low:.3g}, median {middle:.3g}, highest {high:.3g}; the threshold is {above:g}")
    if not found.kept:
        raise UserError(f"all {len(rows)} rows score above {above:g}, so nothing would be left; raise --above")
    kept = [fields for _, fields in came(loaded, found.kept)]
    changed = reading.write({out: kept}, given)
    print(f"{counted(len(kept), len(found.kept))} in {out}")
    if dropped is not None and found.dropped:
        scored = {id(gone.row): gone.score for gone in found.dropped}
        gone = came(loaded, [gone.row for gone in found.dropped])
        more = [{"score": scored[id(row)], "file": row.source.file, "line": row.source.line} for row, _ in gone]
        changed += reading.write({dropped: beside([fields for _, fields in gone], more, "filter_")}, given)
        print(f"{counted(len(gone), len(found.dropped))} in {dropped}, with score, file and line")
    elif dropped is not None:
        print(f"nothing was dropped, so {dropped} is not written")
    for line in (*nulls(changed), *reading.again(loaded)):
        print(line)


def _scorer(
    classifier: str, label: str | None, output: Literal["probability", "logit"]
) -> Callable[[Sequence[str]], Sequence[float]]:
    """The classifier's number for texts by themselves, as a reward would give it."""
    from accordant.rewards import ClassifierReward, load
    from accordant.types import Answer

    reward = load(ClassifierReward(path=classifier, label=label, output=output, reads="answer"))
    return lambda texts: reward([Answer("", text, finished=True) for text in texts]).tolist()


# --- split -----------------------------------------------------------------------------------------------------------


@app.command()
def split(
    given: Given,
    out: Annotated[Path, typer.Option(help="folder for train.jsonl and the other parts, rows as they came")],
    test: Annotated[str | None, typer.Option(metavar="SIZE", help="share (0.1) or number (200) of the prompts")] = None,
    validation: Annotated[str | None, typer.Option(metavar="SIZE", help="the same")] = None,
    part: Annotated[list[str] | None, typer.Option(metavar="NAME=SIZE", help="a part of another name; repeat")] = None,
    seed: Annotated[int, typer.Option(help="another seed, another split")] = 0,
    format_: Annotated[Literal["jsonl", "parquet"], typer.Option("--format", help="of the parts")] = "jsonl",
    source: SourceName = "file",
    map: Renamed = None,
    option: Options = None,
    on_bad: OnBad = "error",
) -> None:
    """Cut rows into parts of which no prompt is in two; the rest is train."""
    from accordant.data import split as splits
    from accordant.data.findings import counted, nulls, number
    from accordant.data.reading import Reading, came, ready
    from accordant.types import Document, Labelled

    words = [f"test={test}"] * (test is not None) + [f"validation={validation}"] * (validation is not None) + (part or [])
    sizes = dict(splits.size_of(word) for word in words)
    if not sizes:
        raise UserError("no part is asked for; give --test 0.1, --validation 200 or --part NAME=SIZE")
    if len(sizes) < len(words):
        raise UserError(f"two parts have one name; give each of {', '.join(sizes)} once")
    reading = Reading.of(source, map, option)
    found = reading.read(given, on_bad, print)
    parts = splits.split(found.rows, sizes, seed, [id(record) for record in found.kept])
    for name in parts:
        ready(out / f"{name}.{format_}", given)
    files = {out / f"{name}.{format_}": [fields for _, fields in came(found, some)] for name, some in parts.items()}
    changed = reading.write(files, given)
    for (place, records), some in zip(files.items(), parts.values(), strict=True):
        what = "text" if isinstance(some[0], Document | Labelled) else "prompt"
        of = number(len({splits.key(row) for row in some}), what)
        print(f"{counted(len(records), len(some))} of {of} in {place}")
    for line in (*nulls(changed), *reading.again(found)):
        print(line)


# --- show ------------------------------------------------------------------------------------------------------------


@app.command()
def show(
    file: Given,
    model: Annotated[str, typer.Option(help="model folder or hub name")],
    n: Annotated[int, typer.Option("--n", "-n", min=1, help="rows to show")] = 3,
    start: Annotated[int, typer.Option(min=1, help="the first row to show, counted from 1")] = 1,
    turns: Annotated[Literal["last", "all"], typer.Option(help="assistant turns that are trained on")] = "last",
    plain: Annotated[bool, typer.Option("--plain", help="brackets instead of colours")] = False,
    max_length: MaxLength = 0,
    source: SourceName = "file",
    map: Renamed = None,
    option: Options = None,
    on_bad: OnBad = "error",
) -> None:
    """Print the tokens of rows: the prompt dim, what is trained on green, special tokens marked."""
    from accordant.data.findings import number
    from accordant.data.reading import Reading
    from accordant.data.show import bracketed, pieces, sequences
    from accordant.data.template import context_needed
    from accordant.types import Chat

    rows = Reading.of(source, map, option).read(file, on_bad, print).rows
    if turns == "all" and not any(isinstance(row, Chat) for row in rows):
        raise UserError(f"--turns all is for demonstrations, and {file} has {type(rows[0]).__name__} rows; leave it out")
    template, context = _template(model, turns)
    limit = max_length or context
    if start > len(rows):
        raise UserError(f"--start is {start}, but {file} has {number(len(rows), 'row')}")
    for row in rows[start - 1 : start - 1 + n]:
        for name, tokens in sequences(row, template):
            size, trained = len(tokens.ids), sum(tokens.loss_mask)
            apart = template.encoder_decoder
            over = f", over the limit of {limit}" if limit and context_needed(tokens, apart) > limit else ""
            what = f"{type(row).__name__}{f', {name}' if name else ''}"
            print(f"--- {row.source}  {what}  {number(size, 'token')}, {trained:,} trained on{over}")
            shown = pieces(tokens, template.tokenizer)
            print(bracketed(shown)) if plain else _coloured(shown)


def _coloured(shown: Sequence[Piece]) -> None:
    """Neighbouring tokens differ in underline, so that each is seen."""
    from rich.console import Console
    from rich.text import Text

    from accordant.data.show import visible

    text = Text()
    for index, piece in enumerate(shown):
        colour = "green" if piece.trained else "dim"
        mark = " reverse" if piece.special else " underline" if index % 2 else ""
        text.append(visible(piece.text), style=colour + mark)
    Console(highlight=False, soft_wrap=True).print(text)


# --- what they share --------------------------------------------------------------------------------------------------


def _template(path: str, turns: Literal["last", "all"] = "last") -> tuple[Template, int]:
    """How the model's tokenizer writes rows of any length, and the context that its folder names (0 = none)."""
    from transformers import AutoConfig

    from accordant.data.show import NO_LIMIT
    from accordant.data.template import Template
    from accordant.models.language import context_of
    from accordant.models.load import load_tokenizer

    tokenizer = load_tokenizer(path)
    config = AutoConfig.from_pretrained(path)
    contexts = (tokenizer.model_max_length, context_of(config.get_text_config()))
    template = Template(tokenizer, NO_LIMIT, turns=turns, encoder_decoder=bool(config.is_encoder_decoder))
    return template, min((context for context in contexts if 0 < context < NO_LIMIT), default=0)


@contextmanager
def _progress(what: str, total: int) -> Iterator[Callable[[int], None]]:
    """A bar on stderr, called with how many are done."""
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(what, total=total)
        yield lambda done: progress.update(task, completed=done)
