"""Krippendorff's alpha: agreement beyond chance for any number of raters, with missing ratings and ordered values.

Left out: the ratio and circular metrics, and Krippendorff's own bootstrap, which resamples deviations instead of items.
"""

import math
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from accordant.stats.agreement import NO_OVERLAP, ONE_VALUE
from accordant.stats.intervals import Sums, Undefined, Value

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
    terms = _coincidences(table).sum(axis=0, keepdims=True)
    found = float(_alpha(terms, metric, numbers)[0])
    return Undefined(ONE_VALUE) if np.isnan(found) else found


def alpha_sums(metric: Metric, values: ArrayLike | None = None) -> Sums:
    """`krippendorff_alpha` by sums over the rows of a counts table, for `intervals.estimate_sums`."""

    def of_sums(sums: NDArray[np.float64]) -> NDArray[np.float64]:
        return _alpha(sums, metric, _numbers(values, math.isqrt(sums.shape[1]), metric))

    return Sums(_coincidences, of_sums)


def _coincidences(counts: NDArray[Any]) -> NDArray[np.float64]:
    """(N, C) counts -> (N, C * C): what each item adds to the coincidences; nothing with fewer than two ratings."""
    table = counts.astype(np.float64)
    rated = table.sum(axis=1)
    found = table[:, :, None] * (table[:, None, :] - np.eye(table.shape[1])) / np.maximum(rated - 1, 1)[:, None, None]
    return np.where((rated >= 2)[:, None], found.reshape(len(table), -1), 0.0)


def _alpha(sums: NDArray[np.float64], metric: Metric, numbers: NDArray[np.float64]) -> NDArray[np.float64]:
    """(B, C * C) coincidences -> (B,) alpha; nan where all ratings that count are one value, or there are none."""
    count = len(numbers)
    coincidence = sums.reshape(-1, count, count)
    margin = coincidence.sum(axis=2)
    distance = _distance(metric, margin, numbers)
    total = margin.sum(axis=1)
    defined = np.count_nonzero(margin, axis=1) > 1
    size = np.where(defined, total, 2.0)
    observed = (coincidence * distance).sum(axis=(1, 2)) / size
    expected = np.einsum("bc,bck,bk->b", margin, distance, margin) / (size * (size - 1))
    return np.where(defined, 1.0 - observed / np.where(defined, expected, 1.0), np.nan)


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
    """(B, C, C): the squared difference of every two values, for each of the margins (B, C)."""
    if metric == "nominal":
        return np.broadcast_to(1.0 - np.eye(margin.shape[1]), (len(margin), margin.shape[1], margin.shape[1]))
    # Between the middles of two values lie half of each and all in between: the ordinal difference of the formula.
    place = np.cumsum(margin, axis=1) - margin / 2 if metric == "ordinal" else np.broadcast_to(numbers, margin.shape)
    return (place[:, :, None] - place[:, None, :]) ** 2
