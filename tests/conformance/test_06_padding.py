"""6. Left and right padding give real tokens what they have without any: positions count real tokens only."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from transformers import PreTrainedTokenizerFast

from tiny import FAMILIES, language_model, random_prompts, tiny_causal


@pytest.mark.parametrize("family", FAMILIES)
def test_real_tokens_see_the_same(family: str, tmp_path: Path, tokenizer: PreTrainedTokenizerFast) -> None:
    model = language_model(tiny_causal(tmp_path, tokenizer, family))
    model.module.eval()
    (row,) = random_prompts((7,), model.vocabulary)
    ids = torch.tensor([row])
    pad = torch.full((1, 4), tokenizer.pad_token_id)
    off, on = torch.zeros(1, 4, dtype=torch.bool), torch.ones(1, 7, dtype=torch.bool)
    with torch.no_grad():
        plain = model.module(input_ids=ids).logits
        left = model.head(model.hidden(torch.cat([pad, ids], 1), torch.cat([off, on], 1)))[:, 4:]
        right = model.head(model.hidden(torch.cat([ids, pad], 1), torch.cat([on, off], 1)))[:, :7]
    torch.testing.assert_close(left, plain, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(right, plain, atol=1e-4, rtol=1e-4)
