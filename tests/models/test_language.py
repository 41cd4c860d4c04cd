from __future__ import annotations

from pathlib import Path

import pytest
import torch
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from accordant.models.language import LanguageModel
from accordant.models.load import ModelConfig
from accordant.types import UserError
from tiny import FAMILIES, language_model, random_prompts, tiny_causal


def test_logp_and_entropy_equal_those_of_the_full_logits(model_of_family: LanguageModel) -> None:
    """Gemma 2's soft cap, Cohere's and Granite's scales included."""
    model = model_of_family
    ids = torch.tensor(random_prompts((9, 9), model.vocabulary))
    target = torch.zeros_like(ids, dtype=torch.bool)
    target[0, 4:], target[1, 2:7] = True, True
    with torch.no_grad():
        logp, entropy = model.logp(ids, torch.ones_like(target), target, temperature=0.8)
        full = torch.log_softmax(model.module(input_ids=ids).logits[:, :-1].double() / 0.8, -1)
    expected = full.gather(-1, ids[:, 1:, None]).squeeze(-1)
    wanted = target[:, 1:]
    torch.testing.assert_close(logp[:, 1:][wanted].double(), expected[wanted], atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(entropy[:, 1:][wanted].double(), -(full.exp() * full).sum(-1)[wanted], atol=1e-4, rtol=1e-4)
    assert float(logp[~target].abs().sum()) == float(entropy[~target].abs().sum()) == 0.0


def test_bfloat16_rounding_is_no_reason_to_refuse_a_family(tmp_path: Path, tokenizer: PreTrainedTokenizerFast) -> None:
    """Gemma 2 caps its logits in bfloat16 where this package does it in float32: they differ, the formula does not."""
    folder = tiny_causal(tmp_path, tokenizer, "gemma2")
    model = LanguageModel.load(ModelConfig(path=str(folder), precision="bfloat16"))
    assert model.precision == "bfloat16"
    with pytest.raises(UserError, match="behind the language-model head"):
        model.check_head(str(folder))


def test_the_gradient_reaches_every_weight_through_the_chunks(llama: LanguageModel) -> None:
    ids = torch.tensor(random_prompts((9,), llama.vocabulary))
    target = torch.ones_like(ids, dtype=torch.bool)
    target[:, 0] = False
    logp, _ = llama.logp(ids, torch.ones_like(target), target)
    logp.sum().backward()
    ours = {name: p.grad.clone() for name, p in llama.module.named_parameters() if p.grad is not None}
    llama.module.zero_grad()
    full = torch.log_softmax(llama.module(input_ids=ids).logits[:, :-1], -1)
    full.gather(-1, ids[:, 1:, None]).sum().backward()
    for name, parameter in llama.module.named_parameters():
        torch.testing.assert_close(ours[name], parameter.grad, atol=1e-3, rtol=1e-3)


def test_a_family_that_does_more_behind_its_head_is_refused(llama_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = LlamaForCausalLM.forward

    def shifted(self: LlamaForCausalLM, *positional: object, **named: object) -> object:
        out = plain(self, *positional, **named)
        out.logits = out.logits + torch.linspace(0, 1, out.logits.shape[-1])
        return out

    monkeypatch.setattr(LlamaForCausalLM, "forward", shifted)
    with pytest.raises(UserError, match="LlamaForCausalLM changes its logits"):
        language_model(llama_folder)


def test_the_context_is_known_where_the_family_has_one(tmp_path: Path, tokenizer: PreTrainedTokenizerFast) -> None:
    lengths = {family: language_model(tiny_causal(tmp_path / family, tokenizer, family)).context for family in FAMILIES}
    assert lengths == {family: 0 if family == "bloom" else 64 for family in FAMILIES}
