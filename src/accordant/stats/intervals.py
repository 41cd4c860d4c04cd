"""Confidence intervals: the percentile bootstrap over rows, pairs or clusters, and Wilson's for a share.

Left out: bias-corrected (BCa) and studentised bootstraps, and tests of significance.
"""

from collections.abc import Callable
from statistics import NormalDist

import numpy as np
from numpy.typing import ArrayLike, NDArray


def bootstrap_ci(
    values: ArrayLike,
    statistic: Callable[[NDArray[np.float64]], float] = np.mean,
    *,
    n: int = 2000,
    seed: int = 0,
    level: float = 0.95,
    groups: ArrayLike | None = None,
) -> tuple[float, float]:
    """The percentile bootstrap interval of `statistic` over `values` (N, ...), from `n` resamples of rows.

    With `groups` (N,) whole groups are resampled, each with all its rows: rows of one prompt are not independent, and
    an interval over rows would be too narrow. Raises `ValueError` for no rows, values that are not finite, a level
    outside (0, 1), or group ids of another length.
    Source: Efron and Tibshirani (1993), An Introduction to the Bootstrap, chapter 13.
    """
    rows = np.asarray(values, dtype=np.float64)
    if rows.ndim == 0 or len(rows) == 0 or not np.isfinite(rows).all():
        raise ValueError(f"values must be finite and at least one, not an array of shape {rows.shape} with {rows.size} numbers")
    if n < 1:
        raise ValueError(f"n is {n}: at least one resample is needed")
    _check_level(level)
    members = _members(groups, len(rows))
    rng = np.random.default_rng(seed)
    statistics = np.empty(n)
    for draw in range(n):
        picks = rng.integers(len(members), size=len(members))
        chosen = picks if groups is None else np.concatenate([members[pick] for pick in picks])
        statistics[draw] = statistic(rows[chosen])
    low, high = np.quantile(statistics, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def paired_ci(
    before: ArrayLike,
    after: ArrayLike,
    *,
    n: int = 2000,
    seed: int = 0,
    level: float = 0.95,
    groups: ArrayLike | None = None,
) -> tuple[float, float]:
    """The bootstrap interval of the mean of `after - before`, both (N,) and in the same order. See `bootstrap_ci`."""
    first, second = np.asarray(before, dtype=np.float64), np.asarray(after, dtype=np.float64)
    if first.ndim != 1 or first.shape != second.shape:
        raise ValueError(f"before {first.shape} and after {second.shape} must be two rows of equally many numbers")
    return bootstrap_ci(second - first, n=n, seed=seed, level=level, groups=groups)


def wilson(k: int, n: int, level: float = 0.95) -> tuple[float, float]:
    """Wilson's score interval of a share, for k successes in n trials: within [0, 1], sensible at k = 0 and k = n.

    ``(p + z^2/2n +- z sqrt(p(1-p)/n + z^2/4n^2)) / (1 + z^2/n)``. Raises `ValueError` unless 0 <= k <= n and n >= 1.
    Source: Wilson (1927), Journal of the American Statistical Association 22, 209-212.
    """
    if not (n >= 1 and 0 <= k <= n):
        raise ValueError(f"{k} successes in {n} trials: k must be within 0..n and n at least 1")
    _check_level(level)
    z = NormalDist().inv_cdf((1 + level) / 2)
    share = k / n
    centre = share + z * z / (2 * n)
    half = z * (share * (1 - share) / n + z * z / (4 * n * n)) ** 0.5
    scale = 1 + z * z / n
    # At the ends the bound is exact, and rounding must not push it outside.
    low = 0.0 if k == 0 else (centre - half) / scale
    high = 1.0 if k == n else (centre + half) / scale
    return low, high


def _check_level(level: float) -> None:
    if not 0.0 < level < 1.0:
        raise ValueError(f"level is {level}: it must be between 0 and 1, for example 0.95")


def _members(groups: ArrayLike | None, count: int) -> list[NDArray[np.int64]]:
    """The row indices of each unit that is resampled: a row, or a group."""
    if groups is None:
        return [np.array([row]) for row in range(count)]
    ids = np.asarray(groups)
    if ids.shape != (count,):
        raise ValueError(f"groups must hold one id for each of the {count} values, not be of shape {ids.shape}")
    _, inverse = np.unique(ids, return_inverse=True)
    order = np.argsort(inverse, kind="stable")
    return np.split(order, np.flatnonzero(np.diff(inverse[order])) + 1)
