"""The places of an item: how many are taken, and who gets one that comes free.

An item has as many places as its project's overlap. Answers in time and leases take one each, those of people alone: a model
may answer an item that is full. An answer that found no place is surplus. When one comes free again, because a lease ends or an
answer is deleted, the surplus answer that was given first takes it, in the transaction in which that happens. Left out: gold
items, which are for everybody.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sqlalchemy import Connection, func, select, update

from accordant.feedback.schema import answer, assignment, item, labeler, project
from accordant.feedback.store import Store

TAKEN = ("leased", "submitted")
OF_PEOPLE = assignment.c.labeler_id.not_in(select(labeler.c.id).where(labeler.c.kind == "ai"))


def places(*states: str) -> Any:
    """How many places of an item people have taken, for queries of `item`.

    By default those of answers and of leases (the ones that ran out have been marked before).
    """
    taken = assignment.c.item_id == item.c.id, assignment.c.state.in_(states or TAKEN), OF_PEOPLE
    return select(func.count()).select_from(assignment).where(*taken).correlate(item).scalar_subquery()


def lock(connection: Connection, items: Iterable[int], *, wait: bool = True) -> list[int]:
    """Nobody else hands these items out, or counts their places, until the transaction ends; on SQLite nobody does anyway.

    Returns those that are held: without `wait`, not the ones that somebody else holds. The order is the same for everybody.
    A row that names an item (a ruling) may be added meanwhile, so that nobody waits here who holds what such a row needs.
    """
    query = select(item.c.id).where(item.c.id.in_(sorted(set(items)))).order_by(item.c.id)
    return list(connection.scalars(query.with_for_update(of=item, skip_locked=not wait, key_share=True)))


def held_by(connection: Connection, labeler_id: int) -> list[int]:
    """The items on which this labeler has a place that a surplus answer waits for."""
    waiting = assignment.alias("waiting")
    return list(connection.scalars(
        select(assignment.c.item_id)
        .join(waiting, (waiting.c.item_id == assignment.c.item_id) & (waiting.c.state == "surplus"))
        .where(assignment.c.labeler_id == labeler_id, assignment.c.state.in_(TAKEN))
        .distinct()
    ))  # fmt: skip


def waited_for(connection: Connection, project_id: int) -> list[int]:
    """The items of a project that have surplus answers."""
    query = select(item.c.id).join(assignment, assignment.c.item_id == item.c.id)
    return list(connection.scalars(query.where(item.c.project_id == project_id, assignment.c.state == "surplus").distinct()))


def fill(store: Store, connection: Connection, item_id: int) -> list[int]:
    """Give the free places of an item to its surplus answers, the first given first; the assignments that got one.

    The item is locked (`lock`).
    """
    waiting = assignment.c.item_id == item_id, assignment.c.state == "surplus"  # a model's answer never is
    first = (
        select(func.min(answer.c.id)).where(answer.c.assignment_id == assignment.c.id).correlate(assignment).scalar_subquery()
    )
    surplus = list(connection.scalars(select(assignment.c.id).where(*waiting).order_by(first)))
    if not surplus:
        return []
    free = select(project.c.overlap - places()).select_from(item.join(project)).where(item.c.id == item_id)
    lucky = surplus[: max(connection.scalar(free) or 0, 0)]
    for number in lucky:
        connection.execute(update(assignment).where(assignment.c.id == number).values(state="submitted"))
        store.log(connection, "counts", None, assignment=number, item=item_id, why="a place came free")
    return lucky
