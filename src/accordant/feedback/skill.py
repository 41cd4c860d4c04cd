"""How reliable each labeler is: by side of the screen, by how far the others bear them out, and by signs of not reading.

The display order of each answer is in the store, so that a liking for one side is told from a liking for one answer. Left out:
thumbs that are always up, and ratings that are always the same.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from accordant.feedback.tally import NONE, Tally, tally
from accordant.feedback.votes import BOTH_BAD
from accordant.stats.bradley_terry import fit
from accordant.stats.dawid_skene import SIDES, dawid_skene, side_bias, vote_weight
from accordant.stats.flags import ALPHA, Flag, always, always_same_position, too_fast
from accordant.stats.intervals import Undefined
from accordant.stats.weighted_consensus import compare

CLASSES = len(SIDES)
_TOLERANCE = 0.01  # nats over all votes: far below what moves a skill by a thousandth


@dataclass(frozen=True)
class SideSkill:
    """By Dawid and Skene's model of the votes as they were displayed."""

    accuracy: float  # chance that a vote (first, second or tie) is right
    weight: float  # log-odds of such a vote, nats
    bias: float  # for the side shown first: 1 always, -1 never, 0 fair


def side_skills(of: Tally) -> dict[int, SideSkill] | Undefined:
    """The skill of each labeler at pairs, and at rankings taken as their pairs; gold answers are the truth where there are any.

    Absent are labelers who voted on nothing that another one did, or gold says. Undefined as `dawid_skene` is; "both bad" is no
    vote here.
    """
    a, b = np.triu_indices(of.level.shape[1], 1)
    vote = np.where(of.vote[:, : len(a)] == BOTH_BAD, NONE, of.vote[:, : len(a)])
    vote[~np.isin(of.task, ("rank", "pair"))] = NONE
    row, question = np.nonzero(vote != NONE)
    if not len(row):
        return Undefined("no pair has been compared yet")
    flipped = of.place[row, a[question]] > of.place[row, b[question]]
    seen = np.where(flipped, np.array(SIDES)[vote[row, question]], vote[row, question])
    asked, item = np.unique(of.item[row] * len(a) + question, return_inverse=True)
    known = _known(of, len(a)).ravel()[asked]
    people, who = np.unique(of.labeler[row], return_inverse=True)
    found = dawid_skene(item, who, seen, CLASSES, flipped=flipped, known=known, tolerance=_TOLERANCE)
    if isinstance(found, Undefined):
        return found
    tested = np.bincount(who, weights=(np.bincount(item)[item] > 1) | (known[item] >= 0))
    bias = side_bias(found.confusion)
    return {
        int(person): SideSkill(float(found.accuracy[i]), vote_weight(float(found.accuracy[i]), CLASSES), float(bias[i]))
        for i, person in enumerate(people)
        if tested[i]
    }


def _known(of: Tally, questions: int) -> NDArray[np.int64]:
    """(items, questions) what gold says of every two completions, NONE where it says nothing."""
    _, first = np.unique(of.item, return_index=True)
    gold = tally(replace(one, payload=one.gold or one.payload) for one in of.answers[first])
    says = np.where(of.is_gold[first, None] & (gold.vote != BOTH_BAD), gold.vote, NONE)
    return says[:, :questions]


def discriminations(of: Tally) -> dict[int, float]:
    """How far the others bear out each labeler's orders (`weighted_consensus`), pairs and rankings together.

    Absent are labelers who ordered nothing that another one did.
    """
    orders = of.only(of.is_ranking)
    if not orders.items:
        return {}
    shared = np.bincount(orders.item)[orders.item] > 1
    people, who = np.unique(orders.labeler, return_inverse=True)
    if not shared.any():
        return {}
    found = fit(compare(orders.item, who, orders.level, orders.rejected, len(people)))
    return {int(people[k]): float(found.discrimination[k]) for k in np.unique(who[shared])}


def flags(of: Tally, seconds: NDArray[np.float64]) -> dict[int, dict[str, Flag]]:
    """The flags of each labeler, raised or not; their level is divided by the number of labelers.

    `too_fast` is by kind of task, the most striking one; `ties`, `rejects` (more than half of the completions, or both bad) and
    `cannot_judge` are of pairs and rankings.

    Args:
        of: the answers of all labelers.
        seconds: (A,) how long each answer took.
    """
    people = list(dict.fromkeys(of.labeler.tolist()))
    alpha = ALPHA / max(len(people), 1)
    ordering = np.isin(of.task, ("rank", "pair"))
    habits = {name: is_so(of) & ordering for name, (_, is_so) in _HABITS.items()}
    at, shown = _best_places(of)
    found: dict[int, dict[str, Flag]] = {}
    for person in people:
        mine = of.labeler == person
        best = mine & (at != NONE)
        n, rest = int((mine & ordering).sum()), int((~mine & ordering).sum())
        found[person] = {
            "too_fast": _too_fast(mine, of.task, seconds, alpha),
            "same_position": always_same_position(at[best].tolist(), shown[best].tolist(), alpha=alpha),
        } | {
            name: always(int(so[mine].sum()), n, int(so[~mine].sum()), rest, what=_HABITS[name][0], alpha=alpha)
            for name, so in habits.items()
        }
    return found


def _too_fast(mine: NDArray[np.bool_], task: NDArray[np.str_], seconds: NDArray[np.float64], alpha: float) -> Flag:
    tasks = list(dict.fromkeys(task[mine].tolist()))
    found = [too_fast(seconds[mine & (task == one)], seconds[~mine & (task == one)], alpha=alpha / len(tasks)) for one in tasks]
    return min(found, key=lambda flag: (not flag.raised, flag.p))


def _best_places(of: Tally) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(A,) where the single best completion was displayed, NONE where there is no single best; and among how many."""
    best = of.level == 0  # of several where all are rejected
    at = np.where(best.sum(axis=1) == 1, of.place[np.arange(len(best)), best.argmax(axis=1)], NONE)
    return at, (of.place != NONE).sum(axis=1)


def _all_tied(of: Tally) -> NDArray[np.bool_]:
    return of.is_ranking & (np.isnan(of.level) | (of.level == 0)).all(axis=1) & ~of.rejected.any(axis=1)


def _rejects_most(of: Tally) -> NDArray[np.bool_]:
    return 2 * of.rejected.sum(axis=1) > (~np.isnan(of.level)).sum(axis=1)


def _cannot_judge(of: Tally) -> NDArray[np.bool_]:
    return np.array(["cannot_judge" in one.payload for one in of.answers], dtype=bool)


_HABITS: dict[str, tuple[str, Callable[[Tally], NDArray[np.bool_]]]] = {
    "ties": ("everything tied", _all_tied),
    "rejects": ("most completions marked F", _rejects_most),
    "cannot_judge": ("cannot be judged", _cannot_judge),
}
