"""36. After any pass of the reference, also a failed one, the policy's adapter is active and the base untouched."""

from __future__ import annotations

import pytest
import torch

from accordant.models.actor import Actor
from accordant.models.language import LanguageModel
from tiny import sample


def test_the_policy_is_back_after_an_exception(lora_llama: LanguageModel) -> None:
    rollout = sample(lora_llama)
    actor = Actor(lora_llama, with_value=False)
    with torch.no_grad():
        before = actor.forward(rollout, 1.0).logp
        base = actor.reference_hash()
        with actor.reference():
            assert not torch.equal(actor.forward(rollout, 1.0).logp, before), "nothing to mix up"
        with pytest.raises(RuntimeError, match="out of memory"), actor.reference():
            raise RuntimeError("out of memory")
        assert torch.equal(actor.forward(rollout, 1.0).logp, before)
    assert actor.reference_hash() == base


def test_a_reference_pass_that_fails_inside_the_model_leaves_the_policy_active(lora_llama: LanguageModel) -> None:
    rollout = sample(lora_llama)
    actor = Actor(lora_llama, with_value=False)
    with torch.no_grad():
        before = actor.forward(rollout, 1.0).logp
        with pytest.raises(ValueError, match="temperature"):
            actor.reference_logp(rollout, 0.0)
        assert torch.equal(actor.forward(rollout, 1.0).logp, before)


def test_adapters_stay_trainable_after_a_reference_pass(lora_llama: LanguageModel) -> None:
    actor = Actor(lora_llama, with_value=False)
    before = sorted(actor.parameters())
    actor.reference_logp(sample(lora_llama), 1.0)
    assert before
    assert sorted(actor.parameters()) == before
