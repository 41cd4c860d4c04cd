"""33: a minibatch whose probability ratios have exploded is skipped, counted and noted; the weights stay as they were."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from accordant.algos import ppo
from accordant.stages import online
from tasks import count_of, metrics, prompts, run_stage, weights


def test_exploded_minibatches_are_skipped(llama_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The ratio that the loss reports is set to 50 for every minibatch of the second step."""
    monkeypatch.setattr(online, "load_reward", lambda _: count_of("e"))
    real, calls = ppo.loss, []

    def loss(*args: Any) -> Any:
        sums, seen = real(*args)
        calls.append(1)
        if len(calls) > 2:
            seen["ratio"] = (50.0 * seen["ratio"][1], seen["ratio"][1])
        return sums, seen

    monkeypatch.setattr(ppo, "loss", loss)

    def train(name: str, steps: int) -> dict[str, Any]:
        calls.clear()
        return run_stage(
            "ppo", tmp_path / name, model={"path": str(llama_folder)}, prompts=str(prompts(tmp_path / "rows.jsonl")),
            reward={"kind": "world"}, steps=steps, prompts_per_step=8, minibatches_per_step=2, max_new_tokens=4,
            optim={"lr": 1e-3, "schedule": "constant"},
        )  # fmt: skip

    both, first = train("both", 2), train("first", 1)
    assert [row["skipped_minibatches"] for row in metrics(tmp_path / "both")] == [0, 2]
    log = (tmp_path / "both" / "log.txt").read_text()
    assert log.count("step 1: a minibatch with mean ratio 50 > max_ratio=10 is skipped") == 2
    a, b = weights(both["checkpoint"]), weights(first["checkpoint"])
    assert all(torch.equal(a[name], b[name]) for name in a)
