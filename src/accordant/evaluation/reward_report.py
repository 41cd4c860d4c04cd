"""Whether a reward model can be trusted: accuracy, calibration, and what it may be reading instead of quality."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import spearmanr

from accordant.stats.calibration import expected_calibration_error, reliability
from accordant.stats.intervals import bootstrap_ci

Floats = NDArray[np.float64]

MARGIN_BINS = ((0.0, 0.25), (0.25, 0.5), (0.5, 0.75), (0.75, 1.0001))


def pair_report(
    chosen: Floats, rejected: Floats, weight: Floats, groups: NDArray[np.int64], scores: Floats, lengths: Floats
) -> dict[str, Any]:
    """Report on pairs, each array (N,).

    Args:
        chosen, rejected: scores of the two answers; a tie counts as half right.
        weight: share of labelers behind each pair; accuracy is broken down by it.
        groups: prompt of each pair: whole prompts are resampled for the interval.
        scores, lengths: (M,) of every single answer, for the correlation with length (Spearman).
    """
    right = (chosen > rejected) + 0.5 * (chosen == rejected)
    # Half of the pairs turned around, so that "how sure is it" is asked of both outcomes.
    sign = np.where(np.arange(len(chosen)) % 2 == 0, 1.0, -1.0)
    probability = 1 / (1 + np.exp(-np.clip(sign * (chosen - rejected), -60, 60)))
    by_margin = [
        {
            "margin": f"{low:.0%} to {min(high, 1):.0%} of labelers agree",
            "n": int(inside.sum()),
            "accuracy": float(right[inside].mean()),
        }
        for low, high in MARGIN_BINS
        if (inside := (weight >= low) & (weight < high)).any()
    ]
    return _report(right, probability, sign > 0, groups) | {
        "by_margin": by_margin, "length_correlation": _correlation(scores, lengths),
    }  # fmt: skip


def label_report(scores: Floats, labels: Floats, lengths: Floats) -> dict[str, Any]:
    """Report on labelled texts, each array (N,): score > 0 predicts label 1."""
    right = ((scores > 0) == (labels > 0.5)).astype(np.float64)
    probability = 1 / (1 + np.exp(-np.clip(scores, -60, 60)))
    sure = np.abs(scores)
    cuts = np.quantile(sure, [0, 0.25, 0.5, 0.75, 1])
    by_margin = []
    for i in range(4):
        inside = (sure >= cuts[i]) & ((sure < cuts[i + 1]) | (i == 3))
        if inside.any():
            name = f"|score| {cuts[i]:.2f} to {cuts[i + 1]:.2f}"
            by_margin.append({"margin": name, "n": int(inside.sum()), "accuracy": float(right[inside].mean())})
    return _report(right, probability, labels > 0.5, np.arange(len(labels))) | {
        "by_margin": by_margin, "length_correlation": _correlation(scores, lengths),
    }  # fmt: skip


def _report(right: Floats, probability: Floats, outcome: NDArray[np.bool_], groups: NDArray[np.int64]) -> dict[str, Any]:
    return {
        "heldout_accuracy": float(right.mean()), "n": len(right), "ci95": list(bootstrap_ci(right, groups=groups)),
        "ece": expected_calibration_error(probability, outcome),
        "reliability": [b._asdict() for b in reliability(probability, outcome)],
    }  # fmt: skip


def _correlation(scores: Floats, lengths: Floats) -> float | None:
    """Spearman's rank correlation; null where either does not vary."""
    if np.ptp(scores) == 0 or np.ptp(lengths) == 0:
        return None
    return float(spearmanr(scores, lengths).statistic)
