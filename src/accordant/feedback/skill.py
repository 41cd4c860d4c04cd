"""How reliable each labeler is: by side of the screen, by how far the others bear them out, and by signs of not reading.

The display order of each answer is in the store, so that a liking for one side is told from a liking for one answer. Left out:
thumbs that are always up, and ratings that are always the same.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import block_array, csr_array, triu
from scipy.sparse.csgraph import connected_components

from accordant.feedback.tally import NONE, Tally, starts, tally
from accordant.feedback.votes import BOTH_BAD
from accordant.stats.bradley_terry import Comparisons, fit
from accordant.stats.dawid_skene import SIDES, dawid_skene, side_bias, vote_weight
from accordant.stats.discrimination import discrimination_sd
from accordant.stats.flags import ALPHA, Flag, always, always_same_position, too_fast
from accordant.stats.intervals import Estimate, Undefined
from accordant.stats.weighted_consensus import compare

CLASSES = len(SIDES)
LEAST = 10
"""Comparisons in common with others that it takes to show a discrimination: of the 2 ± 2 of the prior five leave ± 1.5 to 2."""
TWO_SIDES = (
    "of two labelers who differ nobody can say which one errs: it takes a third who has ordered items together with both"
)
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
    start = starts(of.asked, of.question, of.items)
    votes = np.isin(of.task, ("rank", "pair"))[of.row] & (of.vote != BOTH_BAD)
    if not votes.any():
        return Undefined("no pair has been compared yet")
    row, vote, flipped = of.row[votes], of.vote[votes], of.flipped[votes]
    seen = np.where(flipped, np.array(SIDES)[vote], vote)
    asked, item = np.unique((start[of.asked] + of.question)[votes], return_inverse=True)
    known = _known(of, start)[asked]
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


def _known(of: Tally, start: NDArray[np.int64]) -> NDArray[np.int64]:
    """What gold says to each question, numbered from the `starts` of the items; NONE where it says nothing."""
    _, first = np.unique(of.item, return_index=True)
    tested = first[of.is_gold[first]]
    gold = tally(replace(one, payload=one.gold or one.payload) for one in of.answers[tested])
    item = of.item[tested[gold.row]]
    question = start[item] + gold.question
    says = (gold.vote != BOTH_BAD) & (question < start[item + 1])  # nobody voted on the others
    known = np.full(start[-1], NONE)
    known[question[says]] = gold.vote[says]
    return known


def discriminations(of: Tally) -> dict[int, Estimate]:
    """How far the others bear out each labeler's orders (`weighted_consensus`), pairs and rankings together; 95 % intervals.

    `items` of each are those that somebody else ordered too; labelers without any are absent. The interval is of
    `stats.discrimination`, which says what it ignores. Undefined where only the prior speaks: with fewer than
    `LEAST` comparisons of two completions that another labeler compared too; and of two labelers, or of two sides that have
    nothing but items with the other side in common, for then any beta of the one fits some beta of the other.
    """
    orders = of.only(of.is_ranking)
    people, who = np.unique(orders.labeler, return_inverse=True)
    together = np.bincount(orders.item)[orders.item] > 1
    if not together.any():
        return {}
    data = compare(orders.item, who, orders.level, orders.rejected, len(people))
    found = fit(data)
    half = NormalDist().inv_cdf(0.975) * discrimination_sd(data, found)
    items, (shared, told_apart) = np.bincount(who, together), _overlap(data)
    values: dict[int, Estimate] = {}
    for k in np.unique(who[together]).tolist():
        beta, count = float(found.discrimination[k]), int(items[k])
        if not told_apart[k]:
            values[int(people[k])] = Estimate(None, None, None, count, TWO_SIDES)
        elif shared[k] < LEAST:
            values[int(people[k])] = Estimate(None, None, None, count, _too_few(int(shared[k])))
        else:
            values[int(people[k])] = Estimate(beta, float(beta - half[k]), float(beta + half[k]), count)
    return values


def _overlap(data: Comparisons) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Of each labeler (R,): how many comparisons another one made too, and whether the overlaps can tell who errs.

    They can where labelers, linked by what two of them compared, make a ring of an odd number (three who have all compared
    the same, at least): each link tells of a product of two betas, and around an odd ring products give the factors. A ring
    is odd where one comes back to oneself on the other copy of a graph in which every link leads to the other copy.
    """
    asked, question, times = np.unique(data.first * len(data.item) + data.second, return_inverse=True, return_counts=True)
    shared = np.bincount(data.labeler, times[question] > 1, data.labelers).astype(np.int64)
    made = csr_array((np.ones(len(question)), (data.labeler, question)), shape=(data.labelers, len(asked)))
    links = triu(made @ made.T, 1)
    copy = connected_components(block_array([[None, links], [links, None]]), directed=False)[1]
    return shared, copy[: data.labelers] == copy[data.labelers :]


def _too_few(shared: int) -> str:
    return f"too few to say: others have compared {shared} of the same pairs of completions, and it takes {LEAST}"


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
