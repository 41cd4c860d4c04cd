"""The quickstart's promises, each on three worlds of three."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.acceptance


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_whole_loop_makes_the_policy_better(seed: int, tmp_path: Path) -> None:
    program = "from accordant.cli import main; main()"
    command = [sys.executable, "-c", program, "quickstart", f"seed={seed}", "--out", str(tmp_path / "run")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=1800, check=False)
    assert done.returncode == 0, done.stderr
    report = json.loads((tmp_path / "run" / "report.json").read_text())
    policy = report["policy"]
    assert report["reward_model"]["heldout_accuracy"] >= 0.80
    assert policy["before"]["toxicity_mean"] >= 0.10
    assert policy["after"]["toxicity_mean"] <= policy["before"]["toxicity_mean"] / 2
    assert policy["gold_gain"]["ci95"][0] > 0
    assert policy["win_rate"]["by"] == "exact judge"
    assert policy["win_rate"]["mean"] >= 0.65
