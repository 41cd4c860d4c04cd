from __future__ import annotations

from pathlib import Path

import pytest
import torch

from accordant.models.actor import Actor
from accordant.models.language import LanguageModel
from accordant.ops.batching import take, take_rollout
from accordant.types import ActorCriticOut, ActorOut
from tiny import language_model, sample


def test_the_value_head_is_there_only_where_it_is_asked_for(llama: LanguageModel) -> None:
    rollout = sample(llama)
    plain, critic = Actor(llama, with_value=False), Actor(llama, with_value=True)
    assert type(plain.forward(rollout, 1.0)) is ActorOut
    assert type(critic.forward(rollout, 1.0)) is ActorCriticOut
    assert set(critic.parameters()) - set(plain.parameters()) == {"value.linear.weight", "value.linear.bias"}


@pytest.mark.parametrize("cut", [take, take_rollout], ids=["padded", "trimmed"])
def test_a_micro_batch_sees_what_the_whole_step_sees(llama: LanguageModel, cut: object) -> None:
    assert callable(cut)
    rollout = sample(llama)
    actor = Actor(llama, with_value=True)
    assert actor.critic is not None
    with torch.no_grad():
        actor.critic.linear.weight.fill_(0.1)
        whole = actor.forward(rollout, 0.7)
        for rows in torch.arange(len(rollout.ids)).split(5):
            part = cut(rollout, rows)
            out = actor.forward(part, 0.7)
            width = part.response_mask.shape[1]
            for name in ("logp", "entropy", "value"):
                expected = getattr(whole, name)[rows]
                torch.testing.assert_close(getattr(out, name), expected[:, :width], atol=1e-4, rtol=1e-4)
                assert float(expected[:, width:].abs().sum()) == 0.0


def test_with_full_fine_tuning_the_reference_shares_no_memory_and_needs_no_gradient(llama: LanguageModel) -> None:
    with Actor(llama, with_value=False).reference() as frozen:
        ours = {p.data_ptr() for p in llama.module.parameters()}
        assert not ours & {p.data_ptr() for p in frozen.module.parameters()}
        assert not any(p.requires_grad for p in frozen.module.parameters())
    assert all(p.requires_grad for p in llama.module.parameters())


def test_with_adapters_one_base_serves_both(llama_folder: Path) -> None:
    model = language_model(llama_folder, lora={"rank": 2})
    actor = Actor(model, with_value=False)
    with actor.reference() as frozen:
        assert frozen.module is model.module
    assert all("lora_" in name for name in actor.parameters())
