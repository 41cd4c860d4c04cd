"""The columns say what the answers one by one say."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from accordant.feedback.answers import Said
from accordant.feedback.tally import compared, counts, tally
from accordant.feedback.votes import ranking, votes
from accordant.stats.rankings import levels
from sayings import likert, pair, rank, say, thumb, vet

VERDICTS = ("a better", "b slightly", "tie", "both_bad", "cannot_judge")
PEOPLE = ("ana", "ben", "cleo", "dan")


@st.composite
def anything(draw: st.DrawFn) -> list[Said]:
    """Answers of several people to items of all kinds; items of one kind differ in how many completions they have."""
    said = []
    for item in range(1, draw(st.integers(1, 5)) + 1):
        kind, k = draw(st.sampled_from(["rank", "pair", "likert", "thumb", "vet", "demonstration"])), draw(st.integers(2, 4))
        for who in PEOPLE[: draw(st.integers(1, 4))]:
            if kind == "rank":
                place = draw(st.lists(st.integers(0, 3), min_size=k, max_size=k))
                groups = " ".join("".join("abcd"[c] for c in range(k) if place[c] == level) for level in (0, 1, 2))
                said.append(rank(groups, who, item, "".join("abcd"[c] for c in range(k) if place[c] == 3)))
                if draw(st.integers(0, 9)) == 0:
                    said[-1] = say("rank", {"cannot_judge": "why"}, who, item, k=k)
            elif kind == "pair":
                said.append(pair(draw(st.sampled_from(VERDICTS)), who, item))
            elif kind == "likert":
                score = st.none() | st.integers(1, 5)
                said.append(likert(who, item, wit=draw(score), tact=draw(score)))
            elif kind == "thumb":
                said.append(thumb(draw(st.booleans()), who, item))
            elif kind == "vet":
                said.append(vet(draw(st.sampled_from(["accept", "edit", "reject"])), who, item))
            else:
                said.append(say("demonstration", {"text": "x"}, who, item))
    return said


@given(anything())
def test_two_answers_agree_on_the_share_of_equal_votes(said: list[Said]) -> None:
    wanted = {}
    for (i, one), (j, other) in combinations(enumerate(said), 2):
        mine, theirs = votes(one), votes(other)
        shared = [name for name in mine if name in theirs] if one.item_id == other.item_id else []
        if shared:
            wanted[i, j] = sum(mine[name] == theirs[name] for name in shared) / len(shared)
    first, second, share = compared(tally(said))
    found = {(i, j): x for i, j, x in zip(first.tolist(), second.tolist(), share.tolist(), strict=True)}
    assert found == pytest.approx(wanted)
    assert len(first) == len(wanted)


@given(anything())
def test_levels_are_those_of_the_rankings(said: list[Said]) -> None:
    of = tally(said)
    for row, one in enumerate(said):
        found = ranking(one)
        assert bool(of.is_ranking[row]) == (found is not None)
        if found is not None:
            k = len(one.completions)
            assert of.level[row, :k].tolist() == levels(found).tolist()
            assert np.isnan(of.level[row, k:]).all()
            assert np.flatnonzero(of.rejected[row]).tolist() == sorted(found.rejected)


@given(anything(), st.randoms())
def test_a_part_is_the_columns_of_that_part(said: list[Said], random: object) -> None:
    chosen = np.array([random.random() < 0.6 for _ in said], dtype=bool)  # type: ignore[attr-defined]
    part, alone = tally(said).only(chosen), tally(one for one, is_in in zip(said, chosen, strict=True) if is_in)
    assert part.answers.tolist() == alone.answers.tolist()
    assert part.item.tolist() == alone.item.tolist()
    assert part.items == alone.items == len({one.item_id for one in alone.answers})
    assert part.row.tolist() == alone.row.tolist()
    assert part.vote.tolist() == alone.vote.tolist()
    assert [x.tolist() for x in compared(part)] == [x.tolist() for x in compared(alone)]


@given(anything())
def test_votes_are_those_of_the_answers_in_the_order_of_their_questions(said: list[Said]) -> None:
    of = tally(said)
    code = {"accept": 0, "edit": 1, "reject": 2}
    for row, one in enumerate(said):
        mine = of.row == row
        found = dict(zip(of.question[mine].tolist(), of.vote[mine].tolist(), strict=True))
        wanted = votes(one)
        names = {"rank": list(wanted), "likert": list(of.attributes)}.get(one.task, list(wanted))
        assert found == {names.index(name): code.get(str(vote), vote) for name, vote in wanted.items()}
    assert (np.diff(of.row) >= 0).all()


@given(anything(), st.randoms())
def test_flipped_is_what_was_shown_the_other_way_round(said: list[Said], random: object) -> None:
    shown = [replace(one, display=tuple(random.sample(one.display, len(one.display)))) for one in said]  # type: ignore[attr-defined]
    of = tally(shown)
    for row, one in enumerate(shown):
        ids = [completion.id for completion in one.completions]
        pairs = list(combinations(ids, 2)) if one.task in ("rank", "pair") else []
        for question, flipped in zip(of.question[of.row == row].tolist(), of.flipped[of.row == row].tolist(), strict=True):
            assert flipped == (bool(pairs) and one.display.index(pairs[question][0]) > one.display.index(pairs[question][1]))


def test_a_wide_item_makes_no_other_answer_wide() -> None:
    """Ten rankings of two completions have ten votes, and one of ten completions has 45."""
    of = tally([*(rank("a b", item=item) for item in range(1, 11)), rank("a b c d e f g h i j", item=11)])
    assert len(of.row) == len(of.vote) == 10 + 45
    table, item = counts(of.asked, of.question, of.vote, 3)
    assert table.shape == (55, 3)
    assert item.tolist() == [*range(10), *[10] * 45]


def test_places_are_where_a_completion_was_shown() -> None:
    of = tally([rank("a b c", display=(2, 0, 1)), pair("tie", item=2, display=(1, 0)), thumb(True, item=3)])
    assert of.place.tolist() == [[1, 2, 0], [1, 0, -1], [-1, -1, -1]]


@given(anything())
def test_counts_are_how_many_gave_each_vote(said: list[Said]) -> None:
    of = tally(said)
    table, item = counts(of.asked, of.question, of.vote, 6)
    first = {number: int(np.searchsorted(item, number)) for number in range(of.items)}
    wanted = Counter(zip(of.item[of.row].tolist(), of.question.tolist(), of.vote.tolist(), strict=True))
    for (number, question, vote), n in wanted.items():
        assert item[first[number] + question] == number
        assert table[first[number] + question, vote] == n
    assert table.sum() == sum(wanted.values())


def test_what_counts_is_in_time_and_no_gold() -> None:
    said = [
        thumb(True),
        thumb(True, "ben", surplus=True),
        thumb(True, "cleo", gold={"up": True}),
        thumb(True, "dan", kind="ai"),
    ]
    assert tally(said).counts.tolist() == [True, False, False, True]
    assert tally(said).is_human.tolist() == [True, True, True, False]
