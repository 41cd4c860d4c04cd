"""Correlations against their definitions in plain float64, and their intervals against chance."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from accordant.stats.correlation import pearson, pearson_estimate, spearman, spearman_estimate
from accordant.stats.intervals import Undefined

numbers = st.lists(st.tuples(st.integers(-5, 5), st.integers(-5, 5)), min_size=2, max_size=20).filter(
    lambda rows: all(len(set(side)) > 1 for side in zip(*rows, strict=True))
)


def correlation(x, y):
    mx, my = math.fsum(x) / len(x), math.fsum(y) / len(y)
    above = math.fsum((a - mx) * (b - my) for a, b in zip(x, y, strict=True))
    return above / math.sqrt(math.fsum((a - mx) ** 2 for a in x) * math.fsum((b - my) ** 2 for b in y))


def mid_ranks(x):
    """1 + those below + half of the others that are equal."""
    return [1 + sum(b < a for b in x) + (sum(b == a for b in x) - 1) / 2 for a in x]


@given(numbers)
def test_by_definition(rows):
    x, y = zip(*rows, strict=True)
    assert pearson(x, y) == pytest.approx(correlation(x, y), abs=1e-12)
    assert spearman(x, y) == pytest.approx(correlation(mid_ranks(x), mid_ranks(y)), abs=1e-12)


@given(numbers)
def test_spearman_sees_only_the_order(rows):
    x, y = np.array(rows, dtype=float).T
    assert spearman(np.exp(x), y**3) == pytest.approx(spearman(x, y))
    assert spearman(-x, y) == pytest.approx(-spearman(x, y))


def test_what_does_not_vary_has_no_correlation():
    assert isinstance(spearman([1, 1, 1], [1, 2, 3]), Undefined)
    assert spearman_estimate([1, 1, 1], [1, 2, 3]).value is None
    with pytest.raises(ValueError, match="equally many"):
        pearson([1, 2], [1])
    with pytest.raises(ValueError, match="finite"):
        pearson([1, math.nan], [1, 2])


def test_the_interval_is_that_of_fisher():
    """For normal data z = atanh(r) has the standard error 1 / sqrt(N - 3) (Fisher 1921)."""
    rng, n, r = np.random.default_rng(1), 400, 0.5
    x = rng.normal(size=n)
    y = r * x + math.sqrt(1 - r * r) * rng.normal(size=n)
    found = pearson_estimate(x, y)
    half = 1.96 / math.sqrt(n - 3)
    expected = [math.tanh(math.atanh(found.value) + side * half) for side in (-1, 1)]
    assert (found.low, found.high) == pytest.approx(expected, abs=0.02)


def test_groups_are_resampled_whole():
    """Ten groups of twenty copies say as much as ten rows."""
    rng = np.random.default_rng(0)
    x, y = np.repeat(rng.normal(size=(2, 10)), 20, axis=1)
    alone, whole = spearman_estimate(x, y, n=300), spearman_estimate(x, y, n=300, groups=np.repeat(np.arange(10), 20))
    assert whole.high - whole.low > 2 * (alone.high - alone.low)
