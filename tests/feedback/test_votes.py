"""What is equal, how far two answers are apart, and what is right: tables worked out by hand, and the laws of a distance."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accordant.feedback.answers import Said
from accordant.feedback.votes import BOTH_BAD, distance, ranking, right, signed_grade, votes
from accordant.stats.dawid_skene import FIRST, SECOND, TIE
from sayings import likert, pair, rank, say, thumb, vet


def test_a_ranking_is_a_vote_on_every_two_completions() -> None:
    assert votes(rank("c ab", rejected="d")) == {
        (0, 1): TIE, (0, 2): SECOND, (0, 3): FIRST, (1, 2): SECOND, (1, 3): FIRST, (2, 3): FIRST,
    }  # fmt: skip
    assert votes(rank("b", rejected="ac"))[0, 2] == TIE, "rejected answers are tied among themselves"


@pytest.mark.parametrize(
    ("one", "said"),
    [
        (pair("a better"), {"pair": FIRST}),
        (pair("b negligibly"), {"pair": SECOND}),
        (pair("tie"), {"pair": TIE}),
        (pair("both_bad"), {"pair": BOTH_BAD}),
        (pair("cannot_judge"), {}),
        (say("rank", {"cannot_judge": "no"}), {}),
        (likert(wit=4, tact=None), {"wit": 4}),
        (thumb(False), {"up": False}),
        (vet("reject"), {"verdict": "reject"}),
        (say("demonstration", {"text": "x"}), {}),
        (say("red_team", {"text": "x"}), {}),
    ],
)
def test_votes_of_other_tasks(one: Said, said: dict[Any, Any]) -> None:
    assert votes(one) == said


@pytest.mark.parametrize(
    ("verdict", "grade"),
    [
        ("a significantly", 4), ("a better", 3), ("a slightly", 2), ("a negligibly", 1), ("tie", 0),
        ("b negligibly", -1), ("b slightly", -2), ("b better", -3), ("b significantly", -4),
        ("both_bad", None), ("cannot_judge", None),
    ],
)  # fmt: skip
def test_the_signed_grade(verdict: str, grade: int | None) -> None:
    assert signed_grade(pair(verdict)) == grade


@pytest.mark.parametrize(
    ("verdict", "groups", "rejected"),
    [("a better", ((0,), (1,)), ()), ("b slightly", ((1,), (0,)), ()), ("tie", ((0, 1),), ()), ("both_bad", (), (0, 1))],
)
def test_a_pair_is_a_ranking_of_two(verdict: str, groups: Any, rejected: Any) -> None:
    found = ranking(pair(verdict, who="ben", item=7))
    assert found is not None
    assert (found.groups, found.rejected, found.completions, found.labeler) == (groups, rejected, ("a", "b"), "ben")
    assert (found.prompt, str(found.source)) == ("q7", "item 7")


def test_what_is_no_order_is_no_ranking() -> None:
    for one in (pair("cannot_judge"), say("rank", {"cannot_judge": "no"}), thumb(True)):
        assert ranking(one) is None


@pytest.mark.parametrize(
    ("one", "other", "far"),
    [
        (rank("a b c"), rank("a b c"), 0),
        (rank("a b c"), rank("c b a"), 1),
        (rank("a b c"), rank("b a c"), 1 / 3),
        (rank("a b c"), rank("ab c"), 1 / 6),
        (rank("a b c"), rank("abc"), 1 / 2),
        (rank("a", rejected="bc"), rank("a b c"), 1 / 6),
        (rank("a b c"), say("rank", {"cannot_judge": "no"}), 1 / 2),
        (say("rank", {"cannot_judge": "no"}), say("rank", {"cannot_judge": "too long"}), 0),
        (pair("a significantly"), pair("b significantly"), 1),
        (pair("a slightly"), pair("a significantly"), 2 / 8),
        (pair("a negligibly"), pair("b negligibly"), 2 / 8),
        (pair("a better"), pair("tie"), 3 / 8),
        (pair("both_bad"), pair("both_bad"), 0),
        (pair("both_bad"), pair("tie"), 1 / 2),
        (pair("both_bad"), pair("cannot_judge"), 1 / 2),
        (likert(wit=1, tact=3), likert(wit=5, tact=2), 5 / 8),
        (likert(wit=1, tact=None), likert(wit=2, tact=2), 1 / 4),
        (likert(wit=1, tact=None), likert(wit=None, tact=2), None),
        (thumb(True), thumb(False), 1),
        (vet("accept"), vet("edit"), 1),
        (vet("edit"), vet("edit"), 0),
        (say("demonstration", {"text": "x"}), say("demonstration", {"text": "y"}), None),
    ],
)
def test_how_far_two_answers_are_apart(one: Said, other: Said, far: float | None) -> None:
    expected = None if far is None else pytest.approx(far)
    assert distance(one, other) == expected
    assert distance(other, one) == expected


@st.composite
def weak_orders(draw: st.DrawFn) -> Said:
    level = draw(st.lists(st.integers(0, 4), min_size=4, max_size=4))  # the last level is F
    groups = " ".join("".join("abcd"[k] for k in range(4) if level[k] == x) for x in sorted({x for x in level if x < 4}))
    return rank(groups, rejected="".join("abcd"[k] for k in range(4) if level[k] == 4))


@given(weak_orders(), weak_orders(), weak_orders())
def test_the_distance_of_rankings_is_one(one: Said, other: Said, third: Said) -> None:
    """Between 0 and 1, 0 for the same order alone, symmetric, and never shorter by a detour."""
    there, detour = distance(one, other), [distance(one, third), distance(third, other)]
    assert there is not None
    assert 0 <= there <= 1
    assert (there == 0) == (votes(one) == votes(other))
    assert there == distance(other, one)
    assert there <= sum(far for far in detour if far is not None) + 1e-12


@pytest.mark.parametrize(
    ("one", "gold", "is_right"),
    [
        (rank("a bc"), rank("a cb").payload, True),
        (rank("a b c"), rank("a bc").payload, False),
        (rank("a b", rejected="c"), rank("a b c").payload, False),
        (rank("a b", rejected="c"), rank("a b", rejected="c").payload, True),
        (say("rank", {"cannot_judge": "in Finnish"}), {"cannot_judge": "no"}, True),
        (rank("a b c"), {"cannot_judge": "no"}, False),
        (say("rank", {"cannot_judge": "in Finnish"}), rank("a b c").payload, False),
        (pair("a negligibly"), pair("a better").payload, True),
        (pair("b better"), pair("a better").payload, False),
        (pair("tie"), pair("both_bad").payload, False),
        (pair("both_bad"), pair("both_bad").payload, True),
        (likert(wit=3, tact=None), likert(wit=4, tact=None).payload, True),
        (likert(wit=2, tact=5), likert(wit=4, tact=None).payload, False),
        (likert(wit=4, tact=1), likert(wit=4, tact=None).payload, True),
        (likert(wit=None, tact=1), likert(wit=4, tact=1).payload, False),
        (thumb(True), {"up": True}, True),
        (thumb(True), {"up": False}, False),
        (vet("edit"), {"verdict": "edit", "row": {"a": 1}}, True),
        (vet("accept"), {"verdict": "reject", "reason": "spam"}, False),
        (say("demonstration", {"text": "x"}), {"text": "x"}, None),
    ],
)
def test_whether_an_answer_is_what_gold_says(one: Said, gold: dict[str, Any], is_right: bool | None) -> None:
    assert right(one, gold) is is_right
    assert right(replace(one, payload=dict(one.payload) | {"comment": "hm"}), gold) is is_right


def test_grades_are_ordered_as_their_words() -> None:
    words = ("significantly", "better", "slightly", "negligibly")
    steps = [signed_grade(pair(f"a {word}")) for word in words]
    assert all(a is not None and b is not None and a > b for a, b in pairwise(steps))
