"""17: a mean KL that is negative beyond chance is said aloud, with its likely cause; an honest run says nothing."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from accordant.models.actor import Actor
from accordant.stages import online
from tasks import count_of, metrics, prompts, run_stage


@pytest.fixture
def log(llama_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Run three steps and return what log.txt says."""
    monkeypatch.setattr(online, "load_reward", lambda _: count_of("e"))

    def train() -> str:
        run_stage(
            "ppo", tmp_path / "run", model={"path": str(llama_folder)}, prompts=str(prompts(tmp_path / "rows.jsonl", 16)),
            reward={"kind": "world"}, steps=3, prompts_per_step=16, max_new_tokens=8, optim={"lr": 3e-3},
        )  # fmt: skip
        file = tmp_path / "run" / "log.txt"
        return file.read_text() if file.exists() else ""

    return train


def test_a_reference_that_likes_the_answers_better_than_the_policy_does(
    log: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    real = Actor.reference_logp

    def generous(actor: Actor, *args: Any) -> torch.Tensor:
        return real(actor, *args) * 0.5

    monkeypatch.setattr(Actor, "reference_logp", generous)
    said = log()
    assert "step 0: the mean KL is -" in said
    assert "the sampler and the trainer disagree about the policy" in said
    assert f"sampler_gap {metrics(tmp_path / 'run')[0]['sampler_gap']:.3g}" in said


@pytest.mark.parametrize(
    ("kl", "sd", "said"), [(-1.0, 10.0, False), (-8.0, 10.0, True), (-0.01, 0.0, False), (-0.1, 0.0, True), (0.3, 0.0, False)]
)
def test_what_chance_or_rounding_explains_is_no_alarm(kl: float, sd: float, said: bool) -> None:
    """16 responses: a standard error of sd / 4, and an alarm below three of them."""
    notes: list[str] = []
    loop: Any = SimpleNamespace(step=0, folder=SimpleNamespace(note=notes.append))
    online.Loop._doubt(loop, {"kl": kl, "kl_sd": sd, "sampler_gap": 0.0}, 16)
    assert bool(notes) == said


def test_an_honest_run_says_nothing(log: Any) -> None:
    assert "KL" not in log()
