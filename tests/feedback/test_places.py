"""A surplus answer takes a place that comes free, whatever frees it; the first given goes first, and the log says so."""

from __future__ import annotations

import uuid

import pytest
from sqlalchemy import select, update

from accordant.feedback import people, tasks
from accordant.feedback.answers import said
from accordant.feedback.assignment import Task, next_task, skip, submit
from accordant.feedback.schema import assignment, event
from accordant.feedback.store import Store
from accordant.feedback.tasks import Text, Work
from clock import Clock

DAY = 24 * 60


class Shift:
    """A project of one thumb with one place, and people who answer it late."""

    def __init__(self, store: Store, clock: Clock, people_: int = 4) -> None:
        self.store, self.clock = store, clock
        self.project = tasks.make_project(store, "p", "", overlap=1, gold_share=0.0)
        (self.item,) = tasks.add(store, self.project, [Work("thumb", "q", (Text("a"),))])
        self.who = [people.join(store, people.invite(store), f"labeler {i}", "long enough").id for i in range(people_)]
        self.held: list[Task] = []

    def take(self, labeler: int) -> None:
        found = next_task(self.store, self.project, self.who[labeler])
        assert found is not None
        self.held.append(found)

    def send(self, labeler: int) -> tuple[int, str]:
        """Revision and state of the answer, as `submit` says them."""
        return submit(self.store, self.held[labeler].assignment_id, self.who[labeler], {"up": True}, str(uuid.uuid4()), 1)[:2]

    def state(self) -> list[str]:
        with self.store.read() as connection:
            return list(connection.scalars(select(assignment.c.state).order_by(assignment.c.id)))

    def log(self) -> list[tuple[int | None, int]]:
        with self.store.read() as connection:
            rows = connection.execute(
                select(event.c.labeler_id, event.c.what).where(event.c.kind == "counts").order_by(event.c.id)
            )
            return [(row.labeler_id, row.what["assignment"]) for row in rows]


@pytest.fixture
def shift(store: Store, clock: Clock, quick_passwords: None) -> Shift:  # noqa: ARG001
    """The leases of 0 and 1 ran out, 2 has the place, 1 and then 0 have answered late."""
    found = Shift(store, clock)
    for labeler in (0, 1, 2):
        found.take(labeler)
        clock.minutes(DAY if labeler < 2 else 0)
    assert found.send(1) == (1, "surplus")
    assert found.send(0) == (1, "surplus")
    assert found.state() == ["surplus", "surplus", "leased"]
    return found


def test_while_the_place_is_taken_a_revision_stays_surplus(shift: Shift) -> None:
    assert shift.send(0) == (2, "surplus")
    assert shift.state() == ["surplus", "surplus", "leased"]
    assert shift.send(2) == (1, "submitted")
    shift.send(1)
    assert shift.state() == ["surplus", "surplus", "submitted"]
    assert shift.log() == []


def test_when_the_lease_ends_the_answer_that_was_given_first_counts(shift: Shift) -> None:
    shift.clock.minutes(DAY)
    assert next_task(shift.store, shift.project, shift.who[3]) is None
    assert shift.state() == ["surplus", "submitted", "expired"]
    assert shift.log() == [(None, shift.held[1].assignment_id)]
    assert [one.labeler for one in said(shift.store, shift.project)] == ["labeler 1"]
    shift.send(2)
    assert shift.state() == ["surplus", "submitted", "surplus"]


def test_a_skip_frees_the_place(shift: Shift) -> None:
    skip(shift.store, shift.held[2].assignment_id, shift.who[2], "no")
    assert shift.state() == ["surplus", "submitted", "skipped"]


def test_a_closed_account_frees_its_place(shift: Shift) -> None:
    people.close(shift.store, shift.who[2])
    assert shift.state() == ["surplus", "submitted", "expired"]


def test_a_deleted_answer_frees_its_place(shift: Shift) -> None:
    shift.send(2)
    people.forget(shift.store, shift.who[2])
    assert shift.state() == ["surplus", "submitted"]


def test_a_revision_finds_the_place_that_nothing_filled(shift: Shift) -> None:
    """As stores of earlier versions have them. The first that was given counts, although another one was revised."""
    with shift.store.write() as connection:
        connection.execute(update(assignment).where(assignment.c.id == shift.held[2].assignment_id).values(state="skipped"))
    assert shift.send(0) == (2, "surplus")
    assert shift.state() == ["surplus", "submitted", "skipped"]
    with shift.store.write() as connection:
        connection.execute(update(assignment).where(assignment.c.id == shift.held[1].assignment_id).values(state="skipped"))
    assert shift.send(0) == (3, "submitted")


def test_more_places_are_for_surplus_answers_first(shift: Shift) -> None:
    plan = {"lease_minutes": 30, "gold_share": 0.0, "order_by": "random", "random_share": 0.2}
    tasks.change(shift.store, shift.project, overlap=2, **plan)
    assert shift.state() == ["surplus", "submitted", "leased"]
    assert next_task(shift.store, shift.project, shift.who[3]) is None
    tasks.change(shift.store, shift.project, overlap=9, **plan)
    assert shift.state() == ["submitted", "submitted", "leased"]


def test_what_models_say_takes_and_frees_no_place(shift: Shift) -> None:
    model = people.add_ai(shift.store, "judge").id
    found = next_task(shift.store, shift.project, model)
    assert found is not None
    submit(shift.store, found.assignment_id, model, {"up": True}, str(uuid.uuid4()), 1)
    people.forget(shift.store, model)
    assert shift.state() == ["surplus", "surplus", "leased"]
