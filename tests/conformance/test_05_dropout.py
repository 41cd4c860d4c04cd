"""5. Dropout is off in the rollout, in the ratio and in the reference."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import PreTrainedTokenizerFast

from accordant.models.actor import Actor
from accordant.models.language import LanguageModel
from tiny import language_model, sample, tiny_causal


@pytest.fixture(params=[None, {"rank": 4, "dropout": 0.5}], ids=["all weights", "lora"])
def noisy(request: pytest.FixtureRequest, tmp_path: Path, tokenizer: PreTrainedTokenizerFast) -> LanguageModel:
    dropout: dict[str, Any] = {"resid_pdrop": 0.1, "embd_pdrop": 0.1, "attn_pdrop": 0.1}
    model = language_model(tiny_causal(tmp_path, tokenizer, "gpt2", **dropout), lora=request.param)
    model.module.train()
    return model


def test_two_forwards_and_the_reference_agree(noisy: LanguageModel) -> None:
    rollout = sample(noisy)
    assert noisy.module.training, "sampling must leave the mode as it was"
    target = rollout.mask.clone()
    target[:, : rollout.prompt_length] = False
    with torch.no_grad():
        loud = [noisy.logp(rollout.ids, rollout.mask, target)[0] for _ in range(2)]
        assert not torch.equal(*loud), "no dropout to be switched off"
        actor = Actor(noisy, with_value=False)
        first, second = (actor.forward(rollout, 1.0).logp for _ in range(2))
    assert torch.equal(first, second)
    torch.testing.assert_close(first, rollout.logp, atol=1e-4, rtol=0)
    torch.testing.assert_close(actor.reference_logp(rollout, 1.0), first, atol=1e-6, rtol=0)
