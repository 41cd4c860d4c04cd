from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from accordant.stats.agreement import FLEISS, ONE_VALUE, RAW, fleiss, raw_agreement
from accordant.stats.intervals import (
    Estimate,
    Sums,
    Undefined,
    Value,
    bootstrap_ci,
    estimate,
    estimate_mean,
    estimate_sums,
    mean_of_defined,
    paired_ci,
    wilson,
)
from accordant.stats.krippendorff import alpha_sums, krippendorff_alpha

NORMAL = np.random.default_rng(1).normal(3.0, 2.0, size=400)


def test_bootstrap_of_a_mean_is_the_normal_interval_for_many_rows():
    low, high = bootstrap_ci(NORMAL, seed=0)
    half = 1.96 * NORMAL.std() / np.sqrt(len(NORMAL))
    assert low == pytest.approx(NORMAL.mean() - half, abs=0.03)
    assert high == pytest.approx(NORMAL.mean() + half, abs=0.03)


def test_bootstrap_covers_about_as_often_as_it_says():
    rng = np.random.default_rng(1)
    intervals = [bootstrap_ci(rng.normal(size=60), n=200, seed=i, level=0.8) for i in range(600)]
    assert 0.74 < np.mean([low <= 0.0 <= high for low, high in intervals]) < 0.84


def test_bootstrap_is_a_function_of_its_seed():
    assert bootstrap_ci(NORMAL, seed=4) == bootstrap_ci(NORMAL, seed=4)
    assert bootstrap_ci(NORMAL, seed=4) != bootstrap_ci(NORMAL, seed=5)


def test_a_wider_level_is_wider_and_the_statistic_is_used():
    narrow, wide = bootstrap_ci(NORMAL, level=0.5), bootstrap_ci(NORMAL, level=0.99)
    assert wide[0] < narrow[0] < narrow[1] < wide[1]
    low, high = bootstrap_ci(NORMAL, np.std)
    assert low < NORMAL.std() < high < 3.0


def test_rows_of_more_columns_stay_together():
    table = np.column_stack([NORMAL, NORMAL])
    assert bootstrap_ci(table, lambda rows: rows[:, 0].mean() - rows[:, 1].mean()) == (0.0, 0.0)


def test_clusters_of_copies_count_once():
    """Ten copies of each row in its own group: the interval is that of the rows before copying."""
    rows = NORMAL[:40]
    plain = bootstrap_ci(rows, seed=0)
    copies, ids = np.repeat(rows, 10), np.repeat(np.arange(40), 10)
    clustered = bootstrap_ci(copies, seed=0, groups=ids)
    assert clustered == pytest.approx(plain, abs=1e-12)
    naive = bootstrap_ci(copies, seed=0)
    assert naive[1] - naive[0] < 0.5 * (clustered[1] - clustered[0])


def test_group_ids_may_be_text_and_in_any_order():
    low, high = bootstrap_ci([0.0, 1.0, 0.0, 1.0], groups=["x", "y", "x", "y"], n=500)
    assert (low, high) == (0.0, 1.0)
    assert bootstrap_ci([0.0, 1.0, 1.0, 0.0], groups=["x", "y", "x", "y"], n=500) == (0.5, 0.5)


def test_a_paired_difference_forgets_what_the_pairs_share():
    gain = np.random.default_rng(2).normal(0.2, 0.1, size=400)
    low, high = paired_ci(NORMAL * 100, NORMAL * 100 + gain)
    assert 0.18 < low < 0.2 < high < 0.22
    assert paired_ci(NORMAL, NORMAL + 1.0) == pytest.approx((1.0, 1.0))


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (lambda: bootstrap_ci([]), "at least one"),
        (lambda: bootstrap_ci([1.0, np.nan]), "finite"),
        (lambda: bootstrap_ci([1.0], n=0), "n is 0"),
        (lambda: bootstrap_ci([1.0], level=95), "level is 95"),
        (lambda: bootstrap_ci([1.0, 2.0], groups=[1]), "each of the 2 values"),
        (lambda: paired_ci([1.0, 2.0], [1.0]), "equally many"),
        (lambda: wilson(3, 2), "3 successes in 2 trials"),
        (lambda: wilson(0, 0), "at least 1"),
    ],
)
def test_what_is_refused(call, match):
    with pytest.raises(ValueError, match=match):
        call()


@given(st.integers(1, 500).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))), st.floats(0.5, 0.999))
def test_wilson_is_scipys(k_and_n, level):
    k, n = k_and_n
    oracle = binomtest(k, n).proportion_ci(level, method="wilson")
    assert wilson(k, n, level) == pytest.approx((oracle.low, oracle.high), abs=1e-9)
    assert 0.0 <= wilson(k, n, level)[0] <= k / n <= wilson(k, n, level)[1] <= 1.0


# --- statistics that can be undefined --------------------------------------------------------------------------------------


def mean_or_why(rows):
    return float(np.mean(rows))


def test_an_estimate_is_the_bootstrap_of_what_it_was_given():
    found = estimate(mean_or_why, NORMAL, n=500, seed=3)
    assert found.value == pytest.approx(NORMAL.mean())
    assert (found.low, found.high) == bootstrap_ci(NORMAL, n=500, seed=3)
    assert (found.items, found.note) == (400, "")
    assert estimate(mean_or_why, NORMAL.tolist(), n=500, seed=3) == found  # records instead of an array


def test_an_estimate_resamples_groups_whole():
    copies, ids = np.repeat(NORMAL[:40], 10), np.repeat(np.arange(40), 10)
    clustered = estimate(mean_or_why, copies, groups=ids)
    plain = estimate(mean_or_why, NORMAL[:40])
    assert (clustered.low, clustered.high) == pytest.approx((plain.low, plain.high), abs=1e-12)


def test_an_undefined_statistic_has_its_reason_and_no_numbers():
    found = estimate(lambda _: Undefined("nobody came"), [1, 2, 3])
    assert found == Estimate(None, None, None, 3, "nobody came")


def test_one_item_has_a_value_and_no_interval():
    found = estimate(mean_or_why, [7.0])
    assert (found.value, found.low) == (7.0, None)
    assert "at least two" in found.note
    assert "group" in estimate(mean_or_why, [7.0, 8.0], groups=[1, 1]).note


def spread(rows):
    return float(np.ptp(rows)) if np.ptp(rows) else Undefined("all alike")


def test_resamples_without_a_value_are_counted_or_forbid_the_interval():
    few = estimate(spread, np.array([0.0] * 3 + [1.0] * 3), n=1000)  # undefined on 2 / 64 of them
    assert (few.low, few.high) == (1.0, 1.0)
    assert 15 < int(few.note.split()[0]) < 50
    many = estimate(spread, np.array([0.0, 1.0]), n=1000)
    assert (many.value, many.low, many.high) == (1.0, None, None)
    assert "too few items" in many.note


def test_a_mean_over_items_leaves_out_the_undefined_and_says_how_many():
    found = estimate_mean([1.0, Undefined("dull"), 3.0, Undefined("dull"), Undefined("odd")], groups=list("aabbb"))
    assert (found.value, found.items) == (2.0, 2)
    assert (found.low, found.high) == (1.0, 3.0)
    assert found.note == "3 of 5 items are left out: dull"
    assert estimate_mean([Undefined("dull")] * 2).note == "dull"
    assert mean_of_defined([]) == Undefined("there are no items")


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (lambda: estimate(mean_or_why, []), "no items"),
        (lambda: estimate(mean_or_why, [1.0], n=0), "n is 0"),
        (lambda: estimate(mean_or_why, [1.0], level=1.0), "level is 1"),
        (lambda: estimate(lambda _: float("nan"), [1.0, 2.0]), "answered nan"),
        (lambda: estimate(mean_or_why, [1.0, 2.0], groups=[1]), "each of the 2 values"),
        (lambda: estimate_mean([1.0, Undefined("x")], groups=[1]), "each of the 2 values"),
    ],
)
def test_what_an_estimate_refuses(call, match):
    with pytest.raises(ValueError, match=match):
        call()


@given(st.lists(st.tuples(st.integers(0, 4), st.floats(-5, 5)), min_size=1, max_size=12), st.integers(1, 30), st.booleans())
def test_a_mean_by_sums_is_the_mean_by_resampling(rows: list[tuple[int, float]], n: int, grouped: bool) -> None:
    values, groups = [value for _, value in rows], [group for group, _ in rows] if grouped else None
    slow = estimate(lambda some: float(np.mean(some)), np.array(values), n=n, groups=groups)
    fast = estimate_mean(values, n=n, groups=groups)
    assert (fast.items, fast.note) == (slow.items, slow.note)
    for a, b in ((fast.value, slow.value), (fast.low, slow.low), (fast.high, slow.high)):
        assert (a is None and b is None) or a == pytest.approx(b, abs=1e-9)


@given(st.lists(st.lists(st.integers(0, 3), min_size=3, max_size=3), min_size=1, max_size=8))
def test_agreement_by_sums_is_agreement_of_the_resamples(table: list[list[int]]) -> None:
    """The same resamples, each looked at by the function that takes a whole table."""
    counts = np.array([row for row in table if sum(row) >= 2] or [[2, 0, 0]])
    numbers = [1.0, 2.0, 5.0]
    cases: list[tuple[Callable[[Any], Value], Sums]] = [(raw_agreement, RAW)]
    for metric in ("nominal", "ordinal", "interval"):
        one = partial(krippendorff_alpha, metric=metric, values=numbers)
        cases.append((one, alpha_sums(metric, numbers)))  # type: ignore[arg-type]
    if len(set(counts.sum(axis=1).tolist())) == 1:
        cases.append((fleiss, FLEISS))
    for of_table, statistic in cases:
        slow = estimate(of_table, counts, n=20)
        fast = estimate_sums(statistic, statistic.terms(counts), ONE_VALUE, n=20)
        assert (fast.items, fast.note) == (slow.items, slow.note)
        for a, b in ((fast.value, slow.value), (fast.low, slow.low), (fast.high, slow.high)):
            assert (a is None and b is None) or a == pytest.approx(b, abs=1e-9)


@pytest.mark.parametrize(
    ("rows", "more", "words"), [(0, {}, "no items"), (2, {"n": 0}, "n is 0"), (2, {"level": 1.0}, "level")]
)
def test_what_sums_refuse(rows: int, more: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        estimate_sums(RAW, np.ones((rows, 2)), "", **more)
