"""3. Nothing truncates the distribution: the sampler has no knob for it, and inverts the CDF of the whole softmax."""

from __future__ import annotations

import dataclasses

import pytest
import torch

import reference
from accordant.models.generate import Sampling, generate
from accordant.models.language import LanguageModel
from tiny import random_prompts


def test_the_sampling_record_has_no_truncating_knob() -> None:
    fields = {field.name for field in dataclasses.fields(Sampling)}
    assert fields == {"max_new_tokens", "temperature", "stop_ids", "tokens_per_microbatch"}
    with pytest.raises(TypeError, match="top_k"):
        Sampling(max_new_tokens=4, temperature=1.0, stop_ids=(2,), top_k=50)  # type: ignore[call-arg]


def test_each_token_is_the_inverse_cdf_of_its_uniform_number(llama: LanguageModel) -> None:
    """So a token's chance is exactly its softmax probability, and the chances of all tokens sum to 1."""
    temperature, prompts = 1.3, random_prompts((3, 6), llama.vocabulary)
    how = Sampling(max_new_tokens=5, temperature=temperature, stop_ids=(2,))
    rollout = generate(llama, prompts, 6, how, torch.Generator().manual_seed(11))
    uniform = torch.rand(12, 5, generator=torch.Generator().manual_seed(11))
    checked = 0
    for b, (ids, mask) in enumerate(zip(rollout.ids, rollout.mask, strict=True)):
        row = ids[mask]
        with torch.no_grad():
            logits = llama.module(input_ids=row[None]).logits[0].double()
        start = len(prompts[b // 6])
        for t, token in enumerate(row[start:].tolist()):
            log_p = reference.log_softmax(logits[start + t - 1].tolist(), temperature)
            candidates = {reference.inverse_cdf(log_p, float(uniform[b, t]) + shift) for shift in (-1e-5, 0.0, 1e-5)}
            assert token in candidates
            checked += len(candidates) == 1
    assert checked > 50


def test_chances_of_a_rare_token_are_its_probability(llama: LanguageModel) -> None:
    """A spread of uniform numbers over (0, 1) meets each token as often as its probability says."""
    prompt = random_prompts((4,), llama.vocabulary)[0]
    n = 4000
    how = Sampling(max_new_tokens=1, temperature=1.0, stop_ids=(2,))
    rollout = generate(llama, [prompt], n, how, torch.Generator().manual_seed(0))
    with torch.no_grad():
        p = torch.softmax(llama.module(input_ids=torch.tensor([prompt])).logits[0, -1], -1)
    seen = torch.bincount(rollout.response_ids[:, 0], minlength=llama.vocabulary).float() / n
    rare = p.argsort()[: llama.vocabulary // 2]
    assert float(p[rare].sum()) == pytest.approx(float(seen[rare].sum()), abs=4 * (float(p[rare].sum()) / n) ** 0.5)
    assert bool(((seen - p).abs() < 6 * (p * (1 - p) / n).sqrt() + 1e-3).all())
