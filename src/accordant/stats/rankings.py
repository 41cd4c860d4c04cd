"""One labeler's ranking as numbers, and as pairs: K answers strictly ranked give C(K, 2) pairs, preferred first.

A tie gives no pair. Left out: pairs that carry a tie to the reward model, and margins (a ranking has none).
"""

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from accordant.types import Pair, Ranking, UserError

CONSENSUS = "consensus"
"""The labeler of what several say together."""


def levels(ranking: Ranking) -> NDArray[np.int64]:
    """The level (K,) of each completion: 0 for the best group, ties share one, all rejected share the last.

    `levels(Ranking("q", ("a", "b", "c"), groups=((2,), (0,)), rejected=(1,)))` is `[1, 2, 0]`.
    Raises `UserError` where a completion is missing from the ranking, comes twice, or does not exist.
    """
    count = len(ranking.completions)
    placed = [index for group in (*ranking.groups, ranking.rejected) for index in group]
    if sorted(placed) != list(range(count)):
        raise UserError(
            f"{ranking.source}: the ranking by {ranking.labeler!r} places the completions {sorted(placed)}, "
            f"but it must place each of 0..{count - 1} exactly once, in a group or among the rejected."
        )
    result = np.empty(count, dtype=np.int64)
    for level, group in enumerate((*ranking.groups, ranking.rejected)):
        result[list(group)] = level
    return result


def pairs(ranking: Ranking, rejects: Literal["lose", "exclude"] = "lose") -> list[tuple[int, int]]:
    """All (winner, loser) index pairs, in the order of the winner's and then the loser's level.

    `rejects="lose"`: every ranked completion beats every rejected one; "exclude": the rejected are in no pair. Two
    rejected completions never make a pair, nor do two tied ones. Raises `UserError` as `levels` does.
    """
    level = levels(ranking)
    order = np.argsort(level, kind="stable").tolist()
    if rejects == "exclude":
        order = [index for index in order if index not in ranking.rejected]
    return [(i, j) for i in order for j in order if level[i] < level[j]]


def to_pairs(ranking: Ranking, rejects: Literal["lose", "exclude"] = "lose") -> list[Pair]:
    """The text of `pairs`, with the ranking's labeler and source. Raises `UserError` as `levels` does."""
    return [
        Pair(
            ranking.prompt,
            ranking.completions[winner],
            ranking.completions[loser],
            labeler=ranking.labeler,
            source=ranking.source,
        )
        for winner, loser in pairs(ranking, rejects)
    ]
