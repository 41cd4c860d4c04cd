"""2. The sampling temperature is in every log-probability: the sampler's, the policy's and the reference's."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import reference
from accordant.models.actor import Actor
from accordant.models.language import LanguageModel
from accordant.models.load import ModelConfig
from tiny import sample

TEMPERATURE = 0.6


def test_all_three_agree_in_float32(llama: LanguageModel) -> None:
    rollout = sample(llama, temperature=TEMPERATURE)
    actor = Actor(llama, with_value=False)
    with torch.no_grad():
        torch.testing.assert_close(actor.forward(rollout, TEMPERATURE).logp, rollout.logp, atol=1e-4, rtol=0)
    torch.testing.assert_close(actor.reference_logp(rollout, TEMPERATURE), rollout.logp, atol=1e-4, rtol=0)


def test_they_are_those_of_the_scaled_logits(llama: LanguageModel) -> None:
    rollout = sample(llama, lengths=(4,), samples=2, temperature=TEMPERATURE)
    with torch.no_grad():
        logits = llama.module(input_ids=rollout.ids).logits
    for b, t in torch.nonzero(rollout.response_mask).tolist():
        column = rollout.prompt_length + t
        expected = reference.log_softmax(logits[b, column - 1].tolist(), TEMPERATURE)[rollout.ids[b, column]]
        assert float(rollout.logp[b, t]) == pytest.approx(expected, abs=1e-4)


def test_bfloat16_differs_by_rounding_only(llama_folder: Path) -> None:
    """The mean difference between sampler and trainer is below 0.05 nats; without the temperature it is above 0.5."""
    model = LanguageModel.load(ModelConfig(path=str(llama_folder), precision="bfloat16"))
    rollout = sample(model, temperature=TEMPERATURE)
    actor = Actor(model, with_value=False)
    with torch.no_grad():
        right, wrong = (actor.forward(rollout, t).logp for t in (TEMPERATURE, 1.0))
    mask = rollout.response_mask
    assert float((right - rollout.logp)[mask].abs().mean()) < 0.05
    assert float((wrong - rollout.logp)[mask].abs().mean()) > 0.5
