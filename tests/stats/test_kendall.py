from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import kendalltau

from accordant.stats.agreement import kendall_w
from accordant.stats.intervals import Undefined, estimate_mean
from accordant.stats.kendall import concordance, concordances, mean_tau_b, mean_tau_bs, tau_b
from accordant.stats.rankings import levels
from accordant.types import Ranking

orders = st.integers(2, 7).flatmap(
    lambda k: st.lists(st.lists(st.integers(0, 3), min_size=k, max_size=k), min_size=2, max_size=4)
)


@given(orders)
def test_tau_b_is_scipys(table):
    a, b = table[:2]
    value = tau_b(a, b)
    if len(set(a)) == 1 or len(set(b)) == 1:
        assert isinstance(value, Undefined)
        assert "ties everything" in value.reason
    else:
        assert value == pytest.approx(kendalltau(a, b, variant="b").statistic, abs=1e-12)
        assert tau_b(b, a) == pytest.approx(value)
        assert tau_b(a, [-x for x in b]) == pytest.approx(-value)


def test_tau_b_by_hand():
    """Of six pairs: four agree, one is tied by the first alone, one by the second alone: 4 / sqrt(5 * 5)."""
    assert tau_b([1, 2, 2, 3], [1, 2, 3, 3]) == pytest.approx(0.8)
    assert tau_b([1, 1, 2], [5, 5, 9]) == pytest.approx(1.0)
    assert isinstance(tau_b([1], [1]), Undefined)


@given(orders)
def test_the_mean_over_pairs_of_raters(table):
    defined = [kendalltau(a, b).statistic for a, b in combinations(table, 2) if len(set(a)) > 1 and len(set(b)) > 1]
    value = mean_tau_b(table)
    if defined:
        assert value == pytest.approx(np.mean(defined), abs=1e-12)
    else:
        assert isinstance(value, Undefined)


def test_an_always_tie_labeler_is_left_out_not_counted_as_disagreeing():
    assert mean_tau_b([[1, 2, 3], [1, 2, 3], [1, 1, 1]]) == pytest.approx(1.0)
    value = mean_tau_b([[1, 2, 3], [1, 1, 1]])
    assert isinstance(value, Undefined)
    assert "ties everything" in value.reason


@pytest.mark.parametrize("statistic", [mean_tau_b, concordance])
def test_one_labeler_and_one_answer_are_undefined(statistic):
    for scores, reason in (
        ([[1, 2, 3]], "two labelers"),
        ([[1], [1]], "one thing to rank"),
        ([[1, 1], [2, 2]], "ties everything"),
    ):
        value = statistic(scores)
        assert isinstance(value, Undefined)
        assert reason in value.reason
    for wrong in ([1, 2], [[1, np.nan], [1, 2]]):
        with pytest.raises(ValueError, match="finite table"):
            statistic(wrong)


@given(st.lists(orders, min_size=1, max_size=4), st.randoms(use_true_random=False))
def test_items_of_several_sizes_together_are_each_alone(items, rng):
    """Whatever the order of the rows."""
    rows = [(i, row) for i, table in enumerate(items) for row in table]
    rng.shuffle(rows)
    scores = np.full((len(rows), max(len(row) for _, row in rows)), np.nan)
    for at, (_, row) in enumerate(rows):
        scores[at, : len(row)] = row
    of = np.array([i for i, _ in rows])
    for together, alone in ((concordances, concordance), (mean_tau_bs, mean_tau_b)):
        for found, table in zip(together(scores, of), items, strict=True):
            wanted = alone(table)
            assert found == (wanted if isinstance(wanted, Undefined) else pytest.approx(wanted, abs=1e-12))


def test_concordance_is_kendall_w_where_that_exists():
    table = [[1, 2, 2, 4], [1, 3, 2, 4], [2, 1, 4, 4]]
    assert concordance(table) == kendall_w(table)


def test_rankings_with_rejects_over_items():
    """Item 1: the same order. Item 2: b and c exchanged, of three pairs one differs. Item 3: one labeler. The mean of two."""
    first = [Ranking("p", tuple("abc"), ((0,), (1,)), rejected=(2,)), Ranking("p", tuple("abc"), ((0,), (1,), (2,)))]
    second = [Ranking("q", tuple("abc"), ((0,), (1,), (2,))), Ranking("q", tuple("abc"), ((0,), (2,), (1,)))]
    items = [np.stack([levels(ranking) for ranking in item]) for item in (first, second, first[:1])]
    found = estimate_mean([mean_tau_b(item) for item in items])
    assert found.value == pytest.approx((1 + 1 / 3) / 2)
    assert found.items == 2
    assert "1 of 3 items are left out: no item has two ratings" in found.note


@pytest.mark.parametrize(("a", "b"), [([1, 2], [1, 2, 3]), ([], []), ([[1, 2]], [[1, 2]]), ([1, np.nan], [1, 2])])
def test_tau_b_refuses(a, b):
    with pytest.raises(ValueError, match="equally many"):
        tau_b(a, b)
