"""Several labelers of one item: their rankings laid over each other, and what they say together."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import replace
from itertools import combinations
from statistics import fmean
from typing import Literal, TypeVar

import numpy as np

from accordant.stats.consensus import borda, consensus_pairs
from accordant.stats.rankings import levels
from accordant.types import Pair, Ranking

Item = list[Ranking]
VoteT = TypeVar("VoteT", Pair, Ranking)


def align(rows: Sequence[Ranking], dropped: Counter[str]) -> list[Item]:
    """The rankings of each item: of one prompt and the same answers, in whatever order each labeler saw them.

    A named labeler has one vote on an item, the first; others are counted as dropped.
    """
    items = _votes(rows, lambda row: (row.prompt, tuple(sorted(row.completions))), dropped)
    return [[_as_shown(row, item[0].completions) for row in item] for item in items]


def combined(rows: Sequence[Pair], min_share: float, dropped: Counter[str]) -> Iterator[Pair]:
    """One pair for every two answers on which more than `min_share` of the labelers agree, who may have seen them in any order.

    Each pair is a ranking of two answers, and counted as such (`agreed`, with ties). `weight` is the share that agrees, times
    the mean weight of their pairs; `margin` the mean of theirs. A named labeler has one vote on an item, the first.
    """
    for votes in _votes(rows, lambda row: (row.prompt, tuple(sorted((row.chosen, row.rejected)))), dropped):
        (item,) = align([_ranking_of(row) for row in votes], dropped)
        for pair in agreed(item, True, "lose", min_share, dropped):
            side = [row for row in votes if row.tie == pair.tie and (row.tie or row.chosen == pair.chosen)]
            margin, weight = fmean(row.margin for row in side), fmean(row.weight for row in side)
            yield replace(
                pair, margin=margin, weight=pair.weight * weight, labeler="consensus" if len(votes) > 1 else votes[0].labeler
            )


def _ranking_of(row: Pair) -> Ranking:
    groups = ((0, 1),) if row.tie else ((0,), (1,))
    return Ranking(row.prompt, (row.chosen, row.rejected), groups, labeler=row.labeler, source=row.source)


def _votes(rows: Sequence[VoteT], item_of: Callable[[VoteT], Hashable], dropped: Counter[str]) -> list[list[VoteT]]:
    """What was said of each item, the first word of each named labeler alone."""
    items: defaultdict[Hashable, list[VoteT]] = defaultdict(list)
    for row in rows:
        votes = items[item_of(row)]
        if row.labeler != "?" and any(other.labeler == row.labeler for other in votes):
            dropped[f"second {type(row).__name__.lower()}s of one item by one labeler"] += 1
        else:
            votes.append(row)
    return list(items.values())


def _as_shown(row: Ranking, completions: tuple[str, ...]) -> Ranking:
    """The same ranking over the same answers in this order; equal texts keep theirs."""
    if row.completions == completions:
        return row
    own, theirs = (sorted(range(len(texts)), key=lambda i: (texts[i], i)) for texts in (row.completions, completions))
    place = dict(zip(own, theirs, strict=True))
    groups = tuple(tuple(sorted(place[i] for i in group)) for group in row.groups)
    return replace(row, completions=completions, groups=groups, rejected=tuple(sorted(place[i] for i in row.rejected)))


def agreed(
    item: Sequence[Ranking], ties: bool, rejects: Literal["lose", "exclude"], min_share: float, dropped: Counter[str]
) -> Iterator[Pair]:
    """The pairs of one item that more than `min_share` of its labelers agree on, best Borda score first.

    Weight and margin are those of `stats.consensus.consensus_pairs`. With `ties`, two answers that more than `min_share` hold
    to be equally good make a pair with `tie`. `rejects="exclude"`: an answer that more than `min_share` reject is in no pair.
    """
    first, level = item[0], np.stack([levels(ranking) for ranking in item])
    rejected = np.array([[k in ranking.rejected for k in range(level.shape[1])] for ranking in item])
    out = set(np.flatnonzero(rejected.mean(axis=0) > min_share)) if rejects == "exclude" else set()
    ordered = {(pair.chosen, pair.rejected): pair for pair in consensus_pairs(item, min_share)}
    best = np.argsort(-borda(item), kind="stable").tolist()
    for a, b in combinations(best, 2):
        one, other = first.completions[a], first.completions[b]
        found = ordered.get((one, other)) or ordered.get((other, one))
        equal = float(((level[:, a] == level[:, b]) & ~(rejected[:, a] & rejected[:, b])).mean())
        if a in out or b in out:
            dropped["with a rejected answer"] += 1
        elif one == other:
            dropped["of two equal texts"] += 1
        elif found is not None:
            yield found
        elif equal > min_share and ties:
            yield Pair(first.prompt, one, other, weight=equal, tie=True, source=first.source)
        elif equal > min_share:
            dropped["tied"] += 1
        else:
            dropped["without a majority"] += 1
