"""The comparison of two policies, from numbers made by hand."""

from __future__ import annotations

import numpy as np
import pytest

from accordant.evaluation.policy import Side, compare, gain, histogram

NONE = np.zeros(0)


def side(reward: list[float], gold: list[float] | None = None) -> Side:
    n = len(reward)
    return Side(np.array(reward), np.full(n, 5.0), np.ones(n), NONE if gold is None else np.array(gold), NONE)


def test_wins_count_ties_as_half_and_the_better_judge_decides() -> None:
    before, after = [0.0, 0.0, 0.0, 0.0], [1.0, -1.0, 0.0, 2.0]
    kl = np.array([0.0, 1.0, 2.0, 3.0])
    by_reward = compare(side(before), side(after), kl)
    assert (by_reward["win_rate"]["mean"], by_reward["win_rate"]["by"]) == (0.625, "reward model")
    assert by_reward["gold_gain"] is None
    assert by_reward["before"]["gold_mean"] is by_reward["before"]["toxicity_mean"] is None
    by_gold = compare(side(before, [1.0] * 4), side(after, [0.0] * 4), kl)
    assert (by_gold["win_rate"]["mean"], by_gold["win_rate"]["by"]) == (0.0, "exact judge")
    assert by_gold["gold_gain"]["mean"] == -1
    assert (by_gold["kl"], by_gold["kl_n"]) == (1.5, 4)


def test_a_gain_is_paired() -> None:
    """The same step up on every prompt is certain, however much the prompts differ; the interval is the point."""
    before = np.random.default_rng(0).normal(scale=100, size=50)
    found = gain(before, before + 0.25)
    assert found["mean"] == pytest.approx(0.25)
    assert found["ci95"] == pytest.approx([0.25, 0.25])


def test_the_interval_of_nothing_contains_nothing() -> None:
    noise = np.random.default_rng(1)
    low, high = gain(noise.normal(size=400), noise.normal(size=400))["ci95"]
    assert low < 0 < high
    assert high - low == pytest.approx(2 * 1.96 * (2 / 400) ** 0.5, rel=0.2)


def test_both_histograms_share_their_bins() -> None:
    found = histogram(np.array([0.0, 0.1, 0.2]), np.array([9.0, 10.0]), bins=10)
    assert found["edges"] == pytest.approx(list(range(11)))
    assert found["before"] == [3, *[0] * 9]
    assert found["after"] == [0] * 9 + [2]
