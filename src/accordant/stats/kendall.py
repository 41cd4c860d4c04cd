"""Kendall's rank statistics for weak orders, each with the reason where it is undefined: tau-b, and W with ties.

`scores` hold one row for each rater; their order is the ranking, equal numbers are ties (`rankings.levels` makes such a
row). Over many items, give the value of each to `intervals.estimate_mean`. Left out: incomplete rankings, and tests of
significance.
"""

from itertools import combinations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from accordant.stats.agreement import NO_OVERLAP, kendall_w
from accordant.stats.intervals import Undefined, Value, mean_of_defined

ALL_TIED = "a ranking that ties everything orders nothing, so its correlation with another is 0/0"
ONE_OBJECT = "there is only one thing to rank"


def tau_b(first: ArrayLike, second: ArrayLike) -> Value:
    """Kendall's correlation (-1 to 1) of two weak orders of the same K objects, corrected for ties on both sides.

    ``sum_{i<j} sgn(a_i - a_j) sgn(b_i - b_j) / sqrt(A B)`` with A and B the pairs that the first and the second do not
    tie. Undefined where either ties everything, and for K = 1. Raises `ValueError` unless both are finite and (K,).
    Source: Kendall (1945), The treatment of ties in ranking problems, Biometrika 33, 239-251.
    """
    a, b = np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)
    if a.ndim != 1 or a.shape != b.shape or len(a) == 0 or not (np.isfinite(a).all() and np.isfinite(b).all()):
        raise ValueError(f"two rankings of the same objects must be finite rows of equally many, not {a.shape} and {b.shape}")
    if len(a) == 1:
        return Undefined(ONE_OBJECT)
    sign_a, sign_b = np.sign(a[:, None] - a), np.sign(b[:, None] - b)
    untied = np.count_nonzero(sign_a) * np.count_nonzero(sign_b)
    if untied == 0:
        return Undefined(ALL_TIED)
    return float((sign_a * sign_b).sum() / np.sqrt(untied))


def mean_tau_b(scores: ArrayLike) -> Value:
    """`tau_b` averaged over all pairs of the m raters of one item, `scores` (m, K); pairs where it is undefined are left out.

    Undefined with fewer than two raters, and where no pair is left. Raises `ValueError` for what is no finite table.
    """
    table = _table(scores)
    if len(table) < 2:
        return Undefined(NO_OVERLAP)
    return mean_of_defined([tau_b(a, b) for a, b in combinations(table, 2)])


def concordance(scores: ArrayLike) -> Value:
    """`agreement.kendall_w` of the raters of one item, `scores` (m, K), or the reason why it is undefined."""
    table = _table(scores)
    if len(table) < 2:
        return Undefined(NO_OVERLAP)
    if table.shape[1] < 2:
        return Undefined(ONE_OBJECT)
    if (table == table[:, :1]).all():
        return Undefined("every labeler ties everything: there is no order to agree on")
    return kendall_w(table)


def _table(scores: ArrayLike) -> NDArray[np.float64]:
    table = np.asarray(scores, dtype=np.float64)
    if table.ndim != 2 or table.size == 0 or not np.isfinite(table).all():
        raise ValueError(f"scores must be a finite table (raters, objects), not of shape {table.shape}")
    return table
