"""Several labelers of one item: their rankings laid over each other, and what they say together."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import combinations
from typing import Literal

import numpy as np

from accordant.stats.consensus import borda, consensus_pairs
from accordant.stats.rankings import levels
from accordant.types import Pair, PromptText, Ranking

Item = list[Ranking]


def align(rows: Sequence[Ranking], dropped: Counter[str]) -> list[Item]:
    """The rankings of each item: of one prompt and the same answers, in whatever order each labeler saw them.

    A named labeler has one vote on an item, the first; others are counted as dropped.
    """
    items: defaultdict[tuple[PromptText, tuple[str, ...]], Item] = defaultdict(list)
    for row in rows:
        item = items[row.prompt, tuple(sorted(row.completions))]
        if row.labeler != "?" and any(other.labeler == row.labeler for other in item):
            dropped["second rankings of one item by one labeler"] += 1
        else:
            item.append(_as_shown(row, item[0].completions) if item else row)
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


def borda_ranking(item: Sequence[Ranking]) -> Ranking:
    """One ranking by the mean Borda score; what every labeler rejects stays rejected. One labeler's is left as it is."""
    first = item[0]
    if len(item) == 1:
        return first
    score = borda(item).round(9).tolist()  # means of halves: equal ones may differ in the last bit
    rejected = tuple(sorted(set.intersection(*(set(ranking.rejected) for ranking in item))))
    kept = [k for k in range(len(score)) if k not in rejected]
    groups = tuple(tuple(k for k in kept if score[k] == s) for s in sorted({score[k] for k in kept}, reverse=True))
    return replace(first, groups=groups, rejected=rejected, labeler="consensus")
