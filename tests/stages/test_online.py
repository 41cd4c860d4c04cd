"""The online loop on a tiny policy with a rule as its reward: it learns, and it stops when and as it says."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from accordant.models.checkpoint import load_state
from accordant.stages import online
from accordant.types import UserError
from builders import byte_level_tokenizer
from tasks import count_of, metrics, prompts, run_stage, weights
from tiny import tiny_llama

Train = Callable[..., dict[str, Any]]


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(tiny_llama(tmp_path_factory.mktemp("start"), byte_level_tokenizer(), initializer_range=0.05))


@pytest.fixture
def train(start: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Train:
    """PPO for the letter e, into `tmp_path/<name>`; any setting may be given."""
    monkeypatch.setattr(online, "load_reward", lambda _: count_of("e"))
    rows = prompts(tmp_path / "prompts.jsonl", 16)

    def run(name: str = "run", **values: Any) -> dict[str, Any]:
        defaults = {
            "model": {"path": start, "precision": "float32"}, "prompts": str(rows), "reward": {"kind": "world"}, "steps": 3,
            "prompts_per_step": 16, "max_new_tokens": 8, "optim": {"lr": 3e-3, "schedule": "constant"},
        }  # fmt: skip
        return run_stage("ppo", tmp_path / name, **(defaults | values))

    return run


def test_ppo_learns(train: Train, tmp_path: Path) -> None:
    """Eight tokens of a near-uniform policy have about two e; a trained one is past six."""
    result = train(steps=25, prompts_per_step=32, minibatches_per_step=2, epochs_per_step=2, optim={"lr": 1e-2})
    rows = metrics(tmp_path / "run")
    assert rows[0]["reward"] < 3
    assert rows[-1]["reward"] > 6
    assert result["reward"] == rows[-1]["reward"]
    assert result["stopped_because"] == "the step limit was reached (25 steps)"
    assert rows[0]["kl"] == 0
    assert rows[-1]["kl"] > 1
    assert [row["step"] for row in rows] == list(range(25))


def test_it_stops_at_the_reward_target(train: Train, tmp_path: Path) -> None:
    result = train(steps=25, stop={"reward": 3.5}, optim={"lr": 1e-2})
    rows = metrics(tmp_path / "run")
    assert rows[-1]["reward"] >= 3.5 > max(row["reward"] for row in rows[:-1])
    assert result["steps"] == len(rows) < 25
    assert result["stopped_because"] == f"the reward target was reached ({rows[-1]['reward']:.3f} >= stop.reward=3.5)"


def test_over_the_kl_budget_the_weights_of_the_step_before_are_kept(train: Train) -> None:
    stopped = train(steps=25, stop={"kl": 0.5})
    assert stopped["kl"] > 0.5
    assert "the KL budget was spent" in stopped["stopped_because"]
    assert "stop.kl=0.5" in stopped["stopped_because"]
    kept = train("kept", steps=stopped["steps"] - 2)  # neither the step that saw it nor the one that caused it
    assert kept["kl"] <= 0.5
    assert same(stopped, kept)
    assert not same(stopped, train("caused", steps=stopped["steps"] - 1))


def same(first: dict[str, Any], second: dict[str, Any] | str) -> bool:
    a = weights(first["checkpoint"])
    b = weights(second if isinstance(second, str) else second["checkpoint"])
    return all(torch.equal(a[name], b[name]) for name in a)


def test_critic_warm_up_leaves_the_policy_bit_identical(train: Train, start: str, tmp_path: Path) -> None:
    warm = train(steps=10, critic_warmup=10, algo={"value_clip": float("inf")})
    assert same(warm, start)
    rows = metrics(tmp_path / "run")
    assert sum(row["value_loss"] for row in rows[5:]) < sum(row["value_loss"] for row in rows[:5])
    assert not same(train("after", steps=3, critic_warmup=2), start)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_reward_that_is_no_number_is_named(bad: float, train: Train, monkeypatch: pytest.MonkeyPatch) -> None:
    def reward(answers: Any) -> torch.Tensor:
        return torch.tensor([0.0] * (len(answers) - 1) + [bad])

    monkeypatch.setattr(online, "load_reward", lambda _: reward)
    with pytest.raises(UserError, match=f"step 0: the reward of an answer is {bad}: '"):
        train()


def test_a_loss_that_is_no_number_stops_the_run_and_leaves_the_batch(train: Train, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"step 1: .*not_finite\.pt"):
        train(optim={"lr": 1e30, "schedule": "constant"})
    dumped = load_state(tmp_path / "run" / "not_finite.pt")
    assert dumped is not None
    assert dumped["step"] == 1
    assert sum(len(ids) for ids in dumped["ids"]) == 16
    assert [row["step"] for row in metrics(tmp_path / "run")] == [0]


def test_further_rewards_are_measured_and_not_optimised(train: Train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = train("plain")
    letters = {"utility": "e", "toxic": "a"}
    monkeypatch.setattr(online, "load_reward", lambda cfg: count_of(letters[cfg.measure]))
    watched = train("watched", monitor={"letter_a": {"kind": "world", "measure": "toxic"}})
    assert same(plain, watched)
    rows = metrics(tmp_path / "watched")
    assert sum(row["letter_a"] for row in rows) > 0
    assert [row["letter_a"] for row in rows] != [row["reward"] for row in rows]


def test_every_prompt_is_used_once_before_any_is_used_twice(train: Train, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[list[int]] = []
    real = online.Loop._prompts_of

    def spy(loop: online.Loop, step: int) -> list[int]:
        seen.append(real(loop, step))
        return seen[-1]

    monkeypatch.setattr(online.Loop, "_prompts_of", spy)
    train(steps=4, prompts_per_step=12)  # four times twelve of sixteen prompts: three whole epochs
    laid = [i for step in seen for i in step]
    epochs = [laid[k : k + 16] for k in (0, 16, 32)]
    assert all(sorted(epoch) == list(range(16)) for epoch in epochs)
    assert epochs[0] != epochs[1]


def test_minibatches_must_divide_the_prompts(train: Train) -> None:
    with pytest.raises(
        UserError, match="minibatches_per_step=5 does not divide prompts_per_step=16; the nearest that does is 4"
    ):
        train(minibatches_per_step=5)
