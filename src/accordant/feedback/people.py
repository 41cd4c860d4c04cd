"""Accounts: invitations, passwords, and a person's right to see and delete what is stored about them.

A password is kept as scrypt's digest (RFC 7914) with its salt and parameters beside it; an invitation's token as its SHA-256,
so that a backup of the store lets nobody in. Sessions and rate limits are the web application's.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, bindparam, delete, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from accordant.feedback.payload import with_places
from accordant.feedback.places import fill, held_by, lock
from accordant.feedback.schema import answer, assignment, draft, event, invitation, labeler, prompt, ruling
from accordant.feedback.store import Store
from accordant.stats.rankings import CONSENSUS
from accordant.types import UserError

SHORTEST = 10  # characters of a password
LONGEST_NAME = 200  # characters
LONGEST_DAYS = 90  # that an invitation lasts
LONGEST_STRATUM = 100  # characters of a language, region or expertise
_SCRYPT = {"n": 2**15, "r": 8, "p": 3}  # 32 MiB: what the OWASP password storage cheat sheet asks for at this p
_MEMORY = 64 * 2**20
_ACCOUNT = select(labeler).where(labeler.c.id == bindparam("number"))  # asked with every request
_NOT_INVITED = "this invitation is not valid any more: ask for a new one"


@dataclass(frozen=True)
class Person:
    """An account, without its password."""

    id: int
    name: str
    kind: str
    role: str
    active: bool
    strata: Mapping[str, str]
    declines: tuple[str, ...]


def invite(store: Store, role: str = "labeler", days: float = 7, by: int | None = None) -> str:
    """A token that lets one person make an account, for some days. It is shown once and stored nowhere.

    Raises:
        UserError: there is no such role, or the days are not 1 to `LONGEST_DAYS`.
    """
    if not 1 <= days <= LONGEST_DAYS:
        raise UserError(f"an invitation for {days:g} days: give 1 to {LONGEST_DAYS}")
    if role not in ("admin", "labeler"):
        raise UserError(f"the role is {role!r}; it must be admin or labeler")
    token = secrets.token_urlsafe(24)
    with store.write() as connection:
        expires = store.now() + round(days * 86_400_000)
        connection.execute(insert(invitation).values(token_hash=_hash(token), role=role, expires=expires, created=store.now()))
        store.log(connection, "invite", by, role=role)
    return token


def join(store: Store, token: str, name: str, password: str, strata: Mapping[str, str] | None = None) -> Person:
    """Make the account that an invitation promises; the token is used up.

    Raises:
        UserError: the token is unknown, used or out of date; the name is taken; the password is too short; a stratum too long.
    """
    if not is_invited(store, token):  # before the slow part, which must not be had for the asking
        raise UserError(_NOT_INVITED)
    _check_password(password)
    _check_strata(strata or {})
    digest = _scrypt(password)  # slow on purpose, so not inside the transaction
    with store.write() as connection:
        row = connection.execute(
            select(invitation).where(invitation.c.token_hash == _hash(token)).with_for_update()
        ).one_or_none()
        if row is None or row.used_by is not None or row.expires < store.now():
            raise UserError(_NOT_INVITED)
        person = _make(store, connection, name, "human", row.role, digest, strata or {})
        connection.execute(update(invitation).where(invitation.c.id == row.id).values(used_by=person.id))
        return person


def make_admin(store: Store, name: str, password: str) -> Person:
    """The first account of a new store, made where it runs.

    Raises:
        UserError: there are accounts already (then an admin invites); the password is too short.
    """
    _check_password(password)
    digest = _scrypt(password)
    with store.write() as connection:
        if connection.scalar(select(func.count()).select_from(labeler).where(labeler.c.kind == "human")):
            raise UserError("this store has accounts already: sign in as an admin and invite")
        return _make(store, connection, name, "human", "admin", digest, {})


def add_ai(store: Store, name: str, by: int | None = None) -> Person:
    """A labeler that is a model: it cannot sign in, and its answers are never mixed into human agreement unless asked."""
    with store.write() as connection:
        return _make(store, connection, name, "ai", "labeler", None, {}, by)


def sign_in(store: Store, name: str, password: str) -> Person:
    """The account of this name and password.

    Raises:
        UserError: they do not belong together, or the account is closed. Which of these it is stays unsaid, and both take
            equally long.
    """
    asked = name.strip().replace("\0", " ")  # which PostgreSQL does not even look for
    with store.read() as connection:
        row = connection.execute(select(labeler).where(labeler.c.name == asked)).one_or_none()
    known = row.password if row is not None and row.password else _NOBODY
    right = _matches(password, known)
    if row is None or not right or not row.active or row.password is None:
        raise UserError("name and password do not belong together")
    return _person(row)


def known(store: Store, labeler_id: int) -> tuple[Person, str] | None:
    """The account, and a stamp that changes with its password; None where there is no such account."""
    with store.glance() as connection:
        row = connection.execute(_ACCOUNT, {"number": labeler_id}).one_or_none()
    return row and (_person(row), _hash(row.password or "")[:16])


def has_accounts(store: Store) -> bool:
    """Whether any person has an account."""
    with store.read() as connection:
        return bool(connection.scalar(select(func.count()).select_from(labeler).where(labeler.c.kind == "human")))


def is_invited(store: Store, token: str) -> bool:
    """Whether this token would still make an account."""
    with store.read() as connection:
        row = connection.execute(select(invitation).where(invitation.c.token_hash == _hash(token))).one_or_none()
    return row is not None and row.used_by is None and row.expires >= store.now()


def set_password(store: Store, labeler_id: int, old: str, new: str) -> None:
    """Change a password, by whoever knows the old one.

    Raises:
        UserError: the old one is wrong, or the new one too short.
    """
    with store.read() as connection:
        row = _one(connection, labeler_id)
    if row.password is None or not _matches(old, row.password):
        raise UserError("the old password is wrong: type it again")
    _check_password(new)
    digest = _scrypt(new)
    with store.write() as connection:
        connection.execute(update(labeler).where(labeler.c.id == labeler_id).values(password=digest))
        store.log(connection, "password", labeler_id)


def reset_password(store: Store, labeler_id: int, by: int | None = None) -> str:
    """A new password for somebody who forgot theirs; it is shown once and stored nowhere. Their sessions end.

    Raises:
        UserError: there is no such account, or nobody can sign in with it: it is closed, or an AI labeler's.
    """
    password = secrets.token_urlsafe(12)
    digest = _scrypt(password)
    with store.write() as connection:
        person = _one(connection, labeler_id)
        if not person.active or person.kind != "human":
            raise UserError(f"nobody signs in as {person.name}: the account is {'closed' if not person.active else 'a model'}")
        connection.execute(update(labeler).where(labeler.c.id == labeler_id).values(password=digest))
        store.log(connection, "password", by, labeler=labeler_id)
    return password


def named(store: Store, name: str) -> Person:
    """The account of this name. Raises UserError where there is none."""
    with store.glance() as connection:
        row = connection.execute(select(labeler).where(labeler.c.name == name.strip())).one_or_none()
    if row is None:
        raise UserError(f"there is no account {name!r}")
    return _person(row)


def revoke(store: Store, invitation_id: int, by: int | None = None) -> None:
    """Nobody can use this invitation any more. Raises UserError where it was used already, or there is none."""
    with store.write() as connection:
        unused = (invitation.c.id == invitation_id) & invitation.c.used_by.is_(None)
        if connection.execute(delete(invitation).where(unused)).rowcount == 0:
            raise UserError("this invitation was used already, or taken back")
        store.log(connection, "revoke", by, invitation=invitation_id)


def kinds_of_work(store: Store) -> tuple[str, ...]:
    """What a person may decline: the kinds and the warnings of the prompts in the store."""
    with store.read() as connection:
        kinds = connection.scalars(select(prompt.c.kind).distinct()).all()
        warnings = connection.scalars(select(prompt.c.warning).distinct()).all()
    return tuple(sorted({kind for kind in (*kinds, *warnings) if kind is not None}))


def close(store: Store, labeler_id: int, by: int | None = None) -> None:
    """The account can do nothing more; what it said stays, its open tasks go to others. The last admin stays, too.

    Raises:
        UserError: there is no such account, or it is the last active admin's.
    """
    with store.write() as connection:
        for number in _close(store, connection, labeler_id, by):
            fill(store, connection, number)


def _close(store: Store, connection: Connection, labeler_id: int, by: int | None) -> list[int]:
    """Returns the items, locked, whose places this may free for surplus answers."""
    # The rows are locked: on PostgreSQL two admins could else close each other, each seeing the other one still there.
    admins = connection.scalars(
        select(labeler.c.id)
        .where(labeler.c.role == "admin", labeler.c.active.is_(True))
        .order_by(labeler.c.id)
        .with_for_update(key_share=True)  # a task that an admin is given meanwhile names that row, and need not wait
    ).all()
    _one(connection, labeler_id)
    if list(admins) == [labeler_id]:
        raise UserError("this is the last admin: make another one first")
    connection.execute(update(labeler).where(labeler.c.id == labeler_id).values(active=False))
    waited_for = lock(connection, held_by(connection, labeler_id))
    held = assignment.c.labeler_id == labeler_id, assignment.c.state == "leased"
    connection.execute(update(assignment).where(*held).values(state="expired"))
    store.log(connection, "close", by, labeler=labeler_id)
    return waited_for


def about(store: Store, labeler_id: int) -> dict[str, Any]:
    """All that is stored about a person: the account, the answers with their revisions, drafts, rulings, and events.

    Answers name completions by their place on the person's screen, and no task says which item it is of or why it was chosen:
    whoever labels may read all this, and must not learn which tasks are hidden gold or whose completion is whose.
    """
    with store.read() as connection:
        row = _one(connection, labeler_id)
        mine = select(assignment.c.id).where(assignment.c.labeler_id == labeler_id)
        tasks = _rows(connection, select(assignment).where(assignment.c.labeler_id == labeler_id))
        display = {task["id"]: task["display"] for task in tasks}
        answers = _rows(connection, select(answer).where(answer.c.assignment_id.in_(mine)))
        drafts = _rows(connection, select(draft).where(draft.c.assignment_id.in_(mine)))
        events = _rows(connection, select(event).where(event.c.labeler_id == labeler_id))
        return {
            "account": {k: v for k, v in row._mapping.items() if k != "password"},
            "assignments": [{name: task[name] for name in ("id", "state", "leased_until", "created")} for task in tasks],
            "answers": [one | {"payload": with_places(one["payload"], display[one["assignment_id"]])} for one in answers],
            "drafts": [one | {"payload": _draft(one["payload"], display[one["assignment_id"]])} for one in drafts],
            "rulings": _rows(connection, select(ruling).where(ruling.c.labeler_id == labeler_id)),
            "events": [one | {"what": _of_own_work(one["what"])} for one in events],
        }  # fmt: skip


def _draft(kept: Mapping[str, Any], display: Sequence[int]) -> dict[str, Any]:
    return {**kept, "payload": with_places(kept.get("payload"), display)}


def _of_own_work(what: Mapping[str, Any]) -> dict[str, Any]:
    """An event as whoever labels may know it; what an admin did to an item is the admin's to know."""
    hidden = ("item", "chosen_by") if "assignment" in what else ()
    return {name: value for name, value in what.items() if name not in hidden}


def forget(store: Store, labeler_id: int) -> None:
    """Delete all of `about`, at the person's wish: what was said, ruled and done goes, the account loses its name and closes.

    Raises:
        UserError: there is no such account, or it is the last active admin's.
    """
    with store.write() as connection:
        waited_for = _close(store, connection, labeler_id, labeler_id)
        mine = select(assignment.c.id).where(assignment.c.labeler_id == labeler_id)
        connection.execute(mine.with_for_update()).all()  # an answer that is on its way comes first, and is deleted, too
        connection.execute(delete(answer).where(answer.c.assignment_id.in_(mine)))
        connection.execute(delete(draft).where(draft.c.assignment_id.in_(mine)))
        connection.execute(delete(assignment).where(assignment.c.labeler_id == labeler_id))
        for number in waited_for:
            fill(store, connection, number)
        connection.execute(delete(ruling).where(ruling.c.labeler_id == labeler_id))
        connection.execute(delete(event).where(event.c.labeler_id == labeler_id))
        # In brackets, so that nobody can have joined under this name.
        nobody = {"name": f"(deleted {labeler_id})", "password": None, "strata": {}, "declines": []}
        connection.execute(update(labeler).where(labeler.c.id == labeler_id).values(**nobody))
        store.log(connection, "forget", None, labeler=labeler_id)


def set_declines(store: Store, labeler_id: int, kinds: tuple[str, ...]) -> None:
    """The kinds of item (of prompt, of task, of warning) that this person is not given any more."""
    with store.write() as connection:
        _one(connection, labeler_id)
        connection.execute(update(labeler).where(labeler.c.id == labeler_id).values(declines=list(kinds)))
        store.log(connection, "declines", labeler_id, kinds=list(kinds))


def _make(
    store: Store, connection: Connection, name: str, kind: str, role: str, password: str | None, strata: Mapping[str, str],
    by: int | None = None,
) -> Person:  # fmt: skip
    name = name.strip()
    name = unicodedata.normalize("NFC", name)
    if not 1 <= len(name) <= LONGEST_NAME or not all(
        re.match(r"[\w .@+-]", one) or unicodedata.category(one)[0] == "M" for one in name
    ):
        raise UserError(f"the name {name!r} must be 1 to {LONGEST_NAME} letters, digits, spaces or any of . @ + - _")
    if name.lower() == CONSENSUS:
        raise UserError(f"the name {name!r} is what exports call everybody together: choose another")
    if connection.scalar(select(labeler.c.id).where(func.lower(labeler.c.name) == name.lower())) is not None:
        raise UserError(f"the name {name!r} is taken: choose another")
    values = {
        "name": name, "kind": kind, "role": role, "password": password, "active": True, "strata": dict(strata), "declines": [],
        "created": store.now(),
    }  # fmt: skip
    try:
        (number,) = connection.execute(insert(labeler).values(**values)).inserted_primary_key or (0,)
    except IntegrityError as error:  # somebody else took it between the look and the insertion
        raise UserError(f"the name {name!r} is taken: choose another") from error
    store.log(connection, "join", by if by is not None else number, labeler=number, role=role)
    return _person(connection.execute(select(labeler).where(labeler.c.id == number)).one())


def _one(connection: Connection, labeler_id: int) -> Row[Any]:
    row = connection.execute(select(labeler).where(labeler.c.id == labeler_id)).one_or_none()
    if row is None:
        raise UserError(f"there is no account {labeler_id}")
    return row


def _person(row: Row[Any]) -> Person:
    return Person(row.id, row.name, row.kind, row.role, row.active, dict(row.strata), tuple(row.declines))


def _rows(connection: Connection, query: Any) -> list[dict[str, Any]]:
    return [dict(row) for row in connection.execute(query).mappings()]


def _check_password(password: str) -> None:
    if len(password) < SHORTEST:
        raise UserError(f"the password has {len(password)} characters; it needs at least {SHORTEST}")


def _check_strata(strata: Mapping[str, str]) -> None:
    for name, value in strata.items():
        if len(value) > LONGEST_STRATUM or "\0" in value:
            raise UserError(f"the {name} has {len(value):,} characters; give at most {LONGEST_STRATUM}, none of them U+0000")


def _scrypt(password: str) -> str:
    salt = secrets.token_bytes(16)
    digest = hashlib.scrypt(password.encode(), salt=salt, maxmem=_MEMORY, **_SCRYPT)
    return "$".join(["scrypt", *(str(_SCRYPT[name]) for name in "nrp"), salt.hex(), digest.hex()])


def _matches(password: str, stored: str) -> bool:
    _, n, r, p, salt, digest = stored.split("$")
    found = hashlib.scrypt(password.encode(), salt=bytes.fromhex(salt), maxmem=_MEMORY, n=int(n), r=int(r), p=int(p))
    return hmac.compare_digest(found, bytes.fromhex(digest))


_NOBODY = "$".join(["scrypt", *(str(_SCRYPT[name]) for name in "nrp"), "00" * 16, "00" * 64])
"""Checked where there is no such name, so that an answer takes as long as for a wrong password."""


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
