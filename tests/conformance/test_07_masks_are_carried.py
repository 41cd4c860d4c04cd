"""7. Masks are carried along and never guessed from the padding id: where pad equals EOS, a real EOS still counts.

Also in packed rows, and in the decoder of an encoder-decoder.
"""

from __future__ import annotations

import copy
from pathlib import Path

import pytest
import torch
from transformers import PreTrainedTokenizerFast

from accordant.algos import sft
from accordant.models.actor import Actor
from accordant.models.language import LanguageModel
from accordant.models.load import ModelConfig
from accordant.models.seq2seq import Seq2SeqModel
from accordant.stages.batches import INTO, Layout, batches, forward
from accordant.types import Tokens
from builders import target_tokenizer
from tiny import sample, tilt, tiny_seq2seq


@pytest.fixture
def pad_is_eos(llama: LanguageModel, tokenizer: PreTrainedTokenizerFast) -> LanguageModel:
    llama.tokenizer = copy.deepcopy(tokenizer)
    llama.tokenizer.pad_token = llama.tokenizer.eos_token
    tilt(llama, [llama.tokenizer.eos_token_id], 4.0)
    return llama


def test_a_sampled_eos_counts_and_the_padding_after_it_does_not(pad_is_eos: LanguageModel) -> None:
    eos = pad_is_eos.tokenizer.eos_token_id
    rollout = sample(pad_is_eos, stop_ids=(eos,))
    assert int(rollout.finished.sum()) > 0
    logp = Actor(pad_is_eos, with_value=False).forward(rollout, 1.0).logp
    for ids, mask, row, finished in zip(rollout.response_ids, rollout.response_mask, logp, rollout.finished, strict=True):
        length = int(mask.sum())
        assert mask.tolist() == [True] * length + [False] * (len(mask) - length)
        assert (int(ids[length - 1]) == eos) == bool(finished)
        assert float(row[length - 1].detach()) < 0
        assert row[length:].tolist() == [0.0] * (len(mask) - length)


def test_sft_trains_on_the_eos_of_a_row_padded_with_eos() -> None:
    eos = 2
    short = Tokens((5, 6, eos), (False, True, True), 1)
    long = Tokens((5, 6, 7, 8, eos), (False, True, True, True, True), 1)
    batch = sft.collate([short, long], pad_id=eos)
    assert batch.ids[0].tolist() == [5, 6, eos, eos, eos]
    assert batch.mask[0].tolist() == [True, True, True, False, False]
    assert batch.loss_mask[0].tolist() == [False, True, True, False, False]
    assert sft.counts(batch) == {"nll": 6.0}


def test_packed_rows_learn_the_eos_of_each(pad_is_eos: LanguageModel) -> None:
    """Every row's, also where the next row follows it at once; what follows an EOS there is not learnt from it."""
    eos = pad_is_eos.tokenizer.eos_token_id
    rows = [Tokens((50 + n, 60, *range(70, 70 + n), eos), (False,) + (True,) * (n + 2), 1) for n in (1, 2, 9)]
    (batch,) = batches(rows, pad_is_eos, sft, 100, Layout(packed=True))
    assert INTO in batch.extra
    logp = forward(pad_is_eos, batch, Layout(packed=True)).logp  # type: ignore[union-attr]
    for ids, mask, row in zip(batch.ids, batch.mask, logp, strict=True):
        length = int(mask.sum())
        assert int(ids[length - 1]) == eos
        assert (row[1:length] < 0).all()
        assert row[0] == 0
        assert row[length:].tolist() == [0.0] * (len(row) - length)
    assert sft.counts(batch) == {"nll": 3.0 + 4.0 + 11.0}


def test_an_encoder_decoder_learns_the_eos_of_a_row_padded_with_eos(tmp_path: Path) -> None:
    model = Seq2SeqModel.load(ModelConfig(path=str(tiny_seq2seq(tmp_path, target_tokenizer())), precision="float32"))
    model.module.eval()
    eos = model.tokenizer.eos_token_id
    rows = [Tokens((5, 6, eos), (False, True, True), 1), Tokens((5, 6, 7, 8, eos), (False, True, True, True, True), 1)]
    together, alone = sft.collate(rows, pad_id=eos), sft.collate(rows[:1], pad_id=0)
    with torch.no_grad():
        found, wanted = (model.logp(batch.ids, batch.mask, batch.loss_mask)[0] for batch in (together, alone))
    torch.testing.assert_close(found[0, :3], wanted[0], atol=1e-5, rtol=0)
    assert found[0, 2] < 0
    assert found[0, 3:].tolist() == [0.0, 0.0]
