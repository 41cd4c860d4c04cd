"""Position consistency from the log, counted by hand."""

from __future__ import annotations

from typing import Any

from accordant.feedback.judged import Consistency, consistency
from accordant.feedback.store import Store


def judged(store: Store, who: int, *letters: str | None) -> None:
    orders: list[dict[str, Any]] = [{"a": 0, "b": 1, "letter": letter} for letter in letters]
    with store.write() as connection:
        store.log(connection, "judged", who, assignment=1, orders=orders)


def test_a_choice_that_follows_the_answer_and_not_the_place_is_consistent(store: Store) -> None:
    assert consistency(store) == {}
    judged(store, 1, "A", "B", "A", "A", "C", "C")  # one, no, one
    judged(store, 1, "B", "A", "B", "C")  # one, no
    judged(store, 2, "B", "B", "A", None)  # no, unreadable
    judged(store, 3, None, "A")
    with store.write() as connection:
        store.log(connection, "submit", 1, assignment=1, revision=1)
    assert consistency(store) == {1: Consistency(3, 5), 2: Consistency(0, 1)}
