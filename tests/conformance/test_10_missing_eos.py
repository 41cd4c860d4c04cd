"""10: the missing-EOS penalty falls on responses that were cut at the limit and on no other; every stop id counts as an end."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from accordant.stages import online
from accordant.types import Rollout
from tasks import metrics, prompts, run_stage


def train(folder: Path, model: Path, rows: Path, **values: Any) -> list[dict[str, Any]]:
    run_stage(
        "ppo", folder, model={"path": str(model)}, prompts=str(rows), reward={"kind": "world"}, steps=1, prompts_per_step=32,
        max_new_tokens=8, **values,
    )  # fmt: skip
    return metrics(folder)


@pytest.fixture
def many_stops(llama_folder: Path, tmp_path: Path) -> Path:
    """The model with a tenth of its vocabulary as stop ids, as checkpoints with several end-of-turn tokens have them."""
    folder = tmp_path / "model"
    shutil.copytree(llama_folder, folder)
    settings = json.loads((folder / "generation_config.json").read_text())
    (folder / "generation_config.json").write_text(json.dumps(settings | {"eos_token_id": list(range(2, 42))}))
    return folder


def test_only_cut_responses_pay(many_stops: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[torch.Tensor, Rollout]] = []
    real: Callable[..., Any] = online.Loop.rewards

    def spy(loop: online.Loop, said: Any, rollout: Rollout) -> Any:
        out = real(loop, said, rollout)
        seen.append((out[0], rollout))
        return out

    monkeypatch.setattr(online.Loop, "rewards", spy)
    monkeypatch.setattr(online, "load_reward", lambda _: lambda answers: torch.ones(len(answers)))
    row = train(tmp_path / "run", many_stops, prompts(tmp_path / "rows.jsonl", 32), missing_eos_penalty=2.5)[0]
    reward, rollout = seen[0]
    stopped = torch.tensor([int(i[m][-1]) in range(2, 42) for i, m in zip(rollout.ids, rollout.mask, strict=True)])
    assert 0 < stopped.sum() < len(stopped)
    assert torch.equal(reward, torch.where(stopped, 1.0, -1.5))
    assert row["reward"] == pytest.approx(1 - 2.5 * (1 - row["finished"]), abs=1e-6)


def test_more_stop_ids_more_ends(llama_folder: Path, many_stops: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(online, "load_reward", lambda _: lambda answers: torch.ones(len(answers)))
    rows = prompts(tmp_path / "rows.jsonl", 32)
    one, many = (train(tmp_path / name, model, rows)[0] for name, model in (("one", llama_folder), ("many", many_stops)))
    assert one["finished"] < many["finished"]
