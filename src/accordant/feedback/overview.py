"""What an admin sees of the store: projects and how far they are, their items, people, the log.

Lists come in pages and are counted by the database, so that a project of thousands of items opens at once. Whose answers count
for progress is decided as in `answers`: those of people, in time, to items that are not gold.
Left out: one item in full (`inspection`), and how good the answers are (`quality`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from sqlalchemy import ColumnElement, Row, Select, Subquery, Text, and_, case, cast, func, or_, select

from accordant.feedback.answers import prompt_of
from accordant.feedback.schema import (
    answer,
    assignment,
    completion,
    event,
    guideline,
    invitation,
    item,
    item_completion,
    labeler,
    project,
    prompt,
)
from accordant.feedback.store import Store
from accordant.feedback.words import excerpt, last_turn
from accordant.types import UserError

DAY_MS = 86_400_000
STATES = ("open", "full", "halted", "gold", "attention")
"""Of an item, each in one: wants answers, has all it wants, is given to nobody, is hidden gold, or an attention check."""
SNIPPET = 160  # characters of a prompt in a list

T = TypeVar("T")


@dataclass(frozen=True)
class Page(Generic[T]):
    """Some rows of a longer list. `number` counts from 1 and is never beyond `last`."""

    rows: tuple[T, ...]
    total: int
    number: int
    last: int


@dataclass(frozen=True)
class Project:
    """A project's settings, and how far it is. Counts of answers are of people's, each item's up to the overlap."""

    id: int
    name: str
    created: int
    overlap: int
    lease_minutes: float
    gold_share: float
    order_by: str
    random_share: float
    attributes: tuple[str, ...]
    items: int
    open: int
    full: int
    halted: int
    gold: int
    attention: int
    wanted: int  # answers that the open and the full items want together
    given: int  # of those
    labelers: int  # people who have answered
    active: int  # of those, in the last 24 hours


@dataclass(frozen=True)
class Guidelines:
    version: int
    text: str
    created: int


@dataclass(frozen=True)
class Line:
    """An item in a list."""

    id: int
    task: str
    prompt: str  # its beginning
    state: str
    answers: int
    skips: int
    priority: float


@dataclass(frozen=True)
class Account:
    """An account and what it has done."""

    id: int
    name: str
    kind: str
    role: str
    active: bool
    strata: Mapping[str, str]
    created: int
    answers: int
    skips: int
    last: int | None  # when it answered last


@dataclass(frozen=True)
class Invitation:
    id: int
    role: str
    created: int
    expires: int


@dataclass(frozen=True)
class Event:
    """A line of the log. `who`: a name, an account's number where the account is gone, or empty for the program."""

    id: int
    at: int
    who: str
    kind: str
    what: Mapping[str, Any]


def projects(store: Store) -> list[Project]:
    """All projects, the newest first."""
    with store.read() as connection:
        return [_project(row) for row in connection.execute(_projects(store.now()).order_by(project.c.id.desc()))]


def one_project(store: Store, project_id: int) -> Project:
    """Raises UserError where there is none."""
    with store.read() as connection:
        row = connection.execute(_projects(store.now(), project_id)).one_or_none()
    if row is None:
        raise UserError(f"there is no project {project_id}")
    return _project(row)


def guidelines(store: Store, project_id: int) -> list[Guidelines]:
    """All versions, the newest first."""
    query = select(guideline).where(guideline.c.project_id == project_id).order_by(guideline.c.version.desc())
    with store.read() as connection:
        return [Guidelines(row.version, row.text, row.created) for row in connection.execute(query)]


def throughput(store: Store, project_id: int, days: int = 14) -> list[tuple[int, int]]:
    """(midnight UTC in ms, people's first answers) of each of the last days, today last."""
    today = store.now() // DAY_MS
    day = (answer.c.created // DAY_MS).label("day")
    query = (
        select(day, func.count().label("answers"))
        .select_from(answer.join(assignment).join(item).join(labeler, labeler.c.id == assignment.c.labeler_id))
        .where(
            item.c.project_id == project_id, answer.c.revision == 1, labeler.c.kind == "human",
            answer.c.created >= (today - days + 1) * DAY_MS,
        )
        .group_by(day)
    )  # fmt: skip
    with store.read() as connection:
        found = {row.day: row.answers for row in connection.execute(query)}
    return [(one * DAY_MS, found.get(one, 0)) for one in range(today - days + 1, today + 1)]


def items(
    store: Store, project_id: int, *, task: str = "", state: str = "", text: str = "", page: int = 1, size: int = 50
) -> Page[Line]:
    """The items of a project, in the order of their ids.

    Args:
        task, state: only these; empty: all.
        text: only those whose prompt or completions contain it, whatever the case.
        page: from 1; a number beyond the last gives the last.
    """
    taken = _answered(project_id)
    skips = (
        select(func.count())
        .where(assignment.c.item_id == item.c.id, assignment.c.state == "skipped")
        .correlate(item)
        .scalar_subquery()
    )
    answers = func.coalesce(taken.c.answers, 0)
    which = _state(answers)
    query = (
        select(
            item.c.id, item.c.task, prompt.c.content, which.label("state"), answers.label("answers"), skips.label("skips"),
            item.c.priority,
        )
        .select_from(
            item.join(project)
            .join(prompt, prompt.c.id == item.c.prompt_id)
            .outerjoin(taken, taken.c.item_id == item.c.id)
        )
        .where(item.c.project_id == project_id)
        .order_by(item.c.id)
    )  # fmt: skip
    if task:
        query = query.where(item.c.task == task)
    if state:
        query = query.where(which == state)
    if text.strip():
        query = query.where(_contains(text.strip()))
    with store.read() as connection:
        rows, total, number, last = _cut(connection, query, page, size)
    lines = (
        Line(
            row.id,
            row.task,
            excerpt(last_turn(prompt_of(row.content)), SNIPPET),
            row.state,
            row.answers,
            row.skips,
            row.priority,
        )
        for row in rows
    )
    return Page(tuple(lines), total, number, last)


def everybody(store: Store) -> list[Account]:
    """All accounts by name, people and AI labelers, with their activity in all projects."""
    done = (
        select(
            assignment.c.labeler_id,
            func.sum(case((assignment.c.state.in_(("submitted", "surplus")), 1), else_=0)).label("answers"),
            func.sum(case((assignment.c.state == "skipped", 1), else_=0)).label("skips"),
        )
        .group_by(assignment.c.labeler_id)
        .subquery()
    )
    last = (
        select(assignment.c.labeler_id, func.max(answer.c.created).label("last"))
        .select_from(answer.join(assignment))
        .group_by(assignment.c.labeler_id)
        .subquery()
    )
    query = (
        select(labeler, done.c.answers, done.c.skips, last.c.last)
        .select_from(
            labeler.outerjoin(done, done.c.labeler_id == labeler.c.id).outerjoin(last, last.c.labeler_id == labeler.c.id)
        )
        .order_by(func.lower(labeler.c.name))
    )
    with store.read() as connection:
        return [
            Account(
                row.id, row.name, row.kind, row.role, row.active, dict(row.strata), row.created, row.answers or 0,
                row.skips or 0, row.last,
            )
            for row in connection.execute(query)
        ]  # fmt: skip


def invitations(store: Store) -> list[Invitation]:
    """Those that could still be used, the newest first."""
    query = (
        select(invitation)
        .where(invitation.c.used_by.is_(None), invitation.c.expires >= store.now())
        .order_by(invitation.c.id.desc())
    )
    with store.read() as connection:
        return [Invitation(row.id, row.role, row.created, row.expires) for row in connection.execute(query)]


def log(store: Store, *, kind: str = "", page: int = 1, size: int = 100) -> Page[Event]:
    """The event log, the newest first; `kind`: only events of it."""
    query = (
        select(event, labeler.c.name)
        .select_from(event.outerjoin(labeler, labeler.c.id == event.c.labeler_id))
        .order_by(event.c.id.desc())
    )
    if kind:
        query = query.where(event.c.kind == kind)
    with store.read() as connection:
        rows, total, number, last = _cut(connection, query, page, size)
    events = (
        Event(row.id, row.at, row.name or (f"account {row.labeler_id}" if row.labeler_id else ""), row.kind, row.what)
        for row in rows
    )
    return Page(tuple(events), total, number, last)


def kinds_of_event(store: Store) -> list[str]:
    """What the log can be filtered by."""
    with store.read() as connection:
        return list(connection.scalars(select(event.c.kind).distinct().order_by(event.c.kind)))


def _cut(connection: Any, query: Select[Any], page: int, size: int) -> tuple[list[Row[Any]], int, int, int]:
    """The rows of a page, how many there are in all, the page's number, and the last page's."""
    total = int(connection.scalar(select(func.count()).select_from(query.order_by(None).subquery())))
    last = max(1, -(-total // size))
    number = min(max(1, page), last)
    return list(connection.execute(query.limit(size).offset((number - 1) * size))), total, number, last


def _answered(project_id: int | None) -> Subquery:
    """Item -> people's answers that count."""
    query = (
        select(assignment.c.item_id, func.count().label("answers"))
        .select_from(assignment.join(labeler))
        .where(assignment.c.state == "submitted", labeler.c.kind == "human")
        .group_by(assignment.c.item_id)
    )
    if project_id is not None:
        query = query.join(item, item.c.id == assignment.c.item_id).where(item.c.project_id == project_id)
    return query.subquery()


def _state(answers: ColumnElement[int]) -> ColumnElement[str]:
    """One of `STATES`; gold goes before halted, for it is what an admin looks for."""
    return case(
        (item.c.attention.is_(True), "attention"),
        (item.c.gold.is_not(None), "gold"),
        (item.c.halted.is_not(None), "halted"),
        (answers >= project.c.overlap, "full"),
        else_="open",
    )


def _projects(now: int, project_id: int | None = None) -> Select[Any]:
    taken = _answered(project_id)
    answers = func.coalesce(taken.c.answers, 0)
    state = _state(answers)

    def count(what: ColumnElement[bool], value: Any = 1) -> ColumnElement[int]:
        return func.coalesce(func.sum(case((what, value), else_=0)), 0)

    counted = and_(item.c.gold.is_(None), item.c.halted.is_(None))
    totals = (
        select(
            project.c.id,
            func.count(item.c.id).label("items"),
            *(count(and_(item.c.id.is_not(None), state == name)).label(name) for name in STATES),
            count(and_(item.c.id.is_not(None), counted), project.c.overlap).label("wanted"),
            count(counted, case((answers > project.c.overlap, project.c.overlap), else_=answers)).label("given"),
        )
        .select_from(
            project.outerjoin(item, item.c.project_id == project.c.id).outerjoin(taken, taken.c.item_id == item.c.id)
        )
        .group_by(project.c.id)
        .subquery()
    )  # fmt: skip
    latest = (
        select(item.c.project_id, assignment.c.labeler_id, func.max(answer.c.created).label("last"))
        .select_from(answer.join(assignment).join(item).join(labeler, labeler.c.id == assignment.c.labeler_id))
        .where(labeler.c.kind == "human")
        .group_by(item.c.project_id, assignment.c.labeler_id)
    )
    if project_id is not None:
        latest = latest.where(item.c.project_id == project_id)
    seen = latest.subquery()
    workers = (
        select(seen.c.project_id, func.count().label("labelers"), count(seen.c.last > now - DAY_MS).label("active"))
        .group_by(seen.c.project_id)
        .subquery()
    )
    query = select(
        project, *(totals.c[name] for name in ("items", *STATES, "wanted", "given")), workers.c.labelers, workers.c.active
    ).select_from(project.join(totals, totals.c.id == project.c.id).outerjoin(workers, workers.c.project_id == project.c.id))
    return query if project_id is None else query.where(project.c.id == project_id)


def _project(row: Row[Any]) -> Project:
    return Project(
        row.id, row.name, row.created, row.overlap, row.lease_ms / 60_000, row.gold_share, row.order_by, row.random_share,
        tuple(row.attributes), row.items, int(row.open), int(row.full), int(row.halted), int(row.gold), int(row.attention),
        int(row.wanted), int(row.given), row.labelers or 0, int(row.active or 0),
    )  # fmt: skip


def _contains(text: str) -> ColumnElement[bool]:
    """Prompts are stored as JSON, so the text is looked for as JSON writes it."""
    escaped = json.dumps(text)[1:-1].lower()
    within = (
        select(completion.c.id)
        .select_from(completion.join(item_completion, item_completion.c.completion_id == completion.c.id))
        .where(item_completion.c.item_id == item.c.id, func.lower(completion.c.text).contains(text.lower(), autoescape=True))
        .correlate(item)
    )
    return or_(func.lower(cast(prompt.c.content, Text)).contains(escaped, autoescape=True), within.exists())
