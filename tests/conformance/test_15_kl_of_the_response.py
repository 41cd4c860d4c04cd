"""15. The KL is over response tokens: prompt and padding contribute nothing."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from accordant.algos import ppo
from accordant.models.actor import Actor
from accordant.models.language import LanguageModel
from accordant.ops.kl import sequence_kl
from accordant.ops.returns import token_rewards
from steps import random_rollout, random_valued
from tiny import sample


@pytest.mark.parametrize("garbage", [7.0, float("nan"), float("-inf")])
def test_what_stands_in_the_padding_is_never_read(garbage: float) -> None:
    step = random_valued(random_rollout([2, 5, 1, 4]))
    scored, mask = step.scored, step.scored.rollout.response_mask
    dirty = dataclasses.replace(step, scored=dataclasses.replace(scored, ref_logp=torch.where(mask, scored.ref_logp, garbage)))
    cfg = ppo.Config(kl_target=1.0)
    clean_targets, clean_state, _ = ppo.prepare(step, ppo.init(cfg), cfg)
    dirty_targets, dirty_state, _ = ppo.prepare(dirty, ppo.init(cfg), cfg)
    assert dirty_state == clean_state
    assert torch.equal(dirty_targets.advantage, clean_targets.advantage)
    penalty = torch.where(mask, 0.1, garbage)
    assert float(token_rewards(scored.reward, penalty, mask)[~mask].abs().sum()) == 0.0
    moved = sequence_kl(scored.old_logp, dirty.scored.ref_logp, mask)
    assert torch.equal(moved, sequence_kl(scored.old_logp, scored.ref_logp, mask))


def test_log_probabilities_cover_the_response_alone(lora_llama: LanguageModel) -> None:
    """The policy differs from the reference on the prompt, too; no column of that is there to be summed."""
    rollout = sample(lora_llama)
    actor = Actor(lora_llama, with_value=False)
    with torch.no_grad():
        policy, frozen = actor.forward(rollout, 1.0).logp, actor.reference_logp(rollout, 1.0)
    assert policy.shape == frozen.shape == rollout.response_mask.shape
    assert float((policy - frozen)[~rollout.response_mask].abs().sum()) == 0.0
    assert float((policy - frozen)[rollout.response_mask].abs().sum()) > 0.1
