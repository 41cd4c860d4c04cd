"""What the labeling page shows: one's own only, in one's own order, with counts that give no hidden gold away."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from sqlalchemy import select

from accordant.feedback import assignment, people, progress, tasks
from accordant.feedback.assignment import Task
from accordant.feedback.people import Person
from accordant.feedback.schema import item_completion
from accordant.feedback.store import Store
from accordant.feedback.tasks import Text, Work
from accordant.types import Message, UserError
from clock import Clock


def work(n: int, **fields: Any) -> list[Work]:
    return [Work("rank", f"question {i}", tuple(Text(f"answer {k} to {i}") for k in range(3)), **fields) for i in range(n)]


def project(store: Store, n: int, name: str = "p", **options: Any) -> int:
    number = tasks.make_project(store, name, "Be fair.", **({"overlap": 2, "gold_share": 0.0} | options))
    tasks.add(store, number, work(n))
    return number


def person(store: Store, name: str = "Ben") -> Person:
    return people.join(store, people.invite(store), name, "long enough")


def lease(store: Store, number: int, who: Person) -> Task:
    found = assignment.next_task(store, number, who.id)
    assert found is not None
    return found


def send(store: Store, task: Task, who: Person, groups: Sequence[Sequence[int]] | None = None, ms: int = 1000) -> None:
    payload = {"groups": groups or [[one] for one in task.display], "rejected": []}
    assignment.submit(store, task.assignment_id, who.id, payload, str(uuid.uuid4()), ms)


def answer(store: Store, number: int, who: Person, times: int = 1, ms: int = 1000, tie: bool = False) -> list[Task]:
    done = []
    for _ in range(times):
        task = lease(store, number, who)
        send(store, task, who, [list(task.display)] if tie else None, ms)
        done.append(task)
    return done


def test_a_task_has_the_texts_in_ones_own_order(store: Store) -> None:
    number = tasks.make_project(store, "p", "", overlap=30, gold_share=0.0)
    chat = (Message("user", "hello"), Message("assistant", "hm"), Message("user", "again"))
    texts = tuple(Text(f"answer {k}") for k in range(4))
    tasks.add(store, number, [Work("rank", chat, texts, criterion="wit", use_case="chat", warning="swearing")])
    orders = set()
    for k in range(12):
        who = person(store, f"labeler {k}")
        task = lease(store, number, who)
        view = progress.task(store, task.assignment_id, who.id)
        with store.read() as connection:
            ids = list(connection.scalars(select(item_completion.c.completion_id).order_by(item_completion.c.place)))
        assert view.texts == tuple(f"answer {ids.index(one)}" for one in task.display)
        assert (view.prompt, view.criterion, view.use_case, view.warning) == (chat, "wit", "chat", "swearing")
        assert (view.state, view.answer, view.draft, view.revision) == ("leased", None, None, 0)
        orders.add(view.texts)
    assert len(orders) > 4, "24 orders are possible"


def test_anothers_task_is_as_unknown_as_one_that_is_not_there(store: Store) -> None:
    number, ben, cleo = project(store, 2), person(store), person(store, "Cleo")
    task = lease(store, number, ben)
    for wrong, who in ((task.assignment_id, cleo), (999, ben)):
        with pytest.raises(UserError, match=f"task {wrong} is not one of yours"):
            progress.task(store, wrong, who.id)


def test_a_draft_an_answer_and_a_lease_are_shown_as_they_stand(store: Store, clock: Clock) -> None:
    number, ben = project(store, 1), person(store)
    task = lease(store, number, ben)
    clock.minutes(29)
    assert progress.task(store, task.assignment_id, ben.id).lease_ms == 60_000
    clock.minutes(2)
    assert progress.task(store, task.assignment_id, ben.id).lease_ms == -60_000
    assignment.save_draft(store, task.assignment_id, ben.id, {"groups": [[task.display[0]]]})
    assert progress.task(store, task.assignment_id, ben.id).draft == {"groups": [[task.display[0]]]}
    send(store, task, ben)
    send(store, task, ben, [list(task.display)])
    view = progress.task(store, task.assignment_id, ben.id)
    assert (view.draft, view.revision, view.state, view.lease_ms) == (None, 2, "submitted", 0)
    assert view.answer == {"groups": [list(task.display)], "rejected": []}


def test_history_is_ones_own_and_newest_first_with_the_last_word(store: Store, clock: Clock) -> None:
    number, other = project(store, 5), project(store, 2, "other")
    ben, cleo = person(store), person(store, "Cleo")
    first, second, third = answer(store, number, ben, 3)
    answer(store, number, cleo, 2)
    answer(store, other, ben)
    clock.minutes(1)
    send(store, first, ben, [list(first.display)])
    found = progress.history(store, number, ben.id)
    assert [one.assignment_id for one in found] == [first.assignment_id, third.assignment_id, second.assignment_id]
    assert [one.said for one in found] == ["A = B = C", "A > B > C", "A > B > C"]
    assert [one.revision for one in found] == [2, 1, 1]
    assert found[0].at == found[1].at + 60_000
    assert [one.assignment_id for one in progress.history(store, number, ben.id, limit=1, offset=1)] == [third.assignment_id]


def test_the_way_through_ones_own_answers_is_by_when_they_were_first_given(store: Store) -> None:
    number, ben, cleo = project(store, 5), person(store), person(store, "Cleo")
    one, two, three = (task.assignment_id for task in answer(store, number, ben, 3))
    answer(store, number, cleo, 3)
    open_ = lease(store, number, ben)
    around = {here: progress.neighbours(store, number, ben.id, here) for here in (one, two, three, open_.assignment_id)}
    assert around == {one: (None, two), two: (one, three), three: (two, None), open_.assignment_id: (three, None)}


def test_counts_and_the_estimate(store: Store) -> None:
    number, ben = project(store, 10), person(store)
    now = progress.progress(store, number, ben)
    assert (now.done, now.left, now.seconds, now.minutes_left, now.hint) == (0, 10, None, None, "")
    for ms in (10_000, 90_000, 40_000):
        answer(store, number, ben, 1, ms)
    lease(store, number, ben)
    now = progress.progress(store, number, ben)
    assert (now.done, now.left) == (3, 7), "the open task is one of those that are left"
    assert now.seconds == 40.0
    assert now.minutes_left == 5, "7 times 40 seconds are 4 min 40 s"


def test_the_pace_is_of_the_last_answers(store: Store) -> None:
    number, ben = project(store, 30), person(store)
    answer(store, number, ben, 9, 100_000)
    answer(store, number, ben, 20, 2_000)
    now = progress.progress(store, number, ben)
    assert (now.left, now.seconds, now.minutes_left) == (1, 2.0, 1), "a rest of seconds is a minute"
    answer(store, number, ben)
    assert progress.progress(store, number, ben).minutes_left is None


def test_what_others_have_filled_is_not_left(store: Store) -> None:
    number, ben = project(store, 3, overlap=1), person(store)
    answer(store, number, person(store, "Cleo"), 2)
    (card,) = progress.projects_for(store, ben)
    assert (card.name, card.left, card.done) == ("p", 1, 0)


def test_hidden_gold_counts_like_any_other_task(store: Store) -> None:
    number, ben = project(store, 12, gold_share=0.3), person(store)
    for one in tasks.add(store, number, work(6)):
        with store.read() as connection:
            ids = list(connection.scalars(select(item_completion.c.completion_id).where(item_completion.c.item_id == one)))
        tasks.set_gold(store, one, {"groups": [[i] for i in ids], "rejected": []})
    left = [progress.progress(store, number, ben).left]
    for _ in range(11):
        answer(store, number, ben)
        left.append(progress.progress(store, number, ben).left)
    assert left == list(range(18, 6, -1)), "it falls by one with each answer, gold or not"
    while assignment.next_task(store, number, ben.id):
        answer(store, number, ben)
    assert progress.progress(store, number, ben).left == 0


def test_why_there_is_nothing(store: Store) -> None:
    empty, number = project(store, 0, "empty"), project(store, 2, overlap=1)
    ben, cleo = person(store), person(store, "Cleo")
    assert progress.why_nothing(store, empty, ben) == ("There are no tasks in this project yet.",)
    lease(store, number, cleo)
    answer(store, number, ben)
    assert assignment.next_task(store, number, ben.id) is None
    assert progress.why_nothing(store, number, ben) == (
        "1 task is with others right now, and may come free: look again in a while.",
    )
    answer(store, number, cleo)
    assert progress.why_nothing(store, number, ben) == ("You have done everything that there is for you. Thank you.",)
    tasks.add(store, number, work(3, warning="violence"))
    people.set_declines(store, ben.id, ("violence",))
    found = people.known(store, ben.id)
    assert found is not None
    assert assignment.next_task(store, number, ben.id) is None
    assert progress.why_nothing(store, number, found[0]) == (
        "3 open tasks are of a kind that you turned off; your own page can change that.",
    )
    assert progress.projects_for(store, found[0])[1].left == 0


def test_guidelines_by_version(store: Store) -> None:
    number = project(store, 1)
    tasks.revise_guidelines(store, number, "Be very fair.")
    newest, old = progress.guidelines(store, number), progress.guidelines(store, number, 1)
    assert (newest.version, newest.newest, newest.text, newest.project) == (2, 2, "Be very fair.", "p")
    assert (old.version, old.newest, old.text) == (1, 2, "Be fair.")
    with pytest.raises(UserError, match="no version 3; the newest is 2"):
        progress.guidelines(store, number, 3)
    with pytest.raises(UserError, match="no project 99"):
        progress.guidelines(store, 99)


def test_a_word_about_ties_where_they_are_far_above_the_others(store: Store) -> None:
    number = project(store, 60, overlap=4)
    ben, cleo, dora = (person(store, name) for name in ("Ben", "Cleo", "Dora"))
    answer(store, number, ben, 6, tie=True)  # 18 comparisons, too few to speak of
    answer(store, number, cleo, 20)
    assert progress.progress(store, number, ben).hint == ""
    answer(store, number, ben, 2, tie=True)
    hint = progress.progress(store, number, ben).hint
    assert hint.startswith("100% of your comparisons are ties; the other labelers tie 0% of theirs.")
    assert progress.progress(store, number, cleo).hint == ""
    answer(store, number, dora, 40, tie=True)
    assert progress.progress(store, number, ben).hint == "", "where two in three comparisons are ties, ties are usual"


@pytest.mark.parametrize(
    ("payload", "counted"),
    [
        ({"groups": [[1], [2, 3, 4]], "rejected": [5]}, (3, 6)),
        ({"groups": [[1], [2]], "rejected": []}, (0, 1)),
        ({"groups": [], "rejected": [1, 2]}, (0, 0)),
        ({"cannot_judge": "x"}, (0, 0)),
        ({"tie": True}, (1, 1)),
        ({"better": 1, "grade": "better"}, (0, 1)),
        ({"both_bad": True}, (0, 0)),
    ],
)
def test_ties_of_an_answer(payload: Mapping[str, Any], counted: tuple[int, int]) -> None:
    assert progress._ties_of(payload) == counted
