"""19: clipping the reward is visible: the share that was clipped is logged, and there is none without the setting."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from accordant.stages import online
from tasks import metrics, prompts, run_stage


def test_the_clipped_share_is_logged(llama_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fixed = torch.tensor([-9.0, -1.0, 0.5, 1.0, 2.0, 7.0, 0.0, 0.0])
    monkeypatch.setattr(online, "load_reward", lambda _: lambda _: fixed)

    def first(name: str, **values: Any) -> dict[str, Any]:
        run_stage(
            "ppo", tmp_path / name, model={"path": str(llama_folder)}, prompts=str(prompts(tmp_path / "rows.jsonl")),
            reward={"kind": "world"}, steps=1, prompts_per_step=8, max_new_tokens=4, **values,
        )  # fmt: skip
        return metrics(tmp_path / name)[0]

    clipped, plain = first("clipped", reward_clip=1.5), first("plain")
    assert clipped["reward_clip_fraction"] == 3 / 8  # -9, 2 and 7
    assert clipped["reward"] == pytest.approx((-1.5 - 1 + 0.5 + 1 + 1.5 + 1.5) / 8)
    assert "reward_clip_fraction" not in plain
    assert plain["reward"] == pytest.approx(float(fixed.mean()))
