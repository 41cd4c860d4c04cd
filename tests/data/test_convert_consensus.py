"""Rows of several labelers become one: majorities against plain counting, and what has none is counted."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accordant.data.convert import Rules, convert
from accordant.types import (
    Pair,
    Ranking,
    UserError,
)

ABC = ("a", "b", "c")


def test_a_consensus_counts_votes_whatever_order_the_answers_were_shown_in() -> None:
    item = [
        Ranking("q", ("a", "b"), ((0,), (1,)), labeler="ana"),
        Ranking("q", ("b", "a"), ((1,), (0,)), labeler="bo"),  # also a before b
        Ranking("q", ("a", "b"), ((1,), (0,)), labeler="cy"),  # b before a
        Ranking("q", ("a", "b"), ((1,), (0,)), labeler="ana"),  # ana changes her mind: the first counts
    ]
    made = convert(item, "pairs", Rules(consensus=True))
    ((pair,), dropped) = made.rows, made.dropped
    assert isinstance(pair, Pair)
    assert (pair.chosen, pair.rejected) == ("a", "b")
    assert pair.weight == pytest.approx(2 / 3)
    assert dropped == {"second rankings of one item by one labeler": 1}


def test_a_consensus_without_a_majority_is_counted_and_ties_can_have_one() -> None:
    votes = [((0,), (1,)), ((1,), (0,)), ((0, 1),)]
    split = [Ranking("q", ("a", "b"), groups, labeler=str(i)) for i, groups in enumerate(votes)]
    tied = [Ranking("r", ("a", "b"), groups, labeler=str(i)) for i, groups in enumerate([votes[0], votes[2], votes[2]])]
    made = convert([*split, *tied], "pairs", Rules(ties="keep", consensus=True))
    assert made.dropped == {"without a majority": 1}
    (pair,) = made.rows
    assert isinstance(pair, Pair)
    assert pair.tie
    assert pair.prompt == "r"
    assert pair.weight == pytest.approx(2 / 3)
    with pytest.raises(UserError, match=r"without a majority: 1; tied: 1|tied: 1; without a majority: 1"):
        convert([*split, *tied], "pairs", Rules(consensus=True))


def test_pairs_of_several_labelers_become_one_whatever_order_they_were_shown_in() -> None:
    votes = [
        Pair("q", "a", "b", margin=1.0, labeler="ana"),
        Pair("q", "a", "b", margin=0.5, weight=3.0, labeler="bo"),
        Pair("q", "b", "a", margin=9.0, weight=9.0, labeler="cy"),  # the other way round
        Pair("q", "b", "a", margin=7.0, labeler="ana"),  # ana changes her mind: the first counts
        Pair("r", "a", "b", labeler="ana"),  # the same answers to another question
    ]
    made = convert(votes, "pairs", Rules(consensus=True))
    one, other = made.rows
    assert one == Pair("q", "a", "b", margin=0.75, weight=pytest.approx(2 / 3 * 2.0), labeler="consensus")
    assert other == Pair("r", "a", "b", labeler="ana")
    assert made.dropped == {"second pairs of one item by one labeler": 1}


def test_pairs_without_a_majority_are_counted_and_a_tie_is_a_vote() -> None:
    def votes(prompt: str, *said: str) -> list[Pair]:
        sides = {">": ("a", "b", False), "<": ("b", "a", False), "=": ("b", "a", True)}
        found = [sides[vote] for vote in said]
        return [Pair(prompt, one, two, tie=tie, labeler=str(i)) for i, (one, two, tie) in enumerate(found)]

    rows = [*votes("split", ">", "<", "="), *votes("tied", "=", ">", "="), *votes("half", ">", "<")]
    made = convert(rows, "pairs", Rules(ties="keep", consensus=True))
    (tie,) = made.rows
    assert isinstance(tie, Pair)
    assert (tie.prompt, tie.tie, {tie.chosen, tie.rejected}, tie.weight) == ("tied", True, {"a", "b"}, pytest.approx(2 / 3))
    assert made.dropped == {"without a majority": 2}
    with pytest.raises(UserError, match="without a majority: 2; tied: 1"):
        convert(rows, "pairs", Rules(consensus=True))
    # Unnamed rows are each somebody's; without the option nothing is put together.
    unnamed = [Pair("q", "a", "b"), Pair("q", "a", "b"), Pair("q", "b", "a")]
    assert [row.weight for row in convert(unnamed, "pairs", Rules(consensus=True)).rows] == [pytest.approx(2 / 3)]
    assert len(convert(unnamed, "pairs").rows) == 3


def test_a_consensus_of_pairs_comes_before_what_is_made_of_them() -> None:
    beats = [("a", "b"), ("b", "c"), ("a", "c")]
    rows = [Pair("q", *pair, labeler=name) for name in "xyz" for pair in beats] + [Pair("q", "c", "a", labeler="w")]
    assert convert(rows, "kwise", Rules(consensus=True)).rows == (Ranking("q", ("a", "b", "c"), ((0,), (1,), (2,))),)
    with pytest.raises(UserError, match="contradict"):
        convert(rows, "kwise")


@given(st.lists(st.tuples(st.sampled_from("pq"), st.sampled_from("<>=")), min_size=1, max_size=12), st.booleans())
def test_a_consensus_of_pairs_is_the_count_of_votes(votes: list[tuple[str, str]], swap: bool) -> None:
    """Against plain counting, with half of the labelers shown the answers the other way round."""
    rows = []
    for i, (prompt, vote) in enumerate(votes):
        better = ("b", "a") if vote == "<" or (vote == "=" and swap and i % 2) else ("a", "b")
        rows.append(Pair(prompt, *better, tie=vote == "=", labeler=str(i)))
    expected = {}
    for prompt in dict.fromkeys(prompt for prompt, _ in votes):
        own = [vote for p, vote in votes if p == prompt]
        best = max("<>=", key=own.count)
        if own.count(best) > len(own) / 2:
            expected[prompt] = (best, own.count(best) / len(own))
    if not expected:
        with pytest.raises(UserError, match="without a majority"):
            convert(rows, "pairs", Rules(ties="keep", consensus=True))
        return
    made = convert(rows, "pairs", Rules(ties="keep", consensus=True)).rows
    assert {row.prompt: ("=" if row.tie else ">" if row.chosen == "a" else "<") for row in made} == {
        prompt: best for prompt, (best, _) in expected.items()
    }
    assert {row.prompt: pytest.approx(row.weight) for row in made} == {prompt: share for prompt, (_, share) in expected.items()}


def test_answers_that_most_labelers_reject_can_be_excluded() -> None:
    item = [
        Ranking("q", ABC, ((0,), (1,)), (2,), labeler="ana"),
        Ranking("q", ABC, ((0,), (1,)), (2,), labeler="bo"),
        Ranking("q", ABC, ((2,), (0,), (1,)), labeler="cy"),
    ]
    made = convert(item, "pairs", Rules(consensus=True, rejects="exclude"))
    assert [(row.chosen, row.rejected) for row in made.rows] == [("a", "b")]
    assert made.dropped == {"with a rejected answer": 2}
    assert len(convert(item, "pairs", Rules(consensus=True)).rows) == 3


def test_kwise_of_several_labelers_is_the_order_of_their_borda_scores() -> None:
    item = [
        Ranking("q", ABC, ((0,), (1,), (2,)), labeler="ana"),
        Ranking("q", ("c", "a", "b"), ((2,), (1,), (0,)), labeler="bo"),  # b, a, c
        Ranking("q", ("c", "b", "a"), ((1,), (2,)), (0,), labeler="cy"),
    ]
    # Answers beaten: a 2, 1, 1; b 1, 2, 2; c 0, 0, 0. One labeler's reject is no consensus.
    (made,) = convert(item, "kwise").rows
    assert made == Ranking("q", ABC, ((1,), (0,), (2,)), labeler="consensus")
