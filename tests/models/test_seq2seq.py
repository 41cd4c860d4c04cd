"""Encoder-decoders against `transformers`' own loss, in families that differ around the head and in their positions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import AutoModelForSeq2SeqLM, BartForConditionalGeneration, PreTrainedTokenizerFast

from accordant.models.language import LanguageModel
from accordant.models.load import ModelConfig, is_encoder_decoder
from accordant.models.seq2seq import Seq2SeqModel
from accordant.ops.batching import pad_rows
from accordant.types import UserError
from builders import target_tokenizer
from tiny import SEQ2SEQ, random_prompts, tiny_llama, tiny_seq2seq

PROMPTS, ANSWERS = (4, 11, 1), (6, 2, 9)


def load(folder: Path, **config: Any) -> Seq2SeqModel:
    model = Seq2SeqModel.load(ModelConfig(path=str(folder), precision="float32", **config))
    model.module.eval()
    return model


@pytest.fixture(params=SEQ2SEQ)
def model(request: pytest.FixtureRequest, tmp_path: Path) -> Seq2SeqModel:
    return load(tiny_seq2seq(tmp_path, target_tokenizer(), request.param))


def texts() -> tuple[list[list[int]], list[list[int]]]:
    return random_prompts(PROMPTS, 400, seed=1), random_prompts(ANSWERS, 400, seed=2)


def batch(left: bool = False, pad: int = 3) -> tuple[Tensor, Tensor, Tensor]:
    """ids, mask and targets of prompt and answer in one row each."""
    prompts, answers = texts()
    rows = [prompt + answer for prompt, answer in zip(prompts, answers, strict=True)]
    targets = [[False] * len(prompt) + [True] * len(answer) for prompt, answer in zip(prompts, answers, strict=True)]
    mask = pad_rows([[True] * len(row) for row in rows], False, left=left, dtype=torch.bool)
    return pad_rows(rows, pad, left=left), mask, pad_rows(targets, False, left=left, dtype=torch.bool)


def test_the_loss_is_transformers_own_on_the_same_labels(model: Seq2SeqModel) -> None:
    """Row by row, so that their padding cannot agree with ours by chance."""
    logp, _ = model.logp(*batch())
    for row, (prompt, answer) in enumerate(zip(*texts(), strict=True)):
        with torch.no_grad():
            theirs = model.module(input_ids=torch.tensor([prompt]), labels=torch.tensor([answer])).loss
        assert float(-logp[row].sum().detach()) / len(answer) == pytest.approx(float(theirs), rel=1e-5)


def test_the_gradient_is_transformers_own(model: Seq2SeqModel) -> None:
    def gradient(loss: Tensor) -> dict[str, Tensor]:
        model.module.zero_grad()
        loss.backward()
        return {name: p.grad.clone() for name, p in model.module.named_parameters() if p.grad is not None}

    prompts, answers = texts()
    mask = pad_rows([[True] * len(prompt) for prompt in prompts], False, dtype=torch.bool)
    theirs = gradient(
        model.module(input_ids=pad_rows(prompts, 3), attention_mask=mask.long(), labels=pad_rows(answers, -100)).loss
    )
    ours = gradient(-model.logp(*batch())[0].sum() / sum(ANSWERS))
    assert ours.keys() == theirs.keys()
    for name, wanted in theirs.items():
        torch.testing.assert_close(ours[name], wanted, atol=1e-5 * max(1.0, float(wanted.abs().max())), rtol=0, msg=name)


def test_padding_on_either_side_changes_nothing(model: Seq2SeqModel) -> None:
    """Whatever stands in it: masks are carried and never guessed."""
    with torch.no_grad():
        right, entropy = model.logp(*batch(pad=model.tokenizer.eos_token_id))
        left, left_entropy = model.logp(*batch(left=True))
    targets, left_targets = batch()[2], batch(left=True)[2]
    torch.testing.assert_close(left[left_targets], right[targets], atol=1e-5, rtol=0)
    torch.testing.assert_close(left_entropy[left_targets], entropy[targets], atol=1e-5, rtol=0)
    assert float(right[~targets].abs().sum()) == float(entropy[~targets].abs().sum()) == 0


def test_the_temperature_divides_the_logits(model: Seq2SeqModel) -> None:
    ids, mask, targets = batch()
    prompt, answer = (some[0] for some in texts())
    with torch.no_grad():
        logp, entropy = model.logp(ids, mask, targets, temperature=0.7)
        logits = model.module(input_ids=torch.tensor([prompt]), labels=torch.tensor([answer])).logits[0].double()
    log_p = torch.log_softmax(logits / 0.7, -1)
    expected = log_p.gather(-1, torch.tensor(answer)[:, None]).squeeze(-1)
    torch.testing.assert_close(logp[0][targets[0]].double(), expected, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(entropy[0][targets[0]].double(), -(log_p.exp() * log_p).sum(-1), atol=1e-4, rtol=1e-4)


def test_targets_are_the_whole_answer(model: Seq2SeqModel) -> None:
    ids, mask, targets = batch()
    hole = targets.clone()
    hole[0, PROMPTS[0] + 2] = False
    for wrong in (hole, torch.zeros_like(targets)):
        with pytest.raises(ValueError, match="all of its real tokens from the first target on"):
            model.logp(ids, mask, wrong)


def test_which_kind_of_model_the_checkpoint_says(tmp_path: Path, tokenizer: PreTrainedTokenizerFast) -> None:
    seq2seq, causal = tiny_seq2seq(tmp_path / "t5", target_tokenizer()), tiny_llama(tmp_path / "llama", tokenizer)
    assert is_encoder_decoder(ModelConfig(path=str(seq2seq)))
    assert not is_encoder_decoder(ModelConfig(path=str(causal)))
    with pytest.raises(UserError, match=r"t5 is an encoder-decoder; only sft knows those"):
        LanguageModel.load(ModelConfig(path=str(seq2seq)))
    with pytest.raises(UserError, match="no encoder-decoder could be loaded"):
        load(causal)


def test_the_context_is_that_of_each_half(tmp_path: Path) -> None:
    contexts = {family: load(tiny_seq2seq(tmp_path / family, target_tokenizer(), family)).context for family in SEQ2SEQ}
    assert contexts == {"t5": 0, "t5, untied": 0, "bart": 64}


def test_a_family_that_does_more_around_its_head_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = BartForConditionalGeneration.forward

    def shifted(self: BartForConditionalGeneration, *positional: object, **named: object) -> object:
        out = plain(self, *positional, **named)
        out.logits = out.logits + torch.linspace(0, 1, out.logits.shape[-1])
        return out

    monkeypatch.setattr(BartForConditionalGeneration, "forward", shifted)
    with pytest.raises(UserError, match="BartForConditionalGeneration changes its logits"):
        load(tiny_seq2seq(tmp_path, target_tokenizer(), "bart"))


def test_a_checkpoint_without_a_start_token_is_refused(tmp_path: Path) -> None:
    folder = tiny_seq2seq(tmp_path, target_tokenizer(), "bart", decoder_start_token_id=None)
    with pytest.raises(UserError, match="names no decoder_start_token_id"):
        load(folder)


def test_adapters_are_in_both_halves_and_the_base_stays(tmp_path: Path) -> None:
    model = load(tiny_seq2seq(tmp_path, target_tokenizer()), lora={"rank": 2})
    trained = [name for name, p in model.module.named_parameters() if p.requires_grad]
    assert all("lora_" in name for name in trained)
    assert {half for half in ("encoder", "decoder") if any(f".{half}." in name for name in trained)} == {"encoder", "decoder"}
    plain = AutoModelForSeq2SeqLM.from_pretrained(tmp_path)
    prompt, answer = (torch.tensor([some[0]]) for some in texts())
    logp, _ = model.logp(*(x[:1] for x in batch()))
    with torch.no_grad():
        theirs = plain(input_ids=prompt, labels=answer).loss
    assert float(-logp.sum().detach()) / ANSWERS[0] == pytest.approx(float(theirs), rel=1e-5)  # LoRA starts at zero
