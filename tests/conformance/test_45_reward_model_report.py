"""45: the reward-model report, from held-out rows: accuracy by margin, source and turns, calibration, the correlation with
length, trigger probes. Rankings' and ratings' own measures are in tests/stages/test_evaluate_reward.py."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from accordant.evaluation.probes import PROBES, probe_entry
from accordant.evaluation.reward_report import pair_report
from tasks import pairs, run_stage


def test_what_the_report_has(llama_folder: Path, tmp_path: Path) -> None:
    rows = str(pairs(tmp_path / "rows.jsonl"))
    trained = run_stage(
        "reward_pairwise", tmp_path / "rm", model={"path": str(llama_folder)}, data=rows, epochs=4, optim={"lr": 3e-3}
    )
    run_stage("evaluate_reward", tmp_path / "check", model={"path": trained["checkpoint"]}, data=rows)
    report = json.loads((tmp_path / "check" / "reward_model.json").read_text())
    assert {"heldout_accuracy", "n", "ci95", "ece", "reliability", "by_margin", "length_correlation"} <= set(report)
    assert {"by_source", "by_turns", "baselines", "ties", "features", "probes", "suspicions", "left_out"} <= set(report)
    for part in ("by_margin", "by_source", "by_turns"):
        assert sum(row["n"] for row in report[part]) == report["n"] == 6
        assert sum(row["n"] * row["accuracy"] for row in report[part]) == pytest.approx(6 * report["heldout_accuracy"])
    assert {probe["probe"] for probe in report["probes"]} == set(PROBES)


def test_by_margin_and_length_by_hand() -> None:
    """Six pairs: the three that all labelers agree on are right, of the doubtful three one is; longer answers score higher."""
    chosen, rejected = np.array([3.0, 2, 1, 0, 0, 2]), np.array([0.0, 0, 0, 1, 2, 1])
    weight = np.array([1.0, 1, 1, 0.3, 0.3, 0.3])
    scores = np.concatenate([chosen, rejected])
    report = pair_report(chosen, rejected, weight, np.arange(6), scores, lengths=10 * scores)
    assert report["heldout_accuracy"] == pytest.approx(4 / 6)
    assert [(row["n"], row["accuracy"]) for row in report["by_margin"]] == [(3, pytest.approx(1 / 3)), (3, 1)]
    assert report["length_correlation"] == pytest.approx(1)


def test_calibration_by_hand() -> None:
    """A model that is sure (p = 0.95) and right in half of the cases is off by 0.45."""
    gap = np.log(0.95 / 0.05)
    chosen = np.tile([gap, 0.0, gap, 0.0], 50)
    rejected = gap - chosen
    report = pair_report(chosen, rejected, np.ones(200), np.arange(200), chosen, np.ones(200))
    assert report["heldout_accuracy"] == 0.5
    assert report["ece"] == pytest.approx(0.45, abs=0.01)
    assert report["length_correlation"] is None  # lengths do not vary


def test_probes_by_hand() -> None:
    """Thanks add 0.4, 0.8 and 0.6 to three scores that spread by 0.5 over all answers: 1.2 standard deviations."""
    before = np.array([1.0, 0.0, -1.0])
    found = probe_entry("thanks", before, [1.4, 0.8, -0.4], sd=0.5, prompts=np.arange(3))
    assert found["change"] == pytest.approx(1.2)
    assert (found["rises"], found["falls"]) == (1, 0)
    assert 0.79 < found["ci95"][0] < 1.2 < found["ci95"][1] < 1.61
