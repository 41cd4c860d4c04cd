"""The quickstart, smaller: an honest trainer is seen to make the policy better, three broken ones are not.

The exact judge of the embedded world is the reward here, so that what is measured is the trainer and not a reward model made
from forty prompts. All stages of the quickstart run; only their sizes differ.
"""

from __future__ import annotations

import dataclasses
import io
import json
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
import torch
from rich.console import Console

from accordant.algos import ppo
from accordant.config import read_yaml
from accordant.pipeline.run import run
from accordant.pipeline.spec import Spec, fill, parse
from accordant.stages.online import Loop
from accordant.types import Rollout

SMALL = (
    "threads=1", "world.documents=2500", "world.demonstrations=200", "world.preference_prompts=40", "world.rl_prompts=500",
    "world.evaluation_prompts=200", "base.scratch={vocabulary: 512, hidden: 96, layers: 2, heads: 4, context: 160}",
    "policy.reward={kind: world}", "policy.critic=null", "policy.value_lr_scale=10", "policy.algo.kl_coef=0.1",
    "policy.optim={lr: 5e-4, schedule: linear}", "policy.steps=12", "policy.prompts_per_step=64",
    "policy.minibatches_per_step=2", "policy.epochs_per_step=2", "evaluation.reward={kind: world}",
)  # fmt: skip
"""Everything that PPO's progress depends on is said here, so that tuning the real quickstart moves nothing in this test."""

ENOUGH = 0.3
"""Gain in true utility that the lower end of the honest trainer's interval must pass; over five seeds it is 0.6 to 1.2."""


def quickstart(*overrides: str) -> Spec:
    return parse(read_yaml(str(files("accordant.pipeline") / "quickstart.yaml")), [*SMALL, *overrides], "quickstart")


def carry_out(spec: Spec, out: Path) -> dict[str, dict[str, Any]]:
    return run(spec, out, Console(file=io.StringIO()))


@pytest.fixture(scope="module")
def honest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run folder of the whole pipeline, trained as it should be."""
    out = tmp_path_factory.mktemp("quickstart") / "run"
    carry_out(quickstart(), out)
    return out


@pytest.fixture
def gain_of(honest: Path, tmp_path: Path) -> Callable[..., tuple[float, float, float]]:
    """Train a policy from the honest run's SFT model and evaluate it: mean gain in true utility and its interval."""
    results = {name: json.loads((honest / name / "result.json").read_text()) for name in ("world", "sft", "reward")}

    def look_up(reference: str) -> Any:
        stage, _, key = reference.partition(".")
        return results[stage][key] if stage in results else "${" + reference + "}"

    def train(*overrides: str) -> tuple[float, float, float]:
        spec = quickstart(*overrides)
        last = [
            dataclasses.replace(s, values=fill(s.values, look_up)) for s in spec.stages if s.name in ("policy", "evaluation")
        ]
        return gain(carry_out(dataclasses.replace(spec, stages=tuple(last)), tmp_path / "run")["evaluation"])

    return train


def gain(evaluation: dict[str, Any]) -> tuple[float, float, float]:
    return evaluation["gold_gain"]["mean"], *evaluation["gold_gain"]["ci95"]


def test_the_honest_trainer_makes_the_policy_better(honest: Path) -> None:
    _, low, _ = gain(json.loads((honest / "evaluation" / "result.json").read_text()))
    assert low > ENOUGH


def test_the_run_ends_in_a_whole_report(honest: Path) -> None:
    report = json.loads((honest / "report.json").read_text())
    for part in ("labels", "reward_model", "policy", "stopped_because", "examples"):
        assert report[part], part
    assert [stage["status"] for stage in report["stages"]] == ["finished"] * 8
    assert [point["step"] for point in report["curve"]] == list(range(12))
    assert "<svg" in (honest / "report.html").read_text()


def test_running_it_again_does_nothing(honest: Path) -> None:
    def stamps() -> dict[Path, int]:
        return {path: path.stat().st_mtime_ns for path in honest.rglob("*") if path.name != ".lock"}

    before = stamps()
    carry_out(quickstart(), honest)
    assert stamps() == before


def test_a_flipped_advantage_is_seen(gain_of: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    true_gae = ppo.gae

    def flipped(*args: Any) -> tuple[torch.Tensor, torch.Tensor]:
        advantage, returns = true_gae(*args)
        return -advantage, returns

    monkeypatch.setattr(ppo, "gae", flipped)
    mean, _, high = gain_of()
    assert mean < -ENOUGH
    assert high < 0


def test_shuffled_rewards_are_seen(gain_of: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    true_rewards = Loop.rewards

    def shuffled(loop: Loop, said: Any, rollout: Rollout) -> tuple[torch.Tensor, dict[str, float]]:
        reward, shaping = true_rewards(loop, said, rollout)
        return reward[torch.randperm(len(reward), generator=torch.Generator().manual_seed(loop.step))], shaping

    monkeypatch.setattr(Loop, "rewards", shuffled)
    assert gain_of()[1] <= 0


def test_a_learning_rate_of_nothing_is_seen(gain_of: Callable[..., Any]) -> None:
    assert gain_of("policy.optim.lr=1e-12")[1] <= 0
