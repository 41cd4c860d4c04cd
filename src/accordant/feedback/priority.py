"""Which items come first where a project orders by priority: those on which people, or reward models, differ.

Choosing what is hard changes what is measured: agreement on such items is lower than on all. So a share of the tasks is drawn
at random whatever the order is (`assignment`, `project.random_share`), and `chosen` puts the two beside each other.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import bindparam, func, select, update

from accordant.feedback.adjudication import disagreement
from accordant.feedback.answers import said
from accordant.feedback.quality import RESAMPLES
from accordant.feedback.schema import assignment, item, labeler
from accordant.feedback.store import Store
from accordant.feedback.tally import Tally, compared
from accordant.stats.agreement import NO_OVERLAP
from accordant.stats.intervals import Estimate, estimate_mean
from accordant.types import UserError


@dataclass(frozen=True)
class Chosen:
    """The tasks that were handed out by one rule: gold, attention, random, priority or least_answered."""

    rule: str
    tasks: int
    answers: int  # of those: the ones that can be compared with another labeler's
    agreement: Estimate  # share of votes equal to the others' on the item, averaged over these answers


def by_disagreement(store: Store, project_id: int, by: int | None = None) -> int:
    """Set the priority of every item with two answers or more to how far they are apart (0 to 1); returns how many.

    Items with fewer keep theirs. Human answers alone count.
    """
    apart = disagreement(said(store, project_id))
    _set(store, apart, by, rule="disagreement", project=project_id)
    return len(apart)


def by_uncertainty(store: Store, values: Mapping[int, float], by: int | None = None) -> int:
    """Set priorities by item to values computed elsewhere, such as a reward model's uncertainty: higher first.

    Raises:
        UserError: a value is no finite number, or there is no such item; then nothing is set.
    """
    for number, value in values.items():
        if not math.isfinite(value):
            raise UserError(f"the priority of item {number} is {value}: it must be a finite number")
    with store.read() as connection:
        known = set(connection.scalars(select(item.c.id)))
    unknown = sorted(set(values) - known)
    if unknown:
        raise UserError(f"there is no item {unknown[0]} ({len(unknown)} of {len(values)} are unknown): nothing was set")
    _set(store, values, by, rule="uncertainty")
    return len(values)


def chosen(store: Store, project_id: int, answers: Tally, *, resamples: int = RESAMPLES) -> tuple[Chosen, ...]:
    """How many tasks each rule has chosen for people, and how far those who did them agree with the others on the same items.

    `answers`: the project's; of these the ones count that are people's, in time and not to gold items.
    Intervals are by item. An item can be in the share of several rules: once at random and once by priority.
    """
    of_people = assignment.join(item).join(labeler)
    wanted = item.c.project_id == project_id, labeler.c.kind == "human"
    of_project = select(assignment).select_from(of_people).where(*wanted).subquery()
    with store.read() as connection:
        rule = {
            (row.item_id, row.labeler_id): row.chosen_by
            for row in connection.execute(select(of_project.c.item_id, of_project.c.labeler_id, of_project.c.chosen_by))
        }
        tasks = connection.execute(
            select(of_project.c.chosen_by, func.count()).group_by(of_project.c.chosen_by).order_by(of_project.c.chosen_by)
        ).all()
    counts = answers.only(answers.counts & answers.is_human)
    first, second, share = compared(counts)
    rows = np.concatenate([first, second])
    total = np.bincount(rows, np.tile(share, 2), len(counts.answers))
    others = np.bincount(rows, minlength=len(counts.answers))
    by = np.array([rule[one.item_id, one.labeler_id] for one in counts.answers], dtype=np.str_)
    found = []
    for name, count in tasks:
        mine = (by == name) & (others > 0)
        found.append(Chosen(name, count, int(mine.sum()), _agreement(total[mine] / others[mine], counts.item[mine], resamples)))
    return tuple(found)


def _agreement(shares: NDArray[np.float64], item: NDArray[np.int64], resamples: int) -> Estimate:
    if not len(shares):
        return Estimate(None, None, None, 0, NO_OVERLAP)
    return estimate_mean(shares.tolist(), n=resamples, groups=item)


def _set(store: Store, values: Mapping[int, float], by: int | None, **what: object) -> None:
    with store.write() as connection:
        rows = [{"number": number, "value": float(value)} for number, value in sorted(values.items())]
        if rows:
            connection.execute(update(item).where(item.c.id == bindparam("number")).values(priority=bindparam("value")), rows)
        store.log(connection, "priority", by, items=len(values), **what)
