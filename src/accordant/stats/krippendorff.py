"""Krippendorff's alpha: agreement beyond chance for any number of raters, with missing ratings and ordered values.

Left out: the ratio and circular metrics, and Krippendorff's own bootstrap, which resamples deviations instead of items.
"""

from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from accordant.stats.agreement import NO_OVERLAP, ONE_VALUE
from accordant.stats.intervals import Undefined, Value

Metric: TypeAlias = Literal["nominal", "ordinal", "interval"]


def krippendorff_alpha(counts: ArrayLike, metric: Metric, values: ArrayLike | None = None) -> Value:
    """``1 - D_o / D_e``, observed over expected disagreement: 1 is perfect, 0 is chance, below 0 is systematic disagreement.

    `counts` (N, C): how many ratings of each of N items have each of C values (`agreement.count_ratings` makes it from
    ratings with missing ones). Items with fewer than two ratings are not used. `values` (C,), ascending, are the numbers
    behind the columns: needed by the interval metric; the ordinal one needs only that the columns are in order.

    With coincidences ``o_ck = sum_u n_uc (n_uk - [c = k]) / (m_u - 1)`` over items u of m_u ratings, ``n_c = sum_k o_ck``
    and ``n = sum_c n_c``::

        D_o = sum_ck o_ck d_ck / n         nominal   d_ck = [c != k]
        D_e = sum_ck n_c n_k d_ck          ordinal   d_ck = (sum_{g = c..k} n_g - (n_c + n_k) / 2)^2
              / (n (n - 1))                interval  d_ck = (v_c - v_k)^2

    Undefined where no item has two ratings, and where all ratings that count are the same value (0/0). Raises
    `ValueError` for what is no counts table, an unknown metric, or values that are not C ascending numbers.
    Source: Krippendorff (2011), Computing Krippendorff's Alpha-Reliability, sections B to D.
    """
    table = np.asarray(counts, dtype=np.float64)
    if table.ndim != 2 or len(table) == 0 or (table < 0).any() or (table != np.floor(table)).any():
        raise ValueError(f"counts must be a table (items, values) of whole numbers of at least 0, not of shape {table.shape}")
    numbers = _numbers(values, table.shape[1], metric)
    rated = table.sum(axis=1)
    table, rated = table[rated >= 2], rated[rated >= 2]
    if not len(table):
        return Undefined(NO_OVERLAP)
    weighted = table / (rated - 1)[:, None]
    coincidence = weighted.T @ table - np.diag(weighted.sum(axis=0))
    margin = coincidence.sum(axis=1)
    if np.count_nonzero(table.any(axis=0)) == 1:
        return Undefined(ONE_VALUE)
    distance = _distance(metric, margin, numbers)
    total = margin.sum()
    observed = (coincidence * distance).sum() / total
    expected = margin @ distance @ margin / (total * (total - 1))
    return float(1.0 - observed / expected)


def _numbers(values: ArrayLike | None, count: int, metric: Metric) -> NDArray[np.float64]:
    if metric not in ("nominal", "ordinal", "interval"):
        raise ValueError(f"metric is {metric!r}: it must be nominal, ordinal or interval")
    if values is None and metric == "interval":
        raise ValueError("the interval metric needs `values`: the number behind each column of `counts`")
    numbers = np.arange(count, dtype=np.float64) if values is None else np.asarray(values, dtype=np.float64)
    if numbers.shape != (count,) or not np.isfinite(numbers).all() or (np.diff(numbers) <= 0).any():
        raise ValueError(f"values must be {count} ascending numbers, one for each column of `counts`")
    return numbers


def _distance(metric: Metric, margin: NDArray[np.float64], numbers: NDArray[np.float64]) -> NDArray[np.float64]:
    """(C, C): the squared difference of every two values."""
    if metric == "nominal":
        return 1.0 - np.eye(len(margin))
    # Between the middles of two values lie half of each and all in between: the ordinal difference of the formula.
    place = np.cumsum(margin) - margin / 2 if metric == "ordinal" else numbers
    return (place[:, None] - place[None, :]) ** 2
