"""14: a reward model's scores of its reference answers have mean 0 and standard deviation 1; the constants travel with it."""

from __future__ import annotations

from pathlib import Path

import pytest

from accordant.models.checkpoint import read_meta
from accordant.rewards import ModelReward, load
from accordant.types import Answer
from tasks import COLOURS, pairs, run_stage


def test_reference_answers_have_mean_0_and_sd_1(llama_folder: Path, tmp_path: Path) -> None:
    result = run_stage(
        "reward_pairwise", tmp_path / "run", model={"path": str(llama_folder)}, data=str(pairs(tmp_path / "rows.jsonl")),
        epochs=3, rows_per_step=3, optim={"lr": 3e-3},
    )  # fmt: skip
    answers = [
        Answer(f"what colour is {thing}?", text, True)
        for thing, colour in COLOURS.items()
        for text in (f" {colour}", f" not {colour}")
    ]
    rewards = load(ModelReward(path=result["checkpoint"]))(answers)
    assert float(rewards.mean()) == pytest.approx(0, abs=1e-5)
    assert float(rewards.std()) == pytest.approx(1, abs=1e-5)
    meta = read_meta(result["checkpoint"])
    assert meta["score_sd"] != pytest.approx(1, abs=0.01)  # so that the constants were needed
