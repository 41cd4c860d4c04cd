from itertools import combinations, product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from accordant.stats.agreement import (
    count_ratings,
    fleiss,
    fleiss_kappa,
    kendall_w,
    pairwise_votes,
    percent_agreement,
    raw_agreement,
)
from accordant.stats.intervals import Undefined, estimate
from accordant.types import Ranking, UserError

# 10 subjects, 14 raters, 5 categories: the worked table that goes with Fleiss (1971); kappa = 0.210.
WORKED = [
    [0, 0, 0, 0, 14],
    [0, 2, 6, 4, 2],
    [0, 0, 3, 5, 6],
    [0, 3, 9, 2, 0],
    [2, 2, 8, 1, 1],
    [7, 7, 0, 0, 0],
    [3, 2, 6, 3, 0],
    [2, 5, 3, 2, 2],
    [6, 5, 2, 1, 0],
    [0, 2, 2, 3, 7],
]


def test_fleiss_worked_table():
    assert percent_agreement(WORKED) == pytest.approx(0.378, abs=5e-4)
    assert fleiss_kappa(WORKED) == pytest.approx(0.210, abs=5e-4)


def test_perfect_agreement_is_one():
    assert fleiss_kappa([[3, 0], [0, 3]]) == pytest.approx(1.0)
    assert percent_agreement([[3, 0], [0, 3]]) == 1.0


def test_two_raters_who_never_agree():
    assert percent_agreement([[1, 1], [1, 1]]) == 0.0
    assert fleiss_kappa([[1, 1], [1, 1]]) == pytest.approx(-1.0)


def test_one_category_is_undefined_and_says_so():
    with pytest.warns(RuntimeWarning, match="one category"):
        assert np.isnan(fleiss_kappa([[4, 0], [4, 0]]))


votes = st.integers(2, 5).flatmap(
    lambda raters: st.lists(st.lists(st.integers(0, 2), min_size=raters, max_size=raters), min_size=1, max_size=6)
)


@given(votes)
def test_agreement_by_enumerating_pairs_of_raters(items):
    counts = [[row.count(c) for c in range(3)] for row in items]
    agree = [a == b for row in items for a, b in combinations(row, 2)]
    assert percent_agreement(counts) == pytest.approx(np.mean(agree))
    flat = [v for row in items for v in row]
    if len(set(flat)) > 1:
        chance = np.mean([a == b for a, b in product(flat, flat)])
        assert fleiss_kappa(counts) == pytest.approx((np.mean(agree) - chance) / (1 - chance))


@pytest.mark.parametrize(
    ("counts", "match"),
    [([1, 2], "table"), ([[1, 1], [2, 1]], "same number of raters"), ([[1, 0]], "at least 2"), ([[0.5, 1.5]], "whole")],
)
def test_bad_tables_are_refused(counts, match):
    with pytest.raises(ValueError, match=match):
        fleiss_kappa(counts)


def test_pairwise_votes_known_answer():
    item = [
        Ranking("q", ("a", "b", "c"), ((0,), (1, 2))),
        Ranking("q", ("a", "b", "c"), ((1,),), rejected=(0, 2)),
    ]
    # a-b: one each; a-c: one for a, one tie; b-c: one tie, one for b.
    assert pairwise_votes([item]).tolist() == [[1, 1, 0], [1, 0, 1], [1, 0, 1]]
    assert pairwise_votes([item, item]).shape == (6, 3)


def test_pairwise_votes_refuses_uneven_panels_and_incomplete_rankings():
    one = Ranking("q", ("a", "b"), ((0,), (1,)))
    with pytest.raises(ValueError, match=r"\[1, 2\] labelers"):
        pairwise_votes([[one], [one, one]])
    with pytest.raises(UserError, match="exactly once"):
        pairwise_votes([[Ranking("q", ("a", "b"), ((0,),))]])


def test_kendall_w_at_its_ends():
    assert kendall_w([[1, 2, 3, 4]] * 3) == pytest.approx(1.0)
    assert kendall_w([[1, 2, 3], [3, 2, 1]]) == pytest.approx(0.0)
    assert kendall_w([[1, 2, 2, 3], [10, 20, 20, 30]]) == pytest.approx(1.0)  # identical ties are full concordance
    with pytest.warns(RuntimeWarning, match="ties everything"):
        assert np.isnan(kendall_w([[1, 1], [2, 2]]))


@given(st.integers(2, 5), st.integers(2, 6), st.randoms(use_true_random=False))
def test_kendall_w_by_the_mean_spearman_correlation(raters, objects, rng):
    """Kendall: W = (1 + (m - 1) mean rho) / m over all pairs of raters, exact where there are no ties."""
    table = [rng.sample(range(objects), objects) for _ in range(raters)]
    rho = np.corrcoef(table)
    mean = np.mean([rho[a, b] for a, b in combinations(range(raters), 2)])
    assert kendall_w(table) == pytest.approx((1 + (raters - 1) * mean) / raters, abs=1e-12)


def test_kendall_w_with_ties_against_friedman():
    """Friedman's tie-corrected chi-square is m (K - 1) W."""
    from scipy.stats import friedmanchisquare

    table = np.array([[1, 2, 2, 4, 5], [1, 1, 3, 4, 5], [2, 1, 4, 4, 4], [1, 2, 3, 5, 4]])
    assert kendall_w(table) * 4 * 4 == pytest.approx(friedmanchisquare(*table.T).statistic)


@pytest.mark.parametrize("scores", [[1, 2, 3], [[1, 2, 3]], [[1], [2]], [[1, np.nan], [1, 2]]])
def test_kendall_w_refuses(scores):
    with pytest.raises(ValueError, match="finite"):
        kendall_w(scores)


# --- the original table, missing ratings, and reasons ---------------------------------------------------------------------

# Fleiss (1971), table 1: 30 patients, 6 psychiatrists each, 5 diagnoses (depression, personality disorder, schizophrenia,
# neurosis, other).
FLEISS_1971 = [
    [0, 0, 0, 6, 0], [0, 3, 0, 0, 3], [0, 1, 4, 0, 1], [0, 0, 0, 0, 6], [0, 3, 0, 3, 0], [2, 0, 4, 0, 0],
    [0, 0, 4, 0, 2], [2, 0, 3, 1, 0], [2, 0, 0, 4, 0], [0, 0, 0, 0, 6], [1, 0, 0, 5, 0], [1, 1, 0, 4, 0],
    [0, 3, 3, 0, 0], [1, 0, 0, 5, 0], [0, 2, 0, 3, 1], [0, 0, 5, 0, 1], [3, 0, 0, 1, 2], [5, 1, 0, 0, 0],
    [0, 2, 0, 4, 0], [1, 0, 2, 0, 3], [0, 0, 0, 0, 6], [0, 1, 0, 5, 0], [0, 2, 0, 1, 3], [2, 0, 0, 4, 0],
    [1, 0, 0, 4, 1], [0, 5, 0, 1, 0], [4, 0, 0, 0, 2], [0, 2, 0, 4, 0], [1, 0, 5, 0, 0], [0, 0, 0, 0, 6],
]  # fmt: skip


def test_fleiss_own_table_of_1971():
    """The paper prints the category shares, P-bar = 0.556 and kappa = 0.430."""
    np.testing.assert_allclose(np.mean(FLEISS_1971, axis=0) / 6, [0.144, 0.144, 0.167, 0.306, 0.239], atol=5e-4)
    assert percent_agreement(FLEISS_1971) == pytest.approx(0.556, abs=5e-4)
    assert raw_agreement(FLEISS_1971) == pytest.approx(percent_agreement(FLEISS_1971))
    assert fleiss(FLEISS_1971) == pytest.approx(0.430, abs=5e-4)


@given(votes.filter(lambda items: len({v for row in items for v in row}) > 1))
def test_fleiss_is_that_of_statsmodels(items):
    oracle = pytest.importorskip("statsmodels.stats.inter_rater")
    table, _ = oracle.aggregate_raters(np.array(items))
    assert fleiss(count_ratings(items)[0]) == pytest.approx(oracle.fleiss_kappa(table), abs=1e-12)


def test_ratings_become_counts_and_missing_ones_are_not_counted():
    counts, values = count_ratings([[1, 3, np.nan], [3, 3, 5], [np.nan] * 3])
    assert values.tolist() == [1, 3, 5]
    assert counts.tolist() == [[1, 1, 0], [0, 2, 1], [0, 0, 0]]
    for wrong in ([1, 2], [[]], [[1, np.inf]]):
        with pytest.raises(ValueError, match="table"):
            count_ratings(wrong)


maybe = st.one_of(st.none(), st.integers(0, 2))


@given(st.lists(st.lists(maybe, min_size=3, max_size=3), min_size=1, max_size=6))
def test_raw_agreement_by_enumerating_what_is_there(items):
    counts, _ = count_ratings([[np.nan if v is None else v for v in row] for row in [*items, [0, 1, 2]]])
    per_item = []
    for row in items:
        there = [v for v in row if v is not None]
        if len(there) >= 2:
            per_item.append(np.mean([a == b for a, b in combinations(there, 2)]))
    value = raw_agreement(counts[:-1])
    if per_item:
        assert value == pytest.approx(np.mean(per_item))
    else:
        assert isinstance(value, Undefined)


@pytest.mark.parametrize(
    ("counts", "reason"),
    [
        ([[4, 0], [4, 0]], "every rating that can be compared is the same"),  # unanimous: neither 1 nor nan
        ([[1, 0], [0, 1]], "no item has two ratings"),  # one labeler, or no overlap
        ([[2, 0], [1, 2]], "2 to 3 ratings"),
    ],
)
def test_fleiss_says_why_it_is_undefined(counts, reason):
    value = fleiss(counts)
    assert isinstance(value, Undefined)
    assert reason in value.reason
    estimated = estimate(fleiss, np.array(counts))
    assert (estimated.value, estimated.low, estimated.high) == (None, None, None)
    assert reason in estimated.note


def test_raw_agreement_of_unanimous_data_is_what_it_is():
    assert raw_agreement([[4, 0], [3, 0]]) == 1.0
    assert isinstance(raw_agreement([[1, 0], [0, 1]]), Undefined)


def test_fleiss_leaves_unrated_items_aside():
    assert fleiss([*FLEISS_1971, [0] * 5]) == fleiss(FLEISS_1971)


def test_the_interval_of_fleiss_own_table():
    """Resampling patients; its half-width is close to the jackknife's standard error times 1.96."""
    found = estimate(fleiss, np.array(FLEISS_1971), n=2000)
    left_out = [fleiss(np.delete(FLEISS_1971, i, axis=0)) for i in range(30)]
    error = np.sqrt(29 * np.var(left_out))
    assert found.value == pytest.approx(0.430, abs=5e-4)
    assert found.high - found.low == pytest.approx(2 * 1.96 * error, rel=0.15)
