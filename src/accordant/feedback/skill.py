"""How reliable each labeler is: by side of the screen, by how far the others bear them out, and by signs of not reading.

The display order of each answer is in the store, so that a liking for one side is told from a liking for one answer. Left out:
thumbs that are always up, and ratings that are always the same.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from accordant.feedback.answers import Said
from accordant.feedback.consensus import fit
from accordant.feedback.votes import BOTH_BAD, by_item, ranking, votes
from accordant.stats.dawid_skene import SIDES, dawid_skene, side_bias, vote_weight
from accordant.stats.flags import ALPHA, Flag, always, always_same_position, too_fast
from accordant.stats.intervals import Undefined

CLASSES = len(SIDES)
_TOLERANCE = 0.01  # nats over all votes: far below what moves a skill by a thousandth


@dataclass(frozen=True)
class SideSkill:
    """By Dawid and Skene's model of the votes as they were displayed."""

    accuracy: float  # chance that a vote (first, second or tie) is right
    weight: float  # log-odds of such a vote, nats
    bias: float  # for the side shown first: 1 always, -1 never, 0 fair


@dataclass(frozen=True)
class _Seen:
    """A vote on two completions, as it looked on the screen."""

    question: tuple[int, int, int]  # item, and the two places in its own order
    vote: int
    flipped: bool  # the first of the item's own order was shown after the second
    gold: int  # what gold says, in the item's own order; -1: nothing


def side_skills(answers: Iterable[Said]) -> dict[int, SideSkill] | Undefined:
    """The skill of each labeler at pairs, and at rankings taken as their pairs; gold answers are the truth where there are any.

    Absent are labelers who voted on nothing that another one did, or gold says. Undefined as `dawid_skene` is.
    """
    seen = [(one.labeler_id, vote) for one in answers for vote in _seen(one)]
    if not seen:
        return Undefined("no pair has been compared yet")
    questions = {question: i for i, question in enumerate(dict.fromkeys(vote.question for _, vote in seen))}
    people = {person: i for i, person in enumerate(sorted({person for person, _ in seen}))}
    known = np.full(len(questions), -1)
    for _, vote in seen:
        known[questions[vote.question]] = vote.gold
    item = np.array([questions[vote.question] for _, vote in seen])
    who = np.array([people[person] for person, _ in seen])
    found = dawid_skene(
        item, who, [vote.vote for _, vote in seen], CLASSES,
        flipped=np.array([vote.flipped for _, vote in seen]), known=known, tolerance=_TOLERANCE,
    )  # fmt: skip
    if isinstance(found, Undefined):
        return found
    tested = np.bincount(who, weights=(np.bincount(item)[item] > 1) | (known[item] >= 0))
    bias = side_bias(found.confusion)
    return {
        person: SideSkill(float(found.accuracy[i]), vote_weight(float(found.accuracy[i]), CLASSES), float(bias[i]))
        for person, i in people.items()
        if tested[i]
    }


def discriminations(answers: Iterable[Said]) -> dict[int, float]:
    """How far the others bear out each labeler's orders (`weighted_consensus`), pairs and rankings together.

    Absent are labelers who ordered nothing that another one did.
    """
    ordered = [one for one in answers if ranking(one) is not None]
    shared = {one.labeler_id: one.labeler for item in by_item(ordered).values() if len(item) > 1 for one in item}
    if not shared:
        return {}
    _, found = fit(ordered)
    return {person: found.labelers[name].discrimination for person, name in shared.items()}


def flags(answers: Sequence[Said], seconds: Mapping[tuple[int, int], float]) -> dict[int, dict[str, Flag]]:
    """The flags of each labeler, raised or not; their level is divided by the number of labelers.

    `too_fast` is by kind of task, the most striking one; `ties`, `rejects` (more than half of the completions, or both bad) and
    `cannot_judge` are of pairs and rankings.

    Args:
        answers: of all labelers.
        seconds: how long each answer took, by item and labeler.
    """
    by_person: defaultdict[int, list[Said]] = defaultdict(list)
    for one in answers:
        by_person[one.labeler_id].append(one)
    alpha = ALPHA / max(len(by_person), 1)
    ordering = {person: [one for one in mine if one.task in ("rank", "pair")] for person, mine in by_person.items()}
    habits = {
        name: {person: sum(map(is_so, mine)) for person, mine in ordering.items()} for name, (_, is_so) in _HABITS.items()
    }
    total = sum(map(len, ordering.values()))
    found: dict[int, dict[str, Flag]] = {}
    for person, mine in ordering.items():
        best = [place for one in mine if (place := _best_place(one)) is not None]
        found[person] = {
            "too_fast": _too_fast(person, answers, seconds, alpha),
            "same_position": always_same_position([at for at, _ in best], [shown for _, shown in best], alpha=alpha),
        } | {
            name: always(
                count[person], len(mine), sum(count.values()) - count[person], total - len(mine),
                what=_HABITS[name][0], alpha=alpha,
            )
            for name, count in habits.items()
        }  # fmt: skip
    return found


def _seen(one: Said) -> Iterator[_Seen]:
    """The votes of a pair or ranking as displayed; that both are bad is none."""
    if one.task not in ("rank", "pair"):
        return
    at = {completion: place for place, completion in enumerate(one.display)}
    places = [at[completion.id] for completion in one.completions]
    gold = {} if one.gold is None else votes(replace(one, payload=one.gold))
    for question, vote in votes(one).items():
        if vote == BOTH_BAD:
            continue
        a, b = (0, 1) if one.task == "pair" else question
        flipped = places[a] > places[b]
        truth = gold.get(question, -1)
        yield _Seen((one.item_id, a, b), SIDES[vote] if flipped else vote, flipped, -1 if truth == BOTH_BAD else truth)


def _too_fast(person: int, answers: Sequence[Said], seconds: Mapping[tuple[int, int], float], alpha: float) -> Flag:
    mine: defaultdict[str, list[float]] = defaultdict(list)
    others: defaultdict[str, list[float]] = defaultdict(list)
    for one in answers:
        (mine if one.labeler_id == person else others)[one.task].append(seconds[one.item_id, one.labeler_id])
    found = [too_fast(times, others[task], alpha=alpha / len(mine)) for task, times in mine.items()]
    return min(found, key=lambda flag: (not flag.raised, flag.p))


def _best_place(one: Said) -> tuple[int, int] | None:
    """Where the single best completion was displayed, and among how many; None where there is no single best."""
    found = ranking(one)
    if found is None or not found.groups or len(found.groups[0]) > 1:
        return None
    return one.display.index(one.completions[found.groups[0][0]].id), len(one.display)


def _all_tied(one: Said) -> bool:
    found = ranking(one)
    return found is not None and len(found.groups) == 1 and not found.rejected


def _rejects_most(one: Said) -> bool:
    found = ranking(one)
    return found is not None and 2 * len(found.rejected) > len(found.completions)


_HABITS: dict[str, tuple[str, Callable[[Said], bool]]] = {
    "ties": ("everything tied", _all_tied),
    "rejects": ("most completions marked F", _rejects_most),
    "cannot_judge": ("cannot be judged", lambda one: "cannot_judge" in one.payload),
}
