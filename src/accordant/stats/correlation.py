"""Whether two measurements of the same things move together: Spearman's and Pearson's correlation, with their intervals.

Left out: tests of significance, and partial correlations.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import rankdata

from accordant.stats.intervals import Estimate, Undefined, Value, estimate

CONSTANT = "one of the two never varies, so nothing can vary with it"
RESAMPLES = 1000


def pearson(x: ArrayLike, y: ArrayLike) -> Value:
    """``sum (x - mx)(y - my) / sqrt(sum (x - mx)^2 sum (y - my)^2)`` of two rows (N,), -1 to 1.

    Undefined where either is constant. Raises `ValueError` unless both are finite, (N,) and N >= 1. Source: Pearson (1896).
    """
    a, b = _checked(x, y)
    if np.ptp(a) == 0 or np.ptp(b) == 0:
        return Undefined(CONSTANT)
    a, b = a - a.mean(), b - b.mean()
    return float(np.clip(a @ b / np.sqrt((a @ a) * (b @ b)), -1.0, 1.0))


def spearman(x: ArrayLike, y: ArrayLike) -> Value:
    """Pearson's correlation of the mid-ranks of two rows (N,), -1 to 1: any rising curve gives 1.

    Undefined, and raises, as `pearson`. Source: Spearman (1904), The American Journal of Psychology 15, 72-101.
    """
    a, b = _checked(x, y)
    return pearson(rankdata(a), rankdata(b))


def spearman_estimate(x: ArrayLike, y: ArrayLike, *, groups: ArrayLike | None = None, n: int = RESAMPLES) -> Estimate:
    """`spearman` with its bootstrap interval; whole `groups` (N,) are resampled. Raises as `estimate` and `pearson` do."""
    return _with_interval(spearman, x, y, groups, n)


def pearson_estimate(x: ArrayLike, y: ArrayLike, *, groups: ArrayLike | None = None, n: int = RESAMPLES) -> Estimate:
    """`pearson` with its bootstrap interval; whole `groups` (N,) are resampled. Raises as `estimate` and `pearson` do."""
    return _with_interval(pearson, x, y, groups, n)


def _with_interval(
    statistic: Callable[[ArrayLike, ArrayLike], Value], x: ArrayLike, y: ArrayLike, groups: ArrayLike | None, n: int
) -> Estimate:
    table = np.stack(_checked(x, y), axis=1)
    return estimate(lambda rows: statistic(rows[:, 0], rows[:, 1]), table, n=n, groups=groups)


def _checked(x: ArrayLike, y: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    a, b = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    if a.ndim != 1 or a.shape != b.shape or len(a) == 0 or not (np.isfinite(a).all() and np.isfinite(b).all()):
        raise ValueError(f"two measurements must be finite rows of equally many numbers, not {a.shape} and {b.shape}")
    return a, b
