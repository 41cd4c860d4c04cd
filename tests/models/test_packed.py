"""Packed rows against rows of their own: log-probabilities, gradients, no cross-talk, and the models that cannot."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import PreTrainedTokenizerFast

from accordant.models import packed
from accordant.models.language import LanguageModel
from accordant.models.packed import packed_hidden, packs_rows
from accordant.ops.batching import pad_rows
from accordant.types import Tokens
from tiny import CONTEXT, FAMILIES, language_model, random_prompts, tiny_causal

PACKING = [family for family in FAMILIES if family != "bloom"]
LENGTHS = (9, 40, 23, 5, 1, 31)
INTO = (0, 1, 0, 0, 0, 1)
"""The second packed row is longer than the context of 64, which no row is by itself."""


def rows(lengths: tuple[int, ...] = LENGTHS) -> list[Tokens]:
    made = random_prompts(lengths, 400)
    return [Tokens(tuple(ids), tuple(t % 3 > 0 for t in range(len(ids)))) for ids in made]


def plain(items: list[Tokens]) -> tuple[Tensor, Tensor, Tensor]:
    mask = pad_rows([[True] * len(item.ids) for item in items], False, dtype=torch.bool)
    return (
        pad_rows([item.ids for item in items], 3),
        mask,
        pad_rows([item.loss_mask for item in items], False, dtype=torch.bool),
    )


def logp(model: LanguageModel, items: list[Tokens], into: tuple[int, ...] | None) -> Tensor:
    ids, mask, target = plain(items)
    hidden = None if into is None else packed_hidden(model, ids, mask, torch.tensor(into))
    return model.logp(ids, mask, target, hidden=hidden)[0]


def gradients(model: LanguageModel, found: Tensor) -> dict[str, Tensor]:
    model.module.zero_grad()
    (-found.sum() / 10).backward()
    return {name: p.grad.clone() for name, p in model.module.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
@pytest.mark.parametrize("family", PACKING)
def test_log_probabilities_and_gradients_equal_those_of_rows_of_their_own(
    family: str, attention: str, tmp_path: Path, tokenizer: PreTrainedTokenizerFast
) -> None:
    model = language_model(tiny_causal(tmp_path, tokenizer, family))
    if (family, attention) != ("gemma2", "sdpa"):  # its soft cap inside attention is not in torch's kernel
        model.module.set_attn_implementation(attention)
    model.module.eval()
    assert sum(n for n, row in zip(LENGTHS, INTO, strict=True) if row == 1) > CONTEXT
    assert packs_rows(model, rows())
    alone, joined = logp(model, rows(), None), logp(model, rows(), INTO)
    torch.testing.assert_close(joined, alone, atol=1e-5, rtol=1e-5)
    expected, found = gradients(model, alone), gradients(model, joined)
    assert expected.keys() == found.keys()
    for name, gradient in expected.items():
        torch.testing.assert_close(found[name], gradient, atol=1e-5 * max(1.0, float(gradient.abs().max())), rtol=0, msg=name)


@pytest.mark.parametrize("family", ["llama", "gpt2", "opt"])
def test_a_row_says_nothing_to_those_it_is_packed_with(family: str, tmp_path: Path, tokenizer: PreTrainedTokenizerFast) -> None:
    model = language_model(tiny_causal(tmp_path, tokenizer, family))
    model.module.eval()
    others = rows()
    others[0] = Tokens(tuple((i + 7) % 400 for i in others[0].ids), others[0].loss_mask)
    with torch.no_grad():
        before, after = logp(model, rows(), INTO), logp(model, others, INTO)
    torch.testing.assert_close(after[1:], before[1:], atol=1e-6, rtol=0)
    assert (after[0] - before[0]).abs().max() > 1e-3


@pytest.mark.parametrize(
    ("family", "config"),
    [("bloom", {}), ("mistral", {"sliding_window": 8}), ("gemma2", {"sliding_window": 8})],
    ids=["ALiBi", "sliding window", "every other layer slides"],
)
def test_models_that_cannot_pack_say_so(
    family: str, config: dict[str, Any], tmp_path: Path, tokenizer: PreTrainedTokenizerFast
) -> None:
    assert not packs_rows(language_model(tiny_causal(tmp_path, tokenizer, family, **config)), rows())


def test_a_window_that_no_row_is_longer_than_does_no_harm(tmp_path: Path, tokenizer: PreTrainedTokenizerFast) -> None:
    model = language_model(tiny_causal(tmp_path, tokenizer, "mistral", sliding_window=8))
    assert packs_rows(model, rows((4, 8, 3, 7, 8, 2)))
    assert not packs_rows(model, rows((4, 8, 3, 12, 8, 2)))


def test_the_probe_compares_without_dropout_and_in_float32(
    tmp_path: Path, tokenizer: PreTrainedTokenizerFast, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And leaves the model as it was."""
    seen = set()
    monkeypatch.setattr(packed, "autocast", lambda precision: seen.add(precision) or nullcontext())
    loaded = language_model(tiny_causal(tmp_path, tokenizer, "gpt2", resid_pdrop=0.5))
    model = LanguageModel(loaded.module, loaded.tokenizer, "bfloat16")
    for training in (True, False):
        model.module.train(training)
        assert packs_rows(model, rows())
        assert model.module.training is training
    assert seen == {"float32", "bfloat16"}  # the latter to see whether it runs at all


def test_a_precision_in_which_the_mask_is_refused_is_found(llama: LanguageModel, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = packed.packed_hidden

    def refuses(model: LanguageModel, *args: Tensor) -> Tensor:
        if model.precision == "bfloat16":
            raise RuntimeError("expected a mask of the query's type")
        return plain(model, *args)

    monkeypatch.setattr(packed, "packed_hidden", refuses)
    assert packs_rows(llama, rows())
    assert not packs_rows(LanguageModel(llama.module, llama.tokenizer, "bfloat16"), rows())


def test_an_error_of_the_plain_rows_is_no_answer(llama: LanguageModel) -> None:
    """Ids that the model does not have are a fault of the rows; padding would only hide it."""
    with pytest.raises(IndexError):
        packs_rows(llama, [Tokens((5, 6, 4000), (True,) * 3), Tokens((5, 6), (True,) * 2)])


def test_adapters_are_seen(lora_llama: LanguageModel) -> None:
    assert packs_rows(lora_llama, rows())
    with torch.no_grad():
        torch.testing.assert_close(logp(lora_llama, rows(), INTO), logp(lora_llama, rows(), None), atol=1e-5, rtol=1e-5)
        adapted = logp(lora_llama, rows(), INTO)
        with lora_llama.module.disable_adapter():
            assert (logp(lora_llama, rows(), INTO) - adapted).abs().max() > 1e-3


def test_bfloat16_arithmetic(tmp_path: Path, tokenizer: PreTrainedTokenizerFast) -> None:
    """As far from float32 as plain rows are: the mask survives the smaller range."""
    model = language_model(tiny_causal(tmp_path, tokenizer, initializer_range=0.1))
    model.module.eval()
    rough = LanguageModel(model.module, model.tokenizer, "bfloat16")
    with torch.no_grad():
        exact, alone, joined = logp(model, rows(), None), logp(rough, rows(), None), logp(rough, rows(), INTO)
    assert packs_rows(rough, rows())
    torch.testing.assert_close(joined, exact, atol=2 * float((alone - exact).abs().max()), rtol=0)
