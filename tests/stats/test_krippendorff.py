from itertools import permutations

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from accordant.stats.agreement import count_ratings, fleiss
from accordant.stats.intervals import Undefined, estimate
from accordant.stats.krippendorff import krippendorff_alpha

NAN = np.nan
METRICS = ("nominal", "ordinal", "interval")

# Krippendorff (2011), section C: four observers, twelve units, some ratings missing.
OBSERVERS = [
    [1, 2, 3, 3, 2, 1, 4, 1, 2, NAN, NAN, NAN],
    [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, NAN, 3],
    [NAN, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, NAN],
    [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, NAN],
]


def alpha(ratings, metric):
    counts, values = count_ratings(ratings)
    return krippendorff_alpha(counts, metric, values)


def direct(ratings, metric):
    """From the definition: the mean squared difference of ratings within units, over that of all that can be paired.

    None where that is 0/0. Each unit's ordered pairs weigh 1 / (m_u - 1), so that every rating counts once.
    """
    units = [[v for v in row if not np.isnan(v)] for row in ratings]
    units = [unit for unit in units if len(unit) >= 2]
    pool = [v for unit in units for v in unit]

    def difference(c, k):
        if metric == "nominal":
            return float(c != k)
        if metric == "interval":
            return float(c - k) ** 2
        low, high = min(c, k), max(c, k)
        between = sum(low <= v <= high for v in pool)
        return float(between - (pool.count(c) + pool.count(k)) / 2) ** 2

    if len(set(pool)) < 2:
        return None
    observed = sum(sum(difference(c, k) for c, k in permutations(unit, 2)) / (len(unit) - 1) for unit in units) / len(pool)
    expected = sum(difference(c, k) for c, k in permutations(pool, 2)) / (len(pool) * (len(pool) - 1))
    return 1 - observed / expected


@pytest.mark.parametrize(("metric", "published"), [("nominal", 0.743), ("ordinal", 0.815), ("interval", 0.849)])
def test_the_published_reliability_example(metric, published):
    ratings = np.transpose(OBSERVERS)
    assert alpha(ratings, metric) == pytest.approx(published, abs=5e-4)
    assert direct(ratings, metric) == pytest.approx(published, abs=5e-4)


rating = st.one_of(st.just(NAN), st.sampled_from([0.0, 1.0, 1.5, 4.0]))
tables = st.integers(1, 4).flatmap(
    lambda raters: st.lists(st.lists(rating, min_size=raters, max_size=raters), min_size=1, max_size=7)
)


@pytest.mark.parametrize("metric", METRICS)
@given(tables)
def test_alpha_is_the_definition(metric, table):
    value, expected = alpha(table, metric), direct(table, metric)
    if expected is None:
        assert isinstance(value, Undefined)
    else:
        assert value == pytest.approx(expected, abs=1e-9)


@given(tables, st.randoms(use_true_random=False))
def test_who_rated_and_in_which_order_changes_nothing(table, rng):
    value = alpha(table, "ordinal")
    shuffled = [rng.sample(row, len(row)) for row in rng.sample(table, len(table))]
    again = alpha(shuffled, "ordinal")
    assert again == value if isinstance(value, Undefined) else again == pytest.approx(value, abs=1e-12)


@given(tables)
def test_metrics_see_only_what_they_may(table):
    """Nominal: any renaming. Ordinal: any rising function. Interval: any change of unit and origin."""
    array = np.array(table)
    assume(direct(table, "nominal") is not None)
    assert alpha(-(array**3), "nominal") == pytest.approx(alpha(array, "nominal"), abs=1e-9)
    assert alpha(array**3, "ordinal") == pytest.approx(alpha(array, "ordinal"), abs=1e-9)
    assert alpha(7 - 3 * array, "interval") == pytest.approx(alpha(array, "interval"), abs=1e-9)


def test_nominal_alpha_nears_fleiss_kappa_with_many_items():
    """Both estimate the same; alpha corrects for n ratings: 1 - alpha = (1 - kappa) (n - 1) / n."""
    counts = count_ratings(np.random.default_rng(0).integers(0, 3, (50, 4)))[0]
    assert 1 - krippendorff_alpha(counts, "nominal") == pytest.approx((1 - fleiss(counts)) * 199 / 200, abs=1e-12)


@pytest.mark.parametrize(
    ("ratings", "reason"),
    [
        ([[3, 3], [3, 3]], "same"),  # unanimous: neither 1 nor nan
        ([[3, 3], [3, NAN], [NAN, 4]], "same"),  # the 4 stands alone and cannot be compared
        ([[1], [2]], "no item has two ratings"),  # one labeler
        ([[1, NAN], [NAN, 2]], "no item has two ratings"),  # no overlap
    ],
)
@pytest.mark.parametrize("metric", METRICS)
def test_it_says_why_it_is_undefined(ratings, reason, metric):
    value = alpha(ratings, metric)
    assert isinstance(value, Undefined)
    assert reason in value.reason


def test_the_interval_over_items_and_its_reason():
    counts, values = count_ratings(np.transpose(OBSERVERS))
    found = estimate(lambda rows: krippendorff_alpha(rows, "interval", values), counts)
    assert found.low < found.value < found.high <= 1
    assert found.items == 12
    nearly = estimate(lambda rows: krippendorff_alpha(rows, "nominal"), np.array([[2, 0], [2, 0], [2, 0], [0, 2]]))
    assert nearly.value == 1.0
    assert nearly.low is None
    assert "resamples leave the statistic undefined" in nearly.note


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (lambda: krippendorff_alpha([1, 2], "nominal"), "table"),
        (lambda: krippendorff_alpha([[0.5, 1]], "nominal"), "whole"),
        (lambda: krippendorff_alpha([[-1, 1]], "nominal"), "at least 0"),
        (lambda: krippendorff_alpha([[1, 1]], "ratio"), "metric is 'ratio'"),
        (lambda: krippendorff_alpha([[1, 1]], "interval"), "needs `values`"),
        (lambda: krippendorff_alpha([[1, 1]], "interval", [2, 1]), "ascending"),
    ],
)
def test_what_is_refused(call, match):
    with pytest.raises(ValueError, match=match):
        call()
