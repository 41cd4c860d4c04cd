from math import comb

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import beta

from accordant.stats.flags import always, always_same_position, fast_answers, gold_accuracy, too_fast, too_often


def tail(happened, n, rate):
    return sum(comb(n, k) * rate**k * (1 - rate) ** (n - k) for k in range(happened, n + 1))


@given(st.integers(0, 25).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))), st.floats(0.01, 0.99))
def test_the_p_value_is_the_binomial_tail(k_and_n, rate):
    flag = too_often(*k_and_n, rate)
    assert flag.p == pytest.approx(tail(*k_and_n, rate), rel=1e-9, abs=1e-300)
    assert flag.raised == (flag.p < 1e-3 and flag.share >= 0.5)


def test_it_takes_both_improbable_and_much():
    assert not too_often(2, 2, 0.1).raised  # all of them, but only two
    assert too_often(10, 10, 0.1).raised
    assert not too_often(400, 1000, 0.3).raised  # certain, but not most of the answers
    assert too_often(400, 1000, 0.3, at_least=0.1).raised
    assert not too_often(0, 0, 0.0).raised


def test_always_a_tie_is_measured_against_the_others():
    flag = always(38, 40, 300, 1000, what="tie")
    assert flag.raised
    assert flag.expected == pytest.approx(301 / 1002)
    assert flag.words.startswith("tie: 38 of 40 answers; 30% would be ordinary")
    assert not always(38, 40, 930, 1000, what="tie").raised  # everybody finds them equal
    assert always(12, 12, 0, 500, what="F").raised  # what the others never do is improbable, not impossible
    assert not always(30, 40, 0, 500, what="F").raised  # often is not always
    assert not always(5, 5, 0, 0, what="F").raised  # nobody to compare with


def test_an_ordinary_labeler_is_flagged_less_often_than_alpha():
    rng = np.random.default_rng(0)
    flags = [always_same_position(rng.integers(0, 2, 12).tolist(), [2] * 12, alpha=0.05).raised for _ in range(4000)]
    assert 0 < np.mean(flags) <= 0.05


def test_one_position_always_best():
    assert always_same_position([1] * 20, [4] * 20).raised
    flag = always_same_position([1] * 20, [4] * 20)
    assert flag.words.startswith("position 2 is best: 20 of 20")
    assert flag.expected == pytest.approx(0.25)
    assert not always_same_position([0, 1, 2, 3] * 5, [4] * 20).raised
    assert not always_same_position([0] * 5, [4] * 5, alpha=4 * 0.25**5).raised  # p is not below alpha / positions
    assert always_same_position([0] * 5, [4] * 5, alpha=4.01 * 0.25**5).raised
    mixed = always_same_position([0] * 20, [2, 4] * 10)
    assert mixed.expected == pytest.approx(0.375)
    assert not always_same_position([], []).raised


def test_fast_answers_by_the_robust_z_of_log_time():
    everyone = np.exp([2.0, 3.0, 4.0, 5.0, 6.0])  # median 4, MAD 1: z = -3.5 is at log t = 4 - 3.5 * 1.4826
    edge = 4 - 3.5 * 1.4826
    assert fast_answers(np.exp([edge - 0.01, edge + 0.01]), everyone, floor=0.1).tolist() == [True, False]
    assert fast_answers([1.9, 2.0], everyone).tolist() == [True, False]  # the floor
    assert fast_answers([3.0], [50.0] * 9).tolist() == [False]  # no spread: the floor alone
    assert fast_answers([1.0, 3.0], []).tolist() == [True, False]


def test_too_fast_compares_with_the_other_labelers():
    rng = np.random.default_rng(0)
    others = np.exp(rng.normal(3.5, 0.5, 300))
    assert too_fast(np.full(30, 2.5), others).raised
    assert not too_fast(np.exp(rng.normal(3.2, 0.5, 30)), others).raised  # a little faster is fine
    assert too_fast([1.0] * 8 + [30.0] * 30, others).raised  # a fifth of the answers
    assert not too_fast([1.0] * 30, [1.0] * 300).raised  # a project of one-second tasks: nobody stands out
    assert not too_fast([], others).raised


def test_gold_accuracy_is_the_beta_posterior():
    found = gold_accuracy(9, 10)
    assert found.mean == pytest.approx(11 / 13)
    assert beta(11, 2).cdf(found.high) - beta(11, 2).cdf(found.low) == pytest.approx(0.95)
    assert found.low < found.mean < found.high
    assert gold_accuracy(0, 0).mean == pytest.approx(2 / 3)
    assert 0 < gold_accuracy(0, 50).mean < gold_accuracy(50, 50).mean < 1
    assert gold_accuracy(3, 4, prior=(1, 1)).mean == pytest.approx(4 / 6)


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (lambda: too_often(3, 2, 0.5), "3 of 2"),
        (lambda: too_often(1, 2, 1.5), "out of range"),
        (lambda: always(1, 2, 3, 2, what="tie"), "others: 3 of 2"),
        (lambda: always_same_position([2], [2]), "best position"),
        (lambda: always_same_position([0], [1]), "best position"),
        (lambda: always_same_position([0, 1], [2]), "best position"),
        (lambda: fast_answers([0.0], [1.0]), "positive"),
        (lambda: fast_answers([1.0], [np.nan]), "positive"),
        (lambda: gold_accuracy(2, 1), "2 right of 1"),
        (lambda: gold_accuracy(1, 1, prior=(0, 1)), "out of range"),
    ],
)
def test_what_is_refused(call, match):
    with pytest.raises(ValueError, match=match):
        call()
