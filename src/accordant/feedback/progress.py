"""What the labeling page shows: a task with its texts, a labeler's own answers, and how far the work has come.

Everything here is one person's own: a task that was handed to somebody else does not exist for this person. What must not be
known leaves with nothing (`apps.studio.blind` makes the page's form of it): hidden gold is counted like any other item, in what
is left too, since a count that stood still after an answer would give it away.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from sqlalchemy import Connection, Integer, Row, Select, bindparam, case, func, select

from accordant.feedback.answers import prompt_of
from accordant.feedback.assignment import IS_OWN, found
from accordant.feedback.choosing import is_declined, open_to, was_given
from accordant.feedback.people import Person
from accordant.feedback.places import places
from accordant.feedback.schema import answer, assignment, completion, draft, guideline, item, labeler, project, prompt
from accordant.feedback.store import Store
from accordant.feedback.words import excerpt, last_turn, words
from accordant.stats.flags import too_often
from accordant.types import PromptText, UserError

_DONE = ("submitted", "surplus")
_LAST = 20  # answers whose median time tells how long the rest will take
_RECENT = 500  # answers that a tie rate is counted over
_COMPARED = 20  # comparisons below which a tie rate says nothing
_LAST_ID = 2**31 - 1  # no answer comes after it
_MANY = 0.3  # of the comparisons: fewer ties are nobody's business


@dataclass(frozen=True)
class ProjectCard:
    """A project on the front page."""

    id: int
    name: str
    left: int
    done: int


@dataclass(frozen=True, kw_only=True)
class TaskHead:
    """What a task of one's own is, in short. `display`: completion ids in this labeler's order."""

    project_id: int
    task: str
    warning: str | None
    display: tuple[int, ...]
    row: Mapping[str, Any] | None  # of `vet`
    lease_ms: int  # what is left of the lease; 0 or less: it ran out


@dataclass(frozen=True, kw_only=True)
class TaskView(TaskHead):
    """The whole of it. `texts`: the completions, in the order of `display`."""

    assignment_id: int
    project: str
    criterion: str
    use_case: str | None
    prompt: PromptText
    texts: tuple[str, ...]
    attributes: tuple[str, ...]
    state: str
    draft: Mapping[str, Any] | None
    answer: Mapping[str, Any] | None  # the last revision
    revision: int


@dataclass(frozen=True)
class Answered:
    """One of a labeler's own answers, in words."""

    assignment_id: int
    task: str
    prompt: str
    said: str
    revision: int
    at: int
    surplus: bool


@dataclass(frozen=True)
class Guidelines:
    """A version of a project's guidelines, and the number of the newest."""

    project_id: int
    project: str
    version: int
    newest: int
    text: str
    created: int


@dataclass(frozen=True)
class Progress:
    """How far a labeler has come. `seconds`: the median of the last answers; None before the first."""

    done: int
    left: int
    seconds: float | None
    minutes_left: int | None  # at that pace, 1 or more; None where nothing is left or nothing is known
    hint: str  # about ties; empty where there is nothing to say


def projects_for(store: Store, person: Person) -> tuple[ProjectCard, ...]:
    """All projects by name, with what is left for this person and what this person has done."""
    with store.read() as connection:
        plans = connection.execute(select(project.c.id, project.c.name).order_by(project.c.name)).all()
        return tuple(ProjectCard(plan.id, plan.name, *_left_done(connection, plan.id, person, store.now())) for plan in plans)


def task(store: Store, assignment_id: int, labeler_id: int) -> TaskView:
    """A task that was handed to this labeler.

    Raises:
        UserError: it is somebody else's, or there is none.
    """
    with store.read() as connection:
        row = found(connection.execute(_TASK, {"number": assignment_id, "labeler": labeler_id}).one_or_none(), assignment_id)
        texts = {one.id: one.text for one in connection.execute(_TEXTS, {"shown": row.display})}
    return TaskView(
        **_head(store, row), assignment_id=row.id, project=row.name, criterion=row.criterion, use_case=row.use_case,
        prompt=prompt_of(row.content), texts=tuple(texts[one] for one in row.display), attributes=tuple(row.attributes),
        state=row.state, draft=row.draft, answer=row.answer, revision=row.revision or 0,
    )  # fmt: skip


def task_head(store: Store, assignment_id: int, labeler_id: int) -> TaskHead:
    """The same without its texts and what was said of it: most requests about a task need no more.

    Raises:
        UserError: it is somebody else's, or there is none.
    """
    with store.glance() as connection:
        row = connection.execute(_TASK_HEAD, {"number": assignment_id, "labeler": labeler_id}).one_or_none()
    return TaskHead(**_head(store, found(row, assignment_id)))


def _head(store: Store, row: Row[Any]) -> dict[str, Any]:
    """The fields of `TaskHead`."""
    return {
        "project_id": row.project_id, "task": row.task, "warning": row.warning, "display": tuple(row.display), "row": row.row,
        "lease_ms": row.leased_until - store.now() if row.state == "leased" else 0,
    }  # fmt: skip


def _tasks_of(*columns: Any) -> Select[Any]:
    """The assignment `number` of the person `labeler`, with columns of its item, its prompt and its project."""
    return (
        select(assignment, item.c.task, item.c.row, prompt.c.warning, project.c.id.label("project_id"), *columns)
        .select_from(assignment.join(item).join(prompt, prompt.c.id == item.c.prompt_id)
            .join(project, project.c.id == item.c.project_id))
        .where(*IS_OWN)
    )  # fmt: skip


_TASK_HEAD = _tasks_of()
_TASK = (
    _tasks_of(
        item.c.criterion, prompt.c.content, prompt.c.use_case, project.c.name, project.c.attributes,
        draft.c.payload.label("draft"), answer.c.payload.label("answer"), answer.c.revision,
    )
    .outerjoin(draft, draft.c.assignment_id == assignment.c.id).outerjoin(answer, answer.c.assignment_id == assignment.c.id)
    .order_by(answer.c.revision.desc()).limit(1)
)  # fmt: skip
_TEXTS = select(completion.c.id, completion.c.text).where(completion.c.id.in_(bindparam("shown", expanding=True)))


def history(store: Store, project_id: int, labeler_id: int, *, limit: int = 50, offset: int = 0) -> tuple[Answered, ...]:
    """A labeler's own answers to a project, the newest first, as they stand after their last revision."""
    query = (
        select(answer, assignment.c.display, assignment.c.state, item.c.task, prompt.c.content)
        .select_from(answer.join(assignment).join(item).join(prompt, prompt.c.id == item.c.prompt_id))
        .where(_newest(), *_own())
        .order_by(answer.c.id.desc()).limit(limit).offset(offset)
    )  # fmt: skip
    with store.read() as connection:
        return tuple(
            Answered(
                row.assignment_id, row.task, excerpt(last_turn(prompt_of(row.content))),
                words(row.task, row.payload, row.display), row.revision, row.created, row.state == "surplus",
            )
            for row in connection.execute(query, {"project": project_id, "labeler": labeler_id})
        )  # fmt: skip


def neighbours(store: Store, project_id: int, labeler_id: int, assignment_id: int) -> tuple[int | None, int | None]:
    """The own answers before and after this one, by when they were first given; a task without an answer comes after all."""
    with store.glance() as connection:
        values = {"project": project_id, "labeler": labeler_id, "number": assignment_id}
        before, after = connection.execute(_NEIGHBOURS, values).one()
        return before, after


def progress(store: Store, project_id: int, person: Person) -> Progress:
    """How far this person has come in a project, and how long the rest may take at the pace of the last answers."""
    with store.read() as connection:
        left, done = _left_done(connection, project_id, person, store.now())
        spent = list(connection.scalars(_TIMES, {"project": project_id, "labeler": person.id}))
        seconds = statistics.median(spent) / 1000 if spent else None
        minutes = max(1, math.ceil(seconds * left / 60)) if seconds is not None and left else None
        return Progress(done, left, seconds, minutes, _about_ties(connection, project_id, person.id))


def why_nothing(store: Store, project_id: int, person: Person) -> tuple[str, ...]:
    """Why `assignment.next_task` has nothing for this person, as sentences."""
    with store.read() as connection:
        if connection.scalar(select(item.c.id).where(item.c.project_id == project_id).limit(1)) is None:
            return ("There are no tasks in this project yet.",)
        reasons = []
        values = {"project": project_id, "labeler": person.id, "declines": list(person.declines)}
        turned_off = select(func.count()).select_from(open_to(person.kind, gold=False, spared=True).subquery())
        declined = connection.scalar(turned_off, values) or 0
        if declined:
            reasons.append(
                f"{declined:,} open {_tasks(declined)} of a kind that you turned off; your own page can change that."
            )
        taken = connection.scalar(_with_others(), values) or 0
        if taken:
            reasons.append(f"{taken:,} {_tasks(taken)} with others right now, and may come free: look again in a while.")
        return tuple(reasons) or ("You have done everything that there is for you. Thank you.",)


def guidelines(store: Store, project_id: int, version: int | None = None) -> Guidelines:
    """A version of a project's guidelines, the newest where none is named.

    Raises:
        UserError: there is no such project or version.
    """
    with store.glance() as connection:
        row = connection.execute(_GUIDELINES, {"project": project_id, "wanted": version}).one_or_none()
    if row is None:
        raise UserError(f"there is no project {project_id}")
    if row.version is None:
        raise UserError(f"these guidelines have no version {version}; the newest is {row.newest}")
    return Guidelines(project_id, row.name, row.version, row.newest, row.text, row.created)


# --- counting --------------------------------------------------------------------------------------------------------


def _left_done(connection: Connection, project_id: int, person: Person, now: int) -> tuple[int, int]:
    """How much may still come, the open task included, and how much is answered."""
    values = {"project": project_id, "labeler": person.id, "declines": list(person.declines), "now": now}
    row = connection.execute(_counts(person.kind, bool(person.declines)), values).one_or_none()
    if row is None:
        raise UserError(f"there is no project {project_id}")
    # Hidden gold comes only between other items, so alone it is nothing.
    return row.held + row.fresh + (row.gold if row.fresh else 0), row.done


@cache
def _counts(kind: str, declines: bool) -> Select[Any]:
    """Of a project: the leases that this person holds, the items and the gold that may come, and the answered ones."""

    def count(query: Select[Any]) -> Any:
        return select(func.count()).select_from(query.subquery()).scalar_subquery()

    spared = False if declines else None
    held = (
        select(assignment.c.id).select_from(assignment.join(item)).where(
            assignment.c.labeler_id == bindparam("labeler"), item.c.project_id == bindparam("project"),
            item.c.halted.is_(None), assignment.c.state == "leased", assignment.c.leased_until >= bindparam("now"),
        )
    )  # fmt: skip
    gold = case((project.c.gold_share > 0, count(open_to(kind, gold=True, spared=spared))), else_=0)
    return select(
        count(held).label("held"), count(open_to(kind, gold=False, spared=spared)).label("fresh"), gold.label("gold"),
        count(select(assignment.c.id).select_from(assignment.join(item)).where(*_own())).label("done"),
    ).where(project.c.id == bindparam("project"))  # fmt: skip


def _own() -> tuple[Any, ...]:
    """Of assignments and their items: answered by the person `labeler`, in the project `project`."""
    answered = assignment.c.state.in_(_DONE)
    return assignment.c.labeler_id == bindparam("labeler"), answered, item.c.project_id == bindparam("project")


def _with_others() -> Select[Any]:
    """How many items lack answers, and their last places others hold by a lease; none that the person `declines`."""
    return (
        select(func.count()).select_from(item.join(project).join(prompt, prompt.c.id == item.c.prompt_id)).where(
            project.c.id == bindparam("project"), item.c.halted.is_(None), item.c.gold.is_(None), ~was_given(),
            ~is_declined(), places("submitted") < project.c.overlap, places("submitted", "leased") >= project.c.overlap,
        )
    )  # fmt: skip


def _tasks(n: int) -> str:
    return "task is" if n == 1 else "tasks are"


def _newest() -> Any:
    """Answers that no later revision of the same task follows."""
    later = answer.alias("later")
    return ~select(later.c.id).where(
        later.c.assignment_id == answer.c.assignment_id, later.c.revision > answer.c.revision
    ).exists()  # fmt: skip


# --- statements ------------------------------------------------------------------------------------------------------


def _neighbours() -> Select[Any]:
    first = select(answer.c.assignment_id, answer.c.id).select_from(answer.join(assignment).join(item)).where(
        answer.c.revision == 1, *_own()
    ).subquery()  # fmt: skip
    here = select(answer.c.id).where(answer.c.assignment_id == bindparam("number"), answer.c.revision == 1).scalar_subquery()
    before = (
        select(first.c.assignment_id).where(first.c.id < func.coalesce(here, _LAST_ID)).order_by(first.c.id.desc()).limit(1)
    )
    after = select(first.c.assignment_id).where(first.c.id > here).order_by(first.c.id).limit(1)
    return select(before.scalar_subquery(), after.scalar_subquery())


def _guidelines() -> Select[Any]:
    newest = (
        select(func.max(guideline.c.version)).where(guideline.c.project_id == project.c.id).correlate(project).scalar_subquery()
    )
    wanted = (guideline.c.project_id == project.c.id) & (
        guideline.c.version == func.coalesce(bindparam("wanted", type_=Integer), newest)
    )
    return (
        select(project.c.name, newest.label("newest"), guideline.c.version, guideline.c.text, guideline.c.created)
        .select_from(project.outerjoin(guideline, wanted))
        .where(project.c.id == bindparam("project"))
    )


_NEIGHBOURS = _neighbours()
_GUIDELINES = _guidelines()
_TIMES = (
    select(answer.c.ms_spent).select_from(answer.join(assignment).join(item)).where(answer.c.revision == 1, *_own())
    .order_by(answer.c.id.desc()).limit(_LAST)
)  # fmt: skip


# --- ties ------------------------------------------------------------------------------------------------------------


def _about_ties(connection: Connection, project_id: int, labeler_id: int) -> str:
    """A word to somebody who finds far more ties than the other people do; a small excess is left alone."""
    in_project = (item.c.project_id == project_id, assignment.c.state.in_(_DONE), item.c.task.in_(("rank", "pair")))
    mine, n = _ties(connection, *in_project, assignment.c.labeler_id == labeler_id)
    if n < _COMPARED or mine < _MANY * n:
        return ""
    theirs, rest = _ties(connection, *in_project, assignment.c.labeler_id != labeler_id)
    usual = (theirs + 1) / (rest + 2)
    far = max(_MANY, 2 * usual)
    if rest < _COMPARED or far > 1 or not too_often(mine, n, usual, at_least=far).raised:
        return ""
    return (
        f"{mine / n:.0%} of your comparisons are ties; the other labelers tie {theirs / rest:.0%} of theirs. Ties are welcome "
        "where two answers are equally good; look for a small difference first."
    )


def _ties(connection: Connection, *where: Any) -> tuple[int, int]:
    """Ties and comparisons in the newest answers of people."""
    people = answer.join(assignment).join(item).join(labeler, labeler.c.id == assignment.c.labeler_id)
    query = select(answer.c.payload).select_from(people).where(_newest(), labeler.c.kind == "human", *where)
    recent = connection.scalars(query.order_by(answer.c.id.desc()).limit(_RECENT))
    counts = [_ties_of(payload) for payload in recent]
    return sum(ties for ties, _ in counts), sum(pairs for _, pairs in counts)


def _ties_of(payload: Mapping[str, Any]) -> tuple[int, int]:
    """Ties and comparisons of one answer; what was rejected or could not be judged was not compared."""
    if "groups" in payload:
        sizes = [len(group) for group in payload["groups"]]
        return sum(math.comb(size, 2) for size in sizes), math.comb(sum(sizes), 2)
    return int("tie" in payload), int("tie" in payload or "better" in payload)
