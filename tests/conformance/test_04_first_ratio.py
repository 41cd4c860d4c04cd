"""4. Before the first optimiser step every ratio is exactly 1: old log-probabilities are the trainer's own."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from accordant.algos import ppo
from accordant.models.actor import Actor
from accordant.models.language import LanguageModel
from accordant.models.load import ModelConfig
from tiny import sample, step_for


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_ratio_is_one_and_nothing_is_clipped(llama_folder: Path, precision: str) -> None:
    model = LanguageModel.load(ModelConfig(path=str(llama_folder), precision=precision))
    rollout = sample(model)
    # A sampler that rounds differently, as fused kernels and other machines do.
    rollout = dataclasses.replace(rollout, logp=rollout.logp + 0.01 * rollout.response_mask)
    actor, cfg = Actor(model, with_value=True), ppo.Config()
    step = step_for(actor, rollout)
    targets, _, _ = ppo.prepare(step, ppo.init(cfg), cfg)
    _, metrics = ppo.loss(actor.forward(rollout, 1.0), targets, cfg)
    means = {name: total / count for name, (total, count) in metrics.items()}
    assert means["ratio"] == 1.0
    assert means["clip_fraction"] == 0.0
    assert means["approx_kl"] == 0.0
