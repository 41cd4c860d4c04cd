from itertools import combinations
from math import comb

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accordant.stats.rankings import levels, pairs, to_pairs
from accordant.types import Pair, Ranking, Source, UserError


@st.composite
def rankings(draw, labeler="a", count=None):
    count = draw(st.integers(1, 6)) if count is None else count
    order = draw(st.permutations(range(count)))
    cuts = sorted(draw(st.sets(st.integers(1, count - 1)))) if count > 1 else []
    groups = [tuple(order[a:b]) for a, b in zip([0, *cuts], [*cuts, count], strict=True)]
    rejected = groups.pop() if draw(st.booleans()) else ()
    return Ranking("q", tuple(f"answer {i}" for i in range(count)), tuple(groups), rejected, labeler)


MIXED = Ranking("q", ("a", "b", "c", "d", "e"), groups=((2,), (0, 4)), rejected=(1, 3), source=Source("r.jsonl", 7))


def test_levels_of_ties_and_rejects():
    assert levels(MIXED).tolist() == [1, 2, 0, 2, 1]


def test_pairs_known_answer():
    assert pairs(MIXED) == [(2, 0), (2, 4), (2, 1), (2, 3), (0, 1), (0, 3), (4, 1), (4, 3)]
    assert pairs(MIXED, rejects="exclude") == [(2, 0), (2, 4)]


@pytest.mark.parametrize("count", [2, 4, 7])
def test_a_strict_ranking_gives_every_pair_once(count):
    strict = Ranking("q", tuple("abcdefg"[:count]), groups=tuple((i,) for i in reversed(range(count))))
    found = pairs(strict)
    assert len(found) == comb(count, 2)
    assert all(winner > loser for winner, loser in found)


@given(rankings())
def test_pairs_are_exactly_the_strict_orders(ranking):
    level = {i: n for n, group in enumerate((*ranking.groups, ranking.rejected)) for i in group}
    wanted = set()
    for i, j in combinations(level, 2):
        if level[i] != level[j]:
            wanted.add((i, j) if level[i] < level[j] else (j, i))
    assert set(pairs(ranking)) == wanted
    assert len(pairs(ranking)) == len(wanted)
    kept = {(i, j) for i, j in wanted if not {i, j} & set(ranking.rejected)}
    assert set(pairs(ranking, rejects="exclude")) == kept


def test_to_pairs_carries_text_and_source():
    assert to_pairs(MIXED, rejects="exclude") == [
        Pair("q", "c", "a", source=Source("r.jsonl", 7)),
        Pair("q", "c", "e", source=Source("r.jsonl", 7)),
    ]


@pytest.mark.parametrize(
    ("groups", "rejected"),
    [(((0,),), ()), (((0,), (1,), (0,)), ()), (((0,), (1,)), (1,)), (((0,), (2,)), ()), (((0,), (-1,)), ())],
    ids=["missing", "twice", "ranked and rejected", "beyond the end", "negative"],
)
def test_an_incomplete_ranking_is_named(groups, rejected):
    with pytest.raises(UserError, match=r"r\.jsonl:3: .*'ana'.* 0\.\.1 exactly once"):
        levels(Ranking("q", ("a", "b"), groups, rejected, "ana", Source("r.jsonl", 3)))
