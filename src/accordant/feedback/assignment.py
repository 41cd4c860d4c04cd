"""Who gets what next, and what becomes of the answer.

An item wants `overlap` answers. A labeler who asks gets a lease on one (`choosing`), in an order of answers that is this
labeler's own. A lease that runs out frees its place; leases count, so nobody is handed an item that is full. An answer that
comes when its place has been given away is kept, marked surplus, until a place comes free (`places`). One person never gets an
item twice. AI labelers take nobody's place: the overlap counts people, and a model may answer an item that is full.

On PostgreSQL the item's row is locked first and its answers are counted in a second statement, which sees what others have
committed meanwhile (READ COMMITTED); on SQLite the whole write is alone (`store`). Most of a request's time goes into talking
to the database, so each statement says as much as it can, and is made once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from sqlalchemy import (
    JSON,
    BigInteger,
    Connection,
    Insert,
    Integer,
    Row,
    Select,
    String,
    bindparam,
    func,
    insert,
    select,
    update,
)

from accordant.feedback import payload as payloads
from accordant.feedback.choosing import Choice, asked, chance, choose, is_declined
from accordant.feedback.places import OF_PEOPLE, fill, lock, places
from accordant.feedback.schema import answer, assignment, draft, guideline, item, item_completion, labeler, project, prompt
from accordant.feedback.store import INSERT, Store
from accordant.types import UserError

SKIPS_HALT = 5
"""An item that this many people have skipped says something about itself, not about them."""
_TRIES = 20  # items that others may fill between being looked at and being locked
_SWEEP_MS = 1000  # leases that ran out are looked for this often
_NO_LIMIT = 2**31 - 1  # places of an item for whom there is always one


@dataclass(frozen=True)
class Task:
    """What a labeler is handed: ids only; texts are looked up by the page. `display` is this labeler's own order."""

    assignment_id: int
    item_id: int
    display: tuple[int, ...]
    leased_until: int


class Stored(NamedTuple):
    """An answer that was stored, and its payload as it was. `state`: of its task, surplus where somebody else has its place."""

    revision: int
    state: str
    payload: dict[str, Any]


def next_task(store: Store, project_id: int, labeler_id: int) -> Task | None:
    """The labeler's open task, or a new one; None when nothing is left for this person.

    Raises:
        UserError: there is no such project, or the labeler may not work.
    """
    _expire(store)
    full: set[int] = set()
    for _ in range(_TRIES):
        with store.write() as connection:  # its end lets go of an item that turned out to be full
            who = asked(connection, project_id, labeler_id)
            held = _held(connection, who, store.now()) if who.holds else None
            chosen = None if held else choose(connection, who, full)
            task = _lease(store, connection, who, chosen) if chosen else held
            if chosen is None or task is not None:
                return task
        full.add(chosen.item_id)
    return None


def submit(
    store: Store, assignment_id: int, labeler_id: int, payload: Mapping[str, Any], client_uuid: str, ms_spent: int
) -> Stored:
    """Store an answer, or a revision of it. Sent twice with one uuid it is stored once.

    Raises:
        UserError: the task is another person's, the answer is incomplete, or the uuid belongs to another answer, which may be
            an earlier one to this task that arrived although the page did not hear of it.
    """
    _expire(store)
    with store.write() as connection:
        row = _own(connection, assignment_id, labeler_id, client_uuid)
        kept = payloads.check(row.task, payload, row.display, row.attributes)
        if row.sent is not None:
            if row.sent_to != assignment_id or row.sent_payload != kept:
                raise UserError(f"the submission id {client_uuid} was used for another answer: reload the page")
            return Stored(row.sent, row.state, kept)
        state = _state_after(connection, row)
        connection.execute(_ANSWER, {
            "assignment_id": assignment_id, "revision": row.last + 1, "payload": kept, "ms_spent": max(0, int(ms_spent)),
            "client_uuid": client_uuid, "guidelines_version": row.version, "created": store.now(),
        })  # fmt: skip
        if state != row.state:
            connection.execute(_BECOMES, {"number": assignment_id, "becomes": state})
        if row.is_drafted:
            connection.execute(draft.delete().where(draft.c.assignment_id == assignment_id))
        store.log(
            connection, "revise" if row.last else "submit", labeler_id, assignment=assignment_id, item=row.item_id,
            revision=row.last + 1, state=state,
        )  # fmt: skip
        if state == "surplus" and assignment_id in fill(store, connection, row.item_id):
            state = "submitted"  # a place had come free since it became so
        return Stored(row.last + 1, state, kept)


def skip(store: Store, assignment_id: int, labeler_id: int, reason: str) -> None:
    """Give an item back, with the reason; many skips halt it.

    Raises:
        UserError: the task is another person's or already answered, or no reason is given.
    """
    if not reason.strip():
        raise UserError("say in a word why the task is skipped")
    with store.write() as connection:
        row = _own(connection, assignment_id, labeler_id)
        if row.state in ("submitted", "surplus"):
            raise UserError("this task is already answered: revise the answer instead of skipping it")
        connection.execute(_BECOMES, {"number": assignment_id, "becomes": "skipped"})
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
        row = _own(connection, assignment_id, labeler_id)
        if row.state == "skipped" or revision != row.last:
            return False
        values = {"payload": dict(payload), "saved": store.now()}
        if row.is_drafted:
            connection.execute(update(draft).where(draft.c.assignment_id == assignment_id).values(**values))
        else:
            connection.execute(insert(draft).values(assignment_id=assignment_id, **values))
        if row.state == "leased":
            until = store.now() + row.lease_ms
            connection.execute(update(assignment).where(assignment.c.id == assignment_id).values(leased_until=until))
        return True


# --- leases ----------------------------------------------------------------------------------------------------------


def _lease(store: Store, connection: Connection, who: Row[Any], chosen: Choice) -> Task | None:
    """Hand the item out; None where on PostgreSQL it has become full meanwhile, or another window of this person has got it.

    Gold and AI need no place.
    """
    ids = [one for one in connection.scalars(_COMPLETIONS, {"item": chosen.item_id}) if one is not None]
    display = sorted(ids, key=lambda one: chance(who.seed, "display", who.labeler_id, chosen.item_id, one))
    until = store.now() + who.lease_ms
    number = connection.scalar(_LEASE[connection.dialect.name], {
        "item": chosen.item_id, "labeler": who.labeler_id, "shown": display, "until": until, "why": chosen.why,
        "now": store.now(), "places": _NO_LIMIT if chosen.is_gold or who.kind == "ai" else who.overlap,
    })  # fmt: skip
    if number is None:
        return None
    store.log(connection, "lease", who.labeler_id, assignment=number, item=chosen.item_id, chosen_by=chosen.why)
    return Task(number, chosen.item_id, tuple(display), until)


def _held(connection: Connection, who: Row[Any], now: int) -> Task | None:
    """The lease that the labeler has, begun anew; or one that ran out on an item that still has room."""
    query = (
        select(assignment, item.c.gold)
        .select_from(assignment.join(item).join(prompt, prompt.c.id == item.c.prompt_id))
        .where(
            assignment.c.labeler_id == who.labeler_id, item.c.project_id == who.id, item.c.halted.is_(None),
            assignment.c.state.in_(("leased", "expired")), ~is_declined(),
        )
        .order_by(assignment.c.state.desc(), assignment.c.id)
    )  # fmt: skip
    for row in connection.execute(query, {"declines": who.declines}).all():
        if row.state == "expired" and not _regained(connection, row, who):
            continue
        until = now + who.lease_ms
        connection.execute(update(assignment).where(assignment.c.id == row.id).values(leased_until=until, state="leased"))
        return Task(row.id, row.item_id, tuple(row.display), until)
    return None


def _regained(connection: Connection, row: Row[Any], who: Row[Any]) -> bool:
    """Lock the item and see whether there is still room.

    A full one is let go of at once (a lock ends with the savepoint that it came after): two people who looked at the same full
    items in different orders would wait for each other.
    """
    with connection.begin_nested() as since:
        lock(connection, [row.item_id])
        if row.gold is not None or who.kind == "ai" or _taken(connection, row.item_id) < who.overlap:
            return True
        since.rollback()
    return False


def _taken(connection: Connection, item_id: int) -> int:
    return connection.scalar(select(places()).select_from(item).where(item.c.id == item_id)) or 0


def _expire(store: Store) -> None:
    """Mark the leases that have run out, in a transaction of its own: they are other people's rows, and whoever held them
    together with an own row and an item could wait for somebody who waits for one of these. An item or a row in use is left for
    later: nothing is waited for here. The places that this frees go to surplus answers, where there are any.

    Until a lease is marked it counts as one, so there is no harm in looking for them only so often.
    """
    now = store.now()
    if 0 <= now - store.swept < _SWEEP_MS:
        return
    store.swept = now
    late = (assignment.c.state == "leased") & (assignment.c.leased_until < now)
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


def _state_after(connection: Connection, row: Row[Any]) -> str:
    """What an assignment (`_own`) becomes when its answer comes: surplus where its place was given to somebody else."""
    if row.state in ("submitted", "surplus"):
        return str(row.state)  # a revision
    in_time = row.state == "leased" or row.gold is not None or row.kind == "ai" or _taken(connection, row.item_id) < row.overlap
    return "submitted" if in_time else "surplus"


def _own(connection: Connection, assignment_id: int, labeler_id: int, uuid: str = "") -> Row[Any]:
    """An assignment of this labeler with all that is to be known of it; its item's row and then its own are held, in this order
    everywhere. `sent`, `sent_to`, `sent_payload`: the revision, assignment and payload of the answer that came with `uuid`.
    """
    values = {"number": assignment_id, "labeler": labeler_id, "uuid": uuid}
    if connection.dialect.name != "sqlite":
        connection.execute(_HOLD, values)
    return found(connection.execute(_OWN, values).one_or_none(), assignment_id)


def found(row: Row[Any] | None, assignment_id: int) -> Row[Any]:
    """The row of an assignment that was looked for by `IS_OWN`. Raises UserError where there is none."""
    if row is None:
        raise UserError(f"task {assignment_id} is not one of yours: open your next task")
    return row


# --- statements ------------------------------------------------------------------------------------------------------


IS_OWN = assignment.c.id == bindparam("number"), assignment.c.labeler_id == bindparam("labeler")
"""The assignment `number`, if it is of the person `labeler`."""


def _lease_if_room(dialect: str) -> Insert:
    values = {
        "item_id": item.c.id, "labeler_id": bindparam("labeler", type_=Integer), "display": bindparam("shown", type_=JSON),
        "state": bindparam("state", "leased", String), "leased_until": bindparam("until", type_=BigInteger),
        "chosen_by": bindparam("why", type_=String), "created": bindparam("now", type_=BigInteger),
    }  # fmt: skip
    rows = select(*values.values()).where(item.c.id == bindparam("item"), places() < bindparam("places"))
    once = INSERT[dialect](assignment).from_select(list(values), rows).on_conflict_do_nothing()
    return once.returning(assignment.c.id)


def _own_row() -> Select[Any]:
    sent = answer.alias("sent")
    last = select(func.coalesce(func.max(answer.c.revision), 0)).where(answer.c.assignment_id == assignment.c.id)
    version = select(func.coalesce(func.max(guideline.c.version), 0)).where(guideline.c.project_id == item.c.project_id)
    return (
        select(
            assignment, item.c.task, item.c.gold, project.c.attributes, project.c.overlap, project.c.lease_ms, labeler.c.kind,
            last.scalar_subquery().label("last"), version.scalar_subquery().label("version"),
            select(draft.c.assignment_id).where(draft.c.assignment_id == assignment.c.id).exists().label("is_drafted"),
            sent.c.revision.label("sent"), sent.c.assignment_id.label("sent_to"), sent.c.payload.label("sent_payload"),
        )
        .select_from(assignment.join(item).join(project).join(labeler, labeler.c.id == assignment.c.labeler_id)
            .outerjoin(sent, sent.c.client_uuid == bindparam("uuid")))
        .where(*IS_OWN)
        .with_for_update(of=assignment)
    )  # fmt: skip


_OWN = _own_row()
_LEASE = {dialect: _lease_if_room(dialect) for dialect in INSERT}
_ANSWER = insert(answer).inline()
_BECOMES = update(assignment).where(assignment.c.id == bindparam("number")).values(state=bindparam("becomes"))
_ITS_ITEM = select(assignment.c.item_id).where(*IS_OWN).scalar_subquery()
_HOLD = select(item.c.id).where(item.c.id == _ITS_ITEM).with_for_update(key_share=True)
_COMPLETIONS = (  # of an item, which is locked with them; one None where there is none
    select(item_completion.c.completion_id).select_from(item.outerjoin(item_completion)).where(item.c.id == bindparam("item"))
    .order_by(item_completion.c.place).with_for_update(of=item, key_share=True)
)  # fmt: skip
