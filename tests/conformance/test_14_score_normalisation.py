"""14: a reward model's scores of its reference answers have mean 0 and standard deviation 1; the constants travel with it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from accordant.models.checkpoint import read_meta
from accordant.rewards import ModelReward, load
from accordant.types import Answer
from tasks import COLOURS, pairs, run_stage, write_rows


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


def rows_for(kind: str) -> list[dict[str, Any]]:
    """The same twelve answers as rankings, ratings and thumbs."""
    both = [(f"what colour is {k}?", f" {v}", f" not {v}") for k, v in COLOURS.items()]
    if kind == "Ranking":
        return [{"prompt": p, "completions": [good, bad], "ranks": [1, 2]} for p, good, bad in both]
    if kind == "Rating":
        return [
            {"prompt": p, "completion": c, "scores": {"kind": 3 + i % 2, "true": s}}
            for i, (p, good, bad) in enumerate(both) for c, s in ((good, 9), (bad, 2))
        ]  # fmt: skip
    return [{"prompt": p, "completion": c, "up": up} for p, good, bad in both for c, up in ((good, True), (bad, False))]


@pytest.mark.parametrize(
    ("algo", "kind"),
    [
        ("reward_kwise", "Ranking"),
        ("reward_plackett_luce", "Ranking"),
        ("reward_regression", "Rating"),
        ("reward_classifier", "Thumb"),
    ],
)
def test_so_have_those_of_every_kind_of_feedback(algo: str, kind: str, llama_folder: Path, tmp_path: Path) -> None:
    """Each output of a model of several attributes by itself; the reward is then the mean of what they say."""
    result = run_stage(
        algo, tmp_path / "run", model={"path": str(llama_folder)}, epochs=3,
        data=str(write_rows(tmp_path / "rows.jsonl", rows_for(kind))), rows_per_step=3, optim={"lr": 3e-3},
    )  # fmt: skip
    answers = [Answer(f"what colour is {k}?", text, True) for k, v in COLOURS.items() for text in (f" {v}", f" not {v}")]
    attributes = ["kind", "true"] if kind == "Rating" else [None]
    parts = [load(ModelReward(path=result["checkpoint"], attribute=attribute))(answers) for attribute in attributes]
    for rewards in parts:
        assert float(rewards.mean()) == pytest.approx(0, abs=1e-5)
        assert float(rewards.std()) == pytest.approx(1, abs=1e-5)
    together = load(ModelReward(path=result["checkpoint"]))(answers)
    assert together.tolist() == pytest.approx((sum(parts) / len(parts)).tolist(), abs=1e-5)
    meta = read_meta(result["checkpoint"])
    assert len(meta["score_mean"]) == len(meta["score_sd"]) == len(attributes)
    assert all(abs(sd - 1) > 0.01 for sd in meta["score_sd"])  # so that the constants were needed
