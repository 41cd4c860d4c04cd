"""Whether probabilities mean what they say (reliability, calibration error), and whether scores separate (AUROC, macro-F1).

Left out: bins of equal mass, and recalibration.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import rankdata


class Bin(NamedTuple):
    """The predictions in [low, high) (the last bin includes 1): how many, their mean, and how many came true."""

    low: float
    high: float
    n: int
    confidence: float  # mean probability
    accuracy: float  # share of true outcomes


def reliability(probability: ArrayLike, outcome: ArrayLike, bins: int = 10) -> list[Bin]:
    """The reliability table of N predictions in bins of equal width; empty bins are absent.

    `probability` (N,) is in [0, 1] and speaks of `outcome` (N,), True or False. Raises `ValueError` for other shapes or
    ranges, for N = 0, and for no bins.
    """
    p, hit = _checked(probability, outcome)
    if not np.logical_and(p >= 0, p <= 1).all():
        raise ValueError(f"probabilities must be in [0, 1], found {p.min()} to {p.max()}")
    if bins < 1:
        raise ValueError(f"bins is {bins}: at least one is needed")
    edges = np.linspace(0.0, 1.0, bins + 1)
    which = np.minimum(np.searchsorted(edges, p, side="right") - 1, bins - 1)
    return [
        Bin(float(edges[b]), float(edges[b + 1]), int(here.sum()), float(p[here].mean()), float(hit[here].mean()))
        for b in range(bins)
        if (here := which == b).any()
    ]


def expected_calibration_error(probability: ArrayLike, outcome: ArrayLike, bins: int = 10) -> float:
    """``sum_b (n_b / N) |accuracy_b - confidence_b|`` over the bins of `reliability`, in [0, 1]. Raises as it does.

    Source: Guo et al. (2017), On Calibration of Modern Neural Networks, equation 3.
    """
    table = reliability(probability, outcome, bins)
    total = sum(row.n for row in table)
    return sum(row.n / total * abs(row.accuracy - row.confidence) for row in table)


def auroc(score: ArrayLike, outcome: ArrayLike) -> float:
    """The chance that a random positive scores above a random negative, a tie counting one half.

    ``(sum of the positives' mid-ranks - P (P + 1) / 2) / (P Q)`` for P positives and Q negatives. Raises `ValueError`
    for mismatched shapes, scores that are not finite, or one class only.
    Source: Hanley and McNeil (1982), Radiology 143, 29-36.
    """
    s, hit = _checked(score, outcome)
    positives = int(hit.sum())
    negatives = len(hit) - positives
    if not positives or not negatives:
        raise ValueError(f"{positives} positives and {negatives} negatives: AUROC needs at least one of each")
    rank_sum = rankdata(s)[hit].sum()
    return float((rank_sum - positives * (positives + 1) / 2) / (positives * negatives))


def macro_f1(predicted: ArrayLike, actual: ArrayLike) -> float:
    """The F1 of every class that occurs in either, averaged with equal weight: a rare class counts as much as a common one.

    ``F1_c = 2 TP_c / (2 TP_c + FP_c + FN_c)``. Both are (N,) whole numbers. Raises `ValueError` for mismatched shapes, N = 0,
    or classes that are no whole numbers.
    Source: van Rijsbergen (1979), Information Retrieval, chapter 7; averaged per class as in Lewis (1992).
    """
    said, true = np.asarray(predicted), np.asarray(actual)
    if said.ndim != 1 or said.shape != true.shape or len(said) == 0:
        raise ValueError(f"predictions {said.shape} and classes {true.shape} must be two rows of equally many, at least one")
    if not all(np.issubdtype(side.dtype, np.integer) or (side == np.floor(side)).all() for side in (said, true)):
        raise ValueError("classes must be whole numbers")
    names = np.union1d(said, true)
    hits = [int(((said == name) & (true == name)).sum()) for name in names]
    either = [int((said == name).sum() + (true == name).sum()) for name in names]
    return float(np.mean([2 * hit / both for hit, both in zip(hits, either, strict=True)]))


def _checked(numbers: ArrayLike, outcome: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    x, y = np.asarray(numbers, dtype=np.float64), np.asarray(outcome)
    if x.ndim != 1 or x.shape != y.shape or len(x) == 0:
        raise ValueError(f"numbers {x.shape} and outcomes {y.shape} must be two rows of equally many, at least one")
    if not np.isfinite(x).all() or not np.isin(y, (0, 1)).all():
        raise ValueError("numbers must be finite and outcomes 0 or 1")
    return x, y.astype(bool)
