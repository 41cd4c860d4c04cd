"""35. The reference is frozen and is the model that the stage started from, with all weights and with adapters."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from accordant.algos import ppo
from accordant.models.actor import Actor
from accordant.models.optim import OptimConfig, Optimiser
from tiny import language_model, sample, step_for


@pytest.mark.parametrize("lora", [None, {"rank": 4}], ids=["all weights", "lora"])
def test_it_stays_while_the_policy_moves(llama_folder: Path, lora: dict[str, Any] | None) -> None:
    model, start = language_model(llama_folder, lora=lora), language_model(llama_folder)
    rollout = sample(model)
    actor, cfg = Actor(model, with_value=True), ppo.Config()
    optimiser = Optimiser(actor.parameters(), OptimConfig(lr=1e-2), total=3)
    step = step_for(actor, rollout)
    fingerprint, first = actor.reference_hash(), actor.reference_logp(rollout, 1.0)
    targets, _, _ = ppo.prepare(step, ppo.init(cfg), cfg)
    for _ in range(3):
        sums, _ = ppo.loss(actor.forward(rollout, 1.0), targets, cfg)
        sum(sums.values()).backward()
        optimiser.step()
    assert actor.reference_hash() == fingerprint
    assert torch.equal(actor.reference_logp(rollout, 1.0), first)
    target = rollout.mask.clone()
    target[:, : rollout.prompt_length] = False
    with torch.no_grad():
        anchor, _ = start.logp(rollout.ids, rollout.mask, target)
        moved = actor.forward(rollout, 1.0).logp
    torch.testing.assert_close(first, anchor[:, rollout.prompt_length :], atol=1e-5, rtol=0)
    assert float((moved - first).abs().max()) > 0.1


def test_the_fingerprint_notices_one_changed_weight(lora_llama: Any) -> None:
    actor = Actor(lora_llama, with_value=False)
    fingerprint = actor.reference_hash()
    weight = next(p for name, p in lora_llama.module.named_parameters() if "lora_" not in name)
    with torch.no_grad():
        weight.view(-1)[0] += 1e-3
    assert actor.reference_hash() != fingerprint
