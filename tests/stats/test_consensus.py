from math import comb

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from accordant.stats.consensus import borda, consensus_pairs, majority
from accordant.types import Pair, Ranking

ABC = ("a", "b", "c")


def ranked(*groups, rejected=(), completions=ABC):
    return Ranking("q", completions, groups, rejected)


CYCLE = [ranked((0,), (1,), (2,)), ranked((1,), (2,), (0,)), ranked((2,), (0,), (1,))]


@st.composite
def panels(draw):
    count = draw(st.integers(2, 5))
    panel = []
    for _ in range(draw(st.integers(1, 5))):
        scores = draw(st.lists(st.integers(0, 3), min_size=count, max_size=count))
        groups = [tuple(i for i in range(count) if scores[i] == s) for s in sorted(set(scores))]
        rejected = groups.pop() if draw(st.booleans()) else ()
        panel.append(Ranking("q", tuple(str(i) for i in range(count)), tuple(groups), rejected))
    return panel


def test_borda_of_a_strict_ranking_counts_those_beaten():
    assert borda([ranked((2,), (0,), (1,))]).tolist() == [1.0, 0.0, 2.0]


def test_borda_uses_mid_ranks_and_puts_the_rejected_last():
    four = ("a", "b", "c", "d")
    assert borda([ranked((0, 1), rejected=(2, 3), completions=four)]).tolist() == [2.5, 2.5, 0.5, 0.5]


def test_borda_is_the_mean_over_labelers():
    assert borda([ranked((0,), (1,), (2,)), ranked((0, 1, 2))]).tolist() == [1.5, 1.0, 0.5]
    assert borda(CYCLE).tolist() == [1.0, 1.0, 1.0]


def test_majority_counts_ties_in_the_denominator():
    net = majority([ranked((0,), (1, 2)), ranked((0, 1), (2,)), ranked((1,), (0,), rejected=(2,)), ranked((0, 1, 2))])
    np.testing.assert_allclose(net, [[0, 0, 0.75], [0, 0, 0.5], [-0.75, -0.5, 0]])


@given(panels())
def test_majority_agrees_with_counting_one_by_one(panel):
    net = majority(panel)
    for i in range(len(net)):
        for j in range(len(net)):
            votes = 0
            for ranking in panel:
                level = {k: n for n, g in enumerate((*ranking.groups, ranking.rejected)) for k in g}
                votes += (level[i] < level[j]) - (level[i] > level[j])
            assert net[i, j] == pytest.approx(votes / len(panel), abs=1e-12)


@given(panels())
def test_borda_totals_and_agrees_with_the_majority_matrix(panel):
    """With mid-ranks, Borda is half of (K - 1 + the row sum of the net shares)."""
    score = borda(panel)
    count = len(score)
    assert score.sum() == pytest.approx(comb(count, 2))
    np.testing.assert_allclose(score, (count - 1 + majority(panel).sum(axis=1)) / 2, atol=1e-12)


def test_consensus_pairs_weigh_by_share_and_take_the_borda_gap_as_margin():
    panel = [ranked((0,), (1,), (2,)), ranked((0,), (1,), (2,)), ranked((1,), (0,), (2,))]
    assert consensus_pairs(panel) == [
        Pair("q", "a", "b", margin=pytest.approx(1 / 6), weight=pytest.approx(2 / 3)),
        Pair("q", "a", "c", margin=pytest.approx(5 / 6), weight=1.0),
        Pair("q", "b", "c", margin=pytest.approx(2 / 3), weight=1.0),
    ]
    assert [(p.chosen, p.rejected) for p in consensus_pairs(panel, min_share=0.7)] == [("a", "c"), ("b", "c")]


def test_half_is_no_majority():
    assert consensus_pairs([ranked((0,), (1, 2)), ranked((1,), (0, 2))]) == []


def test_a_cycle_keeps_its_majorities_without_margin():
    found = consensus_pairs(CYCLE)
    assert [(p.chosen, p.rejected) for p in found] == [("a", "b"), ("b", "c"), ("c", "a")]
    assert all(p.margin == 0.0 and p.weight == pytest.approx(2 / 3) for p in found)


def test_where_borda_contradicts_the_majority_the_margin_is_zero():
    """Three of five put a before b, but the other two put b far above a."""
    four = ("a", "b", "c", "d")
    panel = [ranked((0,), (1,), (2,), (3,), completions=four)] * 3
    panel += [ranked((1,), (2,), (3,), (0,), completions=four)] * 2
    assert borda(panel)[0] < borda(panel)[1]
    (pair,) = [p for p in consensus_pairs(panel) if (p.chosen, p.rejected) == ("a", "b")]
    assert pair.margin == 0.0
    assert pair.weight == pytest.approx(0.6)


@given(panels())
def test_never_both_directions(panel):
    found = {(p.chosen, p.rejected) for p in consensus_pairs(panel)}
    assert not found & {(loser, winner) for winner, loser in found}


def test_what_is_refused():
    with pytest.raises(ValueError, match="at least one"):
        borda([])
    with pytest.raises(ValueError, match="2 different items"):
        majority([ranked((0, 1, 2)), ranked((0, 1), completions=("a", "b"))])
    with pytest.raises(ValueError, match=r"min_share is 0\.4"):
        consensus_pairs(CYCLE, min_share=0.4)
