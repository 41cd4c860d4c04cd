"""39: the same seed gives the same bytes in another process; another seed does not."""

from __future__ import annotations

from pathlib import Path

import pytest

from command import accordant
from tasks import chats, contents, metrics, prompts


@pytest.mark.parametrize("kind", ["sft", "ppo"])
def test_same_seed_same_bytes(kind: str, llama_folder: Path, classifier_folder: Path, tmp_path: Path) -> None:
    own = {
        "sft": (f"data={chats(tmp_path / 'rows.jsonl')}", "rows_per_step=2", "epochs=2", "model.lora={rank: 2, dropout: 0.1}"),
        "ppo": (
            f"prompts={prompts(tmp_path / 'prompts.jsonl')}",
            f"reward={{kind: classifier, path: {classifier_folder}}}",
            "steps=3", "prompts_per_step=4", "minibatches_per_step=2", "max_new_tokens=6",
        ),
    }[kind]  # fmt: skip

    def train(name: str, seed: int) -> Path:
        out = tmp_path / name
        ended = accordant(kind, f"model.path={llama_folder}", f"seed={seed}", "optim.lr=1e-3", *own, "--out", out)
        assert ended.code == 0, ended.error
        return out / kind

    first, again, other = train("first", 0), train("again", 0), train("other", 1)
    assert contents(first / "checkpoint") == contents(again / "checkpoint")
    assert metrics(first) == metrics(again)
    file = "model.safetensors"
    assert contents(first / "checkpoint")[file] != contents(other / "checkpoint")[file]
