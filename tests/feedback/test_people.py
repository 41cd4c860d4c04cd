"""Accounts: an invitation is good once, a password is never stored, and a person can see and delete what is theirs."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from sqlalchemy import select

from accordant.feedback import people, schema, tasks
from accordant.feedback.assignment import next_task, submit
from accordant.feedback.store import Store
from accordant.feedback.tasks import Text, Work
from accordant.types import UserError
from clock import Clock

PASSWORD = "correct horse battery"


def test_an_invitation_is_good_once_and_for_a_while(store: Store, clock: Clock) -> None:
    token = people.invite(store)
    ana = people.join(store, token, "Ana", PASSWORD, {"language": "hr"})
    assert (ana.role, ana.kind, dict(ana.strata)) == ("labeler", "human", {"language": "hr"})
    for bad in (token, "made up"):
        with pytest.raises(UserError, match="not valid any more"):
            people.join(store, bad, "Ben", PASSWORD)
    old = people.invite(store, days=1)
    clock.minutes(24 * 60 + 1)
    with pytest.raises(UserError, match="not valid any more"):
        people.join(store, old, "Ben", PASSWORD)


@pytest.mark.parametrize("days", [0.5, -1.0, 90.5, 1e30, float("nan")])
def test_an_invitation_is_good_for_a_day_to_three_months(store: Store, days: float) -> None:
    with pytest.raises(UserError, match="days: give 1 to 90"):
        people.invite(store, days=days)


def test_a_taken_name_does_not_use_the_invitation_up(store: Store) -> None:
    people.join(store, people.invite(store), "Ana", PASSWORD)
    token = people.invite(store)
    with pytest.raises(UserError, match="'ANA' is taken"):
        people.join(store, token, "ANA", PASSWORD)
    assert people.join(store, token, "Ben", PASSWORD).name == "Ben"


def test_signing_in(store: Store) -> None:
    ana = people.join(store, people.invite(store), "Ana", PASSWORD)
    robot = people.add_ai(store, "judge")
    assert people.sign_in(store, " Ana ", PASSWORD) == ana
    for name, password in (("Ana", PASSWORD + "!"), ("Nobody", PASSWORD), (robot.name, ""), (robot.name, PASSWORD)):
        with pytest.raises(UserError, match="do not belong together"):
            people.sign_in(store, name, password)
    people.close(store, ana.id)
    with pytest.raises(UserError, match="do not belong together"):
        people.sign_in(store, "Ana", PASSWORD)


def test_a_forgotten_password_is_replaced(store: Store) -> None:
    ana, ben = (people.join(store, people.invite(store), name, PASSWORD) for name in ("Ana", "Ben"))
    robot = people.add_ai(store, "judge")
    before = people.known(store, ana.id)
    new = people.reset_password(store, people.named(store, " Ana ").id, by=ben.id)
    with pytest.raises(UserError, match="do not belong together"):
        people.sign_in(store, "Ana", PASSWORD)
    assert people.sign_in(store, "Ana", new) == ana
    assert people.sign_in(store, "Ben", PASSWORD) == ben
    assert before is not None
    assert people.known(store, ana.id)[1] != before[1], "her sessions end"  # type: ignore[index]
    with store.read() as connection:
        (row,) = connection.execute(select(schema.event).where(schema.event.c.kind == "password"))
    assert (row.labeler_id, row.what) == (ben.id, {"labeler": ana.id})
    people.close(store, ana.id)
    for who, why in ((ana.id, "closed"), (robot.id, "a model"), (99, "no account 99")):
        with pytest.raises(UserError, match=why):
            people.reset_password(store, who)
    with pytest.raises(UserError, match="no account 'Nobody'"):
        people.named(store, "Nobody")


def test_an_invitation_can_be_taken_back(store: Store) -> None:
    token, used = people.invite(store), people.invite(store)
    people.join(store, used, "Ana", PASSWORD)
    with store.read() as connection:
        first, second = connection.scalars(select(schema.invitation.c.id).order_by(schema.invitation.c.id))
    people.revoke(store, first)
    assert not people.is_invited(store, token)
    with pytest.raises(UserError, match="not valid any more"):
        people.join(store, token, "Ben", PASSWORD)
    for number in (first, second):
        with pytest.raises(UserError, match="used already, or taken back"):
            people.revoke(store, number)


def test_neither_password_nor_token_is_in_the_store(store: Store) -> None:
    token = people.invite(store)
    people.join(store, token, "Ana", PASSWORD)
    with store.read() as connection:
        everything = json.dumps(
            [[list(map(str, row)) for row in connection.execute(select(table))] for table in schema.metadata.sorted_tables]
        )
    assert PASSWORD not in everything
    assert token not in everything


def test_the_same_password_is_stored_differently_for_two_people(store: Store) -> None:
    for name in ("Ana", "Ben"):
        people.join(store, people.invite(store), name, PASSWORD)
    with store.read() as connection:
        first, second = connection.scalars(select(schema.labeler.c.password))
    assert first != second
    assert first.startswith("scrypt$16$8$1$")


@pytest.mark.parametrize(
    ("act", "said"),
    [
        (lambda s: people.join(s, people.invite(s), "Ana", "short"), "has 5 characters; it needs at least 10"),
        (lambda s: people.join(s, people.invite(s), "<b>", PASSWORD), "must be 1 to 200 letters"),
        (lambda s: people.join(s, people.invite(s), " ", PASSWORD), "must be 1 to 200 letters"),
        (lambda s: people.invite(s, role="owner"), "must be admin or labeler"),
        (lambda s: people.about(s, 99), "no account 99"),
        (lambda s: people.forget(s, 99), "no account 99"),
    ],
)
def test_what_cannot_be_is_said(store: Store, act: Callable[[Store], Any], said: str) -> None:
    with pytest.raises(UserError, match=said):
        act(store)


def test_the_first_admin_is_made_where_the_store_is_and_the_last_one_stays(store: Store) -> None:
    root = people.make_admin(store, "root", PASSWORD)
    with pytest.raises(UserError, match="has accounts already"):
        people.make_admin(store, "second", PASSWORD)
    with pytest.raises(UserError, match="the last admin"):
        people.close(store, root.id)
    with pytest.raises(UserError, match="the last admin"):
        people.forget(store, root.id)
    people.join(store, people.invite(store, role="admin"), "second", PASSWORD)
    people.close(store, root.id)


def test_a_person_sees_and_deletes_what_is_theirs_and_nobody_elses(store: Store) -> None:
    number = tasks.make_project(store, "p", "", gold_share=0.0)
    tasks.add(store, number, [Work("thumb", "q", (Text("a"),))])
    ana, ben = (people.join(store, people.invite(store), name, PASSWORD) for name in ("Ana", "Ben"))
    for who in (ana, ben):
        task = next_task(store, number, who.id)
        assert task is not None
        submit(store, task.assignment_id, who.id, {"up": True, "comment": f"says {who.name}"}, f"uuid of {who.name}", 5)
    mine = people.about(store, ana.id)
    assert [row["payload"]["comment"] for row in mine["answers"]] == ["says Ana"]
    assert "password" not in mine["account"]
    assert "says Ben" not in json.dumps(mine)
    people.join(store, people.invite(store), f"deleted {ana.id}", PASSWORD)  # a name that somebody may well take
    people.forget(store, ana.id)
    left = people.about(store, ana.id)
    assert left["account"]["name"] == f"(deleted {ana.id})"
    assert [left[part] for part in ("assignments", "answers", "drafts", "events")] == [[], [], [], []]
    assert len(people.about(store, ben.id)["answers"]) == 1
    with pytest.raises(UserError, match="do not belong together"):
        people.sign_in(store, "Ana", PASSWORD)


def test_a_wish_to_be_forgotten_is_granted_whole_or_not_at_all(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Half granted, the account would be closed with all that it said still there, and nobody could ask again."""
    ana = people.join(store, people.invite(store), "Ana", PASSWORD)
    log = Store.log

    def breaks(self: Store, connection: Any, kind: str, *rest: Any, **what: Any) -> None:
        if kind == "forget":
            raise RuntimeError("the disk is full")
        log(self, connection, kind, *rest, **what)

    monkeypatch.setattr(Store, "log", breaks)
    with pytest.raises(RuntimeError):
        people.forget(store, ana.id)
    assert people.sign_in(store, "Ana", PASSWORD).active


def test_two_admins_who_close_each_other_at_once_leave_one(store: Store) -> None:
    for round_ in range(5):
        pair = [people.join(store, people.invite(store, role="admin"), f"{name}{round_}", PASSWORD).id for name in "AB"]
        gate = threading.Barrier(2)

        def shut(number: int, gate: threading.Barrier = gate) -> bool:
            gate.wait()
            try:
                people.close(store, number)
            except UserError:
                return False
            return True

        with ThreadPoolExecutor(2) as pool:
            done = list(pool.map(shut, pair))
        assert sorted(done) == [False, True]
        left = pair[done.index(False)]
        with store.write() as connection:  # the next round has two admins again
            connection.execute(schema.labeler.update().where(schema.labeler.c.id == left).values(active=False))


def test_an_open_task_of_a_closed_account_goes_to_others_at_once(store: Store) -> None:
    number = tasks.make_project(store, "p", "", gold_share=0.0, overlap=1)
    tasks.add(store, number, [Work("thumb", "q", (Text("a"),))])
    ana, ben = (people.join(store, people.invite(store), name, PASSWORD) for name in ("Ana", "Ben"))
    assert next_task(store, number, ana.id) is not None
    assert next_task(store, number, ben.id) is None
    people.close(store, ana.id)
    assert next_task(store, number, ben.id) is not None
