"""Which item comes next for a labeler: at random, by priority or where few people were, with hidden gold between.

Every draw is a hash of the project's seed and of who asks for the how manieth time, so that it can be found out later why
somebody was given what. The queries are made once and take parameters: a request is then mostly the database's work.
"""

from __future__ import annotations

import hashlib
from collections.abc import Set
from functools import cache
from typing import Any, NamedTuple

from sqlalchemy import Connection, Row, Select, and_, bindparam, func, or_, select

from accordant.feedback.places import places
from accordant.feedback.schema import assignment, item, labeler, project, prompt
from accordant.types import UserError

_PROBES = 16  # drawn items that are looked at before all are


class Choice(NamedTuple):
    """An item, and by which rule it was chosen: gold, attention, random, or the project's order."""

    item_id: int
    why: str

    @property
    def is_gold(self) -> bool:
        return self.why in ("gold", "attention")


def asked(connection: Connection, project_id: int, labeler_id: int) -> Row[Any]:
    """The project, the person who asks (`labeler_id`, `kind`, `declines`), and how far both have come.

    `done` items were given to this person, a lease of whom may be open where `holds`; the project's have ids from `low` to
    `high`, both None where it has none.

    Raises:
        UserError: there is no such project, or the person may not work.
    """
    row = connection.execute(_ASKED, {"project": project_id, "labeler": labeler_id}).one_or_none()
    if row is None and connection.scalar(select(project.c.id).where(project.c.id == project_id)) is None:
        raise UserError(f"there is no project {project_id}")
    if row is None or not row.active:
        raise UserError("this account is not active: ask an admin of the project")
    return row


def choose(connection: Connection, who: Row[Any], passed: Set[int]) -> Choice | None:
    """An open item with room that this person (`asked`) has not had, none of those that were passed."""
    if who.low is None:
        return None
    order = who.order_by
    if order != "random" and chance(who.seed, "order", who.labeler_id, who.done) < who.random_share:
        order = "random"
    # Gold beyond its share is given only where nothing else is left, and then not at all: it would teach nobody.
    if chance(who.seed, "gold", who.labeler_id, who.done) < who.gold_share:
        gold = _drawn(connection, who, passed, gold=True)
        if gold is not None:
            return Choice(gold.id, "attention" if gold.attention else "gold")
    found = _drawn(connection, who, passed) if order == "random" else _by_rule(connection, who, passed, order)
    return found and Choice(found.id, order)


@cache
def open_to(kind: str, *, gold: bool, spared: bool | None = None) -> Select[Any]:
    """The query for the items of a project, gold or not, that a person of this kind may still be given for the first time.

    Its parameters: `project`, `labeler` and, unless `spared` is None, `declines`. `spared`: only those that the person declines
    (True), or only the others (False); None for somebody who declines nothing.
    """
    query = select(item.c.id, item.c.attention).select_from(item.join(project)).where(
        project.c.id == bindparam("project"), item.c.halted.is_(None), ~was_given(),
        item.c.gold.is_not(None) if gold else item.c.gold.is_(None),
    )  # fmt: skip
    if not gold and kind == "human":
        # Gold is for everybody: it is no vote, so there is no number of answers that would be enough.
        query = query.where(places() < project.c.overlap)
    if spared is None:
        return query
    return query.join(prompt, prompt.c.id == item.c.prompt_id).where(is_declined() if spared else ~is_declined())


def was_given() -> Any:
    """Of items: whether the person `labeler`, a parameter, has had them."""
    mine = assignment.c.item_id == item.c.id, assignment.c.labeler_id == bindparam("labeler")
    return select(assignment.c.id).where(*mine).exists()


def is_declined() -> Any:
    """Of items and their prompts: whether they are of one of the kinds `declines`, a parameter."""
    declines = bindparam("declines", expanding=True)
    return or_(
        prompt.c.kind.in_(declines),
        item.c.task.in_(declines),
        and_(prompt.c.warning.is_not(None), prompt.c.warning.in_(declines)),
    )


def chance(seed: int, *what: object) -> float:
    """A number in [0, 1) that is the same whenever the same is asked: what a labeler is shown can be found out later."""
    digest = hashlib.sha256(":".join(map(str, (seed, *what))).encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64


def _drawn(connection: Connection, who: Row[Any], passed: Set[int], *, gold: bool = False) -> Row[Any] | None:
    """One of the open items, each as likely as another.

    A few drawn ids are looked at first. What is drawn and not open is drawn again, so the choice is that of a draw from the
    open ones; and while a project is far from full it takes a fraction of the time that listing all of them does.
    """
    ids = range(who.low, who.high + 1)
    probes = [ids[int(chance(who.seed, "probe", who.labeler_id, who.done, k) * len(ids))] for k in range(_PROBES)]
    query, values = _queries(who.kind, gold, bool(who.declines)), _values(who)
    found = {row.id: row for row in connection.execute(query["probe"], values | {"drawn": probes}) if row.id not in passed}
    if found:
        return next(found[number] for number in probes if number in found)
    left = [row for row in connection.execute(query["all"], values) if row.id not in passed]
    return left[int(chance(who.seed, "item", who.labeler_id, who.done) * len(left))] if left else None


def _by_rule(connection: Connection, who: Row[Any], passed: Set[int], order: str) -> Row[Any] | None:
    query = _queries(who.kind, False, bool(who.declines))[order]
    return connection.execute(query, _values(who) | {"passed": list(passed)}).one_or_none()


def _values(who: Row[Any]) -> dict[str, Any]:
    return {"project": who.id, "labeler": who.labeler_id, "declines": who.declines}


@cache
def _queries(kind: str, gold: bool, declines: bool) -> dict[str, Select[Any]]:
    """Open items: those of the ids `drawn`, all by id, and the first by each order that is none of the ids `passed`."""
    query = open_to(kind, gold=gold, spared=False if declines else None)
    others = query.where(item.c.id.not_in(bindparam("passed", expanding=True))).limit(1)
    return {
        "probe": query.where(item.c.id.in_(bindparam("drawn", expanding=True))), "all": query.order_by(item.c.id),
        "priority": others.order_by(item.c.priority.desc(), item.c.id),
        "least_answered": others.order_by(places().asc(), item.c.id),
    }  # fmt: skip


def _asked() -> Select[Any]:
    own = assignment.c.labeler_id == labeler.c.id, item.c.project_id == project.c.id
    given = select(func.count()).select_from(assignment.join(item)).where(*own)
    held = select(assignment.c.id).select_from(assignment.join(item)).where(*own, assignment.c.state.in_(("leased", "expired")))
    low, high = (
        select(end(item.c.id)).where(item.c.project_id == project.c.id).correlate(project).scalar_subquery()
        for end in (func.min, func.max)
    )
    return (
        select(
            project, labeler.c.id.label("labeler_id"), labeler.c.kind, labeler.c.active, labeler.c.declines,
            given.correlate(project, labeler).scalar_subquery().label("done"), low.label("low"), high.label("high"),
            held.correlate(project, labeler).exists().label("holds"),
        )
        .select_from(project.join(labeler, labeler.c.id == bindparam("labeler")))
        .where(project.c.id == bindparam("project"))
    )  # fmt: skip


_ASKED = _asked()
