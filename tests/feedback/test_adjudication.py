"""Disputes come in order, an admin's word is the last one, and what was said before it stays."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import select

from accordant.feedback import people, schema, tasks
from accordant.feedback.adjudication import LONGEST_REASON, disagreement, queue, rule, ruled, rulings
from accordant.feedback.answers import said
from accordant.feedback.consensus import ADJUDICATED, consensus_rows
from accordant.feedback.store import Store
from accordant.types import Ranking, Source, Thumb, UserError
from desk import Desk
from sayings import likert, pair, rank, say, thumb


@pytest.fixture
def desk(store: Store) -> Desk:
    made = Desk(store)
    made.person("root", role="admin")
    return made


def test_disagreement_is_the_mean_distance_of_every_two() -> None:
    three = [thumb(True, "ana", 1), thumb(True, "ben", 1), thumb(False, "cleo", 1)]
    ranked = [rank("a b c", "ana", 2), rank("c b a", "ben", 2), rank("a b c", "cleo", 2)]
    graded = [pair("a slightly", "ana", 3), pair("tie", "ben", 3)]
    rated = [likert("ana", 4, wit=1), likert("ben", 4, wit=1)]
    alone, written = [thumb(True, "ana", 5)], [say("demonstration", {"text": who}, who, 6) for who in ("ana", "ben")]
    found = disagreement([*three, *ranked, *graded, *rated, *alone, *written])
    assert found == pytest.approx({1: 2 / 3, 2: 2 / 3, 3: 1 / 4, 4: 0})


def test_the_queue_holds_what_waits_for_a_ruling_and_the_most_disputed_first(desk: Desk) -> None:
    split, mild, agreed, single, halted, late, robot = (desk.item("thumb", 1) for _ in range(7))
    ranked = desk.item("rank", 3)
    gold = desk.item("thumb", 1)
    tasks.set_gold(desk.store, gold, {"up": True})
    for item, votes in {
        split: (True, False),
        mild: (True, True, True, False),
        agreed: (True, True),
        gold: (True, False),
    }.items():
        for who, up in zip(("Ana", "Ben", "Cleo", "Dan"), votes, strict=False):
            desk.say(item, who, {"up": up})
    desk.say(single, "Ana", {"up": True})
    desk.halt(halted, "skipped by 5 people")
    desk.halt(gold, "skipped by 5 people")
    desk.say(late, "Ana", {"up": True})
    desk.say(late, "Ben", {"up": False}, state="surplus")
    desk.person("judge", kind="ai")
    desk.say(robot, "Ana", {"up": True})
    desk.say(robot, "judge", {"up": False})
    desk.say(ranked, "Ana", desk.rank(ranked, "a b c"))
    desk.say(ranked, "Ben", desk.rank(ranked, "b c a"))
    found = queue(desk.store, desk.project)
    assert [(one.item_id, one.task, one.disagreement, one.halted) for one in found] == [
        (halted, "thumb", None, "skipped by 5 people"), (split, "thumb", 1.0, None),
        (ranked, "rank", pytest.approx(2 / 3), None), (mild, "thumb", 0.5, None),
    ]  # fmt: skip
    assert [[one.labeler for one in dispute.answers] for dispute in found] == [
        [], ["Ana", "Ben"], ["Ana", "Ben"], ["Ana", "Ben", "Cleo", "Dan"],
    ]  # fmt: skip
    assert [one.item_id for one in queue(desk.store, desk.project, least=0.6)] == [halted, split, ranked]
    assert [one.item_id for one in queue(desk.store, desk.project, limit=2)] == [halted, split]
    assert [one.item_id for one in queue(desk.store, desk.project, least=0.0)] == [halted, split, ranked, mild, agreed]
    desk.halt(agreed, "a bad prompt")
    for item in (split, halted):
        rule(desk.store, item, desk.people["root"], {"up": True}, "clear")
    assert [one.item_id for one in queue(desk.store, desk.project)] == [ranked, mild, agreed]
    other = Desk(desk.store, name="other")
    assert queue(desk.store, other.project) == []


def test_of_several_rulings_the_last_one_counts_and_all_are_kept(desk: Desk) -> None:
    first, second = desk.item("thumb", 1), desk.item("pair", 2)
    root, other = desk.people["root"], desk.person("other", role="admin")
    rule(desk.store, first, root, {"up": True}, "helpful")
    number = rule(desk.store, second, root, desk.pair(second, "b"), "clearer")
    rule(desk.store, first, other, {"up": False, "comment": "see the guidelines"}, "  it is wrong  ")
    assert rulings(desk.store, desk.project) == {
        first: {"up": False, "comment": "see the guidelines"}, second: desk.pair(second, "b"),
    }  # fmt: skip
    with desk.store.read() as connection:
        kept = connection.execute(select(schema.ruling).order_by(schema.ruling.c.id)).all()
        events = connection.execute(select(schema.event).where(schema.event.c.kind == "rule").order_by(schema.event.c.id)).all()
    assert [(row.item_id, row.labeler_id, row.reason, row.created) for row in kept] == [
        (first, root, "helpful", desk.store.now()), (second, root, "clearer", desk.store.now()),
        (first, other, "it is wrong", desk.store.now()),
    ]  # fmt: skip
    assert [(row.labeler_id, row.what["item"], row.what["reason"]) for row in events] == [
        (root, first, "helpful"), (root, second, "clearer"), (other, first, "it is wrong"),
    ]  # fmt: skip
    assert events[1].what["ruling"] == number == kept[1].id
    assert rulings(desk.store, Desk(desk.store, name="elsewhere").project) == {}
    desk.forget("other")
    assert rulings(desk.store, desk.project)[first] == {"up": True}, "the one before counts again"


def test_a_ruling_is_the_last_word_in_what_comes_out(desk: Desk) -> None:
    disputed, unanswered, plain = desk.item("rank", 3), desk.item("thumb", 1), desk.item("thumb", 1)
    desk.say(plain, "Ana", {"up": True})
    desk.say(disputed, "Ana", desk.rank(disputed, "a b c"))
    desk.say(disputed, "Ben", desk.rank(disputed, "c b a"))
    desk.halt(unanswered, "skipped by 5 people")
    rule(desk.store, disputed, desk.people["root"], desk.rank(disputed, "b a", "c"), "c is made up")
    rule(desk.store, unanswered, desk.people["root"], {"up": False}, "spam")
    answers, decided = said(desk.store, desk.project), rulings(desk.store, desk.project)
    rows = consensus_rows(answers, decided)
    (ranking,) = rows["rank"]
    assert isinstance(ranking, Ranking)
    assert (ranking.groups, ranking.rejected, ranking.labeler) == (((1,), (0,)), (2,), ADJUDICATED)
    assert [str(row.source) for row in rows["thumb"]] == [f"item {plain}"]
    with_ruled = consensus_rows([*answers, *ruled(desk.store, desk.project)], decided)
    assert with_ruled["rank"] == rows["rank"]
    assert with_ruled["thumb"] == [
        Thumb("a thumb", "a", False, ADJUDICATED, Source(f"item {unanswered}", 0)), *rows["thumb"],
    ], "in the order of the items"  # fmt: skip
    assert [(one.item_id, one.labeler, one.display) for one in ruled(desk.store, desk.project)] == [
        (disputed, ADJUDICATED, tuple(desk.ids(disputed))), (unanswered, ADJUDICATED, tuple(desk.ids(unanswered))),
    ]  # fmt: skip


def test_no_account_can_have_the_rulings_name(store: Store) -> None:
    with pytest.raises(UserError, match="must be 1 to 200 letters"):
        people.join(store, people.invite(store), ADJUDICATED, "long enough")


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"by": "Ana"}, "only an admin"),
        ({"by": None}, "only an admin"),
        ({"item": 999}, "no item 999"),
        ({"payload": {"up": "yes"}}, "`up` must be true or false"),
        ({"payload": {"groups": [], "rejected": []}}, "has no field 'groups'"),
        ({"reason": "  "}, "the reason has 0 characters"),
        ({"reason": "x" * (LONGEST_REASON + 1)}, "has 1,001 characters"),
    ],
)
def test_what_cannot_be_ruled_is_said_and_leaves_nothing(desk: Desk, changed: dict[str, Any], why: str) -> None:
    item = desk.item("thumb", 1)
    desk.person("Ana")
    wanted = {"item": item, "by": "root", "payload": {"up": True}, "reason": "so"} | changed
    with pytest.raises(UserError, match=why):
        rule(desk.store, wanted["item"], desk.people.get(wanted["by"], 999), wanted["payload"], wanted["reason"])
    assert rulings(desk.store, desk.project) == {}
    assert rule(desk.store, item, desk.people["root"], {"up": True}, "x" * LONGEST_REASON)


def test_a_ruling_names_completions_of_its_item(desk: Desk) -> None:
    item, other = desk.item("rank", 2), desk.item("rank", 2)
    with pytest.raises(UserError, match="2 of 2 answers have no place yet"):
        rule(desk.store, item, desk.people["root"], desk.rank(other, "a b"), "so")


def test_neither_gold_nor_a_closed_admin_rules(desk: Desk) -> None:
    item, gold = desk.item("thumb", 1), desk.item("thumb", 1)
    tasks.set_gold(desk.store, gold, {"up": True})
    with pytest.raises(UserError, match="is gold"):
        rule(desk.store, gold, desk.people["root"], {"up": True}, "so")
    second = desk.person("second", role="admin")
    people.close(desk.store, second)
    with pytest.raises(UserError, match="only an admin"):
        rule(desk.store, item, second, {"up": True}, "so")
