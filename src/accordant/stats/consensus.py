"""What several labelers say together about one item: Borda scores and pairwise majorities.

Both count every labeler alike: the transparent baseline. `weighted_consensus` weighs them by how reliable they are.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from accordant.stats.rankings import CONSENSUS, levels
from accordant.types import Pair, Ranking


def borda(rankings: Sequence[Ranking]) -> NDArray[np.float64]:
    """The mean Borda score (K,) over labelers: how many of the other K - 1 completions each one beats.

    ``score[k] = mean over labelers of (K - midrank[k])``, between 0 and K - 1: ties share the mean of their ranks, and
    the rejected are tied below all that is ranked. Raises `ValueError` unless all rankings are of one item, and
    `UserError` where one is incomplete. Source: Borda (1781), with the mid-rank convention of Kendall (1945) for ties.
    """
    level = levels_of(rankings)
    midrank = rankdata(level, method="average", axis=1)
    return level.shape[1] - midrank.mean(axis=0)


def majority(rankings: Sequence[Ranking]) -> NDArray[np.float64]:
    """The net preference shares (K, K): labelers who put i before j, less those who put j before i, over all labelers.

    Antisymmetric, in [-1, 1]; a tie counts for neither side and stays in the denominator. Raises as `borda` does.
    """
    before = _before(levels_of(rankings))
    return before - before.T


def consensus_pairs(rankings: Sequence[Ranking], min_share: float = 0.5) -> list[Pair]:
    """One pair for every two completions that more than `min_share` of the labelers order in the same way.

    `weight` is the share of labelers who agree with the pair; `margin` is the gap of the Borda scores over K - 1, in
    [0, 1], and 0 where Borda contradicts the majority. `min_share` is in [0.5, 1): at 0.5 or more, at most one of two
    opposite pairs can pass. Coverage is `len(pairs) / C(K, 2)`; the rest has no majority, and is left out.
    Raises as `borda` does, and `ValueError` for a `min_share` outside its range.
    """
    if not 0.5 <= min_share < 1.0:
        raise ValueError(f"min_share is {min_share}: it must be at least 0.5 and below 1")
    before = _before(levels_of(rankings))
    score = borda(rankings)
    first = rankings[0]
    return [
        Pair(
            first.prompt,
            first.completions[i],
            first.completions[j],
            margin=max(float(score[i] - score[j]), 0.0) / (len(score) - 1),
            weight=float(before[i, j]),
            source=first.source,
        )
        for i, j in np.argwhere(before > min_share).tolist()
    ]


def borda_ranking(item: Sequence[Ranking]) -> Ranking:
    """One ranking by the mean Borda score; what every labeler rejects stays rejected. One labeler's is left as it is.

    Raises as `borda` does.
    """
    first = item[0]
    if len(item) == 1:
        return first
    score = borda(item).round(9).tolist()  # means of halves: equal ones may differ in the last bit
    rejected = tuple(sorted(set.intersection(*(set(ranking.rejected) for ranking in item))))
    kept = [k for k in range(len(score)) if k not in rejected]
    groups = tuple(tuple(k for k in kept if score[k] == s) for s in sorted({score[k] for k in kept}, reverse=True))
    return replace(first, groups=groups, rejected=rejected, labeler=CONSENSUS)


def levels_of(rankings: Sequence[Ranking]) -> NDArray[np.int64]:
    """The levels (labelers, K) of several rankings of one item: `rankings.levels` of each.

    Raises `ValueError` unless there is a ranking and all are of one item, `UserError` where one is incomplete.
    """
    if not rankings:
        raise ValueError("no ranking: consensus needs at least one")
    items = {(ranking.prompt, ranking.completions) for ranking in rankings}
    if len(items) > 1:
        raise ValueError(f"the rankings are of {len(items)} different items: consensus is over one")
    return np.stack([levels(ranking) for ranking in rankings])


def _before(level: NDArray[np.int64]) -> NDArray[np.float64]:
    """(K, K): the share of labelers who put i before j."""
    return (level[:, :, None] < level[:, None, :]).mean(axis=0)
