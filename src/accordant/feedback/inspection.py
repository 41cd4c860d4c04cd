"""One item in full: its texts and who wrote them, everybody's answers with their revisions, skips with reasons, rulings.

For admins only: nothing of this may reach a labeler.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, select

from accordant.feedback.answers import prompt_of
from accordant.feedback.schema import (
    answer,
    assignment,
    completion,
    event,
    item,
    item_completion,
    labeler,
    model,
    project,
    prompt,
    ruling,
)
from accordant.feedback.store import Store
from accordant.types import PromptText, UserError


@dataclass(frozen=True)
class Written:
    """A completion, its author, and how that was asked."""

    id: int
    text: str
    model: str
    sampling: Mapping[str, Any]


@dataclass(frozen=True)
class Revision:
    number: int
    payload: Mapping[str, Any]
    ms_spent: int
    guidelines_version: int
    created: int


@dataclass(frozen=True)
class Work:
    """What became of the item with one labeler. `revisions`: the newest first. `skipped`: why, where it was."""

    labeler_id: int
    labeler: str
    kind: str
    state: str
    chosen_by: str
    display: tuple[int, ...]
    revisions: tuple[Revision, ...]
    skipped: str


@dataclass(frozen=True)
class Ruling:
    by: str
    payload: Mapping[str, Any]
    reason: str
    created: int


@dataclass(frozen=True)
class Item:
    """`work` by labeler, `rulings` the newest first."""

    id: int
    project_id: int
    project: str
    attributes: tuple[str, ...]
    task: str
    criterion: str
    prompt: PromptText
    kind: str
    use_case: str | None
    warning: str | None
    source: str
    priority: float
    gold: Mapping[str, Any] | None
    attention: bool  # of gold: an attention check
    halted: str | None
    row: Mapping[str, Any] | None
    created: int
    completions: tuple[Written, ...]
    work: tuple[Work, ...]
    rulings: tuple[Ruling, ...]


def one_item(store: Store, project_id: int, item_id: int) -> Item:
    """Raises UserError where this project has no such item."""
    query = (
        select(
            item, project.c.name, project.c.attributes, prompt.c.content, prompt.c.kind, prompt.c.use_case, prompt.c.warning,
            prompt.c.source,
        )
        .select_from(item.join(project).join(prompt, prompt.c.id == item.c.prompt_id))
        .where(item.c.id == item_id, item.c.project_id == project_id)
    )  # fmt: skip
    with store.read() as connection:
        row = connection.execute(query).one_or_none()
        if row is None:
            raise UserError(f"project {project_id} has no item {item_id}")
        return Item(
            row.id, project_id, row.name, tuple(row.attributes), row.task, row.criterion, prompt_of(row.content), row.kind,
            row.use_case, row.warning, row.source, row.priority, row.gold, row.attention, row.halted, row.row, row.created,
            _completions(connection, item_id), _work(connection, item_id), _rulings(connection, item_id),
        )  # fmt: skip


def neighbours(store: Store, project_id: int, item_id: int) -> tuple[int | None, int | None]:
    """The items before and after this one in the project."""
    mine = select(item.c.id).where(item.c.project_id == project_id)
    with store.read() as connection:
        before = connection.scalar(mine.where(item.c.id < item_id).order_by(item.c.id.desc()).limit(1))
        after = connection.scalar(mine.where(item.c.id > item_id).order_by(item.c.id).limit(1))
    return before, after


def _completions(connection: Connection, item_id: int) -> tuple[Written, ...]:
    query = (
        select(completion, model.c.name)
        .select_from(item_completion.join(completion, completion.c.id == item_completion.c.completion_id).join(model))
        .where(item_completion.c.item_id == item_id)
        .order_by(item_completion.c.place)
    )
    return tuple(Written(row.id, row.text, row.name, row.sampling) for row in connection.execute(query))


def _work(connection: Connection, item_id: int) -> tuple[Work, ...]:
    rows = connection.execute(
        select(assignment, labeler.c.name, labeler.c.kind)
        .select_from(assignment.join(labeler))
        .where(assignment.c.item_id == item_id)
        .order_by(labeler.c.id)
    ).all()
    said: defaultdict[int, list[Revision]] = defaultdict(list)
    for row in connection.execute(
        select(answer)
        .where(answer.c.assignment_id.in_([row.id for row in rows]))
        .order_by(answer.c.assignment_id, answer.c.revision.desc())
    ):
        said[row.assignment_id].append(Revision(row.revision, row.payload, row.ms_spent, row.guidelines_version, row.created))
    reasons = _reasons(connection, [row for row in rows if row.state == "skipped"])
    return tuple(
        Work(
            row.labeler_id, row.name, row.kind, row.state, row.chosen_by, tuple(row.display), tuple(said[row.id]),
            reasons.get(row.id, ""),
        )
        for row in rows
    )  # fmt: skip


def _reasons(connection: Connection, skipped: list[Row[Any]]) -> dict[int, str]:
    """Assignment -> why it was skipped. The log knows it; only what is younger than the assignments is looked through."""
    if not skipped:
        return {}
    query = select(event.c.what).where(
        event.c.kind == "skip", event.c.labeler_id.in_([row.labeler_id for row in skipped]),
        event.c.at >= min(row.created for row in skipped),
        event.c.what["assignment"].as_integer().in_([row.id for row in skipped]),
    )  # fmt: skip
    return {what["assignment"]: str(what["reason"]) for what in connection.scalars(query.order_by(event.c.id))}


def _rulings(connection: Connection, item_id: int) -> tuple[Ruling, ...]:
    query = (
        select(ruling, labeler.c.name)
        .select_from(ruling.join(labeler))
        .where(ruling.c.item_id == item_id)
        .order_by(ruling.c.id.desc())
    )
    return tuple(Ruling(row.name, row.payload, row.reason, row.created) for row in connection.execute(query))
