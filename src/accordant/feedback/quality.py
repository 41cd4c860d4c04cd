"""How far labelers agree, over all and between groups of them, and how each of them does.

Everything is counted from `answers.said`. Gold items are left aside in agreement, for they are shown to everybody and are no
sample of the work; AI labelers take part only where they are asked for. Left out: texts that labelers write.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import func, select

from accordant.feedback.answers import Said
from accordant.feedback.payload import SCALE
from accordant.feedback.schema import TASKS, answer, assignment, item, labeler
from accordant.feedback.skill import SideSkill, discriminations, flags, side_skills
from accordant.feedback.store import Store
from accordant.feedback.tally import Tally, compared, counts
from accordant.feedback.votes import BOTH_BAD, right, signed_grade
from accordant.stats.agreement import FLEISS, NO_OVERLAP, ONE_VALUE, RAW
from accordant.stats.dawid_skene import SIDES
from accordant.stats.flags import ALPHA, Flag, GoldAccuracy, gold_accuracy, missed_checks
from accordant.stats.grades import GRADES
from accordant.stats.intervals import Estimate, Sums, Undefined, Value, estimate_mean, estimate_sums
from accordant.stats.kendall import concordances, mean_tau_bs
from accordant.stats.krippendorff import alpha_sums

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
class Checked:
    """How many answers to items with a known answer are right. "Right" is as in `votes.right`."""

    right: int
    n: int


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
    gold: GoldAccuracy  # its n is the number of gold items answered, attention checks apart
    attention: Checked  # attention checks
    side: SideSkill | Undefined  # skill, weight and bias by what was seen on which side
    discrimination: Estimate  # `stats.weighted_consensus.Reliability`; `items` are those shared with another labeler
    agrees: Value  # share of votes equal to another labeler's on the same item, gold left aside
    flags: Mapping[str, Flag]  # attention, too_fast, same_position, ties, rejects, cannot_judge; see which are raised


def agreement(of: Tally, *, resamples: int = RESAMPLES) -> tuple[Agreement, ...]:
    """How far the labelers agree, task by task, with 95 % intervals by `resamples` of the items.

    `rank` compares every two completions (rejected below ranked, tied among themselves) and whole rankings; `pair` the four
    verdicts, and the signed grade (-4 to 4, both bad missing); `likert` each attribute, null missing; `vet` the verdict.
    Fleiss' kappa is over the items with the number of answers that is commonest. A task without answers is absent.
    """
    kept = of.only(~of.is_gold)
    found: list[Agreement] = []
    for task in TASKS:
        mine = kept.only(kept.task == task)
        if len(mine.answers) and task in _COMPARE:
            found.extend(_COMPARE[task](mine, resamples))
    return tuple(found)


def by_stratum(of: Tally, stratum: str, *, resamples: int = RESAMPLES) -> tuple[GroupAgreement, ...]:
    """The share of equal votes within each group of labelers and between every two, such as by `language`.

    On each item the shares of all pairs of labelers of the two groups are averaged, then those of the items. Two groups that
    share no item are absent.
    """
    counted = of.only(~of.is_gold)
    groups = [one.strata.get(stratum, UNSTATED) for one in counted.answers]
    first, second, share = compared(counted)
    between: defaultdict[tuple[str, str, str], defaultdict[int, list[float]]] = defaultdict(lambda: defaultdict(list))
    for i, j, equal in zip(first.tolist(), second.tolist(), share.tolist(), strict=True):
        low, high = sorted((groups[i], groups[j]))
        between[str(counted.task[i]), low, high][int(counted.item[i])].append(equal)
    return tuple(
        GroupAgreement(*key, estimate_mean([fmean(values) for values in items.values()], n=resamples))
        for key, items in sorted(between.items())
    )


def labelers(store: Store, project_id: int, everything: Tally, *, ai: bool = False) -> tuple[LabelerQuality, ...]:
    """Everybody who was handed a task of the project, by name; AI labelers only if asked for, and then compared as well.

    Attention checks are counted, and are in nothing else: not in the gold accuracy, in no weight, in no other flag. Their text
    gives the answer away, so passing them says that one reads and not that one judges well; taken for gold they would let
    everybody who reads look like a good judge.

    `everything`: all answers of the project, with surplus ones and those to gold items, and with AI labelers' if `ai`.
    """
    people, times = _work(store, project_id, ai)
    judged = everything.only(reads := ~everything.is_attention)
    seconds = np.array([times[one.item_id, one.labeler_id] for one in everything.answers])
    sides, discrimination, flagged = side_skills(judged), discriminations(judged), flags(judged, seconds[reads])
    agrees = _agrees(everything.only(~everything.is_gold))
    tested = {who.id: _right(everything.answers[(everything.labeler == who.id) & everything.is_gold]) for who in people}
    inattentive = _inattentive({person: attention for person, (_, attention) in tested.items()})
    found = []
    for who in people:
        mine = everything.labeler == who.id
        gold, attention = tested[who.id]
        found.append(LabelerQuality(
            who.id, who.name, who.kind, int(mine.sum()), who.skips, float(np.median(seconds[mine])) if mine.any() else None,
            gold.right, gold_accuracy(gold.right, gold.n), attention,
            sides if isinstance(sides, Undefined) else sides.get(who.id, Undefined(NO_OVERLAP)),
            discrimination.get(who.id, Estimate(None, None, None, 0, NO_OVERLAP)), agrees.get(who.id, Undefined(NO_OVERLAP)),
            {**flagged.get(who.id, {}), "attention": inattentive[who.id]},
        ))  # fmt: skip
    return tuple(found)


def _inattentive(checks: Mapping[int, Checked]) -> dict[int, Flag]:
    """Whether each labeler misses more attention checks than chance and the others' misses allow."""
    missed, n = sum(one.n - one.right for one in checks.values()), sum(one.n for one in checks.values())
    alpha = ALPHA / max(sum(one.n > 0 for one in checks.values()), 1)
    return {
        person: missed_checks(one.n - one.right, one.n, missed - (one.n - one.right), n - one.n, alpha=alpha)
        for person, one in checks.items()
    }


def _agrees(counted: Tally) -> dict[int, float]:
    """Each labeler's mean share of votes equal to another one's, over all others and items."""
    first, second, share = compared(counted)
    ids, who = np.unique(counted.labeler, return_inverse=True)
    both = np.concatenate([who[first], who[second]])
    total, n = np.bincount(both, np.tile(share, 2), len(ids)), np.bincount(both, minlength=len(ids))
    return {int(one): float(total[k] / n[k]) for k, one in enumerate(ids) if n[k]}


def _right(tested: Iterable[Said]) -> tuple[Checked, Checked]:
    """Of answers to gold items: those to hidden gold, and those to attention checks."""
    judged: dict[bool, list[bool]] = {False: [], True: []}
    for one in tested:
        is_right = right(one, one.gold or {})
        if is_right is not None:
            judged[one.attention].append(is_right)
    gold, attention = (Checked(sum(found), len(found)) for found in judged.values())
    return gold, attention


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


def _rank(mine: Tally, resamples: int) -> list[Agreement]:
    orders = mine.only(mine.is_ranking & (np.bincount(mine.item, mine.is_ranking)[mine.item] > 1))
    whole = {
        name: estimate_mean(of(orders.level, orders.item) if orders.items else [Undefined(NO_OVERLAP)], n=resamples)
        for name, of in (("w", concordances), ("tau_b", mean_tau_bs))
    }
    return [_agreement(mine, _estimates(*_counts(mine, len(SIDES)), _NOMINAL, resamples) | whole)]


def _pair(mine: Tally, resamples: int) -> list[Agreement]:
    by_side = _estimates(*_counts(mine, BOTH_BAD + 1), _NOMINAL, resamples)
    signed = [signed_grade(one) for one in mine.answers]
    grade = np.array([one + len(GRADES) for one in signed if one is not None], dtype=np.int64)
    item = mine.item[[one is not None for one in signed]]
    graded = counts(item, np.zeros_like(item), grade, 2 * len(GRADES) + 1)
    by_grade = _estimates(*graded, {"alpha_ordinal": alpha_sums("ordinal")}, resamples)
    return [_agreement(mine, by_side | by_grade)]


def _likert(mine: Tally, resamples: int) -> list[Agreement]:
    found = []
    scale = np.arange(SCALE.stop)
    statistics = {"raw": RAW, "alpha_ordinal": alpha_sums("ordinal"), "alpha_interval": alpha_sums("interval", scale)}
    for k, name in enumerate(mine.attributes):
        here = mine.question == k
        item = mine.asked[here]
        rated = mine.only(np.bincount(mine.row[here], minlength=len(mine.answers)) > 0)
        table = counts(item, np.zeros_like(item), mine.vote[here], len(scale))
        found.append(_agreement(rated, _estimates(*table, statistics, resamples), "likert", name))
    return found


def _one_question(mine: Tally, resamples: int) -> list[Agreement]:
    return [_agreement(mine, _estimates(*_counts(mine, int(mine.vote.max()) + 1), _NOMINAL, resamples))]


def _counts(mine: Tally, values: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    return counts(mine.asked, mine.question, mine.vote, values)


_NOMINAL = {"raw": RAW, "fleiss": FLEISS, "alpha_nominal": alpha_sums("nominal")}
_COMPARE: dict[str, Callable[[Tally, int], list[Agreement]]] = {
    "rank": _rank,
    "pair": _pair,
    "likert": _likert,
    "thumb": _one_question,
    "vet": _one_question,
}


def _agreement(mine: Tally, estimates: Mapping[str, Estimate], task: str = "", attribute: str = "") -> Agreement:
    people = len(np.unique(mine.labeler))
    return Agreement(task or str(mine.task[0]), attribute, mine.items, people, len(mine.answers), estimates)


def _estimates(
    table: NDArray[np.int64], item: NDArray[np.int64], statistics: Mapping[str, Sums], resamples: int
) -> dict[str, Estimate]:
    """Each statistic of `tally.counts` with its interval, by resampling items with something to compare."""
    raters = np.zeros(int(item.max(initial=-1)) + 1, dtype=np.int64)
    np.maximum.at(raters, item, table.sum(axis=1))
    several = raters[raters >= 2]
    if not len(several):
        return {name: Estimate(None, None, None, 0, NO_OVERLAP) for name in statistics}
    found = {}
    for name, statistic in statistics.items():
        # Fleiss' kappa needs equally many ratings, and while people work some items have fewer: it takes the largest lot.
        kept = raters[item] == np.bincount(several).argmax() if name == "fleiss" else raters[item] >= 2
        items, of = np.unique(item[kept], return_inverse=True)
        terms = np.stack([np.bincount(of, column, len(items)) for column in statistic.terms(table[kept]).T], axis=1)
        found[name] = estimate_sums(statistic, terms, ONE_VALUE, n=resamples)
    return found
