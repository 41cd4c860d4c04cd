"""27: how a step is cut into micro-batches changes the weights by rounding at most, in both loops.

`tests/test_every_algorithm.py` shows it for every loss; here the whole stage runs.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from accordant.stages import online
from tasks import chats, count_of, labelled, metrics, pairs, prompts, run_stage, weights

TINY, LARGE = 1, 1 << 16


def close(place: Path, start: Path) -> None:
    """The runs `LARGE` and `TINY` in `place`: same weights, and the same norms, which clipping and Adam would hide."""
    first, second = metrics(place / str(LARGE)), metrics(place / str(TINY))
    assert [row["grad_norm"] for row in first] == pytest.approx([row["grad_norm"] for row in second], rel=1e-3)
    a, b, begin = weights(place / f"{LARGE}/checkpoint"), weights(place / f"{TINY}/checkpoint"), weights(start)
    moved = max(float((a[name] - begin[name]).abs().max()) for name in begin if name in a)
    assert moved > 1e-3  # training did something
    for name in a:
        torch.testing.assert_close(a[name], b[name], atol=moved * 1e-2, rtol=0)
        assert float((a[name] - b[name]).abs().mean()) < moved * 1e-4, name


@pytest.mark.parametrize(("kind", "rows"), [("sft", chats), ("reward_pairwise", pairs), ("reward_classifier", labelled)])
def test_offline(kind: str, rows: Any, llama_folder: Path, tmp_path: Path) -> None:
    values = {
        "model": {"path": str(llama_folder), "precision": "float32"}, "data": str(rows(tmp_path / "rows.jsonl")),
        "rows_per_step": 4, "epochs": 2, "optim": {"lr": 3e-3},
    }  # fmt: skip
    for tokens in (LARGE, TINY):
        run_stage(kind, tmp_path / str(tokens), **values, tokens_per_microbatch=tokens)
    close(tmp_path, llama_folder)


def test_online(llama_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two samples per prompt, so that a group is more than a row, and responses of different lengths."""
    monkeypatch.setattr(online, "load_reward", lambda _: count_of("e"))
    values = {
        "model": {"path": str(llama_folder), "precision": "float32"}, "prompts": str(prompts(tmp_path / "rows.jsonl")),
        "reward": {"kind": "world"}, "steps": 2, "prompts_per_step": 8, "samples_per_prompt": 2, "minibatches_per_step": 2,
        "max_new_tokens": 8, "optim": {"lr": 3e-3, "schedule": "constant"},
    }  # fmt: skip
    for tokens in (LARGE, TINY):
        run_stage("ppo", tmp_path / str(tokens), **values, tokens_per_microbatch=tokens)
    close(tmp_path, llama_folder)
