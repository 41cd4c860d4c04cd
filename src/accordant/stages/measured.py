"""Scored rows -> the parts of a reward-model report that their kind allows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, combinations
from typing import Any

import numpy as np
from torch import Tensor

from accordant.data.split import key
from accordant.evaluation.answers import Answers, Floats, Ints, Origin, share
from accordant.evaluation.attributes import attribute_report
from accordant.evaluation.labelers import labeler_table, ranking_report, taus
from accordant.evaluation.reward_report import Comparisons, class_report, comparison_report, length_correlation
from accordant.stages.reader import Reader, texts_of
from accordant.stats.rankings import levels, pairs
from accordant.types import Document, Labelled, Pair, Ranking, Rating, Row, Thumb, Tokens, UserError

EMPTY: dict[str, Any] = {
    "heldout_accuracy": None, "ci95": [None, None], "ece": None, "reliability": [], "by_margin": [], "by_source": [],
    "by_turns": [], "baselines": [], "ties": None, "ranking": None, "labelers": [], "attributes": [], "classes": None,
}  # fmt: skip
"""What a kind of row does not have."""


@dataclass(frozen=True)
class Layout:
    """The rows and where their texts stand: those of row r are `start[r]` to `start[r + 1]` of all texts."""

    rows: tuple[Any, ...]
    start: tuple[int, ...]
    source: tuple[str, ...]
    texts: tuple[str, ...]
    lengths: tuple[int, ...]

    def places(self, row: int) -> Ints:
        """Where the texts of a row stand."""
        return np.arange(self.start[row], self.start[row + 1])

    def owner(self, place: int) -> Row:
        """The row that a text is of."""
        row: Row = self.rows[int(np.searchsorted(self.start, place, side="right")) - 1]
        return row


@dataclass(frozen=True)
class Measured:
    """Rows, what the model said about them, and the answers as the report reads them."""

    layout: Layout
    reader: Reader
    logits: Floats  # (M, outputs)
    raw: Floats  # (M,) the score
    answers: Answers
    output: str | None


def lay_out(rows: Sequence[Any], sources: Sequence[str], tokens: Sequence[Tokens]) -> Layout:
    """The rows with their texts in a line; a length is the answer's, in tokens."""
    texts = [texts_of(row) for row in rows]
    start = tuple(accumulate((len(some) for some in texts), initial=0))
    flat = tuple(text for some in texts for text in some)
    return Layout(tuple(rows), start, tuple(sources), flat, tuple(len(t.ids) - t.prompt_length for t in tokens))


def measured(layout: Layout, reader: Reader, logits: Tensor, output: str | None) -> Measured:
    """The numbers of the report. Raises UserError where a score is not finite."""
    raw = reader.score(logits, output).double().numpy()
    ids: dict[str, int] = {}
    numbers = [ids.setdefault(key(row), len(ids)) for row in layout.rows]
    prompts = np.repeat(numbers, np.diff(layout.start))
    if not np.isfinite(raw).all():
        bad = layout.owner(int(np.flatnonzero(~np.isfinite(raw))[0]))
        raise UserError(
            f"{bad.source}: the model's score of this row is not a number; its weights may be damaged: train it again"
        )
    answers = Answers(layout.texts, raw, np.array(layout.lengths, dtype=np.float64), prompts)
    return Measured(layout, reader, logits.double().numpy(), raw, answers, output)


def report_of(found: Measured) -> dict[str, Any]:
    """The parts that the rows allow; the others are empty."""
    reports = {Pair: _pairs, Ranking: _rankings, Rating: _ratings, Labelled: _classes, Thumb: _classes}
    return EMPTY | reports[type(found.layout.rows[0])](found)


def _origin(layout: Layout, rows: Sequence[int]) -> Origin:
    return Origin(tuple(layout.source[r] for r in rows), np.array([user_turns(layout.rows[r]) for r in rows]))


def user_turns(row: Row) -> int:
    """How often the user speaks in a row's prompt; plain text is one turn, and a bare text has none."""
    if isinstance(row, Labelled | Document):
        return 0
    return 1 if isinstance(row.prompt, str) else sum(message.role == "user" for message in row.prompt)


def _pairs(found: Measured) -> dict[str, Any]:
    layout = found.layout
    rows = [r for r, row in enumerate(layout.rows) if not row.tie]
    if not rows:
        raise UserError(
            f"all {len(layout.rows)} pairs are ties, which say nothing about accuracy; give pairs with a preference"
        )
    start = np.array(layout.start)[rows]
    ties = np.array([layout.places(r) for r, row in enumerate(layout.rows) if row.tie], dtype=np.int64).reshape(-1, 2)
    weight = np.array([layout.rows[r].weight for r in rows])
    margin = np.array([layout.rows[r].margin for r in rows])
    return comparison_report(found.answers, Comparisons(start, start + 1, weight, margin, _origin(layout, rows)), ties)


def _rankings(found: Measured) -> dict[str, Any]:
    layout, answers = found.layout, found.answers
    level = [levels(row) for row in layout.rows]
    places = [layout.places(r) for r in range(len(layout.rows))]
    decided = [[(int(places[r][i]), int(places[r][j])) for i, j in pairs(row)] for r, row in enumerate(layout.rows)]
    owner = [r for r, some in enumerate(decided) for _ in some]
    flat = np.array([pair for some in decided for pair in some], dtype=np.int64).reshape(-1, 2)
    if not len(flat):
        raise UserError(f"all {len(layout.rows)} rankings tie everything, which says nothing about accuracy")
    level_of = np.concatenate(level)
    tied = [
        (places[r][i], places[r][j]) for r, of in enumerate(level) for i, j in combinations(range(len(of)), 2) if of[i] == of[j]
    ]
    margin = (level_of[flat[:, 1]] - level_of[flat[:, 0]]).astype(np.float64)
    comparisons = Comparisons(flat[:, 0], flat[:, 1], np.ones(len(flat)), margin, _origin(layout, owner))
    right = [_right(answers.score, some) for some in decided]
    prompts = answers.prompt[np.array(layout.start[:-1])]
    named = [row.labeler for row in layout.rows]
    return comparison_report(answers, comparisons, np.array(tied, dtype=np.int64).reshape(-1, 2)) | {
        "ranking": ranking_report(answers, places, level),
        "labelers": labeler_table(named, right, prompts, taus(answers, places, level)),
    }


def _right(score: Floats, decided: Sequence[tuple[int, int]]) -> Floats:
    """Whether each preferred answer scores higher; equal scores are half right."""
    return np.array([(score[i] > score[j]) + 0.5 * (score[i] == score[j]) for i, j in decided], dtype=np.float64)


def _ratings(found: Measured) -> dict[str, Any]:
    layout, reader = found.layout, found.reader
    names = sorted({name for row in layout.rows for name in row.scores})
    trained = dict(zip(reader.names, _scale(reader), strict=True))
    attributes = []
    for name in names:
        here = np.array([r for r, row in enumerate(layout.rows) if name in row.scores])
        rated = np.array([layout.rows[r].scores[name] for r in here], dtype=np.float64)
        scale = trained.get(name)
        predicted = found.logits[here, reader.names.index(name)] if name in trained else found.raw[here]
        prompts = found.answers.prompt[here]
        if scale is not None:
            predicted = predicted * scale[1] + scale[0]
        report = attribute_report(name, predicted, rated, prompts, scale[0] if scale else None, name in trained)
        attributes.append(report | {"pairs": _rated_pairs(predicted, rated, prompts)})
    correlated = length_correlation(found.answers.score, found.answers.tokens)
    return {"n": len(layout.rows), "attributes": attributes, "length_correlation": correlated}


def _rated_pairs(predicted: Floats, rated: Floats, prompts: Ints) -> dict[str, Any] | None:
    """Accuracy on the pairs of answers to one prompt that people rated differently; None where there are none."""
    by_prompt: dict[int, list[int]] = {}
    for i, prompt in enumerate(prompts.tolist()):
        by_prompt.setdefault(prompt, []).append(i)
    both = [pair for some in by_prompt.values() for pair in combinations(some, 2) if rated[pair[0]] != rated[pair[1]]]
    if not both:
        return None
    better = [(i, j) if rated[i] > rated[j] else (j, i) for i, j in both]
    return share(_right(predicted, better), prompts[np.array(better)[:, 0]])


def _scale(reader: Reader) -> list[tuple[float, float] | None]:
    """Mean and standard deviation of the ratings that each output was trained on; None where it was not."""
    if "target_mean" not in reader.meta:
        return [None] * len(reader.names)
    return list(zip(reader.meta["target_mean"], reader.meta["target_sd"], strict=True))


def _classes(found: Measured) -> dict[str, Any]:
    layout, reader = found.layout, found.reader
    labels = np.array([int(row.up) if isinstance(row, Thumb) else row.label for row in layout.rows])
    classes = 2 if reader.is_reward_model else max(2, len(reader.names))
    if labels.max() >= classes:
        row = layout.rows[int(labels.argmax())]
        raise UserError(
            f"{row.source}: label {labels.max()}, but {reader.path} tells {classes} classes apart, 0 to {classes - 1}"
        )
    if classes == 2:
        log_odds = _log_odds(found)
        answers, predicted, outcome = replace(found.answers, score=log_odds), (log_odds > 0).astype(np.int64), labels == 1
        probability = 1 / (1 + np.exp(-np.clip(log_odds, -60, 60)))
    else:
        answers, predicted = found.answers, found.logits.argmax(1)
        shifted = np.exp(found.logits - found.logits.max(1, keepdims=True))
        probability, outcome = (shifted / shifted.sum(1, keepdims=True)).max(1), predicted == labels
    report = class_report(
        answers, labels, predicted, probability, outcome, _origin(layout, range(len(layout.rows))), classes == 2
    )
    if isinstance(layout.rows[0], Thumb):
        right = [np.array([float(p == y)]) for p, y in zip(predicted, labels, strict=True)]
        report["labelers"] = labeler_table([row.labeler for row in layout.rows], right, answers.prompt)
    return report


def _log_odds(found: Measured) -> Floats:
    """Of class 1. A reward model from preferences has no zero of its own: its mean on its training answers stands in."""
    reader = found.reader
    if reader.is_reward_model and len(reader.names) == 1 and reader.meta.get("algo") != "reward_classifier":
        return found.raw - float(reader.meta["score_mean"][0])
    first_class = (
        found.output is not None and not reader.is_reward_model and len(reader.names) == 2 and reader.column(found.output) == 0
    )
    return -found.raw if first_class else found.raw
