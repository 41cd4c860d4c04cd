"""The report on a classifier used as a reward model, from numbers made by hand; pairs are in conformance 45."""

from __future__ import annotations

import numpy as np
import pytest

from accordant.evaluation.reward_report import label_report, pair_report


def test_labels_are_predicted_by_the_sign_of_the_score() -> None:
    scores, labels = np.array([4.0, 3, -2, -1, 2, -3, 1, -4]), np.array([1.0, 1, 0, 0, 0, 0, 0, 1])
    report = label_report(scores, labels, lengths=np.arange(8.0))
    assert report["heldout_accuracy"] == 5 / 8
    assert sum(row["n"] for row in report["by_margin"]) == report["n"] == 8
    assert report["by_margin"][-1]["accuracy"] == pytest.approx(0.5)  # of the surest quarter, 4 is right and -4 is not


def test_pairs_of_a_prompt_are_resampled_together() -> None:
    """Ten prompts of twenty equal pairs say no more than ten pairs do: the interval is as wide."""
    noise = np.random.default_rng(0)
    right = noise.random(10) < 0.5
    chosen = np.repeat(right.astype(float), 20)
    rejected = 1 - chosen
    every = {"weight": np.ones(200), "scores": np.arange(400.0), "lengths": np.arange(400.0)}

    def width(groups: np.ndarray) -> float:
        low, high = pair_report(chosen, rejected, groups=groups, **every)["ci95"]
        return float(high - low)

    assert width(np.repeat(np.arange(10), 20)) > 3 * width(np.arange(200))
