"""The report on a classifier used as a reward model, from numbers made by hand; pairs are in conformance 45."""

from __future__ import annotations

import numpy as np
import pytest

from accordant.evaluation.answers import Answers, Origin
from accordant.evaluation.reward_report import class_report, pair_report


def test_labels_are_predicted_by_the_sign_of_the_score() -> None:
    scores, labels = np.array([4.0, 3, -2, -1, 2, -3, 1, -4]), np.array([1, 1, 0, 0, 0, 0, 0, 1])
    answers = Answers(("",) * 8, scores, np.arange(8.0), np.arange(8))
    origin, up = Origin(("file",) * 8, np.zeros(8, dtype=np.int64)), scores > 0
    report = class_report(answers, labels, up.astype(np.int64), 1 / (1 + np.exp(-scores)), labels == 1, origin)
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


def test_a_single_prompt_has_no_interval() -> None:
    """Five pairs of one prompt that are all right: from 100 % to 100 % would claim a certainty that nothing gives."""
    ones = np.ones(5)
    report = pair_report(ones, 0 * ones, ones, np.zeros(5, dtype=np.int64), np.arange(10.0), np.arange(10.0))
    assert (report["heldout_accuracy"], report["ci95"]) == (1, [None, None])
