"""Whether a reward model can be trusted: accuracy, calibration, and what it may be reading instead of quality.

Rows with preferences (pairs, rankings) become comparisons of two answers. Ratings have a report of their own, `attributes`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from accordant.evaluation.answers import Answers, Floats, Ints, Origin, beside, share, slices
from accordant.stats.calibration import auroc, expected_calibration_error, macro_f1, reliability
from accordant.stats.correlation import spearman
from accordant.stats.intervals import Undefined, Value, estimate

MARGIN_BINS = ((0.0, 0.25), (0.25, 0.5), (0.5, 0.75), (0.75, 1.0001))
QUARTERS = (0.25, 0.5, 0.75)


@dataclass(frozen=True)
class Comparisons:
    """N preferences between two answers, by their places in an `Answers`, each array (N,)."""

    better: Ints
    worse: Ints
    weight: Floats  # share of labelers behind it
    margin: Floats  # how much better, in the rows' own units; in rankings the levels between the two
    origin: Origin


def comparison_report(answers: Answers, pairs: Comparisons, ties: Ints) -> dict[str, Any]:
    """The report on preferences; `ties` (T, 2) are answers judged equally good, which accuracy leaves out."""
    chosen, rejected = answers.score[pairs.better], answers.score[pairs.worse]
    prompts = answers.prompt[pairs.better]
    right = _right(chosen, rejected)
    length = answers.tokens[pairs.better], answers.tokens[pairs.worse]
    core = pair_report(chosen, rejected, pairs.weight, prompts, answers.score, answers.tokens, pairs.margin)
    gap = np.abs(answers.score[ties[:, 0]] - answers.score[ties[:, 1]]) if len(ties) else np.array([])
    unit = answers.sd or 1.0
    return core | slices(right, pairs.origin, prompts) | {
        "baselines": [
            beside("the shorter answer wins", right, _right(-length[0], -length[1]), prompts),
            beside("the longer answer wins", right, _right(*length), prompts),
        ],
        "ties": {
            "n": len(ties), "gap": float(gap.mean() / unit) if len(ties) else None,
            "gap_others": float(np.abs(chosen - rejected).mean() / unit),
        },
    }  # fmt: skip


def pair_report(
    chosen: Floats, rejected: Floats, weight: Floats, groups: Ints, scores: Floats, lengths: Floats,
    margin: Floats | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Report on pairs, each array (N,).

    Args:
        chosen, rejected: scores of the two answers; equal scores count as half right.
        weight: share of labelers behind each pair; accuracy is broken down by it, where there are no margins.
        groups: prompt of each pair: whole prompts are resampled for the interval.
        scores, lengths: (M,) of every single answer, for the correlation with length (Spearman).
        margin: how much better the chosen answer is; accuracy is broken down by it where it varies.
    """
    right = _right(chosen, rejected)
    # Half of the pairs turned around, so that "how sure is it" is asked of both outcomes.
    sign = np.where(np.arange(len(chosen)) % 2 == 0, 1.0, -1.0)
    probability = _sigmoid(sign * (chosen - rejected))
    return _report(right, probability, sign > 0, groups) | {
        "by_margin": _by_margin(right, weight, margin), "length_correlation": length_correlation(scores, lengths),
    }  # fmt: skip


def class_report(
    answers: Answers, labels: Ints, predicted: Ints, probability: Floats, outcome: NDArray[np.bool_], origin: Origin,
    two: bool = True,
) -> dict[str, Any]:  # fmt: skip
    """The report on classes or thumbs, each array (N,).

    Args:
        answers: their scores are log-odds of class 1 where there are `two`.
        labels, predicted: classes, from 0.
        probability, outcome: a probability that the model gave, and whether what it speaks of was so.
        origin: where the rows are from.
    """
    right = (predicted == labels).astype(np.float64)
    common = int(np.bincount(labels).argmax())
    both = np.stack([predicted, labels], axis=1)
    return _report(right, probability, outcome, answers.prompt) | slices(right, origin, answers.prompt) | {
        "by_margin": _by_quarter(right, np.abs(answers.score), "|score|"),
        "length_correlation": length_correlation(answers.score, answers.tokens),
        "baselines": [beside(f"always class {common}", right, (labels == common).astype(np.float64), answers.prompt)],
        "classes": {
            "counts": {str(name): int((labels == name).sum()) for name in np.unique(labels)},
            "macro_f1": _interval(lambda rows: macro_f1(rows[:, 0], rows[:, 1]), both, answers.prompt),
            "macro_f1_baseline": macro_f1(np.full(len(labels), common), labels),
            "auroc": _interval(_auroc, np.stack([answers.score, labels], axis=1), answers.prompt) if two else None,
        },
    }  # fmt: skip


def _auroc(rows: Floats) -> Value:
    if len(np.unique(rows[:, 1])) < 2:
        return Undefined("all rows are of one class, so nothing can be separated")
    return auroc(rows[:, 0], rows[:, 1])


def _interval(statistic: Any, rows: Any, groups: Ints) -> dict[str, Any]:
    found = estimate(statistic, rows, groups=groups, n=500)
    return {"value": found.value, "ci95": [found.low, found.high], "note": found.note}


def _right(chosen: Floats, rejected: Floats) -> Floats:
    return (chosen > rejected) + 0.5 * (chosen == rejected)


def _sigmoid(scores: Floats) -> Floats:
    return 1 / (1 + np.exp(-np.clip(scores, -60, 60)))


def _report(right: Floats, probability: Floats, outcome: NDArray[np.bool_], groups: Ints) -> dict[str, Any]:
    whole = share(right, groups)
    return {
        "heldout_accuracy": whole["accuracy"], "n": whole["n"], "ci95": whole["ci95"],
        "ece": expected_calibration_error(probability, outcome),
        "reliability": [b._asdict() for b in reliability(probability, outcome)],
    }  # fmt: skip


def _by_margin(right: Floats, weight: Floats, margin: Floats | None) -> list[dict[str, Any]]:
    """By margin where there are margins, else by the share of labelers; weights over 1 are no shares."""
    if margin is not None and np.ptp(margin) > 0:
        return _by_quarter(right, margin, "margin")
    if weight.max() > 1:
        return _by_quarter(right, weight, "weight")
    return [
        {
            "margin": f"{low:.0%} to {min(high, 1):.0%} of labelers agree",
            "n": int(inside.sum()),
            "accuracy": float(right[inside].mean()),
        }
        for low, high in MARGIN_BINS
        if (inside := (weight >= low) & (weight < high)).any()
    ]


def _by_quarter(right: Floats, sure: Floats, name: str) -> list[dict[str, Any]]:
    """Accuracy in the quarters of `sure`, or at each of its values where there are at most four; nobody is in two."""
    values = np.unique(sure)
    if len(values) <= 4:
        return [_bin(f"{name} {value:.3g}", right[sure == value]) for value in values]
    part = np.searchsorted(np.quantile(sure, QUARTERS), sure, side="right")
    return [
        _bin(f"{name} {sure[part == i].min():.2f} to {sure[part == i].max():.2f}", right[part == i])
        for i in range(4)
        if (part == i).any()
    ]


def _bin(name: str, right: Floats) -> dict[str, Any]:
    return {"margin": name, "n": len(right), "accuracy": float(right.mean())}


def length_correlation(scores: Floats, lengths: Floats) -> float | None:
    """Spearman's rank correlation; null where either does not vary."""
    found = spearman(scores, lengths)
    return None if isinstance(found, Undefined) else found
