"""Who gets what next, and what becomes of the answer.

An item wants `overlap` answers. A labeler who asks gets a lease on one, in an order of answers that is this labeler's own. A
lease that runs out frees its place; leases count, so nobody is handed an item that is full. An answer that comes when its place
has been given away is kept, marked surplus, until a place comes free (`places`). One person never gets an item twice. AI
labelers take nobody's place: the overlap counts people, and a model may answer an item that is full.

On PostgreSQL the item's row is locked first and its answers are counted in a second statement, which sees what others have
committed meanwhile (READ COMMITTED); on SQLite the whole write is alone (`store`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, and_, func, insert, or_, select, update

from accordant.feedback import payload as payloads
from accordant.feedback.people import Person
from accordant.feedback.places import OF_PEOPLE, fill, lock, places
from accordant.feedback.schema import answer, assignment, draft, guideline, item, item_completion, labeler, project, prompt
from accordant.feedback.store import Store
from accordant.types import UserError

SKIPS_HALT = 5
"""An item that this many people have skipped says something about itself, not about them."""
_PROBES = 16  # drawn items that are looked at before all are
_TRIES = 20  # items that others may fill between being looked at and being locked


@dataclass(frozen=True)
class Task:
    """What a labeler is handed: ids only; texts are looked up by the page. `display` is this labeler's own order."""

    assignment_id: int
    item_id: int
    display: tuple[int, ...]
    leased_until: int


def next_task(store: Store, project_id: int, labeler_id: int) -> Task | None:
    """The labeler's open task, or a new one; None when nothing is left for this person.

    Raises:
        UserError: there is no such project, or the labeler may not work.
    """
    _expire(store)
    with store.write() as connection:
        plan = _project(connection, project_id)
        person = connection.execute(select(labeler).where(labeler.c.id == labeler_id)).one_or_none()
        if person is None or not person.active:
            raise UserError("this account is not active: ask an admin of the project")
        held = _held(connection, plan, person, store.now())
        if held is not None:
            return held
        passed: set[int] = set()
        for _ in range(_TRIES):
            found = _choose(connection, plan, person, passed)
            if found is None:
                return None
            chosen, why = found
            if _room(connection, chosen, plan.overlap, person.kind):
                return _lease(store, connection, plan, person, chosen, why)
            passed.add(chosen.id)
        return None


def submit(
    store: Store, assignment_id: int, labeler_id: int, payload: Mapping[str, Any], client_uuid: str, ms_spent: int
) -> int:
    """Store an answer, or a revision of it, and return the revision's number. Sent twice with one uuid it is stored once.

    Raises:
        UserError: the task is another person's, the answer is incomplete, or the uuid belongs to another answer, which may be
            an earlier one to this task that arrived although the page did not hear of it.
    """
    _expire(store)
    with store.write() as connection:
        row = _own(connection, assignment_id, labeler_id, held=True)
        thing = connection.execute(_about(row)).one()
        kept = payloads.check(thing.task, payload, row.display, thing.attributes)
        before = connection.execute(select(answer).where(answer.c.client_uuid == client_uuid)).one_or_none()
        if before is not None:
            if before.assignment_id != assignment_id or before.payload != kept:
                raise UserError(f"the submission id {client_uuid} was used for another answer: reload the page")
            return int(before.revision)
        state = _state_after(connection, row, thing)
        last, version = thing.last or 0, thing.version or 0
        connection.execute(insert(answer).values(
            assignment_id=assignment_id, revision=last + 1, payload=kept, ms_spent=max(0, int(ms_spent)),
            client_uuid=client_uuid, guidelines_version=version, created=store.now(),
        ))  # fmt: skip
        connection.execute(update(assignment).where(assignment.c.id == assignment_id).values(state=state))
        connection.execute(draft.delete().where(draft.c.assignment_id == assignment_id))
        kind = "submit" if last == 0 else "revise"
        store.log(connection, kind, labeler_id, assignment=assignment_id, item=thing.id, revision=last + 1, state=state)
        if state == "surplus":  # a place may have come free since it became so
            fill(store, connection, thing.id)
        return int(last) + 1


def _about(row: Row[Any]) -> Any:
    """The query for an assignment's item: what its project says of it, and the last revision and guidelines so far."""
    last = select(func.max(answer.c.revision)).where(answer.c.assignment_id == row.id).scalar_subquery()
    version = select(func.max(guideline.c.version)).where(guideline.c.project_id == item.c.project_id).scalar_subquery()
    kind = select(labeler.c.kind).where(labeler.c.id == row.labeler_id).scalar_subquery()
    columns = (project.c.attributes, project.c.overlap, last.label("last"), version.label("version"), kind.label("kind"))
    return select(item, *columns).join(project).where(item.c.id == row.item_id)


def skip(store: Store, assignment_id: int, labeler_id: int, reason: str) -> None:
    """Give an item back, with the reason; many skips halt it.

    Raises:
        UserError: the task is another person's or already answered, or no reason is given.
    """
    if not reason.strip():
        raise UserError("say in a word why the task is skipped")
    with store.write() as connection:
        row = _own(connection, assignment_id, labeler_id, held=True)
        if row.state in ("submitted", "surplus"):
            raise UserError("this task is already answered: revise the answer instead of skipping it")
        connection.execute(update(assignment).where(assignment.c.id == assignment_id).values(state="skipped"))
        store.log(connection, "skip", labeler_id, assignment=assignment_id, item=row.item_id, reason=reason.strip())
        fill(store, connection, row.item_id)
        skipped = connection.scalar(
            select(func.count()).where(assignment.c.item_id == row.item_id, assignment.c.state == "skipped", OF_PEOPLE)
        )
        if skipped and skipped % SKIPS_HALT == 0 and row.state != "skipped":  # an item that was reopened has as many more
            why = f"skipped by {skipped} people"
            halted = update(item).where(item.c.id == row.item_id, item.c.halted.is_(None)).values(halted=why)
            if connection.execute(halted).rowcount:
                store.log(connection, "halt", None, item=row.item_id, why=why)


def save_draft(store: Store, assignment_id: int, labeler_id: int, payload: Mapping[str, Any], revision: int = 0) -> bool:
    """Keep what is on the page so far, as it is, and say whether it was; a lease begins anew, for somebody is working.

    `revision`: the one that the page showed, 0 before the first. A draft that comes when the answer has gone on is not kept,
    nor is one of a task that was skipped.
    """
    with store.write() as connection:
        row = _own(connection, assignment_id, labeler_id, held=True)
        last = connection.scalar(select(func.max(answer.c.revision)).where(answer.c.assignment_id == assignment_id)) or 0
        if row.state == "skipped" or revision != last:
            return False
        where = draft.c.assignment_id == assignment_id
        values = {"payload": dict(payload), "saved": store.now()}
        if connection.execute(update(draft).where(where).values(**values)).rowcount == 0:
            connection.execute(insert(draft).values(assignment_id=assignment_id, **values))
        if row.state == "leased":
            thing = connection.execute(select(item).where(item.c.id == row.item_id)).one()
            until = store.now() + _project(connection, thing.project_id).lease_ms
            connection.execute(update(assignment).where(assignment.c.id == assignment_id).values(leased_until=until))
        return True


# --- choosing --------------------------------------------------------------------------------------------------------


def _choose(connection: Connection, plan: Row[Any], person: Row[Any], passed: set[int]) -> tuple[Row[Any], str] | None:
    """An open item with room that this person has not had, and by which rule it was chosen."""
    done, low, high = connection.execute(_so_far(plan.id, person.id)).one()
    if low is None:
        return None
    order = plan.order_by
    if order != "random" and _chance(plan.seed, "order", person.id, done) < plan.random_share:
        order = "random"
    wants_gold = _chance(plan.seed, "gold", person.id, done) < plan.gold_share
    for gold in (True, False) if wants_gold else (False, True):
        # Gold beyond its share is given only where nothing else is left, and then not at all: it would teach nobody.
        if gold and not wants_gold:
            break
        found = _first(connection, plan, person, order, gold, passed, done, range(low, high + 1))
        if found is not None:
            return found, order if not gold else "attention" if found.attention else "gold"
    return None


def _so_far(project_id: int, labeler_id: int) -> Any:
    """The query for how many items of a project this labeler was given, and for the least and the greatest id of its items."""
    given = select(func.count()).select_from(assignment.join(item)).where(
        assignment.c.labeler_id == labeler_id, item.c.project_id == project_id
    )  # fmt: skip
    return select(given.scalar_subquery(), func.min(item.c.id), func.max(item.c.id)).where(item.c.project_id == project_id)


def _first(
    connection: Connection, plan: Row[Any], person: Row[Any], order: str, gold: bool, passed: set[int], done: int, ids: range
) -> Row[Any] | None:
    query = open_to(plan, person, gold=gold).where(item.c.id.not_in(passed))
    if order == "random" or gold:
        probed = _probed(connection, plan, person, query, done, ids)
        if probed is not None:
            return probed
        left = connection.scalars(query.with_only_columns(item.c.id).order_by(item.c.id)).all()
        if not left:
            return None
        pick = left[int(_chance(plan.seed, "item", person.id, done) * len(left))]
        return connection.execute(select(item).where(item.c.id == pick)).one()
    first = item.c.priority.desc() if order == "priority" else places().asc()
    return connection.execute(query.order_by(first, item.c.id).limit(1)).one_or_none()


def _probed(connection: Connection, plan: Row[Any], person: Row[Any], query: Any, done: int, ids: range) -> Row[Any] | None:
    """One of the items of the query, each as likely as another, or None: found by looking at a few drawn ids.

    What is drawn and no item of the query is drawn again, so the choice is that of a draw from the query; and while a project
    is far from full it takes a fraction of the time that listing all its open items does.
    """
    drawn = [ids[int(_chance(plan.seed, "probe", person.id, done, k) * len(ids))] for k in range(_PROBES)]
    found = {row.id: row for row in connection.execute(query.where(item.c.id.in_(drawn)))}
    return next((found[number] for number in drawn if number in found), None)


def open_to(plan: Row[Any], person: Row[Any] | Person, *, gold: bool, declined: bool = False) -> Any:
    """The query for a project's items, gold or not, that this person may still be given for the first time.

    `declined`: those that the person is spared because of their kind, instead of the others.
    """
    mine = select(assignment.c.id).where(assignment.c.item_id == item.c.id, assignment.c.labeler_id == person.id)
    query = select(item).where(
        item.c.project_id == plan.id, item.c.halted.is_(None), ~mine.exists(),
        item.c.gold.is_not(None) if gold else item.c.gold.is_(None),
    )  # fmt: skip
    if not gold and person.kind == "human":
        # Gold is for everybody: it is no vote, so there is no number of answers that would be enough.
        query = query.where(places() < plan.overlap)
    if person.declines or declined:
        query = query.join(prompt).where(_spared(person) if declined else ~_spared(person))
    return query


def _spared(person: Row[Any] | Person) -> Any:
    """Of items and their prompts: those of a kind that this person does not want to see."""
    return or_(
        prompt.c.kind.in_(person.declines), item.c.task.in_(person.declines),
        and_(prompt.c.warning.is_not(None), prompt.c.warning.in_(person.declines)),
    )  # fmt: skip


def _room(connection: Connection, chosen: Row[Any], overlap: int, kind: str) -> bool:
    """Lock the item, then count again: on PostgreSQL somebody may have been faster. For gold and AI there is always room.

    A full item is let go of at once (a lock ends with the savepoint it came after): two people who looked at the same full
    items in different orders would wait for each other.
    """
    with connection.begin_nested() as since:
        lock(connection, [chosen.id])
        if chosen.gold is not None or kind == "ai":
            return True
        if (connection.scalar(select(places()).select_from(item).where(item.c.id == chosen.id)) or 0) < overlap:
            return True
        since.rollback()
    return False


def _lease(store: Store, connection: Connection, plan: Row[Any], person: Row[Any], chosen: Row[Any], why: str) -> Task:
    ids = connection.scalars(
        select(item_completion.c.completion_id).where(item_completion.c.item_id == chosen.id).order_by(item_completion.c.place)
    )
    display = sorted(ids, key=lambda one: _chance(plan.seed, "display", person.id, chosen.id, one))
    until = store.now() + plan.lease_ms
    result = connection.execute(insert(assignment).values(
        item_id=chosen.id, labeler_id=person.id, display=display, state="leased", leased_until=until, chosen_by=why,
        created=store.now(),
    ))  # fmt: skip
    (number,) = result.inserted_primary_key or (0,)
    store.log(connection, "lease", person.id, assignment=number, item=chosen.id, chosen_by=why)
    return Task(number, chosen.id, tuple(display), until)


def _held(connection: Connection, plan: Row[Any], person: Row[Any], now: int) -> Task | None:
    """The lease that the labeler has, begun anew; or one that ran out on an item that still has room."""
    query = (
        select(assignment, item.c.gold)
        .select_from(assignment.join(item))
        .where(
            assignment.c.labeler_id == person.id, item.c.project_id == plan.id, item.c.halted.is_(None),
            assignment.c.state.in_(("leased", "expired")),
        )
        .order_by(assignment.c.state.desc(), assignment.c.id)
    )  # fmt: skip
    if person.declines:
        query = query.join(prompt, prompt.c.id == item.c.prompt_id).where(~_spared(person))
    for row in connection.execute(query).all():
        if row.state == "expired":
            thing = connection.execute(select(item).where(item.c.id == row.item_id)).one()
            if not _room(connection, thing, plan.overlap, person.kind):
                continue
        until = now + plan.lease_ms
        connection.execute(update(assignment).where(assignment.c.id == row.id).values(leased_until=until, state="leased"))
        return Task(row.id, row.item_id, tuple(row.display), until)
    return None


def _expire(store: Store) -> None:
    """Mark the leases that have run out, in a transaction of its own: they are other people's rows, and whoever held them
    together with an own row and an item could wait for somebody who waits for one of these. An item or a row in use is left for
    later: nothing is waited for here. The places that this frees go to surplus answers, where there are any.
    """
    late = (assignment.c.state == "leased") & (assignment.c.leased_until < store.now())
    with store.glance() as connection:  # nearly always there is none, and nobody has to wait for a turn to write
        items = connection.scalars(select(assignment.c.item_id).where(late)).all()
    if not items:
        return
    with store.write() as connection:
        free = lock(connection, items, wait=False)
        some = select(assignment.c.id).where(late, assignment.c.item_id.in_(free)).with_for_update(skip_locked=True)
        connection.execute(update(assignment).where(assignment.c.id.in_(some), late).values(state="expired"))
        for number in free:
            fill(store, connection, number)


def _state_after(connection: Connection, row: Row[Any], thing: Row[Any]) -> str:
    """What an assignment becomes when its answer comes: surplus where its place was given to somebody else."""
    if row.state in ("submitted", "surplus"):
        return str(row.state)  # a revision
    return "submitted" if row.state == "leased" or _room(connection, thing, thing.overlap, thing.kind) else "surplus"


def _own(connection: Connection, assignment_id: int, labeler_id: int, *, held: bool = False) -> Row[Any]:
    """An assignment of this labeler. `held`: its item's row and then its own are held, in this order everywhere."""
    query = select(assignment).where(assignment.c.id == assignment_id, assignment.c.labeler_id == labeler_id)
    row = connection.execute(query).one_or_none()
    if row is not None and held and connection.dialect.name != "sqlite":
        lock(connection, [row.item_id])
        row = connection.execute(query.with_for_update()).one_or_none()
    if row is None:
        raise UserError(f"task {assignment_id} is not one of yours: open your next task")
    return row


def _project(connection: Connection, project_id: int) -> Row[Any]:
    row = connection.execute(select(project).where(project.c.id == project_id)).one_or_none()
    if row is None:
        raise UserError(f"there is no project {project_id}")
    return row


def _chance(seed: int, *what: object) -> float:
    """A number in [0, 1) that is the same whenever the same is asked: what a labeler is shown can be found out later."""
    digest = hashlib.sha256(":".join(map(str, (seed, *what))).encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64
