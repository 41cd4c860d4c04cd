"""26. Warming up the critic leaves the policy bit-identical: the head alone learns, on a detached trunk."""

from __future__ import annotations

import torch

from accordant.algos import ppo
from accordant.models.actor import Actor
from accordant.models.language import LanguageModel
from accordant.models.optim import OptimConfig, Optimiser
from tiny import sample, step_for


def test_only_the_value_head_moves(llama: LanguageModel) -> None:
    rollout = sample(llama)
    actor, cfg = Actor(llama, with_value=True), ppo.Config(entropy_coef=0.1)
    optimiser = Optimiser(actor.parameters(), OptimConfig(lr=1e-2, weight_decay=0.1), total=5)
    before = {name: parameter.detach().clone() for name, parameter in actor.parameters().items()}
    targets, _, _ = ppo.prepare(step_for(actor, rollout), ppo.init(cfg), cfg)
    errors = []
    for _ in range(5):
        sums, metrics = ppo.loss(actor.forward(rollout, 1.0, critic_only=True), targets, cfg)
        (sums["value"] / ppo.counts(targets)["value"]).backward()
        optimiser.step()
        errors.append(metrics["value_loss"][0])
    assert errors == sorted(errors, reverse=True)
    for name, parameter in actor.parameters().items():
        assert torch.equal(parameter.detach(), before[name]) == name.startswith("policy.")
