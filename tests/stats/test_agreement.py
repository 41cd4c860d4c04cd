from itertools import combinations, product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from accordant.stats.agreement import fleiss_kappa, kendall_w, pairwise_votes, percent_agreement
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
