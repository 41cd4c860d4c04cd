"""Items on which people disagree, and the word of an admin on them, which is the last one.

Rulings are only ever added: of several on one item the latest counts, and all are kept with who made them and why.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import combinations
from statistics import fmean
from typing import Any

from sqlalchemy import Select, func, insert, select

from accordant.feedback import payload as payloads
from accordant.feedback.answers import Said, completions_of, prompt_of, said
from accordant.feedback.consensus import ADJUDICATED
from accordant.feedback.schema import item, item_completion, labeler, project, prompt, ruling
from accordant.feedback.store import Store
from accordant.feedback.votes import by_item, distance
from accordant.types import UserError

LONGEST_REASON = 1000


@dataclass(frozen=True)
class Dispute:
    """An item that waits for a ruling."""

    item_id: int
    task: str
    disagreement: float | None  # 0 to 1; None: nothing can be compared, it is here because it was halted
    halted: str | None  # why nobody gets it any more
    answers: tuple[Said, ...]


def disagreement(answers: Iterable[Said]) -> dict[int, float]:
    """How far the answers to each item are apart, 0 (all equal) to 1 (two opposite ones): the mean `distance` of every two.

    Items with fewer than two answers that can be compared are absent.
    """
    found = {}
    for number, item_answers in by_item(answers).items():
        apart = [far for one, other in combinations(item_answers, 2) if (far := distance(one, other)) is not None]
        if apart:
            found[number] = fmean(apart)
    return found


def queue(store: Store, project_id: int, least: float = 0.3, limit: int = 50) -> list[Dispute]:
    """Items without a ruling on which people are at least `least` apart, or that were halted; the most disputed first.

    A halted item with nothing to compare comes first of all, for only a ruling brings it further. Gold items are not here.
    """
    by_number = by_item(said(store, project_id))
    apart, ruled = disagreement(one for answers in by_number.values() for one in answers), rulings(store, project_id)
    with store.read() as connection:
        open_items = connection.execute(
            select(item.c.id, item.c.task, item.c.halted)
            .where(item.c.project_id == project_id, item.c.gold.is_(None))
            .order_by(item.c.id)
        ).all()
    found = [
        Dispute(row.id, row.task, apart.get(row.id), row.halted, tuple(by_number.get(row.id, ())))
        for row in open_items
        if row.id not in ruled and (row.halted is not None or apart.get(row.id, -1.0) >= least)
    ]
    return sorted(found, key=lambda one: (one.disagreement is not None, -(one.disagreement or 0.0), one.item_id))[:limit]


def rule(store: Store, item_id: int, by: int, payload: Mapping[str, Any], reason: str) -> int:
    """The last word on an item, in the form of an answer to it; returns the ruling's id.

    Raises:
        UserError: who rules is no active admin; the item does not exist or is gold; the payload is incomplete; there is no
            reason, or it is too long.
    """
    reason = reason.strip()
    if not 1 <= len(reason) <= LONGEST_REASON:
        raise UserError(f"the reason has {len(reason):,} characters; say in 1 to {LONGEST_REASON:,} why it is so")
    with store.write() as connection:
        admin = connection.scalar(
            select(labeler.c.id).where(labeler.c.id == by, labeler.c.role == "admin", labeler.c.active.is_(True))
        )
        if admin is None:
            raise UserError("only an admin of this store may rule on an item")
        row = connection.execute(select(item, project.c.attributes).join(project).where(item.c.id == item_id)).one_or_none()
        if row is None:
            raise UserError(f"there is no item {item_id}")
        if row.gold is not None:
            raise UserError(f"item {item_id} is gold: its answer is known, change that instead")
        ids = list(connection.scalars(select(item_completion.c.completion_id).where(item_completion.c.item_id == item_id)))
        kept = payloads.check(row.task, payload, ids, row.attributes)
        values = {"item_id": item_id, "labeler_id": by, "payload": kept, "reason": reason, "created": store.now()}
        (number,) = connection.execute(insert(ruling).values(**values)).inserted_primary_key or (0,)
        store.log(connection, "rule", by, item=item_id, ruling=number, reason=reason)
        return int(number)


def rulings(store: Store, project_id: int) -> dict[int, dict[str, Any]]:
    """The payload that counts of every item that was ruled on: of its latest ruling."""
    with store.read() as connection:
        return {row.item_id: dict(row.payload) for row in connection.execute(_latest(project_id))}


def ruled(store: Store, project_id: int) -> list[Said]:
    """The same as answers, by item, so that an item that nobody answered gives a row too; the labeler is `ADJUDICATED`."""
    with store.read() as connection:
        texts = completions_of(connection, project_id)
        return [
            Said(
                item_id=row.item_id, prompt_id=row.prompt_id, task=row.task, prompt=prompt_of(row.content),
                completions=texts[row.item_id], payload=row.payload, labeler_id=row.labeler_id, labeler=ADJUDICATED,
                kind="human", strata={}, display=tuple(one.id for one in texts[row.item_id]), ms_spent=0, revision=1,
                surplus=False, gold=row.gold, attention=row.attention, row=row.row,
            )
            for row in connection.execute(_latest(project_id))
        ]  # fmt: skip


def _latest(project_id: int) -> Select[Any]:
    """The last ruling on each item of a project, with the item and its prompt."""
    last = select(func.max(ruling.c.id)).group_by(ruling.c.item_id)
    return (
        select(
            ruling.c.item_id, ruling.c.labeler_id, ruling.c.payload, item.c.prompt_id, item.c.task, item.c.gold,
            item.c.attention, item.c.row, prompt.c.content,
        )
        .select_from(ruling.join(item, item.c.id == ruling.c.item_id).join(prompt, prompt.c.id == item.c.prompt_id))
        .where(item.c.project_id == project_id, ruling.c.id.in_(last))
        .order_by(item.c.id)
    )  # fmt: skip
