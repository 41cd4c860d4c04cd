"""How far labelers agree: percent agreement, Fleiss' kappa, Kendall's W.

A counts table (N, C) holds, for each of N items, how many of its raters chose each of C categories; `count_ratings` makes
one from ratings, some of them missing. `raw_agreement` and `fleiss` answer with a number or with the reason why there is
none, as `stats.intervals.estimate` wants it; `percent_agreement` and `fleiss_kappa` take complete tables and warn.
Krippendorff's alpha is in `krippendorff`, tau-b in `kendall`. Left out: Cohen's and weighted kappas, which are for two
fixed raters.
"""

import warnings
from collections.abc import Sequence
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import rankdata

from accordant.stats.intervals import Sums, Undefined, Value
from accordant.stats.rankings import levels
from accordant.types import Ranking

NO_OVERLAP = "no item has two ratings, so nobody can be compared with anybody: let at least two labelers see the same items"
ONE_VALUE = (
    "every rating that can be compared is the same: agreement by chance is then certain, and agreement beyond chance "
    "cannot be measured"
)


def percent_agreement(counts: ArrayLike) -> float:
    """The share of all pairs of raters who agree, averaged over items: Fleiss' P-bar.

    ``mean_i sum_c n_ic (n_ic - 1) / (n (n - 1))``. Raises `ValueError` unless `counts` is a table as above with n >= 2.
    """
    table = _counts(counts)
    raters = table[0].sum()
    return float((table * (table - 1)).sum(axis=1).mean() / (raters * (raters - 1)))


def fleiss_kappa(counts: ArrayLike) -> float:
    """Agreement beyond chance, ``(P - Pe) / (1 - Pe)`` with ``Pe = sum_c p_c^2``; 1 is perfect, 0 is chance.

    nan with a `RuntimeWarning` where all ratings are one category: chance agreement is then certain, and kappa is 0/0.
    Raises as `percent_agreement` does. Source: Fleiss (1971), Psychological Bulletin 76(5), 378-382.
    """
    table = _counts(counts)
    share = table.sum(axis=0) / table.sum()
    chance = float(share @ share)
    if (share > 0).sum() == 1:
        warnings.warn("Fleiss' kappa is undefined: every rater put every item into one category.", RuntimeWarning, stacklevel=2)
        return float("nan")
    return (percent_agreement(table) - chance) / (1.0 - chance)


def count_ratings(ratings: ArrayLike) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """The counts table (N, C) of ratings (N, R) by R raters, nan where one is missing, and the C values, ascending.

    Raises `ValueError` for another shape or an infinite rating.
    """
    table = np.asarray(ratings, dtype=np.float64)
    if table.ndim != 2 or table.size == 0 or np.isinf(table).any():
        raise ValueError(f"ratings must be a table (items, raters) of numbers, nan where missing, not of shape {table.shape}")
    values = np.unique(table[~np.isnan(table)])
    return (table[:, :, None] == values).sum(axis=1), values


def raw_agreement(counts: ArrayLike) -> Value:
    """Of all pairs of ratings of an item, the share that is equal, averaged over the items with at least two ratings.

    `counts` (N, C) as above, the items with any number of ratings; equals `percent_agreement` where they have equally
    many. Not corrected for chance: with two categories, tossing a coin gives one half. Raises `ValueError` for a table of
    another kind.
    """
    table = _whole(counts)
    found = float(_raw_value(_raw_terms(table).sum(axis=0, keepdims=True))[0])
    return Undefined(NO_OVERLAP) if np.isnan(found) else found


def _raw_terms(table: NDArray[Any]) -> NDArray[np.float64]:
    """(N, C) -> (N, 2): the share of equal pairs of ratings, and 1; nothing where there is no pair."""
    raters = table.sum(axis=1)
    share = (table * (table - 1)).sum(axis=1) / np.maximum(raters * (raters - 1), 1)
    return np.stack([share, raters >= 2], axis=1).astype(np.float64) * (raters >= 2)[:, None]


def _raw_value(sums: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.where(sums[:, 1] > 0, sums[:, 0] / np.maximum(sums[:, 1], 1), np.nan)


RAW = Sums(_raw_terms, _raw_value)
"""`raw_agreement` by sums over the rows of a counts table."""


def fleiss(counts: ArrayLike) -> Value:
    """`fleiss_kappa`, or the reason why it is undefined: no overlap, unequal numbers of ratings, or one category only.

    Items without any rating are left aside. Raises `ValueError` for what is no counts table.
    """
    table = _whole(counts)
    raters = table.sum(axis=1)
    if raters.max() < 2:
        return Undefined(NO_OVERLAP)
    table, raters = table[raters > 0], raters[raters > 0]
    if raters.min() != raters.max():
        return Undefined(
            f"items have {raters.min()} to {raters.max()} ratings, and Fleiss' kappa needs equally many on each: "
            "Krippendorff's alpha allows for missing ones"
        )
    found = float(_fleiss_value(_fleiss_terms(table).sum(axis=0, keepdims=True))[0])
    return Undefined(ONE_VALUE) if np.isnan(found) else found


def _fleiss_terms(table: NDArray[Any]) -> NDArray[np.float64]:
    """(N, C) -> (N, 2 + C): equal pairs of ratings, all pairs, and the ratings by category."""
    raters = table.sum(axis=1)
    return np.column_stack([(table * (table - 1)).sum(axis=1), raters * (raters - 1), table]).astype(np.float64)


def _fleiss_value(sums: NDArray[np.float64]) -> NDArray[np.float64]:
    """Items with equally many ratings have equally many pairs, so that the mean of their shares is the share of all pairs."""
    defined = np.count_nonzero(sums[:, 2:], axis=1) > 1
    share = sums[:, 2:] / sums[:, 2:].sum(axis=1, keepdims=True)
    chance = np.where(defined, (share**2).sum(axis=1), 0.0)
    return np.where(defined, (sums[:, 0] / sums[:, 1] - chance) / (1.0 - chance), np.nan)


FLEISS = Sums(_fleiss_terms, _fleiss_value)
"""`fleiss` by sums over the rows of a counts table that have equally many ratings, or none."""


def pairwise_votes(items: Sequence[Sequence[Ranking]]) -> NDArray[np.int64]:
    """The counts table (pairs, 3) of rankings: for every two completions a, b of an item, votes for a, b, and a tie.

    `items[i]` are the rankings of one item by its labelers. The rejected are below all that is ranked and tied among
    themselves. Which completion is "a" is its position, so positions have to be shuffled where that could mean
    something. Raises `UserError` where a ranking is incomplete, `ValueError` where items differ in how many labelers
    they have.
    """
    rows = []
    for rankings in items:
        level = np.stack([levels(ranking) for ranking in rankings])
        for a, b in combinations(range(level.shape[1]), 2):
            difference = level[:, b] - level[:, a]
            rows.append([(difference > 0).sum(), (difference < 0).sum(), (difference == 0).sum()])
    table = np.array(rows, dtype=np.int64).reshape(-1, 3)
    if len(set(table.sum(axis=1).tolist())) > 1:
        raise ValueError(f"items have {sorted(set(table.sum(axis=1).tolist()))} labelers: all must have equally many")
    return table


def kendall_w(scores: ArrayLike) -> float:
    """Kendall's coefficient of concordance of m raters over K objects, with the correction for ties; 1 is perfect.

    `scores` (m, K), any numbers whose order is the rater's ranking. ``W = 12 S / (m^2 (K^3 - K) - m T)`` with S the sum
    of squared deviations of the rank sums and ``T = sum (t^3 - t)`` over all groups of t ties. nan with a
    `RuntimeWarning` where every rater ties everything. Raises `ValueError` unless m >= 2 and K >= 2.
    Source: Kendall and Gibbons (1990), Rank Correlation Methods, chapter 6.
    """
    table = np.asarray(scores, dtype=np.float64)
    if table.ndim != 2 or min(table.shape) < 2 or not np.isfinite(table).all():
        raise ValueError(f"scores must be a finite (m >= 2, K >= 2) table, not of shape {table.shape}")
    raters, objects = table.shape
    totals = rankdata(table, axis=1).sum(axis=0)
    spread = ((totals - totals.mean()) ** 2).sum()
    ties = sum(int((t**3 - t).sum()) for t in (np.unique(row, return_counts=True)[1] for row in table))
    denominator = raters**2 * (objects**3 - objects) - raters * ties
    if denominator == 0:
        warnings.warn("Kendall's W is undefined: every rater ties everything.", RuntimeWarning, stacklevel=2)
        return float("nan")
    return float(12.0 * spread / denominator)


def _whole(counts: ArrayLike) -> NDArray[np.int64]:
    raw = np.asarray(counts)
    if raw.ndim != 2 or len(raw) == 0:
        raise ValueError(f"counts must be a table (items, categories), not of shape {raw.shape}")
    table = raw.astype(np.int64)
    if (table != raw).any() or (table < 0).any():
        raise ValueError("counts must be whole numbers of at least 0")
    return table


def _counts(counts: ArrayLike) -> NDArray[np.int64]:
    table = _whole(counts)
    raters = table.sum(axis=1)
    if raters[0] < 2 or (raters != raters[0]).any():
        raise ValueError(
            f"every item needs the same number of raters, at least 2; the rows sum to {sorted(set(raters.tolist()))}"
        )
    return table
