"""What several labelers say together, each as far as the others bear them out: tie-aware Bradley-Terry over all items.

`consensus` is the transparent baseline, in which every labeler counts alike. Here reliability is learnt from all items
together (`bradley_terry.fit`), and somebody who says the contrary counts against what they say. Left out: labelers who are
good at one kind of item and bad at another, position effects, and gold items.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from accordant.stats.bradley_terry import Comparisons, Fit, Prior, fit
from accordant.stats.consensus import levels_of
from accordant.stats.kendall import pairs_within
from accordant.stats.rankings import CONSENSUS
from accordant.types import Pair, Ranking


@dataclass(frozen=True, slots=True)
class Reliability:
    """One labeler. `discrimination`: log-odds of the right order per unit of score; 0 is a coin, below 0 is contrary.

    Scores have a standard deviation of about 1 over answers. `tie`: Davidson's nu, the odds of a tie between equals being
    nu : 2.
    """

    discrimination: float
    tie: float
    rankings: int


@dataclass(frozen=True)
class ItemConsensus:
    """One item of K answers."""

    ranking: Ranking  # weak order; its labeler is "consensus"
    score: NDArray[np.float64]  # (K,) higher is better, mean about 0 over items
    confidence: NDArray[np.float64]  # (K, K) P(i is better than j)


@dataclass(frozen=True)
class Consensus:
    """All items, in their order, and the labelers by name."""

    items: tuple[ItemConsensus, ...]
    labelers: Mapping[str, Reliability]
    converged: bool
    iterations: int


def weighted_consensus(items: Sequence[Sequence[Ranking]], *, sure: float = 0.6, prior: Prior | None = None) -> Consensus:
    """The consensus on each item, and how reliable each labeler is over all of them.

    `items[i]` are the rankings of one item, each by another labeler; items may differ in labelers and in K. A ranking of K
    answers is C(K, 2) comparisons, less those of two rejected answers: bad in two ways is no tie. An answer is rejected by
    consensus where labelers with more than half of the (positive) discrimination say so. The others are sorted by score; an
    answer joins the group above where its best one is better with a confidence below `sure`. The rejected come last, whatever
    their score.

    Raises `ValueError` for no items, an item without a ranking or ranked twice by one labeler, and `sure` outside [0.5, 1);
    `UserError` for an incomplete ranking.
    """
    if not items:
        raise ValueError("no items: consensus needs at least one")
    if not 0.5 <= sure < 1.0:
        raise ValueError(f"sure is {sure}: it must be at least 0.5 and below 1")
    names = sorted({ranking.labeler for item in items for ranking in item})
    found = fit(comparisons(items, names), prior)
    starts = np.cumsum([0, *(len(item[0].completions) for item in items)])
    results = []
    for i, item in enumerate(items):
        objects = np.arange(starts[i], starts[i + 1])
        confidence = found.scores.confidence(objects)
        score = found.scores.mode[objects]
        results.append(ItemConsensus(_ranking(item, score, confidence, _weights(item, names, found), sure), score, confidence))
    counts = Counter(ranking.labeler for item in items for ranking in item)
    labelers = {
        name: Reliability(float(found.discrimination[r]), float(np.exp(found.log_tie[r])), counts[name])
        for r, name in enumerate(names)
    }
    return Consensus(tuple(results), labelers, found.converged, found.iterations)


def comparisons(items: Sequence[Sequence[Ranking]], labelers: Sequence[str]) -> Comparisons:
    """All pairs of all rankings as `weighted_consensus` counts them; labelers are numbered in the order given."""
    number = {name: r for r, name in enumerate(labelers)}
    placed = [levels_of(item) for item in items]
    level = np.full((sum(map(len, items)), max(found.shape[1] for found in placed)), np.nan)
    rejected = np.zeros(level.shape, dtype=bool)
    row = 0
    for i, (item, found) in enumerate(zip(items, placed, strict=True)):
        names = [ranking.labeler for ranking in item]
        if len(set(names)) < len(names):
            raise ValueError(f"item {i}: a labeler ranked it twice ({', '.join(sorted(names))}); give the latest ranking alone")
        level[row : row + len(item), : found.shape[1]] = found
        for k, ranking in enumerate(item):
            rejected[row + k, list(ranking.rejected)] = True
        row += len(item)
    of = np.repeat(np.arange(len(items)), [len(item) for item in items])
    who = np.array([number[ranking.labeler] for item in items for ranking in item])
    return compare(of, who, level, rejected, len(labelers))


def compare(
    item: NDArray[np.int64],
    labeler: NDArray[np.int64],
    level: NDArray[np.float64],
    rejected: NDArray[np.bool_],
    labelers: int,
) -> Comparisons:
    """All pairs of A rankings of items and by labelers, both (A,) and numbered from 0.

    `level` (A, K) of each completion, 0 the best, nan where an item has fewer; `rejected` (A, K).
    """
    sizes = np.zeros(int(item.max()) + 1, dtype=np.int64)
    sizes[item] = (~np.isnan(level)).sum(axis=1)
    start = np.cumsum(sizes) - sizes
    # One after another and not as a table: a table would make every ranking as wide as the widest.
    row, at = np.nonzero(~np.isnan(level))
    place, out = level[row, at], rejected[row, at]
    first, second = pairs_within(row)
    told = ~(out[first] & out[second])
    first, second = first[told], second[told]
    outcome = np.sign(place[second] - place[first]).astype(np.int64)
    thing = start[item[row]] + at
    owner = np.repeat(np.arange(len(sizes)), sizes)
    return Comparisons(thing[first], thing[second], outcome, labeler[row[first]], np.ones(len(first)), owner, labelers)


def confident_pairs(item: ItemConsensus, min_confidence: float = 0.6) -> list[Pair]:
    """One pair for every two answers in different groups of the consensus whose order is confident enough, preferred first.

    `weight` is the confidence, in (0.5, 1); `margin` is the gap of the scores, at least 0. Two rejected answers make no
    pair, and neither does a rejected one whose score is the better. Raises `ValueError` unless 0.5 <= min_confidence < 1.
    """
    if not 0.5 <= min_confidence < 1.0:
        raise ValueError(f"min_confidence is {min_confidence}: it must be at least 0.5 and below 1")
    ranking = item.ranking
    ordered = [*ranking.groups, ranking.rejected]
    return [
        Pair(
            ranking.prompt,
            ranking.completions[i],
            ranking.completions[j],
            margin=float(item.score[i] - item.score[j]),
            weight=float(item.confidence[i, j]),
            source=ranking.source,
        )
        for above, below in combinations(ordered, 2)
        for i in above
        for j in below
        if item.confidence[i, j] > min_confidence
    ]


def _weights(item: Sequence[Ranking], names: Sequence[str], found: Fit) -> NDArray[np.float64]:
    """(labelers of the item,): discriminations, none below 0; all alike where none is above."""
    weight = np.maximum(found.discrimination[[names.index(ranking.labeler) for ranking in item]], 0.0)
    return weight if weight.any() else np.ones(len(item))


def _ranking(
    item: Sequence[Ranking],
    score: NDArray[np.float64],
    confidence: NDArray[np.float64],
    weight: NDArray[np.float64],
    sure: float,
) -> Ranking:
    first = item[0]
    count = len(first.completions)
    marked = np.array([[k in ranking.rejected for k in range(count)] for ranking in item])
    rejected = weight @ marked > 0.5 * weight.sum()
    groups: list[list[int]] = []
    for index in np.argsort(-score, kind="stable").tolist():
        if rejected[index]:
            continue
        if groups and confidence[groups[-1][0], index] < sure:
            groups[-1].append(index)
        else:
            groups.append([index])
    last = tuple(np.flatnonzero(rejected).tolist())
    return Ranking(first.prompt, first.completions, tuple(map(tuple, groups)), last, CONSENSUS, first.source)
