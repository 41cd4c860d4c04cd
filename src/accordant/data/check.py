"""What there is to say about files of rows before anything is trained on them: counts, lengths and findings.

A finding names a place, says what is wrong with it and how to put it right. Bad rows are what reading found; the others compare
good rows with each other: repeated rows, preferences that contradict each other, answers that do not differ, prompts that files
share, prompts that are nearly the same, rows that a model's context does not hold.

Left out: anything about what the texts say (`filter` asks a classifier), and near-duplicates among answers.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

from accordant.data.fields import Bad
from accordant.data.files import BAD, EMPTY, PREFIX, Complaint
from accordant.data.near import THRESHOLD, near_duplicates
from accordant.data.split import asked, duplicates, key
from accordant.data.transcript import messages
from accordant.stats.rankings import pairs as ranked_pairs
from accordant.types import Chat, Labelled, Message, Pair, Prompt, Ranking, Rating, Row, Source, Thumb, UserError

DUPLICATE, CONFLICT, EQUAL = "duplicate", "conflict", "equal answers"
SHARED, CONTAMINATED, NEAR = "shared prompt", "contamination", "near-duplicate"
LONG, UNREADABLE = "over-long", "not tokenisable"
KINDS = (BAD, EMPTY, PREFIX, DUPLICATE, CONFLICT, EQUAL, SHARED, CONTAMINATED, NEAR, LONG, UNREADABLE)

PERCENTILES = (50, 90, 95, 99)


@dataclass(frozen=True, slots=True)
class Checked:
    """A file as it was read: its good rows, and a complaint about each other one."""

    name: str
    rows: Sequence[Row]
    complaints: Sequence[Complaint] = ()


@dataclass(frozen=True, slots=True)
class Finding:
    """`str(Finding("duplicate", Source("a.jsonl", 7), "..."))` is "a.jsonl:7: ..."."""

    kind: str
    source: Source
    message: str
    rows: int = 1  # how many it is about: what is wrong with all rows of a file is said once

    def __str__(self) -> str:
        return f"{self.source}: {self.message}"


@dataclass(frozen=True, slots=True)
class Lengths:
    """Tokens of the rows of a file; a percentile is the least length that this share of the rows does not exceed."""

    rows: int
    total: int
    percentiles: Mapping[int, int]
    longest: int

    @classmethod
    def of(cls, lengths: Sequence[int]) -> Lengths:
        """Of one row at least."""
        line = sorted(lengths)
        ranks = {percent: line[math.ceil(percent / 100 * len(line)) - 1] for percent in PERCENTILES}
        return cls(len(line), sum(line), ranks, line[-1])


@dataclass(frozen=True, slots=True)
class Summary:
    """One file in numbers: `gives` counts what its rows hold, `findings` the rows that something is wrong with, by kind."""

    name: str
    kind: str
    gives: Mapping[str, int]
    findings: Mapping[str, int]
    lengths: Lengths | None


@dataclass(frozen=True, slots=True)
class Report:
    """All files together; the findings are in the order of `KINDS`, then of files."""

    files: tuple[Summary, ...]
    findings: tuple[Finding, ...]


def check(
    files: Sequence[Checked],
    against: Sequence[Checked] = (),
    length: Callable[[Row], int] | None = None,
    limit: int = 0,
    threshold: float = THRESHOLD,
) -> Report:
    """Look at every row of `files` by itself, beside those of its own file, the other files, and `against`.

    Args:
        files: what is to be trained on or measured with; no prompt should be in two of them.
        against: other data (another stage's prompts, a benchmark) that should share no prompt with them; not judged itself.
        length: tokens of a row; it may raise UserError for a row that cannot be tokenised.
        limit: rows of more tokens are findings; 0 = no limit.
        threshold: Jaccard similarity from which two prompts are near-duplicates, see `near`.
    """
    found: list[list[Finding]] = []
    lengths: list[Lengths | None] = []
    for file in files:
        measured, late = _measure(file.rows, length, limit)
        bad = [Finding(complaint.kind, complaint.source, complaint.message, complaint.rows) for complaint in file.complaints]
        found.append([*bad, *_duplicates(file.rows), *_conflicts(file.rows), *_labels(file.rows), *_equal(file.rows), *late])
        lengths.append(measured)
    prompts = [_prompts(file) for file in files]
    theirs = {text: place for file in reversed(against) for text, place in _prompts(file).items()}
    for where, finding in (*_shared(prompts), *_contaminated(prompts, theirs, threshold), *_near(prompts, threshold)):
        found[where].append(finding)
    summaries = [
        Summary(file.name, kind_of(file.rows), gives(file.rows), _counts(own), measured)
        for file, own, measured in zip(files, found, lengths, strict=True)
    ]
    together = sorted((finding for own in found for finding in own), key=lambda finding: KINDS.index(finding.kind))
    return Report(tuple(summaries), tuple(together))


def _counts(findings: Sequence[Finding]) -> dict[str, int]:
    count: Counter[str] = Counter()
    for finding in findings:
        count[finding.kind] += finding.rows
    return dict(count)


def kind_of(rows: Sequence[Row]) -> str:
    """The name of the rows' type, or of each of their types; "" where there are none."""
    return ", ".join(sorted({type(row).__name__ for row in rows}))


def gives(rows: Sequence[Row]) -> dict[str, int]:
    """What the rows hold, by name; zeros are left out.

    `prompts` are distinct ones; `turns` those of conversations, one answer included; `pairs` the preferences that pairs and
    rankings state; `ratings` single scores.
    """
    count: Counter[str] = Counter(rows=len(rows), prompts=len({key(row) for row in rows if not _is_text(row)}), turns=0)
    for row in rows:
        count.update(_gives(row))
        prompt = getattr(row, "prompt", "")
        count["turns"] += 0 if isinstance(prompt, str) else len(prompt) + (not isinstance(row, Prompt))
    named = {row.labeler for row in rows if isinstance(row, Pair | Ranking | Rating | Thumb)} - {"?"}
    count["labelers"] = len(named)
    return {name: number for name, number in count.items() if number}


def _gives(row: Row) -> dict[str, int]:
    match row:
        case Chat():
            return {"answers": 1}
        case Pair():
            return {"ties" if row.tie else "pairs": 1, "pairs with a margin": int(row.margin > 0)}
        case Ranking():
            return {"rankings": 1, "ranked answers": len(row.completions), "pairs": len(ranked_pairs(row))}
        case Rating():
            return {"rated answers": 1, "ratings": len(row.scores), **{f"ratings of {name}": 1 for name in row.scores}}
        case Thumb():
            return {"thumbs up" if row.up else "thumbs down": 1}
        case Labelled():
            return {f"label {row.label}": 1}
        case _:
            return {}


def _is_text(row: Row) -> bool:
    return not hasattr(row, "prompt")


# --- within a file ---------------------------------------------------------------------------------------------------


def _duplicates(rows: Sequence[Row]) -> Iterator[Finding]:
    fix = ", or give it a weight if it should count twice" if rows and isinstance(rows[0], Pair) else ""
    for first, *later in duplicates(rows):
        for source in later:
            yield Finding(DUPLICATE, source, f"the same row as {first}; delete one{fix}")


def _conflicts(rows: Sequence[Row]) -> Iterator[Finding]:
    """Each claim whose opposite an earlier row makes, both by the same labeler where labelers are named."""
    claims: dict[object, Source] = {}
    reported: set[object] = set()
    for row in rows:
        own = list(_claims(row))
        for claim, opposite in own:
            if opposite in claims and frozenset((claim, opposite)) not in reported:
                reported.add(frozenset((claim, opposite)))
                yield Finding(CONFLICT, row.source, f"{_CONTRADICTS[type(row)]} {claims[opposite]} says: {_SETTLE[type(row)]}")
        for claim, _ in own:  # only now: a row does not contradict itself, it has equal answers
            claims.setdefault(claim, row.source)


_CONTRADICTS: Mapping[type[Row], str] = {
    Pair: "prefers the answer that is rejected by what",
    Ranking: "orders two answers the other way round than what the same labeler in",
    Thumb: "judges this answer otherwise than what",
}
_SETTLE: Mapping[type[Row], str] = {
    Pair: "keep one of the two, or one with tie: true, or name the labelers",
    Ranking: "keep one of the two",
    Thumb: "keep one of the two, or name the labelers",
}


def _claims(row: Row) -> Iterator[tuple[object, object]]:
    """What a row says, each with its opposite."""
    match row:
        case Pair(tie=False) if row.chosen != row.rejected:
            place = key(row), row.labeler
            yield (*place, row.chosen, row.rejected), (*place, row.rejected, row.chosen)
        case Ranking():
            prompt, said = key(row), row.completions
            for better, worse in ranked_pairs(row):
                if said[better] != said[worse]:
                    yield (prompt, row.labeler, said[better], said[worse]), (prompt, row.labeler, said[worse], said[better])
        case Thumb():
            place = key(row), row.completion, row.labeler
            yield (*place, row.up), (*place, not row.up)
        case _:
            return


def _labels(rows: Sequence[Row]) -> Iterator[Finding]:
    """Texts that an earlier row gives another label."""
    labels: dict[str, Labelled] = {}
    for row in rows:
        if isinstance(row, Labelled):
            first = labels.setdefault(key(row), row)
            if first.label != row.label:
                said = f"gives the text of {first.source} label {row.label}, which has {first.label} there; keep one of the two"
                yield Finding(CONFLICT, row.source, said)


def _equal(rows: Sequence[Row]) -> Iterator[Finding]:
    for row in rows:
        if isinstance(row, Pair) and not row.tie and row.chosen == row.rejected:
            yield Finding(EQUAL, row.source, "`chosen` and `rejected` are the same text; delete the row, or mark it tie: true")
        elif isinstance(row, Ranking) and len(set(row.completions)) < len(row.completions):
            twice = next(text for text, count in Counter(row.completions).items() if count > 1)
            yield Finding(EQUAL, row.source, f"two of the completions are the same text, {_short(twice)}; leave one out")


def _measure(rows: Sequence[Row], length: Callable[[Row], int] | None, limit: int) -> tuple[Lengths | None, list[Finding]]:
    """The tokens of each row, and a finding about each that is too long or cannot be tokenised."""
    if length is None:
        return None, []
    lengths: list[int] = []
    late: list[Finding] = []
    unreadable: list[Finding] = []
    for row in rows:
        try:
            tokens = length(row)
        except UserError as error:
            unreadable.append(Finding(UNREADABLE, row.source, str(error).removeprefix(f"{row.source}: ")))
            continue
        lengths.append(tokens)
        if limit and tokens > limit:
            fix = "shorten it, delete it, or train with a longer max_length or with on_long=drop"
            late.append(Finding(LONG, row.source, f"{tokens} tokens, and the limit is {limit}; {fix}"))
    if len(unreadable) == len(rows) > 1 and len({finding.message for finding in unreadable}) == 1:
        first = unreadable[0]
        unreadable = [replace(first, message=f"all {len(rows)} rows: {first.message}", rows=len(rows))]
    return (Lengths.of(lengths) if lengths else None), [*late, *unreadable]


# --- between files ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a prompt is first found, and what it is called: "its prompt", or "its text" where rows have none."""

    source: Source
    what: str


def _prompts(file: Checked) -> dict[str, _Place]:
    """Each distinct prompt of a file."""
    places: dict[str, _Place] = {}
    for row in file.rows:
        places.setdefault(_asked(row), _Place(row.source, "its text" if _is_text(row) else "its prompt"))
    return places


def _asked(row: Row) -> str:
    """`split.key`, but the same for a conversation as messages and as a transcript, and for one question and its bare text.

    The files that are compared need not be of one style; a split, which is of one file, needs no more than `key`.
    """
    prompt = getattr(row, "prompt", None)
    if isinstance(prompt, str) and prompt.startswith("\n\nHuman:"):
        try:
            turns = messages(prompt.removesuffix("\n\nAssistant:"), "the prompt")
        except Bad:
            return key(row)
        prompt = tuple(Message("user" if turn["role"] == "user" else "assistant", turn["content"]) for turn in turns)
        return key(asked(Prompt(prompt)))
    return key(asked(row))


Placed: TypeAlias = "tuple[int, Finding]"
"""A finding, and the index of the file that it belongs to."""


def _shared(prompts: Sequence[Mapping[str, _Place]]) -> Iterator[Placed]:
    seen: dict[str, _Place] = {}
    for index, own in enumerate(prompts):
        for text, place in own.items():
            if text in seen:
                said = f"{place.what} is also in {seen[text].source}, {_short(text)}; keep it in one file"
                yield index, Finding(SHARED, place.source, said)
        seen = {**own, **seen}


def _contaminated(prompts: Sequence[Mapping[str, _Place]], theirs: Mapping[str, _Place], threshold: float) -> Iterator[Placed]:
    there = [place.source for place in theirs.values()]
    for index, own in enumerate(prompts):
        fresh = [text for text in own if text not in theirs]
        for text, place in own.items():
            if text in theirs:
                said = f"{place.what} is also in {theirs[text].source}, {_short(text)}; take it out here"
                yield index, Finding(CONTAMINATED, place.source, said)
        for near in near_duplicates([*theirs, *fresh], threshold, first=len(theirs)) if theirs else ():
            text = fresh[near.index - len(theirs)]
            said = f"{own[text].what} is {_nearly(there[near.other], near.similarity)}, {_short(text)}; take it out here"
            yield index, Finding(CONTAMINATED, own[text].source, said)


def _near(prompts: Sequence[Mapping[str, _Place]], threshold: float) -> Iterator[Placed]:
    places: dict[str, tuple[int, _Place]] = {}
    for index, own in enumerate(prompts):
        for text, place in own.items():
            places.setdefault(text, (index, place))
    texts = list(places)
    for near in near_duplicates(texts, threshold):
        (here, place), (there, other) = places[texts[near.index]], places[texts[near.other]]
        fix = "keep one of them" if here == there else "keep both in one file"
        said = f"{place.what} is {_nearly(other.source, near.similarity)}, {_short(texts[near.index])}; {fix}"
        yield here, Finding(NEAR, place.source, said)


def _nearly(other: Source, similarity: float) -> str:
    return f"nearly that of {other} (similarity {similarity:.2f})"


def _short(text: str) -> str:
    flat = " ".join(text.split())
    return repr(flat if len(flat) <= 60 else flat[:57] + "...")
