"""Many at once, on both databases: nobody waits for each other in a circle, and nobody is told of a database's constraints."""

from __future__ import annotations

import threading
import uuid
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import select

from accordant.feedback import assignment, people, schema, tasks
from accordant.feedback.store import Store
from accordant.feedback.tasks import Text, Work
from accordant.types import UserError
from clock import Clock

THUMB = Work("thumb", "q", (Text("a"),))


def at_once(count: int, do: Callable[[int], object]) -> list[object]:
    """What `do` gives to each of so many threads that begin together; an error ends the test."""
    gate = threading.Barrier(count)

    def go(i: int) -> object:
        gate.wait()
        return do(i)

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(go, range(count)))


@pytest.fixture
def who(store: Store, quick_passwords: None) -> list[int]:  # noqa: ARG001
    return [people.join(store, people.invite(store), f"labeler {i}", "long enough").id for i in range(6)]


def test_late_answers_at_once(store: Store, clock: Clock, who: list[int]) -> None:
    project = tasks.make_project(store, "p", "", gold_share=0, overlap=1)
    for _ in range(10):
        tasks.add(store, project, [THUMB] * len(who))
        leases = [assignment.next_task(store, project, one) for one in who]
        clock.minutes(24 * 60)
        revisions = at_once(
            len(who),
            lambda i, held=leases: (
                assignment.submit(  # type: ignore[misc]
                    store, held[i].assignment_id, who[i], {"up": True}, str(uuid.uuid4()), 1
                ).revision
            ),
        )
        assert revisions == [1] * len(who)


def test_tasks_are_asked_for_at_once_while_leases_run_out(store: Store, clock: Clock, who: list[int]) -> None:
    project = tasks.make_project(store, "p", "", gold_share=0, overlap=2)
    for _ in range(10):
        tasks.add(store, project, [THUMB] * 4)
        clock.minutes(24 * 60)
        at_once(6, lambda i: assignment.next_task(store, project, who[i]))
        at_once(6, lambda i: assignment.next_task(store, project, who[i // 3]))  # three windows of one person


def test_windows_of_one_person_that_ask_at_once_get_one_task(store: Store, who: list[int]) -> None:
    """Or each a task of its own, where one comes too late to choose the same; nobody is told of a constraint."""
    project = tasks.make_project(store, "p", "", gold_share=0, overlap=3)
    tasks.add(store, project, [THUMB] * 40)
    for _ in range(8):
        found = at_once(4, lambda _: assignment.next_task(store, project, who[0]))
        given = {task.assignment_id: task.item_id for task in found if isinstance(task, assignment.Task)}
        assert all(isinstance(task, assignment.Task) for task in found)
        assert len(set(given.values())) == len(given) <= 4
        for number in given:
            assignment.skip(store, number, who[0], "x")


def test_drafts_and_a_new_lease_at_once(store: Store, who: list[int]) -> None:
    project = tasks.make_project(store, "p", "", gold_share=0, overlap=1)
    for n in range(10):
        tasks.add(store, project, [THUMB])
        task = assignment.next_task(store, project, who[0])
        assert task is not None
        held = task.assignment_id
        at_once(4, lambda i, held=held: assignment.save_draft(store, held, who[0], {"payload": {"n": i}}))  # type: ignore[misc]
        if n % 2:
            assignment.skip(store, held, who[0], "x")
        else:
            assignment.submit(store, held, who[0], {"up": True}, str(uuid.uuid4()), 1)


def test_somebody_who_deletes_the_account_while_an_answer_is_on_its_way(store: Store, who: list[int]) -> None:
    """The answer comes first and is deleted too, or it finds no task; there is no third way."""
    project = tasks.make_project(store, "p", "", gold_share=0, overlap=len(who))
    tasks.add(store, project, [THUMB])
    for one in who:
        task = assignment.next_task(store, project, one)
        assert task is not None
        number = task.assignment_id

        def do(i: int, one: int = one, number: int = number) -> str:
            if i == 0:
                people.forget(store, one)
                return "forgotten"
            try:
                return assignment.submit(store, number, one, {"up": True}, f"{one} {i}", 1).state
            except UserError as error:
                return str(error)

        gone, *sent = at_once(4, do)
        assert gone == "forgotten"
        assert set(sent) <= {"submitted", f"task {number} is not one of yours: open your next task"}
    with store.read() as connection:
        assert connection.execute(select(schema.answer)).all() == connection.execute(select(schema.assignment)).all() == []


def test_imports_at_once_with_answers_of_one_new_model(store: Store) -> None:
    """Each import makes the model's row where there is none; all find the same one."""
    project = tasks.make_project(store, "p", "")
    for round_ in range(5):
        work = [Work("thumb", f"q {round_}", (Text("a", f"model {round_}"),))]
        at_once(4, lambda i, work=work: tasks.add(store, project, work * (i + 1)))  # type: ignore[misc]
    with store.read() as connection:
        of_model = select(schema.model.c.name).join(schema.completion).order_by(schema.completion.c.id)
        assert Counter(connection.scalars(of_model)) == {f"model {k}": 1 + 2 + 3 + 4 for k in range(5)}


def test_one_name_twice_at_once(store: Store, quick_passwords: None) -> None:  # noqa: ARG001
    tokens = [people.invite(store) for _ in range(4)]

    def join(i: int) -> str:
        try:
            return people.join(store, tokens[i], "Ana", "long enough").name
        except people.UserError as error:
            return str(error)

    assert sorted(map(str, at_once(4, join))) == ["Ana", *["the name 'Ana' is taken: choose another"] * 3]


def test_the_places_that_come_free_go_to_surplus_answers_once(store: Store, clock: Clock, who: list[int]) -> None:
    """Late answers while the leases of others run out, are skipped and are revised: never more than the overlap counts."""
    project = tasks.make_project(store, "p", "", gold_share=0, overlap=2)
    for round_ in range(8):
        (item,) = tasks.add(store, project, [THUMB])
        late = [assignment.next_task(store, project, one) for one in who[:2]]
        clock.minutes(24 * 60)
        held = [assignment.next_task(store, project, one) for one in who[2:4]]

        def send(task: assignment.Task | None, labeler: int) -> object:
            assert task is not None
            return assignment.submit(store, task.assignment_id, labeler, {"up": True}, str(uuid.uuid4()), 1)

        for k in (0, 1):
            send(late[k], who[k])
        assert states(store, item) == {"surplus": 2, "leased": 2}
        if round_ % 2:
            clock.minutes(24 * 60)
        doing: list[Callable[[], object]] = [
            lambda late=late: send(late[0], who[0]), lambda late=late: send(late[1], who[1]),  # type: ignore[misc]
            lambda held=held: assignment.skip(store, held[0].assignment_id, who[2], "x"),  # type: ignore[misc]
            lambda held=held: send(held[1], who[3]), lambda: assignment.next_task(store, project, who[4]),  # type: ignore[misc]
        ]  # fmt: skip
        at_once(len(doing), lambda i, doing=doing: doing[i]())  # type: ignore[misc]
        found = states(store, item)
        assert found["submitted"] + found["leased"] <= 2
        for one in (0, 1):  # a revision finds whatever is free
            send(late[one], who[one])
        found = states(store, item)
        assert found["submitted"] + found["leased"] == 2, found
        clock.minutes(24 * 60)
        assert assignment.next_task(store, project, who[5]) is None
        assert states(store, item)["submitted"] == 2


def test_full_items_that_people_had_before_in_different_orders(store: Store, who: list[int]) -> None:
    """Who comes back looks whether there is room again on each of them, and holds on to none."""
    project = tasks.make_project(store, "p", "", gold_share=0, overlap=1)
    items = tasks.add(store, project, [THUMB] * 6)
    *late, last = who
    had = [(item, one, "expired") for k, one in enumerate(late) for item in (items[k:] + items[:k] if k % 2 else items[::-1])]
    with store.write() as connection:
        for item, one, state in [*had, *((item, last, "submitted") for item in items)]:
            connection.execute(schema.assignment.insert().values(
                item_id=item, labeler_id=one, display=[item], state=state, leased_until=0, chosen_by="random", created=0,
            ))  # fmt: skip
    for _ in range(10):
        assert at_once(len(late), lambda i: assignment.next_task(store, project, late[i])) == [None] * len(late)


def states(store: Store, item: int) -> Counter[str]:
    with store.read() as connection:
        query = select(schema.assignment.c.state).where(schema.assignment.c.item_id == item)
        return Counter(connection.scalars(query))
