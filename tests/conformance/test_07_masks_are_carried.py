"""7. Masks are carried along and never guessed from the padding id: where pad equals EOS, a real EOS still counts."""

from __future__ import annotations

import copy

import pytest
from transformers import PreTrainedTokenizerFast

from accordant.algos import sft
from accordant.models.actor import Actor
from accordant.models.language import LanguageModel
from accordant.types import Tokens
from tiny import sample, tilt


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
