"""23. The value head starts at 0 on the policy's trunk, and how much it explains is reported."""

from __future__ import annotations

import torch

from accordant.algos import ppo
from accordant.models.actor import Actor
from accordant.models.language import LanguageModel
from tiny import sample, step_for


def test_the_first_values_are_zero_and_leave_the_policy_as_it_is(llama: LanguageModel) -> None:
    rollout = sample(llama)
    with torch.no_grad():
        alone = Actor(llama, with_value=False).forward(rollout, 1.0)
        out = Actor(llama, with_value=True).forward(rollout, 1.0)
    assert torch.equal(out.value, torch.zeros_like(out.logp))
    assert out.value.dtype == torch.float32
    assert torch.equal(out.logp, alone.logp)


def test_explained_variance_is_reported_and_starts_at_zero(llama: LanguageModel) -> None:
    actor, cfg = Actor(llama, with_value=True), ppo.Config()
    _, _, metrics = ppo.prepare(step_for(actor, sample(llama)), ppo.init(cfg), cfg)
    assert abs(metrics["explained_variance"][0]) < 1e-5
