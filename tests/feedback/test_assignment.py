"""Who gets what: overlap is never exceeded, nobody sees an item twice, nothing that was sent is lost or doubled."""

from __future__ import annotations

import threading
import uuid
from collections import Counter
from typing import Any

import pytest
from sqlalchemy import Connection, Row, insert, select

from accordant.feedback import assignment as assignments
from accordant.feedback import people, tasks
from accordant.feedback.assignment import SKIPS_HALT, Task, next_task, save_draft, skip, submit
from accordant.feedback.choosing import Choice
from accordant.feedback.schema import answer, assignment, draft, event, item, item_completion, labeler
from accordant.feedback.store import Store
from accordant.feedback.tasks import Text, Work
from accordant.types import UserError
from clock import Clock


def work(n: int, task: str = "rank", answers: int = 3, **fields: Any) -> list[Work]:
    texts = [tuple(Text(f"answer {k} to {i}", f"model {k}") for k in range(answers)) for i in range(n)]
    return [Work(task, f"question {i}", some, **fields) for i, some in enumerate(texts)]


def project(store: Store, n: int = 6, **options: Any) -> int:
    number = tasks.make_project(store, "p", "Be fair.", **({"overlap": 2, "gold_share": 0.0} | options))
    tasks.add(store, number, work(n))
    return number


def labelers(store: Store, n: int) -> list[int]:
    return [people.join(store, people.invite(store), f"labeler {i}", "long enough").id for i in range(n)]


def crowd(store: Store, n: int) -> list[int]:
    """More labelers than would be worth inviting one by one."""
    same = {"kind": "human", "role": "labeler", "active": True, "strata": {}, "declines": [], "created": 0}
    with store.write() as connection:
        connection.execute(insert(labeler), [{"name": f"labeler {i}", **same} for i in range(n)])
        return list(connection.scalars(select(labeler.c.id).order_by(labeler.c.id)))


def ranked(task: Task) -> dict[str, Any]:
    return {"groups": [[one] for one in task.display], "rejected": []}


def send(store: Store, task: Task, who: int, payload: dict[str, Any] | None = None, uid: str | None = None) -> int:
    return submit(store, task.assignment_id, who, payload or ranked(task), uid or str(uuid.uuid4()), 1000).revision


def states(store: Store) -> Counter[str]:
    with store.read() as connection:
        return Counter(connection.scalars(select(assignment.c.state)))


def test_everybody_gets_every_item_until_it_is_full(store: Store) -> None:
    number, who = project(store, 6), labelers(store, 3)
    seen: dict[int, list[int]] = {one: [] for one in who}
    going = set(who)
    while going:
        for one in sorted(going):
            task = next_task(store, number, one)
            if task is None:
                going.discard(one)
                continue
            seen[one].append(task.item_id)
            send(store, task, one)
    counts = Counter(i for items in seen.values() for i in items)
    assert set(counts.values()) == {2}
    assert len(counts) == 6
    for items in seen.values():
        assert len(items) == len(set(items)), "the same item twice to one person"


def test_an_open_task_is_the_same_until_it_is_done(store: Store, clock: Clock) -> None:
    number, (one,) = project(store), labelers(store, 1)
    first = next_task(store, number, one)
    clock.minutes(10)
    again = next_task(store, number, one)
    assert first is not None
    assert again is not None
    assert (again.assignment_id, again.display) == (first.assignment_id, first.display)
    assert again.leased_until == first.leased_until + 600_000


def test_a_lease_that_ran_out_frees_its_place_and_a_late_answer_is_surplus(store: Store, clock: Clock) -> None:
    number, (one, two, three) = project(store, 1), labelers(store, 3)
    late, kept = next_task(store, number, one), next_task(store, number, two)
    assert late is not None
    assert kept is not None
    assert next_task(store, number, three) is None, "two leases fill an overlap of two"
    clock.minutes(20)
    next_task(store, number, two)  # still at work: the lease begins anew
    clock.minutes(20)
    third = next_task(store, number, three)
    assert third is not None
    assert third.item_id == late.item_id
    send(store, third, three)
    send(store, kept, two)
    assert send(store, late, one) == 1
    assert states(store) == {"submitted": 2, "surplus": 1}


def test_leases_that_ran_out_are_looked_for_every_second_and_count_until_then(store: Store, clock: Clock) -> None:
    number, (one, two) = project(store, 1, overlap=1), labelers(store, 2)
    assert next_task(store, number, one) is not None
    clock.ms += 30 * 60_000 - 300
    assert next_task(store, number, two) is None
    clock.ms += 999  # late for 699 ms, and looked for 999 ms ago
    assert next_task(store, number, two) is None
    assert states(store) == {"leased": 1}
    clock.ms += 1
    assert next_task(store, number, two) is not None
    assert states(store) == {"expired": 1, "leased": 1}


def test_a_clock_that_was_set_back_does_not_keep_leases_for_ever(store: Store, clock: Clock) -> None:
    number, (one, two) = project(store, 1, overlap=1), labelers(store, 2)
    clock.minutes(24 * 60)
    assert next_task(store, number, one) is not None
    clock.minutes(-12 * 60)
    with store.write() as connection:
        connection.execute(assignment.update().values(leased_until=clock.ms - 1))
    assert next_task(store, number, two) is not None


def test_a_late_answer_whose_place_is_still_free_counts(store: Store, clock: Clock) -> None:
    number, (one,) = project(store, 1), labelers(store, 1)
    task = next_task(store, number, one)
    assert task is not None
    clock.minutes(31)
    send(store, task, one)
    assert states(store) == {"submitted": 1}


def test_sent_twice_is_stored_once(store: Store) -> None:
    number, (one, two) = project(store), labelers(store, 2)
    task = next_task(store, number, one)
    assert task is not None
    uid = str(uuid.uuid4())
    assert send(store, task, one, uid=uid) == send(store, task, one, uid=uid) == 1
    with store.read() as connection:
        assert len(connection.execute(select(answer)).all()) == 1
    other = next_task(store, number, two)
    assert other is not None
    with pytest.raises(UserError, match="used for another answer"):
        send(store, other, two, uid=uid)
    # The first one arrived although the page did not hear of it; what was changed since must not pass for stored.
    with pytest.raises(UserError, match="used for another answer"):
        send(store, task, one, {"groups": [list(task.display)], "rejected": []}, uid=uid)
    with store.read() as connection:
        assert connection.scalar(select(answer.c.payload)) == ranked(task)


def test_one_submission_id_is_of_one_task_although_the_answers_are_alike(store: Store) -> None:
    number, (one,) = project(store, 0), labelers(store, 1)
    tasks.add(store, number, [Work("thumb", f"question {i}", (Text("answer"),)) for i in range(2)])
    first = next_task(store, number, one)
    assert first is not None
    assert send(store, first, one, {"up": True}, "same") == send(store, first, one, {"up": True}, "same") == 1
    assert send(store, first, one, {"up": False}, "changed") == 2
    assert send(store, first, one, {"up": True}, "same") == 1, "it arrived long ago, as the first"
    second = next_task(store, number, one)
    assert second is not None
    with pytest.raises(UserError, match="used for another answer"):
        send(store, second, one, {"up": True}, "same")


def test_a_revision_keeps_what_was_said_before(store: Store) -> None:
    number, (one,) = project(store), labelers(store, 1)
    task = next_task(store, number, one)
    assert task is not None
    first, changed = ranked(task), {"groups": [list(task.display)], "rejected": []}
    assert send(store, task, one, first) == 1
    assert tasks.revise_guidelines(store, number, "Be very fair.") == 2
    assert send(store, task, one, changed) == 2
    with store.read() as connection:
        rows = connection.execute(select(answer).order_by(answer.c.revision)).all()
        kinds = list(connection.scalars(select(event.c.kind).where(event.c.labeler_id == one).order_by(event.c.id)))
    assert [row.payload for row in rows] == [first, changed]
    assert [row.guidelines_version for row in rows] == [1, 2]
    assert kinds[-2:] == ["submit", "revise"]


def test_every_labeler_has_an_own_order_and_it_is_kept(store: Store) -> None:
    number, who = tasks.make_project(store, "p", "", overlap=30, gold_share=0.0), labelers(store, 30)
    tasks.add(store, number, work(1, answers=4))
    found = [next_task(store, number, one) for one in who]
    orders = Counter(task.display for task in found if task)
    assert sum(orders.values()) == 30
    assert len(orders) > 12, "24 orders are possible: 30 labelers see most of them"
    first = Counter(task.display[0] for task in found if task)
    assert max(first.values()) < 18, "no answer is usually first"
    with store.read() as connection:
        stored = {who_: shown for who_, shown in connection.execute(select(assignment.c.labeler_id, assignment.c.display))}
    assert [tuple(stored[one]) for one in who] == [task.display for task in found if task]


def test_a_draft_of_a_change_is_kept_for_the_revision_that_its_page_showed(store: Store) -> None:
    number, (one,) = project(store), labelers(store, 1)
    task = next_task(store, number, one)
    assert task is not None
    send(store, task, one)

    def drafts() -> list[dict[str, Any]]:
        with store.read() as connection:
            return list(connection.scalars(select(draft.c.payload)))

    assert not save_draft(store, task.assignment_id, one, {"n": 0})
    assert not save_draft(store, task.assignment_id, one, {"n": 2}, 2)
    assert drafts() == []
    assert save_draft(store, task.assignment_id, one, {"n": 1}, 1)
    assert drafts() == [{"n": 1}]
    send(store, task, one)
    assert drafts() == []
    other = next_task(store, number, one)
    assert other is not None
    skip(store, other.assignment_id, one, "no")
    assert not save_draft(store, other.assignment_id, one, {"n": 0})


def test_anothers_task_can_neither_be_answered_nor_skipped_nor_drafted(store: Store) -> None:
    number, (one, two) = project(store), labelers(store, 2)
    task = next_task(store, number, one)
    assert task is not None
    for attempt in (
        lambda: send(store, task, two),
        lambda: skip(store, task.assignment_id, two, "no"),
        lambda: save_draft(store, task.assignment_id, two, {}),
    ):
        with pytest.raises(UserError, match="not one of yours"):
            attempt()


def test_an_incomplete_answer_changes_nothing(store: Store) -> None:
    number, (one,) = project(store), labelers(store, 1)
    task = next_task(store, number, one)
    assert task is not None
    with pytest.raises(UserError, match="1 of 3 answers have no place yet"):
        send(store, task, one, {"groups": [[one_] for one_ in task.display[:2]], "rejected": []})
    assert states(store) == {"leased": 1}


def test_a_draft_survives_and_goes_when_the_answer_comes(store: Store, clock: Clock) -> None:
    number, (one,) = project(store), labelers(store, 1)
    task = next_task(store, number, one)
    assert task is not None
    for groups in ([], [[task.display[0]]]):
        clock.minutes(20)  # work goes on past the first lease
        save_draft(store, task.assignment_id, one, {"groups": groups})
    with store.read() as connection:
        assert [row.payload for row in connection.execute(select(draft))] == [{"groups": [[task.display[0]]]}]
    send(store, task, one)
    with store.read() as connection:
        assert connection.execute(select(draft)).all() == []
    assert states(store) == {"submitted": 1}


def test_what_many_skip_is_halted(store: Store) -> None:
    number, who = project(store, 1, overlap=1), labelers(store, SKIPS_HALT + 1)
    for one in who[:SKIPS_HALT]:
        task = next_task(store, number, one)
        assert task is not None
        skip(store, task.assignment_id, one, "unreadable")
    assert next_task(store, number, who[-1]) is None
    with store.read() as connection:
        (why,) = connection.scalars(select(item.c.halted))
    assert why == f"skipped by {SKIPS_HALT} people"


def test_a_declined_kind_is_never_given(store: Store) -> None:
    number, (one,) = tasks.make_project(store, "p", "", gold_share=0.0), labelers(store, 1)
    tasks.add(store, number, work(3, kind="red_team"))
    tasks.add(store, number, work(2, warning="violence"))
    plain = tasks.add(store, number, work(2))
    people.set_declines(store, one, ("red_team", "violence"))
    given = []
    while (task := next_task(store, number, one)) is not None:
        given.append(task.item_id)
        send(store, task, one)
    assert sorted(given) == plain


def test_priority_comes_first_but_for_the_random_share(store: Store) -> None:
    number, (one,) = project(store, 0, order_by="priority", random_share=0.25), labelers(store, 1)
    for i in range(80):
        tasks.add(store, number, work(1, priority=float(i)))
    chosen = []
    while (task := next_task(store, number, one)) is not None:
        send(store, task, one)
        with store.read() as connection:
            chosen.append(connection.execute(
                select(item.c.priority, assignment.c.chosen_by).join(assignment).where(item.c.id == task.item_id)
            ).one())  # fmt: skip
    by_rule = [row.priority for row in chosen if row.chosen_by == "priority"]
    assert by_rule == sorted(by_rule, reverse=True)
    assert 8 <= sum(row.chosen_by == "random" for row in chosen) <= 34, "80 draws at one in four"


def test_gold_comes_among_the_others_at_its_share_and_needs_no_place(store: Store) -> None:
    number, who = project(store, 60, overlap=1, gold_share=0.2), labelers(store, 2)
    gold = tasks.add(store, number, work(30))
    for one in gold:
        with store.read() as connection:
            ids = list(connection.scalars(select(item_completion.c.completion_id).where(item_completion.c.item_id == one)))
        tasks.set_gold(store, one, {"groups": [[i] for i in ids], "rejected": []}, attention=one % 2 == 0)
    given: dict[int, list[int]] = {one: [] for one in who}
    for one in who:
        for _ in range(30):
            task = next_task(store, number, one)
            assert task is not None
            given[one].append(task.item_id)
            send(store, task, one)
        assert 1 <= sum(i in gold for i in given[one]) <= 13, "30 draws at one in five"
    assert {states(store)["submitted"]} == {60}
    with store.read() as connection:
        for row in connection.execute(select(assignment.c.chosen_by, item.c.id).join(item)):
            kind = "random" if row.id not in gold else "gold" if row.id % 2 else "attention"
            assert row.chosen_by == kind


def test_gold_has_room_for_everybody_and_for_answers_that_come_late(store: Store, clock: Clock) -> None:
    number, who = project(store, 40, overlap=1, gold_share=0.5), labelers(store, 3)
    gold, *_ = tasks.add(store, number, work(1))
    with store.read() as connection:
        ids = list(connection.scalars(select(item_completion.c.completion_id).where(item_completion.c.item_id == gold)))
    tasks.set_gold(store, gold, {"groups": [[one] for one in ids], "rejected": []})
    late = None
    for one in who:
        while (task := next_task(store, number, one)) is not None and task.item_id != gold:
            send(store, task, one)
        assert task is not None, "the gold item came before the work ended"
        if late is None:
            late = task
            clock.minutes(60)
        else:
            send(store, task, one)
    assert late is not None
    assert submit(store, late.assignment_id, who[0], ranked(late), "late", 1)[:2] == (1, "submitted")


@pytest.mark.parametrize("order", ["random", "priority", "least_answered"])
def test_an_item_that_somebody_else_fills_meanwhile_is_passed_over(
    store: Store, monkeypatch: pytest.MonkeyPatch, order: str
) -> None:
    number, (one,) = project(store, 6, order_by=order, random_share=0.0), labelers(store, 1)
    full: list[int] = []

    def too_late(store: Store, connection: Connection, who: Row[Any], chosen: Choice) -> Task | None:
        if len(full) < 5:
            full.append(chosen.item_id)
            return None
        return lease(store, connection, who, chosen)

    lease = assignments._lease
    monkeypatch.setattr(assignments, "_lease", too_late)
    task = next_task(store, number, one)
    assert task is not None
    assert len({task.item_id, *full}) == 6


def test_a_closed_account_gets_nothing(store: Store) -> None:
    number, (one,) = project(store), labelers(store, 1)
    people.close(store, one)
    with pytest.raises(UserError, match="not active"):
        next_task(store, number, one)
    with pytest.raises(UserError, match="no project 99"):
        next_task(store, 99, one)


def test_labelers_who_race_never_overfill_an_item(store: Store) -> None:
    """Eight at once, an overlap of two, forty items: the last place is given once."""
    number, who = project(store, 40, order_by="least_answered", random_share=0.3), labelers(store, 8)
    errors: list[BaseException] = []

    def work_on(one: int) -> None:
        try:
            while (task := next_task(store, number, one)) is not None:
                send(store, task, one)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=work_on, args=(one,)) for one in who]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=120)
    assert errors == []
    with store.read() as connection:
        rows = connection.execute(select(assignment.c.item_id, assignment.c.labeler_id, assignment.c.state)).all()
    assert {row.state for row in rows} == {"submitted"}
    assert set(Counter(row.item_id for row in rows).values()) == {2}
    assert len({(row.item_id, row.labeler_id) for row in rows}) == 80


def test_models_take_no_places_and_have_no_limit(store: Store, clock: Clock) -> None:
    """Three models answer two items with overlap 1, before, between and after people; people notice nothing of it."""
    number = project(store, 2, overlap=1)
    (ana, bo), models = labelers(store, 2), [people.add_ai(store, f"model {i}").id for i in range(3)]
    late = next_task(store, number, models[0])
    for model in models[1:]:
        assert {done.item_id for done in all_of(store, number, model)} == {1, 2}
    assert {done.item_id for done in all_of(store, number, ana)} == {1, 2}
    assert next_task(store, number, bo) is None
    assert late is not None
    clock.minutes(60)
    submit(store, late.assignment_id, models[0], ranked(late), "late", 1)  # everything is full, and its lease has run out
    assert len(all_of(store, number, models[0])) == 1
    with store.read() as connection:
        assert set(connection.scalars(select(assignment.c.state))) == {"submitted"}


def test_a_lease_of_a_model_that_ran_out_comes_back_although_people_have_filled_the_item(store: Store, clock: Clock) -> None:
    number = project(store, 1, overlap=1)
    (ana,), model = labelers(store, 1), people.add_ai(store, "model").id
    first = next_task(store, number, model)
    clock.minutes(60)
    assert len(all_of(store, number, ana)) == 1
    again = next_task(store, number, model)
    assert again is not None
    assert first is not None
    assert again.assignment_id == first.assignment_id


def test_people_are_sent_where_few_people_were_whatever_models_did(store: Store) -> None:
    number = project(store, 2, overlap=2, order_by="least_answered", random_share=0.0)
    ana, bo = labelers(store, 2)
    for i in range(2):  # two models are at work on the second item, which no person has answered
        model = people.add_ai(store, f"model {i}").id
        first = next_task(store, number, model)
        assert first is not None
        assert first.item_id == 1
        submit(store, first.assignment_id, model, ranked(first), f"m{i}", 1)
        assert next_task(store, number, model).item_id == 2  # type: ignore[union-attr]
    assert next_task(store, number, ana).item_id == 1  # type: ignore[union-attr]
    assert next_task(store, number, bo).item_id == 2  # type: ignore[union-attr]


def test_what_models_skip_is_not_halted(store: Store) -> None:
    number = project(store, 1)
    for i in range(SKIPS_HALT + 1):
        model = people.add_ai(store, f"model {i}").id
        task = next_task(store, number, model)
        assert task is not None
        skip(store, task.assignment_id, model, "unreadable")
    with store.read() as connection:
        assert connection.scalar(select(item.c.halted)) is None


def all_of(store: Store, number: int, who: int) -> list[Task]:
    done = []
    while (task := next_task(store, number, who)) is not None:
        submit(store, task.assignment_id, who, ranked(task), str(uuid.uuid4()), 1)
        done.append(task)
    return done


@pytest.mark.parametrize("open_items", [3, 20])
def test_a_random_item_is_any_of_the_open_ones_alike(store: Store, open_items: int) -> None:
    """Drawn ids and, where few items are left, the list of all of them: both give each open item the same chance."""
    number = project(store, 40, overlap=1)
    with store.write() as connection:
        full = connection.scalars(select(item.c.id).order_by(item.c.id)).all()[open_items:]
        connection.execute(item.update().where(item.c.id.in_(full)).values(halted="not now"))
    chosen: Counter[int] = Counter()
    for one in crowd(store, 200):
        task = next_task(store, number, one)
        assert task is not None
        chosen[task.item_id] += 1
        with store.write() as connection:  # the place is free again for the next
            connection.execute(assignment.update().values(state="skipped"))
    assert not set(chosen) & set(full)
    expected = 200 / open_items
    assert sum((chosen[k] - expected) ** 2 / expected for k in range(min(chosen), max(chosen) + 1) if k not in full) < {
        3: 13.8, 20: 43.8,
    }[open_items], "chi-squared with one degree of freedom less than items, p = 0.001"  # fmt: skip


def test_a_reopened_item_is_halted_by_as_many_skips_again(store: Store) -> None:
    number, who = project(store, 1, overlap=1), labelers(store, 2 * SKIPS_HALT + 1)

    def pass_on(some: list[int]) -> list[str | None]:
        """Each of these skips it; what is said of the item after each."""
        said = []
        for one in some:
            task = next_task(store, number, one)
            assert task is not None
            skip(store, task.assignment_id, one, f"the reason of {one}")
            with store.read() as connection:
                said.append(connection.scalar(select(item.c.halted)))
        return said

    assert pass_on(who[:SKIPS_HALT]) == [None] * (SKIPS_HALT - 1) + ["skipped by 5 people"]
    with store.read() as connection:
        (only,) = connection.scalars(select(item.c.id))
    tasks.reopen(store, only)
    assert pass_on(who[SKIPS_HALT : 2 * SKIPS_HALT]) == [None] * (SKIPS_HALT - 1) + ["skipped by 10 people"]
    with store.read() as connection:
        halts = connection.scalars(select(event.c.what).where(event.c.kind == "halt")).all()
    assert len(halts) == 2
    assert "reason" not in str(halts), "what people said is theirs, and goes with them"


def test_a_kind_that_is_turned_off_is_not_given_although_it_was_leased(store: Store) -> None:
    number, (one,) = project(store, 0), labelers(store, 1)
    tasks.add(store, number, work(1, kind="red_team"))
    first = next_task(store, number, one)
    assert first is not None
    tasks.add(store, number, work(1))
    people.set_declines(store, one, ("red_team",))
    other = next_task(store, number, one)
    assert other is not None
    assert other.item_id != first.item_id
    people.set_declines(store, one, ())
    again = next_task(store, number, one)
    assert again is not None
    assert again.item_id in (first.item_id, other.item_id)
