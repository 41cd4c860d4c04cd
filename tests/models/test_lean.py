"""The lean trunk where it may be used and where not; its numbers are compared with the model's own in `test_shared.py`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import PreTrainedTokenizerFast

from accordant.models.language import trunk_of
from accordant.models.lean import is_lean
from accordant.models.scalar import ScalarModel
from accordant.models.shared import shared_logits, shares_prompts
from models.test_shared import assert_same_as_plain, gradients, plain_rows, token_pairs
from tiny import scalar_model, tiny_classifier


@pytest.mark.parametrize(
    ("family", "config", "lean"),
    [
        ("llama", {}, True), ("llama", {"attention_bias": True, "mlp_bias": True}, True), ("qwen2", {}, True),
        ("llama", {"hidden_act": "gelu"}, True), ("llama", {"num_hidden_layers": 1}, True),
        ("llama", {"attention_dropout": 0.1}, False), ("mistral", {"sliding_window": 60}, False), ("gpt2", {}, False),
        ("gemma2", {}, False),
    ],
)  # fmt: skip
def test_who_is_tried(
    family: str, config: dict[str, Any], lean: bool, tmp_path: Path, tokenizer: PreTrainedTokenizerFast
) -> None:
    model = _classifier(family, config, tmp_path, tokenizer)
    assert is_lean(trunk_of(model.module)) is lean


def test_adapters_with_dropout_and_further_parts_are_not(tmp_path: Path, tokenizer: PreTrainedTokenizerFast) -> None:
    folder = tiny_classifier(tmp_path, tokenizer)
    assert is_lean(trunk_of(scalar_model(folder, lora={"rank": 2}).module))
    assert not is_lean(trunk_of(scalar_model(folder, lora={"rank": 2, "dropout": 0.1}).module))
    trunk: Any = trunk_of(scalar_model(folder).module)
    trunk.layers[-1].self_attn.add_module("sinks", torch.nn.Identity())
    assert not is_lean(trunk)


@pytest.mark.parametrize("config", [
    {"attention_bias": True, "mlp_bias": True}, {"hidden_act": "gelu"}, {"num_hidden_layers": 1},
    {"num_hidden_layers": 3}, {"rms_norm_eps": 0.5}, {"rope_parameters": {"rope_type": "default", "rope_theta": 20.0}},
    {"num_key_value_heads": 1},
])  # fmt: skip
def test_a_variant_of_llama_gets_its_own_numbers(
    config: dict[str, Any], tmp_path: Path, tokenizer: PreTrainedTokenizerFast
) -> None:
    model = _classifier("llama", config, tmp_path, tokenizer)
    with torch.no_grad():
        for parameter in model.module.parameters():  # so that neither a weight of one nor a bias of nought hides
            parameter += 0.1 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(parameter.numel()))
    model.module.eval()
    assert shares_prompts(model, token_pairs())
    assert model.sharing == "lean"
    assert_same_as_plain(model, 1e-4)


def test_a_trunk_that_does_more_with_the_same_parts_falls_back(tmp_path: Path, tokenizer: PreTrainedTokenizerFast) -> None:
    """As Granite does, whose layers have Llama's parts and factors between them."""
    model = _classifier("llama", {}, tmp_path, tokenizer)
    trunk: Any = trunk_of(model.module)
    trunk.layers[0].register_forward_hook(lambda _module, _given, out: 0.5 * out)
    assert is_lean(trunk)
    assert shares_prompts(model, token_pairs())
    assert model.sharing == "ragged"


def test_gradients_in_bfloat16_are_as_good_as_the_models_own(tmp_path: Path, tokenizer: PreTrainedTokenizerFast) -> None:
    """Their error against float32 is not much larger than that of plain rows under autocast."""
    exact = _classifier("llama", {"initializer_range": 0.1}, tmp_path, tokenizer)
    exact.module.eval()
    rough = ScalarModel(exact.module, exact.tokenizer, "bfloat16")
    ids, mask, prompt_length = plain_rows(token_pairs())
    truth = gradients(exact, exact.logits(ids, mask))
    errors = []
    for sharing in ("plain", "lean"):
        rough.sharing = sharing
        scores = rough.logits(ids, mask) if sharing == "plain" else shared_logits(rough, ids, mask, prompt_length)
        found = gradients(rough, scores)
        errors.append({name: float((found[name] - gradient).norm()) for name, gradient in truth.items()})
    plain, lean = errors
    for name, gradient in truth.items():
        assert lean[name] <= 1.5 * plain[name] + 0.005 * float(gradient.norm()), name


def _classifier(family: str, config: dict[str, Any], folder: Path, tokenizer: PreTrainedTokenizerFast) -> ScalarModel:
    return scalar_model(tiny_classifier(folder, tokenizer, family, **config))
