"""Rows whose text a scorer puts above a threshold are taken out, and every one of them is accounted for.

What is judged is what would be learnt: the text of a document, the answer of a demonstration, the chosen answer of a pair (the
rejected one may be bad: that is what it is there for), the best answers of a ranking, a prompt where there is nothing else.
A text can be judged in windows of some words, the worst of which decides: for scorers with a short context, and for documents
of which one passage is bad.

Left out: the scorer; `accordant data filter` gives it a classifier.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from accordant.data.files import first_few
from accordant.types import Document, Labelled, Pair, Prompt, PromptText, Ranking, Row, Source, Thumb, UserError

Scorer: TypeAlias = "Callable[[Sequence[str]], Sequence[float]]"
"""One number for each text, higher is worse; UserError for a text that it cannot read."""

_AT_ONCE = 256  # texts handed to the scorer


@dataclass(frozen=True, slots=True)
class Dropped:
    """A row that was taken out, and its score."""

    row: Row
    score: float


@dataclass(frozen=True, slots=True)
class Filtered:
    """What stays, what was taken out, both in the order of the rows, and the scores of all."""

    kept: tuple[Row, ...]
    dropped: tuple[Dropped, ...]
    scores: tuple[float, ...]


def filter_rows(
    rows: Sequence[Row],
    score: Scorer,
    above: float,
    window: int = 0,
    progress: Callable[[int], None] = lambda _: None,
    together: Sequence[Hashable] = (),
) -> Filtered:
    """Take out every row of which a judged text scores above the threshold; exactly at it, a row stays.

    Args:
        rows: of any kinds.
        score: higher is worse.
        above: the threshold, in the scorer's units.
        window: judge at most this many words at once, the windows overlapping by half; 0 = the whole text.
        progress: called with the number of rows that have been judged.
        together: for each row a word; of rows of one word the worst decides about all.

    Raises:
        UserError: texts cannot be scored; up to 20 rows are named, and all are counted. Or a score is not a number.
    """
    if window < 0 or window == 1:
        raise UserError(f"window is {window}; it must be 0 (the whole text) or at least 2 words")
    scores: list[float] = []
    failed: dict[Source, str] = {}
    for start in range(0, len(rows), _AT_ONCE):
        part = rows[start : start + _AT_ONCE]
        texts = [(index, piece) for index, row in enumerate(part) for text in judged(row) for piece in windows(text, window)]
        try:
            found = list(score([text for _, text in texts]))
        except UserError:  # a text that the scorer cannot read: which one is it?
            failed |= _refused(part, texts, score)
        else:
            scores += _worst(part, texts, found)
        progress(min(start + _AT_ONCE, len(rows)))
    if failed:
        raise UserError(_say(failed, len(rows)))
    if together:
        worst: dict[Hashable, float] = {}
        for word, own in zip(together, scores, strict=True):
            worst[word] = max(own, worst.get(word, own))
        scores = [worst[word] for word in together]
    kept = tuple(row for row, own in zip(rows, scores, strict=True) if own <= above)
    dropped = tuple(Dropped(row, own) for row, own in zip(rows, scores, strict=True) if own > above)
    return Filtered(kept, dropped, tuple(scores))


def judged(row: Row) -> tuple[str, ...]:
    """The texts of a row that the scorer reads."""
    match row:
        case Document() | Labelled():
            return (row.text,)
        case Pair():
            return (row.chosen, row.rejected) if row.tie else (row.chosen,)
        case Ranking():
            return tuple(row.completions[i] for i in (row.groups[0] if row.groups else row.rejected))
        case Prompt():
            return (_text(row.prompt),)
        case _:
            return (row.completion,)


def kind_of(row: Row) -> str:
    """The file of a row, and its label or thumb where it has one: what drops are counted by."""
    match row:
        case Labelled():
            return f"{row.source.file}, label {row.label}"
        case Thumb():
            return f"{row.source.file}, thumb {'up' if row.up else 'down'}"
        case _:
            return row.source.file


def shares(rows: Sequence[Row], filtered: Filtered) -> dict[str, tuple[int, int]]:
    """(dropped, all) by `kind_of`, in the order in which the kinds come."""
    total = Counter(kind_of(row) for row in rows)
    gone = Counter(kind_of(dropped.row) for dropped in filtered.dropped)
    return {kind: (gone[kind], count) for kind, count in total.items()}


def windows(text: str, words: int) -> Iterator[str]:
    """The text itself, or its runs of `words` words, each beginning in the middle of the one before; none is left out."""
    split = text.split()
    if not words or len(split) <= words:
        yield text
        return
    step = words // 2
    for start in range(0, len(split) - words + step, step):
        yield " ".join(split[start : start + words])


def _text(prompt: PromptText) -> str:
    return prompt if isinstance(prompt, str) else "\n".join(message.content for message in prompt)


def _worst(rows: Sequence[Row], texts: Sequence[tuple[int, str]], scores: Sequence[float]) -> list[float]:
    worst = [float("-inf")] * len(rows)
    for (index, _), own in zip(texts, scores, strict=True):
        if own != own:
            raise UserError(f"{rows[index].source}: the score is not a number; is the classifier's checkpoint whole?")
        worst[index] = max(worst[index], float(own))
    return worst


def _refused(rows: Sequence[Row], texts: Sequence[tuple[int, str]], score: Scorer) -> dict[Source, str]:
    """The rows of which a text by itself cannot be scored, and why."""
    failed: dict[Source, str] = {}
    for index, text in texts:
        try:
            score([text])
        except UserError as error:
            # The scorer's advice, behind the colon, is for rollouts; ours stands above the list.
            failed.setdefault(rows[index].source, str(error).partition(": ")[0])
    if not failed:
        raise UserError("texts can be scored one by one, but not together; lower the number of tokens that are scored at once")
    return failed


def _say(failed: dict[Source, str], total: int) -> str:
    what = f"{len(failed)} of {total} rows cannot be scored; judge them in parts with --window 100, or shorten them"
    return "\n  ".join([what, *first_few([f"{source}: {reason}" for source, reason in failed.items()])])
