from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import PreTrainedTokenizerFast

from accordant.models import shared
from accordant.models.scalar import ScalarModel
from accordant.models.shared import WAYS, shared_length, shared_logits, shares_prompts
from accordant.ops.batching import pad_rows
from accordant.types import Tokens
from tiny import CONTEXT, random_prompts, scalar_model, tiny_classifier

SHARING = ("llama", "mistral", "qwen2", "gemma", "gemma2", "gpt2", "gpt_neox", "opt")
SHAPES = ((3, 2, 4), (20, 12, 30), (9, 40, 38), (1, 1, 1))
"""Tokens of prompt, chosen and rejected; the third is longer than the context of 64 when joined."""


def token_pairs(shapes: tuple[tuple[int, int, int], ...] = SHAPES) -> list[tuple[Tokens, ...]]:
    made = []
    for seed, (p, *answers) in enumerate(shapes):
        prompt, *both = random_prompts((p, *answers), 400, seed)
        made.append(tuple(Tokens(tuple(prompt + ids), (False,) * p + (True,) * len(ids), p) for ids in both))
    return made


def plain_rows(pairs: list[tuple[Tokens, ...]]) -> tuple[Tensor, Tensor, Tensor]:
    """ids, mask and prompt lengths as a batch of pairs has them: the chosen rows, then the rejected ones."""
    rows = [answer.ids for answers in zip(*pairs, strict=True) for answer in answers]
    mask = pad_rows([[True] * len(row) for row in rows], False, dtype=torch.bool)
    return pad_rows(rows, 3), mask, torch.tensor([answers[0].prompt_length for answers in pairs])


def gradients(model: ScalarModel, scores: Tensor) -> dict[str, Tensor]:
    model.module.zero_grad()
    torch.tanh(scores).square().sum().backward()
    return {name: p.grad.clone() for name, p in model.module.named_parameters() if p.grad is not None}


def assert_same_as_plain(model: ScalarModel, atol: float) -> None:
    """Scores in shared rows are those in plain rows; so are gradients, up to `atol` times the largest, or times 1."""
    ids, mask, prompt_length = plain_rows(token_pairs())
    plain, joined = model.logits(ids, mask), shared_logits(model, ids, mask, prompt_length)
    torch.testing.assert_close(joined, plain, atol=1e-5, rtol=1e-5)
    expected, found = gradients(model, plain), gradients(model, joined)
    assert expected.keys() == found.keys()
    for name, gradient in expected.items():
        scale = float(gradient.abs().max())
        torch.testing.assert_close(found[name], gradient, atol=atol * max(1.0, scale), rtol=0, msg=name)


FASTEST = dict.fromkeys(SHARING, "ragged") | dict.fromkeys(("llama", "mistral", "qwen2"), "lean") | {"gemma2": "padded"}
"""Gemma 2 caps the scores inside of its attention."""


def ways_of(family: str) -> list[str]:
    """The fastest way that a family can take, and those behind it."""
    return list(WAYS)[list(WAYS).index(FASTEST[family]) :]


@pytest.mark.parametrize("attention", ["sdpa", "eager", "ragged", "lean"])
@pytest.mark.parametrize("family", SHARING)
def test_scores_and_gradients_equal_those_of_rows_of_their_own(
    family: str, attention: str, tmp_path: Path, tokenizer: PreTrainedTokenizerFast
) -> None:
    model = scalar_model(tiny_classifier(tmp_path, tokenizer, family))
    own = attention in WAYS
    if not own and (family, attention) != ("gemma2", "sdpa"):  # transformers has no such Gemma 2 classifier
        model.module.set_attn_implementation(attention)
    model.module.eval()
    before = model.module.config._attn_implementation
    assert max(map(shared_length, token_pairs())) > CONTEXT
    assert shares_prompts(model, token_pairs())
    assert model.sharing == FASTEST[family]
    model.sharing = attention if attention in ways_of(family) else "padded"
    assert_same_as_plain(model, 1e-5)
    assert model.module.config._attn_implementation == before  # a checkpoint must not ask for our attention


@pytest.mark.parametrize(
    ("family", "config"),
    [("bloom", {}), ("mistral", {"sliding_window": 8}), ("gemma2", {"sliding_window": 8})],
    ids=["ALiBi", "sliding window", "every other layer slides"],
)
def test_models_that_cannot_share_say_so(
    family: str, config: dict[str, Any], tmp_path: Path, tokenizer: PreTrainedTokenizerFast
) -> None:
    assert not shares_prompts(scalar_model(tiny_classifier(tmp_path, tokenizer, family, **config)), token_pairs())


@pytest.mark.parametrize("lora", [None, {"rank": 2}], ids=["all weights", "LoRA"])
def test_an_encoder_reads_whole_rows(lora: dict[str, int] | None, tmp_path: Path, tokenizer: PreTrainedTokenizerFast) -> None:
    assert not shares_prompts(scalar_model(tiny_classifier(tmp_path, tokenizer, "bert"), lora=lora), token_pairs())


def test_a_window_that_no_row_is_longer_than_does_no_harm(tmp_path: Path, tokenizer: PreTrainedTokenizerFast) -> None:
    """Nor does it where joined rows are longer; one longer row among many is found, whichever of its answers it is."""
    model = scalar_model(tiny_classifier(tmp_path, tokenizer, "mistral", sliding_window=8))
    short = token_pairs(((4, 4, 4), (1, 2, 2), (2, 6, 3)))
    assert max(map(shared_length, short)) > 8
    assert shares_prompts(model, short)
    assert not shares_prompts(model, [*short, *token_pairs(((6, 6, 1),))])
    assert not shares_prompts(model, [*token_pairs(((6, 1, 6),)), *short])


def test_what_is_compared_reaches_as_far_as_any_pair() -> None:
    shortest, widest, longest, other = token_pairs(((1, 2, 2), (30, 10, 12), (5, 30, 1), (10, 10, 10)))
    assert shared._extremes([other, longest, shortest, widest]) == [shortest, widest]
    longest = token_pairs(((5, 45, 1),))[0]
    assert shared._extremes([other, longest, shortest, widest]) == [longest, shortest, widest]


@pytest.mark.parametrize(("family", "way"), [(family, way) for family in ("llama", "gpt2", "opt") for way in ways_of(family)])
def test_an_answer_says_nothing_to_the_other(family: str, way: str, tmp_path: Path, tokenizer: PreTrainedTokenizerFast) -> None:
    model = scalar_model(tiny_classifier(tmp_path, tokenizer, family))
    model.module.eval()
    model.sharing = way
    ids, mask, prompt_length = plain_rows(token_pairs())
    n = len(prompt_length)
    changed = ids.clone()
    for row in range(n):
        own = slice(int(prompt_length[row]), int(mask[n + row].sum()))
        changed[n + row, own] = (ids[n + row, own] + 7) % 400
    with torch.no_grad():
        before, after = (shared_logits(model, x, mask, prompt_length) for x in (ids, changed))
    torch.testing.assert_close(after[:n], before[:n], atol=1e-6, rtol=0)
    assert (after[n:] - before[n:]).abs().min() > 1e-3


def test_the_probe_compares_without_dropout_and_in_float32(
    tmp_path: Path, tokenizer: PreTrainedTokenizerFast, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And leaves the model as it was."""
    seen = set()
    monkeypatch.setattr(shared, "autocast", lambda precision: seen.add(precision) or nullcontext())
    model = scalar_model(tiny_classifier(tmp_path, tokenizer, "gpt2", resid_pdrop=0.5))
    model = ScalarModel(model.module, model.tokenizer, "bfloat16")
    for training in (True, False):
        model.module.train(training)
        assert shares_prompts(model, token_pairs())
        assert model.module.training is training
    assert (model.precision, seen) == ("bfloat16", {"float32"})


@pytest.mark.parametrize("way", WAYS)
def test_bfloat16_arithmetic(way: str, tmp_path: Path, tokenizer: PreTrainedTokenizerFast) -> None:
    """As far from float32 as plain rows are: the mask survives the smaller range."""
    model = scalar_model(tiny_classifier(tmp_path, tokenizer, initializer_range=0.1))
    model.module.eval()
    ids, mask, prompt_length = plain_rows(token_pairs())
    rough = ScalarModel(model.module, model.tokenizer, "bfloat16")
    rough.sharing = way
    with torch.no_grad():
        exact, plain = model.logits(ids, mask), rough.logits(ids, mask)
        joined = shared_logits(rough, ids, mask, prompt_length)
    torch.testing.assert_close(joined, exact, atol=2 * float((plain - exact).abs().max()), rtol=0)


def test_three_answers_of_one_prompt_and_dropout(tmp_path: Path, tokenizer: PreTrainedTokenizerFast) -> None:
    """K = 3: the scores are those of plain rows in their order. With dropout in the attention they differ from pass to pass."""
    model = scalar_model(tiny_classifier(tmp_path, tokenizer, "llama", attention_dropout=0.5))
    model.module.eval()
    items = token_pairs(((3, 2, 4, 1), (9, 5, 5, 30)))
    ids, mask, prompt_length = plain_rows(items)
    assert shares_prompts(model, items)
    assert model.sharing == "ragged"  # the lean way drops nothing out
    for model.sharing in ("ragged", "padded"):
        with torch.no_grad():
            torch.testing.assert_close(
                shared_logits(model, ids, mask, prompt_length), model.logits(ids, mask), atol=1e-5, rtol=1e-5
            )
    model.module.train()
    model.sharing = "ragged"
    with torch.no_grad():
        first, second = (shared_logits(model, ids, mask, prompt_length) for _ in range(2))
    assert (first - second).abs().min() > 1e-4


@pytest.mark.parametrize(("asked", "refused"), [
    ({"softcap": 50.0}, True), ({"s_aux": torch.zeros(2)}, True), ({"position_bias": torch.zeros(1)}, True),
    ({"sliding_window": 4}, True), ({"sliding_window": 5}, False), ({"softcap": None, "sliding_window": None}, False),
])  # fmt: skip
def test_attention_that_asks_for_more_is_refused_and_not_approximated(asked: dict[str, Any], refused: bool) -> None:
    """The probe would not always see it: a cap of 50 does nothing to the small numbers of an untrained model."""
    states = torch.randn(1, 2, 7, 4, generator=torch.Generator().manual_seed(0))
    module = torch.nn.Module()
    if refused:
        with pytest.raises(NotImplementedError):
            shared._attend(module, states, states, states, None, segments=((3, (2, 2)),), **asked)
    else:
        out, _ = shared._attend(module, states, states, states, None, segments=((3, (2, 2)),), **asked)
        assert out.shape == (1, 7, 2, 4)
    with pytest.raises(NotImplementedError, match="without segments"):
        shared._attend(module, states, states, states, None)


def test_adapters_are_seen(tmp_path: Path, tokenizer: PreTrainedTokenizerFast) -> None:
    model = scalar_model(tiny_classifier(tmp_path, tokenizer), lora={"rank": 2})
    with torch.no_grad():
        for name, parameter in model.module.named_parameters():
            if "lora_B" in name:
                parameter.fill_(0.05)
    model.module.eval()
    ids, mask, prompt_length = plain_rows(token_pairs())
    assert shares_prompts(model, token_pairs())
    assert model.sharing == "lean"
    with torch.no_grad():
        adapted = shared_logits(model, ids, mask, prompt_length)
        torch.testing.assert_close(adapted, model.logits(ids, mask), atol=1e-5, rtol=1e-5)
        with model.module.disable_adapter():
            assert (model.logits(ids, mask) - adapted).abs().min() > 1e-3
