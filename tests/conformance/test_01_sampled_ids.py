"""1. The ids that were sampled are the ids that are trained on: nothing is decoded and encoded again."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from transformers import PreTrainedTokenizerFast

from accordant.models.actor import Actor
from builders import byte_level_tokenizer, metaspace_tokenizer
from tiny import language_model, sample, tiny_llama


@pytest.mark.parametrize("build", [byte_level_tokenizer, metaspace_tokenizer], ids=["merges", "byte fallback"])
def test_sampled_ids_reach_the_loss_unchanged(build: Callable[[], PreTrainedTokenizerFast], tmp_path: Path) -> None:
    tokenizer = build()
    model = language_model(tiny_llama(tmp_path, tokenizer))
    seen: list[torch.Tensor] = []
    model.trunk.register_forward_pre_hook(lambda _, __, named: seen.append(named["input_ids"].clone()), with_kwargs=True)
    rollout = sample(model, stop_ids=(tokenizer.eos_token_id,))
    written = [torch.stack(list(column)) for column in rollout.response_ids]  # before anyone else looks at it
    seen.clear()
    Actor(model, with_value=False).forward(rollout, 1.0)
    (trained_on,) = seen
    assert torch.equal(trained_on, rollout.ids)
    start = rollout.prompt_length
    assert all(torch.equal(row, ids) for row, ids in zip(trained_on[:, start:], written, strict=True))
    texts = [tokenizer.decode(row[mask]) for row, mask in zip(written, rollout.response_mask, strict=True)]
    again = [tokenizer.encode(text, add_special_tokens=False) for text in texts]
    kept = [row[mask].tolist() for row, mask in zip(written, rollout.response_mask, strict=True)]
    assert again != kept, "these samples would survive a round trip, so the test shows nothing"
