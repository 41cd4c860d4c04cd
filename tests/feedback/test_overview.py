"""What the admin pages count, against counts by hand; and what may change while people work."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from sqlalchemy import select, update

from accordant.feedback import inspection, overview, people, tasks
from accordant.feedback.assignment import Task, next_task, skip, submit
from accordant.feedback.schema import assignment, event, item
from accordant.feedback.store import Store
from accordant.feedback.tasks import Text, Work
from accordant.types import Message, Source, UserError
from clock import Clock

SETTINGS = {"overlap": 2, "lease_minutes": 30, "gold_share": 0.0, "order_by": "least_answered", "random_share": 0.0}


def pairs(n: int, **fields: Any) -> list[Work]:
    return [
        Work(
            "pair", f"Question {i}", (Text(f"left {i}", "small", {"seed": i}), Text(f"right {i}", "large")),
            source=Source("in.jsonl", i + 1), **fields,
        )
        for i in range(n)
    ]  # fmt: skip


def project(store: Store, n: int = 3, name: str = "p", **options: Any) -> int:
    number = tasks.make_project(store, name, "Be fair.", **(SETTINGS | options))
    tasks.add(store, number, pairs(n))
    return number


def person(store: Store, name: str) -> int:
    return people.join(store, people.invite(store), name, "long enough").id


def take(store: Store, number: int, who: int) -> Task:
    task = next_task(store, number, who)
    assert task is not None
    return task


def answer(store: Store, number: int, who: int, **payload: Any) -> Task:
    task = take(store, number, who)
    submit(store, task.assignment_id, who, payload or {"tie": True}, str(uuid.uuid4()), 4000)
    return task


def test_counts_of_a_project(store: Store, clock: Clock) -> None:
    number, other = project(store, 6), project(store, 2, "another")
    ana, bo, robot = person(store, "Ana"), person(store, "Bo"), people.add_ai(store, "judge").id
    with store.read() as connection:
        ids = list(connection.scalars(select(item.c.id).where(item.c.project_id == number).order_by(item.c.id)))
    tasks.set_gold(store, ids[0], {"tie": True})
    tasks.halt(store, ids[1], "unclear")
    answer(store, number, ana)  # of ids[2], the least answered of the lowest id
    clock.minutes(25 * 60)
    answer(store, number, bo)  # ids[3]: it has fewer
    answer(store, number, robot)
    answer(store, number, bo)
    answer(store, other, ana)
    first, second = overview.projects(store)
    assert (first.id, second.id) == (other, number), "the newest first"
    found = overview.one_project(store, number)
    assert found == second
    assert (found.items, found.gold, found.halted, found.full, found.open) == (6, 1, 1, 0, 4)
    assert (found.wanted, found.given) == (8, 3), "gold, halted items and AI labelers count for nothing"
    assert (found.labelers, found.active) == (2, 1), "Ana answered more than a day ago"
    tasks.change(store, number, **(SETTINGS | {"overlap": 1}))
    found = overview.one_project(store, number)
    with store.read() as connection:
        answered = connection.scalars(
            select(assignment.c.item_id).where(assignment.c.labeler_id.in_([ana, bo]), assignment.c.item_id.in_(ids)).distinct()
        ).all()
    assert (found.wanted, found.given, found.full, found.open) == (4, len(answered), len(answered), 4 - len(answered))
    assert (overview.one_project(store, other).items, overview.one_project(store, other).given) == (2, 1)
    empty = overview.one_project(store, tasks.make_project(store, "empty", ""))
    assert (empty.items, empty.open, empty.wanted, empty.given, empty.labelers, empty.active) == (0, 0, 0, 0, 0, 0)
    with pytest.raises(UserError, match="no project 99"):
        overview.one_project(store, 99)


def test_answers_beyond_the_overlap_do_not_count_twice(store: Store) -> None:
    number = project(store, 2, order_by="priority")
    for name in ("Ana", "Bo"):
        answer(store, number, person(store, name))
    tasks.change(store, number, **(SETTINGS | {"overlap": 1, "order_by": "priority"}))
    found = overview.one_project(store, number)
    lines = overview.items(store, number).rows
    assert [line.answers for line in lines] == [2, 0]
    assert (found.given, found.wanted) == (1, 2)


def test_items_are_filtered_counted_and_paged(store: Store) -> None:
    number = project(store, 5)
    tasks.add(
        store,
        number,
        [Work("thumb", (Message("system", "be kind"), Message("user", "Où est\n50% _of_ it?")), (Text("Là-bas."),))],
    )
    project(store, 4, "another")
    everything = overview.items(store, number)
    assert (everything.total, everything.number, everything.last, len(everything.rows)) == (6, 1, 1, 6)
    assert everything.rows[-1].prompt == "Où est 50% _of_ it?", "of messages the last, in one line"
    page = overview.items(store, number, page=2, size=4)
    assert [line.id for line in page.rows] == [line.id for line in everything.rows[4:]]
    assert (page.total, page.number, page.last) == (6, 2, 2)
    assert overview.items(store, number, page=9, size=4).number == 2
    assert overview.items(store, number, page=-1, size=4).number == 1
    assert [line.task for line in overview.items(store, number, task="thumb").rows] == ["thumb"]
    tasks.set_gold(store, everything.rows[0].id, {"tie": True})
    tasks.halt(store, everything.rows[1].id, "why")
    ana, bo = person(store, "Ana"), person(store, "Bo")
    for who in (ana, bo):
        task = take(store, number, who)
        submit(store, task.assignment_id, who, {"tie": True}, str(uuid.uuid4()), 1)
        tasks.set_priority(store, task.item_id, 9)
        tasks.change(store, number, **(SETTINGS | {"order_by": "priority"}))
    count = {state: overview.items(store, number, state=state).total for state in overview.STATES}
    assert count == {"gold": 1, "attention": 0, "halted": 1, "full": 1, "open": 3}
    (full,) = overview.items(store, number, state="full").rows
    assert (full.answers, full.priority, full.state) == (2, 9.0, "full")
    for text, hits in {
        "QUESTION": 5,
        "question 3": 1,
        "où est\n50%": 1,
        "50%": 1,
        "_of_": 1,
        "%": 1,
        "là-BAS": 1,
        "left": 5,
        "x": 0,
    }.items():
        assert overview.items(store, number, text=text).total == hits, text


def test_an_item_in_full(store: Store) -> None:
    number = project(store, 1, overlap=3)
    ana, bo, judge = person(store, "Ana"), person(store, "Bo"), person(store, "Jo")
    task = answer(store, number, ana)
    submit(store, task.assignment_id, ana, {"better": task.display[0], "grade": "slightly"}, str(uuid.uuid4()), 900)
    given = take(store, number, bo)
    skip(store, given.assignment_id, bo, "not my field")
    found = inspection.one_item(store, number, task.item_id)
    assert [(one.text, one.model, one.sampling) for one in found.completions] == [
        ("left 0", "small", {"seed": 0}),
        ("right 0", "large", {}),
    ]
    assert (found.prompt, found.source, found.project, found.gold, found.row, found.halted) == (
        "Question 0",
        "in.jsonl:1",
        "p",
        None,
        None,
        None,
    )
    first, second = found.work
    assert (first.labeler, first.state, first.display, first.chosen_by) == ("Ana", "submitted", task.display, "least_answered")
    assert [(one.number, one.payload, one.ms_spent, one.guidelines_version) for one in first.revisions] == [
        (2, {"better": task.display[0], "grade": "slightly"}, 900, 1), (1, {"tie": True}, 4000, 1),
    ]  # fmt: skip
    assert (second.labeler, second.state, second.skipped, second.revisions) == ("Bo", "skipped", "not my field", ())
    assert judge not in {one.labeler_id for one in found.work}
    with pytest.raises(UserError, match="no item"):
        inspection.one_item(store, number + 1, task.item_id)


def test_neighbours_stay_in_the_project(store: Store) -> None:
    number = project(store, 2)
    project(store, 1, "another")
    tasks.add(store, number, pairs(1))
    a, b, c = (line.id for line in overview.items(store, number).rows)
    assert [inspection.neighbours(store, number, one) for one in (a, b, c)] == [(None, b), (a, c), (b, None)]


def test_people_and_their_activity(store: Store, clock: Clock) -> None:
    number = project(store, 3)
    bo, _ = person(store, "bo"), person(store, "Ana")
    people.add_ai(store, "judge")
    answer(store, number, bo)
    clock.minutes(5)
    task = take(store, number, bo)
    submit(store, task.assignment_id, bo, {"tie": True}, str(uuid.uuid4()), 1)
    submit(store, task.assignment_id, bo, {"both_bad": True}, str(uuid.uuid4()), 1)
    skip(store, take(store, number, bo).assignment_id, bo, "no")
    people.close(store, bo)
    ana, found, judge = overview.everybody(store)
    assert (ana.name, ana.answers, ana.skips, ana.last) == ("Ana", 0, 0, None)
    assert (found.name, found.answers, found.skips, found.last, found.active) == ("bo", 2, 1, clock.ms, False), (
        "revisions are no answers"
    )
    assert (judge.kind, judge.role) == ("ai", "labeler")


def test_invitations_that_are_open(store: Store, clock: Clock) -> None:
    people.join(store, people.invite(store), "Ana", "long enough")
    people.invite(store, days=1)
    people.invite(store, "admin", days=7)
    assert [one.role for one in overview.invitations(store)] == ["admin", "labeler"]
    clock.minutes(2 * 24 * 60)
    (left,) = overview.invitations(store)
    assert (left.role, left.expires - left.created) == ("admin", 7 * overview.DAY_MS)


def test_the_log_names_who_did_it_and_survives_them(store: Store) -> None:
    ana = person(store, "Ana")
    number = tasks.make_project(store, "p", "", by=ana)
    tasks.revise_guidelines(store, number, "new", by=987)
    last, before, *_ = overview.log(store).rows
    assert (last.kind, last.who, last.what) == ("guidelines", "account 987", {"project": number, "version": 2})
    assert (before.kind, before.who) == ("project", "Ana")
    page = overview.log(store, page=2, size=1)
    assert (page.rows, page.number) == ((before,), 2)
    assert overview.log(store, kind="project").total == 1
    assert {"guidelines", "invite", "join", "project"} == set(overview.kinds_of_event(store))


def test_throughput_counts_first_answers_of_people_by_day(store: Store, clock: Clock) -> None:
    number, ana = project(store, 3), person(store, "Ana")
    task = answer(store, number, ana)
    clock.minutes(24 * 60)
    submit(store, task.assignment_id, ana, {"both_bad": True}, str(uuid.uuid4()), 1)
    answer(store, number, ana)
    answer(store, number, people.add_ai(store, "judge").id)
    clock.minutes(24 * 60)
    found = overview.throughput(store, number, days=3)
    assert [count for _, count in found] == [1, 1, 0]
    assert found[-1][0] == clock.ms // overview.DAY_MS * overview.DAY_MS
    assert [count for _, count in overview.throughput(store, number, days=2)] == [1, 0]


def test_guidelines_of_all_versions(store: Store) -> None:
    number = project(store)
    tasks.revise_guidelines(store, number, "Be fairer.")
    assert [(one.version, one.text) for one in overview.guidelines(store, number)] == [(2, "Be fairer."), (1, "Be fair.")]


# --- what may change later -------------------------------------------------------------------------------------------


def test_a_change_of_settings_is_logged_with_what_was_before(store: Store) -> None:
    number = project(store)
    assert tasks.change(store, number, **SETTINGS) == {}
    changed = tasks.change(store, number, **(SETTINGS | {"overlap": 4, "lease_minutes": 45.5}), by=7)
    assert changed == {"overlap": (2, 4), "lease_ms": (1_800_000, 2_730_000)}
    found = overview.one_project(store, number)
    assert (found.overlap, found.lease_minutes, found.order_by) == (4, 45.5, "least_answered")
    (entry,) = overview.log(store, kind="settings").rows
    assert entry.what == {"project": number, "changed": {"overlap": [2, 4], "lease_ms": [1_800_000, 2_730_000]}}
    assert entry.who == "account 7"


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("overlap", 0, "overlap is 0"), ("overlap", 1001, "1 to 1000"), ("lease_minutes", 0.5, "0.5 minutes"),
        ("lease_minutes", float("nan"), "nan minutes"), ("lease_minutes", 20_000, "a week"),
        ("gold_share", 1.5, "gold_share is 1.5"),
        ("random_share", -0.1, "random_share is -0.1"), ("random_share", float("nan"), "nan"), ("order_by", "luck", "'luck'"),
    ],
)  # fmt: skip
def test_a_setting_out_of_range_is_refused_for_old_and_new_projects(store: Store, field: str, value: Any, words: str) -> None:
    number = project(store)
    with pytest.raises(UserError, match=words):
        tasks.change(store, number, **(SETTINGS | {field: value}))
    with pytest.raises(UserError, match=words):
        tasks.make_project(store, "new", "", **(SETTINGS | {field: value}))
    assert len(overview.projects(store)) == 1


@pytest.mark.parametrize(
    ("name", "attributes"), [("", ("a",)), ("n" * 201, ("a",)), ("ok", ()), ("ok", ("a", "a")), ("ok", ("a", " "))]
)
def test_a_project_needs_a_name_and_scales_of_their_own(store: Store, name: str, attributes: tuple[str, ...]) -> None:
    with pytest.raises(UserError, match=r"needs a name|the attributes are"):
        tasks.make_project(store, name, "", attributes=attributes)


def test_gold_is_taken_back_halted_is_reopened_priority_is_set(store: Store) -> None:
    number = project(store, 1)
    (line,) = overview.items(store, number).rows
    ana = person(store, "Ana")
    tasks.set_gold(store, line.id, {"tie": True}, by=ana)
    tasks.take_gold_back(store, line.id, by=ana)
    tasks.halt(store, line.id, " too long ", by=ana)
    assert next_task(store, number, ana) is None
    assert inspection.one_item(store, number, line.id).halted == "too long"
    tasks.reopen(store, line.id, by=ana)
    tasks.set_priority(store, line.id, -2.5, by=ana)
    found = inspection.one_item(store, number, line.id)
    assert (found.gold, found.halted, found.priority) == (None, None, -2.5)
    assert take(store, number, ana).item_id == line.id, "an ordinary item again"
    kinds = [(one.kind, one.who) for one in reversed(overview.log(store).rows) if one.what.get("item") == line.id]
    assert kinds == [(kind, "Ana") for kind in ("gold", "not_gold", "halt", "reopen", "priority", "lease")]
    for wrong, words in (
        (lambda: tasks.take_gold_back(store, line.id), "not gold"), (lambda: tasks.reopen(store, line.id), "not halted"),
        (lambda: tasks.halt(store, line.id, " "), "say why"), (lambda: tasks.halt(store, line.id, "x" * 301), "at most 300"),
        (lambda: tasks.halt(store, 99, "x"), "no item 99"), (lambda: tasks.set_priority(store, line.id, float("inf")), "inf"),
        (lambda: tasks.change(store, 99, **SETTINGS), "no project 99"),
    ):  # fmt: skip
        with pytest.raises(UserError, match=words):
            wrong()


def test_gold_that_was_taken_back_is_null_and_not_the_word_null(store: Store) -> None:
    project(store, 2)
    with store.write() as connection:
        connection.execute(update(item).values(gold=None, row=None))
    with store.read() as connection:
        assert connection.scalars(select(item.c.id).where(item.c.gold.is_not(None))).all() == []
        assert connection.scalars(select(event.c.id).where(event.c.kind == "gold")).all() == []
