"""Sampling for people: what it shares with training's sampler, its knobs, what it reports, and how it ends."""

from __future__ import annotations

import gc
import math
import weakref
from dataclasses import replace
from typing import Any

import pytest
import torch
from transformers import DynamicCache

import accordant.models.generate as generating
from accordant.models.generate import Sampling, generate
from accordant.models.language import LanguageModel
from accordant.models.stream import Decoding, Drawn, stream
from accordant.types import UserError
from tiny import random_prompts, tilt


def rows(model: LanguageModel, prompt: list[int], samples: int, how: Decoding, seed: int = 0) -> list[list[Drawn]]:
    """Each answer's tokens."""
    found: list[list[Drawn]] = [[] for _ in range(samples)]
    for step in stream(model, prompt, samples, how, torch.Generator().manual_seed(seed), set()):
        for drawn in step:
            found[drawn.row].append(drawn)
    return found


@pytest.mark.parametrize("temperature", [0.0, 0.7, 1.0, 1.6])
def test_with_a_temperature_alone_it_is_the_sampler_of_training(model_of_family: LanguageModel, temperature: float) -> None:
    """Bit for bit, rows that end early included; and so is what it reports, at temperature 1."""
    (prompt,) = random_prompts((7,), model_of_family.vocabulary)
    stops = tuple(range(60))
    rollout = generate(model_of_family, [prompt], 5, Sampling(9, temperature, stops), torch.Generator().manual_seed(3))
    found = rows(model_of_family, prompt, 5, Decoding(9, stops, temperature), seed=3)
    for b, answer in enumerate(found):
        mask = rollout.response_mask[b]
        assert [drawn.token for drawn in answer] == rollout.response_ids[b][mask].tolist()
        assert answer[-1].ends == bool(rollout.finished[b])
        assert not any(drawn.ends for drawn in answer[:-1])
        if temperature in (0.0, 1.0):
            assert [drawn.logp for drawn in answer] == rollout.logp[b][mask].tolist()
    assert temperature == 0 or len({len(answer) for answer in found}) > 1


def test_a_shorter_limit_gives_the_beginning_of_the_same_answer(llama: LanguageModel) -> None:
    (prompt,) = random_prompts((5,), llama.vocabulary)
    long, short = (rows(llama, prompt, 1, Decoding(most, ()))[0] for most in (30, 4))
    assert long[:4] == short
    assert len(long) == 30


def by_hand(logits: list[float], prompt: list[int], said: list[int], **knobs: Any) -> list[float]:
    """The distribution that a token is drawn from, in float64 and from the definitions: Keskar et al. 2019, OpenAI's formula,
    Fan et al. 2018 (top-k), Holtzman et al. 2020 (top-p)."""
    values = list(logits)
    theta = knobs.get("repetition_penalty", 1.0)
    for token in set(prompt) | set(said):
        values[token] = values[token] / theta if values[token] > 0 else values[token] * theta
    for token in set(said):
        values[token] -= said.count(token) * knobs.get("frequency_penalty", 0.0) + knobs.get("presence_penalty", 0.0)
    values = [value / knobs.get("temperature", 1.0) for value in values]
    best = sorted(range(len(values)), key=lambda i: -values[i])[: knobs.get("top_k") or len(values)]
    weight = {i: math.exp(values[i] - values[best[0]]) for i in best}
    total, kept, mass = sum(weight.values()), [], 0.0
    for i in best:
        kept.append(i)
        mass += weight[i] / total
        if mass >= knobs.get("top_p", 1.0):
            break
    inside = sum(weight[i] for i in kept)
    return [weight[i] / inside if i in kept else 0.0 for i in range(len(values))]


@pytest.mark.parametrize(
    "knobs",
    [
        {"top_k": 5}, {"top_p": 0.6}, {"top_p": 0.0}, {"repetition_penalty": 1.7}, {"presence_penalty": 1.5},
        {"frequency_penalty": 0.9}, {"frequency_penalty": -0.4, "temperature": 0.6},
        {"temperature": 1.8, "top_k": 20, "top_p": 0.8, "repetition_penalty": 1.3, "presence_penalty": 0.5,
         "frequency_penalty": 0.3},
    ],
    ids=str,
)  # fmt: skip
def test_each_token_is_drawn_by_its_uniform_number_from_what_the_definitions_say(
    llama: LanguageModel, knobs: dict[str, Any]
) -> None:
    (prompt,) = random_prompts((9,), llama.vocabulary)
    found = rows(llama, prompt, 3, Decoding(20, (), **knobs), seed=8)
    uniform = torch.rand(3, 20, generator=torch.Generator().manual_seed(8))
    checked = 0
    for b, answer in enumerate(found):
        tokens = [drawn.token for drawn in answer]
        with torch.no_grad():
            logits = llama.module(input_ids=torch.tensor([[*prompt, *tokens]])).logits[0].double()
        for t, drawn in enumerate(answer):
            here = logits[len(prompt) + t - 1]
            chances = by_hand(here.tolist(), prompt, tokens[:t], **knobs)
            below = sum(chances[: drawn.token])
            assert below - 1e-4 <= float(uniform[b, t]) <= below + chances[drawn.token] + 1e-4
            checked += chances[drawn.token] > 1e-3
            assert drawn.logp == pytest.approx(float(torch.log_softmax(here, -1)[drawn.token]), abs=1e-4), "the model's own"
    assert checked > 50


def test_at_temperature_0_penalties_still_count(llama: LanguageModel) -> None:
    (prompt,) = random_prompts((6,), llama.vocabulary)
    tilt(llama, [77], 30.0)
    assert {drawn.token for drawn in rows(llama, prompt, 1, Decoding(5, (), 0.0))[0]} == {77}
    fresh = [drawn.token for drawn in rows(llama, prompt, 1, Decoding(5, (), 0.0, frequency_penalty=40.0))[0]]
    assert fresh[0] == 77
    assert len(set(fresh)) == 5


def test_penalties_follow_their_own_row_when_others_end(llama: LanguageModel) -> None:
    """Each answer alone, with its own noise, is what it was among the others."""
    (prompt,) = random_prompts((6,), llama.vocabulary)
    how = Decoding(25, tuple(range(30)), presence_penalty=2.0, repetition_penalty=1.5)
    together = rows(llama, prompt, 6, how, seed=1)
    assert len({len(answer) for answer in together}) > 2
    going_on = rows(llama, prompt, 6, replace(how, stop_ids=()), seed=1)
    assert [[d.token for d in answer] for answer in together] == [
        [d.token for d in whole[: len(answer)]] for answer, whole in zip(together, going_on, strict=True)
    ]


def test_alternatives_are_the_likeliest_of_the_model(llama: LanguageModel) -> None:
    (prompt,) = random_prompts((6,), llama.vocabulary)
    how = Decoding(3, (), 2.0, top_k=2, alternatives=4)
    for t, drawn in enumerate(answer := rows(llama, prompt, 1, how)[0]):
        with torch.no_grad():
            ids = torch.tensor([[*prompt, *(one.token for one in answer[:t])]])
            best = torch.log_softmax(llama.module(input_ids=ids).logits[0, -1].double(), -1).topk(4)
        assert [token for token, _ in drawn.alternatives] == best.indices.tolist()
        assert [logp for _, logp in drawn.alternatives] == pytest.approx(best.values.tolist(), abs=1e-4)
    assert rows(llama, prompt, 1, replace(how, alternatives=0))[0][0].alternatives == ()
    assert len(rows(llama, prompt, 1, replace(how, alternatives=10_000))[0][0].alternatives) == llama.vocabulary


def test_answers_that_are_over_get_no_more_tokens_and_the_others_do(llama: LanguageModel) -> None:
    (prompt,) = random_prompts((6,), llama.vocabulary)
    expected = rows(llama, prompt, 3, Decoding(8, ()))
    over: set[int] = set()
    found: list[list[Drawn]] = [[], [], []]
    for t, step in enumerate(stream(llama, prompt, 3, Decoding(8, ()), torch.Generator().manual_seed(0), over)):
        for drawn in step:
            found[drawn.row].append(drawn)
        if t == 2:
            over.add(1)
        if t == 4:
            over.add(0)
    assert [len(answer) for answer in found] == [5, 3, 8]
    tokens = [[drawn.token for drawn in answer] for answer in found]
    assert tokens == [[drawn.token for drawn in whole[: len(cut)]] for whole, cut in zip(expected, found, strict=True)]
    steps = stream(llama, prompt, 2, Decoding(8, ()), torch.Generator().manual_seed(0), {0, 1})
    assert len(list(steps)) == 1, "all are over"


@pytest.mark.parametrize("training", [True, False])
def test_closing_it_frees_the_cache_and_leaves_the_model_as_it_was(
    llama: LanguageModel, monkeypatch: pytest.MonkeyPatch, training: bool
) -> None:
    caches: list[weakref.ref[DynamicCache]] = []

    def remembered(**options: Any) -> DynamicCache:
        cache = DynamicCache(**options)
        caches.append(weakref.ref(cache))
        return cache

    monkeypatch.setattr(generating, "DynamicCache", remembered)
    llama.module.train(training)
    steps = stream(llama, [11, 12], 2, Decoding(30, ()), torch.Generator(), set())
    next(steps)
    assert not llama.module.training
    assert torch.is_grad_enabled(), "only its own steps are without gradient"
    assert caches[0]() is not None
    steps.close()  # type: ignore[attr-defined]
    gc.collect()
    assert caches[0]() is None
    assert llama.module.training is training
    assert next(steps, None) is None


def test_what_leaves_no_room_is_refused_with_the_numbers(llama: LanguageModel) -> None:
    (prompt,) = random_prompts((60,), llama.vocabulary)
    with pytest.raises(UserError, match="60 tokens and 5 new ones exceed the model's context of 64"):
        rows(llama, prompt, 1, Decoding(5, ()))
    with pytest.raises(UserError, match="0 tokens"):
        rows(llama, [], 1, Decoding(5, ()))
