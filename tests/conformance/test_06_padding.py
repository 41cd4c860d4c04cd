"""6. Left and right padding give real tokens what they have without any: positions count real tokens only. Packed == padded."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from transformers import PreTrainedTokenizerFast

from accordant.algos import sft
from accordant.models.packed import packs_rows
from accordant.stages.batches import INTO, Layout, batches, forward
from accordant.types import Tokens
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


@pytest.mark.parametrize("family", [family for family in FAMILIES if family != "bloom"])
def test_packed_rows_give_the_loss_and_the_gradient_of_padded_ones(
    family: str, tmp_path: Path, tokenizer: PreTrainedTokenizerFast
) -> None:
    """Through the batches that training itself makes. BLOOM's ALiBi knows distances alone, so it is never packed."""
    model = language_model(tiny_causal(tmp_path, tokenizer, family))
    model.module.eval()
    items = [Tokens(tuple(ids), (False,) + (True,) * (len(ids) - 1), 1) for ids in random_prompts((30, 4, 9, 13, 2), 400)]
    assert packs_rows(model, items)
    found: dict[bool, tuple[float, dict[str, torch.Tensor]]] = {}
    for packed in (False, True):
        (batch,) = batches(items, model, sft, 1000, Layout(packed=packed))
        assert (INTO in batch.extra) is packed
        model.module.zero_grad()
        sums, metrics = sft.loss(forward(model, batch, Layout(packed=packed)), batch, sft.Config())
        (sums["nll"] / sft.counts(batch)["nll"]).backward()
        gradients = {name: p.grad.clone() for name, p in model.module.named_parameters() if p.grad is not None}
        found[packed] = (metrics["nll"][0] / metrics["nll"][1], gradients)
    assert found[True][0] == pytest.approx(found[False][0], rel=1e-5)
    for name, wanted in found[False][1].items():
        scale = max(1.0, float(wanted.abs().max()))
        torch.testing.assert_close(found[True][1][name], wanted, atol=1e-5 * scale, rtol=0, msg=name)
