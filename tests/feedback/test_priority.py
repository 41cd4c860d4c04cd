"""Disputed items come first where a project orders so, and what that does to agreement stands beside the random share."""

from __future__ import annotations

import math

import pytest
from sqlalchemy import select

from accordant.feedback import schema
from accordant.feedback.answers import said
from accordant.feedback.assignment import next_task
from accordant.feedback.priority import by_disagreement, by_uncertainty, chosen
from accordant.feedback.store import Store
from accordant.feedback.tally import tally
from accordant.stats.agreement import NO_OVERLAP
from accordant.types import UserError
from desk import Desk


def priorities(store: Store) -> dict[int, float]:
    with store.read() as connection:
        return {row.id: row.priority for row in connection.execute(select(schema.item.c.id, schema.item.c.priority))}


def test_priority_is_how_far_people_are_apart(store: Store) -> None:
    desk = Desk(store, order_by="priority", random_share=0.0, gold_share=0.0, overlap=4)
    agreed, alone, split = (desk.item("thumb", 1, priority=0.25) for _ in range(3))
    for item, votes in {agreed: (True, True), alone: (True,), split: (True, False, True)}.items():
        for who, up in zip(("Ana", "Ben", "Cleo"), votes, strict=False):
            desk.say(item, who, {"up": up})
    desk.person("judge", kind="ai")
    desk.say(alone, "judge", {"up": False})
    assert by_disagreement(store, desk.project, by=desk.people["Ana"]) == 2
    assert priorities(store) == {agreed: 0.0, alone: 0.25, split: pytest.approx(2 / 3)}
    task = next_task(store, desk.project, desk.person("Dan"))
    assert task is not None
    assert task.item_id == split
    with store.read() as connection:
        event = connection.execute(select(schema.event).where(schema.event.c.kind == "priority")).one()
    assert (event.labeler_id, event.what) == (desk.people["Ana"], {"items": 2, "rule": "disagreement", "project": desk.project})


def test_priority_is_an_uncertainty_computed_elsewhere(store: Store) -> None:
    desk = Desk(store)
    first, second, third = (desk.item("thumb", 1) for _ in range(3))
    assert by_uncertainty(store, {third: 3, first: 0.5}) == 2
    assert priorities(store) == {first: 0.5, second: 0.0, third: 3.0}
    assert by_uncertainty(store, {}) == 0


@pytest.mark.parametrize(("value", "why"), [(math.nan, "is nan"), (math.inf, "is inf")])
def test_a_value_that_is_no_number_sets_nothing(store: Store, value: float, why: str) -> None:
    desk = Desk(store)
    item, other = desk.item("thumb", 1), desk.item("thumb", 1)
    with pytest.raises(UserError, match=why):
        by_uncertainty(store, {item: 1.0, other: value})
    with pytest.raises(UserError, match=r"no item 99 \(1 of 2 are unknown\)"):
        by_uncertainty(store, {item: 1.0, 99: 1.0})
    assert priorities(store) == {item: 0.0, other: 0.0}


def test_the_random_share_stands_beside_the_chosen_one(store: Store) -> None:
    """By hand: two easy items on which all agree, taken at random, and one hard one, taken by priority and once at random."""
    desk = Desk(store)
    easy, easy_too, hard, gold = (desk.item("thumb", 1) for _ in range(4))
    for item in (easy, easy_too):
        desk.say(item, "Ana", {"up": True})
        desk.say(item, "Ben", {"up": True})
    desk.say(hard, "Ana", {"up": True}, chosen_by="priority")
    desk.say(hard, "Ben", {"up": False}, chosen_by="priority")
    desk.say(hard, "Cleo", {"up": True}, chosen_by="random")
    desk.say(gold, "Ana", {"up": True}, chosen_by="gold")
    desk.say(gold, "Ben", state="skipped", chosen_by="priority")
    desk.person("judge", kind="ai")
    desk.say(hard, "judge", {"up": True}, chosen_by="priority")
    everything = tally(said(store, desk.project, gold=True, surplus=True, ai=True))
    found = {one.rule: one for one in chosen(store, desk.project, everything)}
    assert {name: (one.tasks, one.answers) for name, one in found.items()} == {
        "gold": (1, 0), "priority": (3, 2), "random": (5, 5),
    }  # fmt: skip
    assert found["priority"].agreement.value == pytest.approx((1 / 2 + 0) / 2)
    assert found["random"].agreement.value == pytest.approx((1 + 1 + 1 + 1 + 1 / 2) / 5)
    assert (found["gold"].agreement.value, found["gold"].agreement.note) == (None, NO_OVERLAP)
    assert found["random"].agreement.low is not None
    assert found["priority"].agreement.note.startswith("there is one group of items"), "resampled by item"
    assert chosen(store, Desk(store, name="other").project, tally([])) == ()
