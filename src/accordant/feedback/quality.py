"""How far labelers agree, over all and between groups of them, and how each of them does.

Everything is counted from `answers.said`. Gold items are left aside in agreement, for they are shown to everybody and are no
sample of the work; AI labelers take part only where they are asked for. Left out: texts that labelers write.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from statistics import median
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import func, select

from accordant.feedback.answers import Said, said
from accordant.feedback.schema import TASKS, answer, assignment, item, labeler
from accordant.feedback.skill import SideSkill, discriminations, flags, side_skills
from accordant.feedback.store import Store
from accordant.feedback.votes import VERDICTS, by_item, compared, ranking, right, side, signed_grade
from accordant.stats.agreement import NO_OVERLAP, count_ratings, fleiss, pairwise_votes, raw_agreement
from accordant.stats.consensus import levels_of
from accordant.stats.flags import Flag, GoldAccuracy, gold_accuracy
from accordant.stats.intervals import Estimate, Undefined, Value, estimate, estimate_mean, mean_of_defined
from accordant.stats.kendall import concordance, mean_tau_b
from accordant.stats.krippendorff import krippendorff_alpha

RESAMPLES = 100
"""Enough for an interval on a page that is looked at while people work: 5,000 answers take less than a second."""

STATISTICS = {
    "raw": "equal votes",
    "fleiss": "Fleiss' kappa",
    "alpha_nominal": "Krippendorff's alpha, nominal",
    "alpha_ordinal": "Krippendorff's alpha, ordinal",
    "alpha_interval": "Krippendorff's alpha, interval",
    "w": "Kendall's W",
    "tau_b": "mean tau-b",
}
UNSTATED = "unstated"
"""The group of those who did not say."""

_Table: TypeAlias = NDArray[np.int64]  # (items, questions, values): how many of an item's labelers say what
_Statistic: TypeAlias = Callable[[_Table], Value]


@dataclass(frozen=True)
class Agreement:
    """On one task, or one attribute of a Likert task. `estimates` are by the keys of `STATISTICS`, those that apply."""

    task: str
    attribute: str  # "" where the task has none
    items: int
    labelers: int
    answers: int
    estimates: Mapping[str, Estimate]  # `items` of each are those with at least two answers to compare


@dataclass(frozen=True)
class GroupAgreement:
    """Equal votes of two labelers on an item, one of each group; `first == second`: both of one group."""

    task: str
    first: str
    second: str
    share: Estimate


@dataclass(frozen=True)
class LabelerQuality:
    """One labeler's work in a project. A value that cannot be had is `Undefined`, with the reason."""

    labeler_id: int
    name: str
    kind: str
    answers: int  # late ones and those to gold items included
    skips: int
    seconds: float | None  # median over answers; None: no answer
    gold_right: int
    gold: GoldAccuracy  # its n is the number of gold items answered
    side: SideSkill | Undefined  # skill, weight and bias by what was seen on which side
    discrimination: Value  # `stats.weighted_consensus.Reliability`
    agrees: Value  # share of votes equal to another labeler's on the same item, gold left aside
    flags: Mapping[str, Flag]  # too_fast, same_position, ties, rejects, cannot_judge; look at those that are raised


def agreement(answers: Iterable[Said], *, resamples: int = RESAMPLES) -> tuple[Agreement, ...]:
    """How far the labelers agree, task by task, with 95 % intervals by `resamples` of the items.

    `rank` compares every two completions (rejected below ranked, tied among themselves) and whole rankings; `pair` the four
    verdicts, and the signed grade (-4 to 4, both bad missing); `likert` each attribute, null missing; `vet` the verdict.
    Fleiss' kappa is over the items with the number of answers that is commonest. A task without answers is absent.
    """
    kept = [one for one in answers if one.gold is None]
    found: list[Agreement] = []
    for task in TASKS:
        mine = [one for one in kept if one.task == task]
        if mine and task in _COMPARE:
            found.extend(_COMPARE[task](mine, resamples))
    return tuple(found)


def by_stratum(answers: Iterable[Said], stratum: str, *, resamples: int = RESAMPLES) -> tuple[GroupAgreement, ...]:
    """The share of equal votes within each group of labelers and between every two, such as by `language`.

    On each item the shares of all pairs of labelers of the two groups are averaged, then those of the items. Two groups that
    share no item are absent.
    """
    shares: defaultdict[tuple[str, str, str], defaultdict[int, list[float]]] = defaultdict(lambda: defaultdict(list))
    for one, other, share in compared(one for one in answers if one.gold is None):
        first, second = sorted((one.strata.get(stratum, UNSTATED), other.strata.get(stratum, UNSTATED)))
        shares[one.task, first, second][one.item_id].append(share)
    return tuple(
        GroupAgreement(*key, estimate_mean([float(np.mean(values)) for values in items.values()], n=resamples))
        for key, items in sorted(shares.items())
    )


def labelers(store: Store, project_id: int, *, ai: bool = False, orders: bool = True) -> tuple[LabelerQuality, ...]:
    """Everybody who was handed a task of the project, by name; AI labelers only if asked for, and then compared as well.

    Without `orders` there is no `discrimination`, whose model of all rankings takes long where people differ on everything.
    """
    answers = said(store, project_id, gold=True, surplus=True, ai=ai)
    people, seconds = _work(store, project_id, ai)
    sides = side_skills(answers)
    discrimination = discriminations(answers) if orders else {}
    flagged = flags(answers, seconds)
    shares: defaultdict[int, list[Value]] = defaultdict(list)
    for one, other, share in compared(one for one in answers if one.gold is None):
        shares[one.labeler_id].append(share)
        shares[other.labeler_id].append(share)
    found = []
    for who in people:
        mine = [one for one in answers if one.labeler_id == who.id]
        on_gold = [right(one, one.gold) for one in mine if one.gold is not None]
        judged = [is_right for is_right in on_gold if is_right is not None]
        found.append(LabelerQuality(
            who.id, who.name, who.kind, len(mine), who.skips,
            median(seconds[one.item_id, who.id] for one in mine) if mine else None,
            sum(judged), gold_accuracy(sum(judged), len(judged)),
            sides if isinstance(sides, Undefined) else sides.get(who.id, Undefined(NO_OVERLAP)),
            discrimination.get(who.id, Undefined(NO_OVERLAP if orders else "not asked for")),
            mean_of_defined(shares[who.id] or [Undefined(NO_OVERLAP)]), flagged.get(who.id, {}),
        ))  # fmt: skip
    return tuple(found)


def _work(store: Store, project_id: int, ai: bool) -> tuple[Sequence[Any], Mapping[tuple[int, int], float]]:
    """Who was handed tasks, with skips; and seconds of each answer by item and labeler, of its longest revision."""
    skipped = func.count().filter(assignment.c.state == "skipped").label("skips")
    of_project = assignment.join(item).join(labeler)
    people = (
        select(labeler.c.id, labeler.c.name, labeler.c.kind, skipped)
        .select_from(of_project)
        .where(item.c.project_id == project_id, labeler.c.kind.in_(("human", "ai") if ai else ("human",)))
        .group_by(labeler.c.id, labeler.c.name, labeler.c.kind)
        .order_by(labeler.c.name)
    )
    spent = (
        select(assignment.c.item_id, assignment.c.labeler_id, func.max(answer.c.ms_spent))
        .select_from(of_project.join(answer))
        .where(item.c.project_id == project_id)
        .group_by(assignment.c.item_id, assignment.c.labeler_id)
    )
    with store.read() as connection:
        # A revision is quick; a page that was left open is not told from work. A time of zero has no logarithm.
        times = {(row[0], row[1]): max(row[2], 1) / 1000 for row in connection.execute(spent)}
        return connection.execute(people).all(), times


# --- agreement, task by task -------------------------------------------------------------------------------------------


def _rank(answers: Sequence[Said], resamples: int) -> list[Agreement]:
    items = [[row for one in item if (row := ranking(one)) is not None] for item in by_item(answers).values()]
    items = [item for item in items if item]
    votes = [pairwise_votes([item]) for item in items]
    table = np.zeros((len(items), max(map(len, votes), default=1), 3), dtype=np.int64)
    for i, rows in enumerate(votes):
        table[i, : len(rows)] = rows  # items with fewer completions end in rows without votes, which no statistic counts
    orders = [levels_of(item) for item in items if len(item) > 1]
    whole = {
        name: estimate_mean([of(rows) for rows in orders] or [Undefined(NO_OVERLAP)], n=resamples)
        for name, of in (("w", concordance), ("tau_b", mean_tau_b))
    }
    return [_agreement(answers, _estimates(table, _NOMINAL, resamples) | whole)]


def _pair(answers: Sequence[Said], resamples: int) -> list[Agreement]:
    sides, _ = _count(answers, side)
    grades, _ = _count(answers, signed_grade)
    by_grade = {"alpha_ordinal": partial(krippendorff_alpha, metric="ordinal")}
    return [_agreement(answers, _estimates(sides, _NOMINAL, resamples) | _estimates(grades, by_grade, resamples))]


def _likert(answers: Sequence[Said], resamples: int) -> list[Agreement]:
    found = []
    for name in dict.fromkeys(name for one in answers for name in one.payload["scores"]):
        table, values = _count(answers, lambda one, name=name: one.payload["scores"].get(name))
        statistics: dict[str, _Statistic] = {
            "raw": raw_agreement,
            "alpha_ordinal": partial(krippendorff_alpha, metric="ordinal"),
            "alpha_interval": partial(krippendorff_alpha, metric="interval", values=values),
        }
        rated = [one for one in answers if one.payload["scores"].get(name) is not None]
        found.append(_agreement(rated, _estimates(table, statistics, resamples), "likert", name))
    return found


def _thumb(answers: Sequence[Said], resamples: int) -> list[Agreement]:
    table, _ = _count(answers, lambda one: one.payload["up"])
    return [_agreement(answers, _estimates(table, _NOMINAL, resamples))]


def _vet(answers: Sequence[Said], resamples: int) -> list[Agreement]:
    table, _ = _count(answers, lambda one: VERDICTS.index(one.payload["verdict"]))
    return [_agreement(answers, _estimates(table, _NOMINAL, resamples))]


_NOMINAL: dict[str, _Statistic] = {
    "raw": raw_agreement,
    "fleiss": fleiss,
    "alpha_nominal": partial(krippendorff_alpha, metric="nominal"),
}
_COMPARE: dict[str, Callable[[Sequence[Said], int], list[Agreement]]] = {
    "rank": _rank,
    "pair": _pair,
    "likert": _likert,
    "thumb": _thumb,
    "vet": _vet,
}


def _agreement(answers: Sequence[Said], estimates: Mapping[str, Estimate], task: str = "", attribute: str = "") -> Agreement:
    items, people = {one.item_id for one in answers}, {one.labeler_id for one in answers}
    return Agreement(task or answers[0].task, attribute, len(items), len(people), len(answers), estimates)


def _count(answers: Sequence[Said], what: Callable[[Said], float | None]) -> tuple[_Table, NDArray[np.float64]]:
    """What each item's labelers say, one question an item (N, 1, C), and the C values; None is no vote."""
    items = [[np.nan if (value := what(one)) is None else value for one in item] for item in by_item(answers).values()]
    most = max((len(row) for row in items), default=0)
    counts, values = count_ratings([row + [np.nan] * (most - len(row)) for row in items])
    return counts[:, None, :], values


def _estimates(table: _Table, statistics: Mapping[str, _Statistic], resamples: int) -> dict[str, Estimate]:
    """Each statistic with its interval, by resampling the items on which there is something to compare."""
    raters = table.sum(axis=2).max(axis=1, initial=0)
    if not (raters >= 2).any():
        return {name: Estimate(None, None, None, 0, NO_OVERLAP) for name in statistics}
    table, raters = table[raters >= 2], raters[raters >= 2]
    found = {}
    for name, statistic in statistics.items():
        # Fleiss' kappa needs equally many ratings, and while people work some items have fewer: it takes the largest lot.
        rows = table[raters == np.bincount(raters).argmax()] if name == "fleiss" else table
        found[name] = estimate(lambda rows, of=statistic: of(rows.reshape(-1, rows.shape[-1])), rows, n=resamples)
    return found
