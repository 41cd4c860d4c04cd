from __future__ import annotations

from pathlib import Path

import pytest
import torch

from accordant.models.generate import Sampling, generate, stop_ids
from accordant.models.language import LanguageModel
from accordant.types import Rollout, UserError
from builders import byte_level_tokenizer
from tiny import language_model, random_prompts, sample, tilt, tiny_llama


def draw(model: LanguageModel, prompts: list[list[int]], samples: int = 1, **knobs: object) -> Rollout:
    how = {"max_new_tokens": 6, "temperature": 1.0, "stop_ids": tuple(range(60))} | knobs
    return generate(model, prompts, samples, Sampling(**how), torch.Generator().manual_seed(0))


def responses(rollout: Rollout) -> list[list[int]]:
    return [ids[mask].tolist() for ids, mask in zip(rollout.response_ids, rollout.response_mask, strict=True)]


def test_the_record_is_laid_out_as_its_docstring_says(llama: LanguageModel) -> None:
    prompts = random_prompts((3, 6), llama.vocabulary)
    rollout = draw(llama, prompts, samples=4)
    start, pad = rollout.prompt_length, llama.tokenizer.pad_token_id
    assert start == 6
    assert rollout.group.tolist() == [0] * 4 + [1] * 4
    assert rollout.ids.dtype == torch.int64
    assert rollout.mask.dtype == rollout.finished.dtype == torch.bool
    assert rollout.logp.dtype == torch.float32
    for b in range(8):
        prompt = prompts[b // 4]
        assert rollout.ids[b, :start].tolist() == [pad] * (start - len(prompt)) + prompt
        assert rollout.mask[b, :start].tolist() == [False] * (start - len(prompt)) + [True] * len(prompt)
        length = int(rollout.response_mask[b].sum())
        assert length >= 1
        assert rollout.response_mask[b, :length].all()
        assert rollout.response_ids[b, length:].tolist() == [pad] * (rollout.response_ids.shape[1] - length)
        assert bool((rollout.logp[b, :length] < 0).all())
        assert bool((rollout.logp[b, length:] == 0).all())
    assert int(rollout.response_mask.sum(1).max()) == rollout.response_mask.shape[1], "no column is empty"


def test_a_model_that_could_never_stop_is_refused(tmp_path: Path) -> None:
    tokenizer = byte_level_tokenizer(eos=False)
    model = language_model(tiny_llama(tmp_path, tokenizer))
    with pytest.raises(UserError, match="no end-of-sequence token"):
        stop_ids(model)


def test_a_response_ends_at_the_first_of_several_stop_ids(llama: LanguageModel) -> None:
    stops = (2, 33, 57)
    tilt(llama, stops, 4.0)
    rollout = draw(llama, random_prompts((4,) * 30, llama.vocabulary), stop_ids=stops)
    used = set()
    for ids, finished in zip(responses(rollout), rollout.finished, strict=True):
        assert not set(ids[:-1]) & set(stops)
        assert (ids[-1] in stops) == bool(finished)
        used |= {ids[-1]} & set(stops)
    assert used == set(stops)


@pytest.mark.parametrize("budget", [1, 25, 60, 10_000])
def test_how_rows_are_batched_changes_nothing(llama: LanguageModel, budget: int) -> None:
    prompts = random_prompts((3, 9, 5, 7), llama.vocabulary)
    whole, cut = draw(llama, prompts, 3), draw(llama, prompts, 3, tokens_per_microbatch=budget)
    assert torch.equal(cut.ids, whole.ids)
    assert torch.equal(cut.mask, whole.mask)
    torch.testing.assert_close(cut.logp, whole.logp, atol=1e-4, rtol=0)


def test_when_the_others_end_changes_nothing(llama: LanguageModel) -> None:
    """The same noise with and without stopping: up to its end, each row says the same."""
    prompts = random_prompts((3, 9, 5, 7), llama.vocabulary)
    stopping, going_on = draw(llama, prompts, 3), draw(llama, prompts, 3, stop_ids=())
    ends = [len(row) for row in responses(stopping)]
    assert len(set(ends)) > 1
    assert responses(stopping) == [row[:n] for row, n in zip(responses(going_on), ends, strict=True)]


def test_rows_of_every_family_sample_from_their_own_distribution(model_of_family: LanguageModel) -> None:
    """Left padding, the cache and rows that leave early: the log-probability is that of the row alone, uncached."""
    model = model_of_family
    rollout = sample(model, temperature=0.9)
    assert len(set(rollout.response_mask.sum(1).tolist())) > 1
    for b in range(len(rollout.ids)):
        row = rollout.ids[b][rollout.mask[b]]
        with torch.no_grad():
            log_p = torch.log_softmax(model.module(input_ids=row[None]).logits[0].double() / 0.9, -1)
        length = int(rollout.response_mask[b].sum())
        alone = log_p[:-1].gather(-1, row[1:, None]).squeeze(-1)[-length:]
        torch.testing.assert_close(rollout.logp[b, :length].double(), alone, atol=1e-4, rtol=1e-4)


def test_greedy_equals_transformers(model_of_family: LanguageModel) -> None:
    model = model_of_family
    prompts = random_prompts((3, 8, 5), model.vocabulary)
    stops = list(range(40))
    ours = responses(draw(model, prompts, temperature=0.0, stop_ids=tuple(stops), max_new_tokens=8))
    for prompt, row in zip(prompts, ours, strict=True):
        ids = torch.tensor([prompt])
        theirs = model.module.generate(
            ids,
            attention_mask=torch.ones_like(ids),
            max_new_tokens=8,
            do_sample=False,
            eos_token_id=stops,
            pad_token_id=3,
        )
        assert row == theirs[0, len(prompt) :].tolist()


def test_the_generator_decides_everything(llama: LanguageModel) -> None:
    assert torch.equal(sample(llama, seed=3).ids, sample(llama, seed=3).ids)
    prompts = random_prompts((4,), llama.vocabulary)
    how = Sampling(6, 1.0, ())
    noise = torch.Generator().manual_seed(0)
    first, second = (generate(llama, prompts, 2, how, noise).response_ids for _ in range(2))
    assert not torch.equal(first, second)
    assert not torch.equal(first[0], first[1]), "samples of one prompt have noise of their own"


def test_training_mode_is_left_as_it_was(llama: LanguageModel) -> None:
    for training in (True, False):
        llama.module.train(training)
        sample(llama)
        assert llama.module.training is training


def test_a_prompt_that_leaves_no_room_is_refused_with_the_numbers(llama: LanguageModel) -> None:
    prompts = random_prompts((60,), llama.vocabulary)
    with pytest.raises(UserError, match=r"60 tokens and 6 new ones exceed the model's context of 64.*at most 4"):
        draw(llama, prompts)
    assert draw(llama, prompts, max_new_tokens=4).prompt_length == 60


def test_a_draw_at_the_very_end_of_the_unit_interval_stays_among_the_possible_tokens(
    llama: LanguageModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The largest float32 below 1 must not fall on a token that has no probability."""
    tilt(llama, range(200, llama.vocabulary), -1e9)
    monkeypatch.setattr(torch, "rand", lambda *shape, **_: torch.full(shape, 1 - 2**-24))
    rollout = draw(llama, random_prompts((3, 4, 5, 6, 7, 8) * 8, llama.vocabulary), 1, stop_ids=())
    assert int(rollout.response_ids.max()) < 200


def test_an_empty_prompt_is_refused_by_its_number(llama: LanguageModel) -> None:
    """In a batch its first token would be drawn from what follows a padding token."""
    with pytest.raises(UserError, match="prompt 2 of 3 has 0 tokens"):
        draw(llama, [[11, 12], [], [13]])
