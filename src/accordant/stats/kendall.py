"""Kendall's rank statistics for weak orders, each with the reason where it is undefined: tau-b, and W with ties.

`scores` hold one row for each rater; their order is the ranking, equal numbers are ties (`rankings.levels` makes such a
row). Over many items, give the value of each to `intervals.estimate_mean`. Left out: incomplete rankings, and tests of
significance.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from accordant.stats.agreement import NO_OVERLAP
from accordant.stats.intervals import Undefined, Value

ALL_TIED = "a ranking that ties everything orders nothing, so its correlation with another is 0/0"
ONE_OBJECT = "there is only one thing to rank"
NO_ORDER = "every labeler ties everything: there is no order to agree on"


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
    return mean_tau_bs(table, np.zeros(len(table), dtype=np.int64))[0]


def mean_tau_bs(scores: NDArray[np.float64], item: NDArray[np.int64]) -> list[Value]:
    """`mean_tau_b` of each of N items at once: `scores` (A, K), nan where an item has fewer objects; `item` (A,) from 0."""
    return _by_size(_mean_tau_bs, scores, item)


def _mean_tau_bs(scores: NDArray[np.float64], item: NDArray[np.int64]) -> list[Value]:
    a, b = np.triu_indices(scores.shape[1], 1)
    sign = np.sign(scores[:, a] - scores[:, b])
    untied = np.count_nonzero(sign, axis=1)
    first, second = pairs_within(item)
    count = untied[first] * untied[second]
    kept = count > 0
    tau = np.einsum("pq,pq->p", sign[first[kept]], sign[second[kept]]) / np.sqrt(count[kept])
    of = item[first[kept]]
    items = int(item.max()) + 1
    total, pairs = np.bincount(of, tau, items), np.bincount(of, minlength=items)
    enough = ONE_OBJECT if scores.shape[1] < 2 else ALL_TIED
    why = np.where(np.bincount(item, minlength=items) < 2, NO_OVERLAP, enough).tolist()
    return [t / n if n else Undefined(reason) for t, n, reason in zip(total.tolist(), pairs.tolist(), why, strict=True)]


def concordance(scores: ArrayLike) -> Value:
    """Kendall's W (`agreement.kendall_w`) of the raters of one item, `scores` (m, K), or the reason why it is undefined."""
    table = _table(scores)
    return concordances(table, np.zeros(len(table), dtype=np.int64))[0]


def concordances(scores: NDArray[np.float64], item: NDArray[np.int64]) -> list[Value]:
    """`concordance` of each of N items at once, with arguments as of `mean_tau_bs`."""
    return _by_size(_concordances, scores, item)


def _concordances(scores: NDArray[np.float64], item: NDArray[np.int64]) -> list[Value]:
    objects = scores.shape[1]
    equal = (scores[:, :, None] == scores[:, None, :]).sum(axis=2)  # of an object, itself included
    rank = (scores[:, None, :] < scores[:, :, None]).sum(axis=2) + (equal + 1) / 2
    items = int(item.max()) + 1
    raters = np.bincount(item, minlength=items)
    totals = np.stack([np.bincount(item, column, items) for column in rank.T], axis=1)
    spread = (totals**2).sum(axis=1) - totals.sum(axis=1) ** 2 / max(objects, 1)
    ties = np.bincount(item, (equal**2).sum(axis=1), items) - raters * objects  # sum of t^3 - t
    room = raters**2 * (objects**3 - objects) - raters * ties
    why = np.where(raters < 2, NO_OVERLAP, ONE_OBJECT if objects < 2 else NO_ORDER).tolist()
    defined = (raters >= 2) & (room > 0)
    w = 12.0 * spread / np.where(defined, room, 1.0)
    return [x if ok else Undefined(reason) for x, ok, reason in zip(w.tolist(), defined.tolist(), why, strict=True)]


def _by_size(
    statistics: Callable[[NDArray[np.float64], NDArray[np.int64]], list[Value]],
    scores: NDArray[np.float64],
    item: NDArray[np.int64],
) -> list[Value]:
    """Of the items with each number of objects apart: those of 2 are not as wide as one of 26."""
    objects = np.zeros(int(item.max()) + 1, dtype=np.int64)
    objects[item] = np.count_nonzero(~np.isnan(scores), axis=1)
    found: list[Value] = [Undefined(NO_OVERLAP)] * len(objects)
    for size in np.unique(objects).tolist():
        of_size = np.flatnonzero(objects == size)
        rows = objects[item] == size
        values = statistics(scores[rows, :size], np.searchsorted(of_size, item[rows]))
        for number, value in zip(of_size.tolist(), values, strict=True):
            found[number] = value
    return found


def pairs_within(item: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Every two rows of one item: the index of the earlier one, and of the later one; by item, then by row."""
    order = np.argsort(item, kind="stable")
    place = np.arange(len(item))
    ends = np.searchsorted(item[order], item[order], side="right")
    after = ends - place - 1
    first = np.repeat(place, after)
    second = first + 1 + np.arange(len(first)) - np.repeat(np.cumsum(after) - after, after)
    return order[first], order[second]


def _table(scores: ArrayLike) -> NDArray[np.float64]:
    table = np.asarray(scores, dtype=np.float64)
    if table.ndim != 2 or table.size == 0 or not np.isfinite(table).all():
        raise ValueError(f"scores must be a finite table (raters, objects), not of shape {table.shape}")
    return table
