"""The main job on real input: `ACCORDANT_DATA=PATH make acceptance`."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
from pathlib import Path

import pytest

DATA = os.environ.get("ACCORDANT_DATA")
PIPELINES = Path(__file__).parents[2] / "pipelines"

pytestmark = [
    pytest.mark.acceptance,
    pytest.mark.skipif(not DATA, reason="ACCORDANT_DATA is not set: it names the folder with the real data and models"),
]


def run(spec: str, out: Path, *overrides: str) -> Path:
    program = "from accordant.cli import main; main()"
    command = [sys.executable, "-c", program, "run", str(PIPELINES / spec), f"data={DATA}", *overrides, "--out", str(out)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=1800, check=False)
    assert done.returncode == 0, done.stderr
    return out


def result(run_folder: Path, stage: str) -> dict:
    return json.loads((run_folder / stage / "result.json").read_text())


def test_positive_stories_end_with_a_policy_that_plain_transformers_loads(tmp_path: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    out = run("positive_stories.yaml", tmp_path / "run")
    assert result(out, "reward_check")["n"] == 1000
    assert result(out, "reward_check")["heldout_accuracy"] >= 0.70
    evaluation = result(out, "evaluation")
    assert evaluation["n"] == 512
    folder = out / "policy" / "checkpoint"
    model, tokenizer = AutoModelForCausalLM.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
    with torch.no_grad():
        written = model.generate(**tokenizer("Once upon a time", return_tensors="pt"), max_new_tokens=20, do_sample=False)
    assert len(tokenizer.decode(written[0], skip_special_tokens=True)) > 40
    report = json.loads((out / "report.json").read_text())
    assert len(report["examples"]) == 10
    assert report["policy"]["kl_n"] == 512
    assert report["policy"]["kl"] <= 6.5
    # More positive by far more than chance, and by half of what such rewards differ between the frozen model's own answers.
    assert report["policy"]["reward_gain"]["ci95"][0] > 1


def test_the_yardstick_is_reached_on_the_median_of_three_seeds(tmp_path: Path) -> None:
    runs = [result(run("positive_stories_yardstick.yaml", tmp_path / str(s), f"seed={s}"), "evaluation") for s in range(3)]
    assert statistics.median(r["reward_after"] for r in runs) >= 1.9
    assert statistics.median(r["kl"] for r in runs) <= 6.5
