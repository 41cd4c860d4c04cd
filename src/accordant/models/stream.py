"""Sampling for people: one prompt, a token of each answer at a time, with the knobs that chat clients turn.

The forward pass, the noise and the draw are those of `models.generate`: with only a temperature set, the same noise gives the
same tokens. The order of the knobs is that of other servers: penalties, temperature, top-k, top-p.

Reported log-probabilities are the model's own, at temperature 1 and before every knob: they say what the model believes and not
how it was made to talk. Left out: min-p, logit biases, grammars; several prompts at once (a request has one).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from accordant.models.generate import Growing, check_context, choose
from accordant.models.language import LanguageModel
from accordant.ops.sampling import count_penalties, repetition_penalty, top_k, top_p


@dataclass(frozen=True)
class Decoding:
    """How answers are drawn. The defaults of the knobs change nothing; `top_k` 0 is off.

    An answer ends after `max_new_tokens`, or with any of `stop_ids`. `alternatives`: how many of the likeliest tokens are told
    with each that was drawn.
    """

    max_new_tokens: int
    stop_ids: tuple[int, ...]
    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0
    repetition_penalty: float = 1.0
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    alternatives: int = 0


@dataclass(frozen=True, slots=True)
class Drawn:
    """A token of answer `row`, its log-probability in nats, and the likeliest tokens with theirs; `ends`: it is a stop id."""

    row: int
    token: int
    logp: float
    alternatives: tuple[tuple[int, float], ...]
    ends: bool


@torch.no_grad()
def stream(
    model: LanguageModel, prompt: Sequence[int], samples: int, how: Decoding, noise: torch.Generator, over: Collection[int]
) -> Iterator[list[Drawn]]:
    """Draw `samples` answers to one prompt; yields after every step what the step gave to the answers that go on.

    Between two steps the caller may close the iterator, which frees the cache, or put answers into `over`, which get no more
    tokens. Dropout is off while it runs.

    Args:
        prompt: token ids, at least one.
        noise: source of chance; for one answer, a smaller `max_new_tokens` gives the beginning of the same one.
        over: answers (0 to samples - 1) that need no more tokens, looked at before each step.

    Raises:
        UserError: at the first step: the prompt is empty, or it and the new tokens exceed the model's context.
    """
    check_context(model, [prompt], how.max_new_tokens)
    uniform = torch.rand(samples, how.max_new_tokens, generator=noise)
    training = model.module.training
    model.module.eval()
    try:
        growing, knobs = Growing(model, [prompt] * samples), _Knobs(how, prompt)
        alive = list(range(samples))
        for t in range(how.max_new_tokens):
            logits = growing.logits()
            chances = uniform[alive, t].to(logits.device)
            token, _ = choose(knobs.turn(logits), chances, how.temperature)
            drawn = _drawn(alive, token, logits, how)
            yield drawn
            going = [place for place, one in enumerate(drawn) if not one.ends and one.row not in over]
            if not going:
                return
            kept = torch.tensor(going, device=logits.device)
            growing.go_on(token, kept)
            knobs.go_on(token, kept)
            alive = [alive[place] for place in going]
    finally:
        model.module.train(training)


def _drawn(alive: Sequence[int], token: Tensor, logits: Tensor, how: Decoding) -> list[Drawn]:
    log_p = torch.log_softmax(logits, dim=-1)
    chosen = log_p.gather(-1, token[:, None]).squeeze(-1).tolist()
    best = log_p.topk(min(how.alternatives, log_p.shape[-1]), dim=-1)
    others = [
        tuple(zip(ids, values, strict=True)) for ids, values in zip(best.indices.tolist(), best.values.tolist(), strict=True)
    ]
    rows = zip(alive, token.tolist(), chosen, others, strict=True)
    return [Drawn(row, one, logp, near, one in how.stop_ids) for row, one, logp, near in rows]


class _Knobs:
    """What changes the logits before a draw, and what it has to remember of each row."""

    def __init__(self, how: Decoding, prompt: Sequence[int]) -> None:
        self._how = how
        self._prompt = torch.tensor(list(prompt))
        self._counts = (how.repetition_penalty, how.presence_penalty, how.frequency_penalty) != (1.0, 0.0, 0.0)
        self._count: Tensor | None = None  # (n, V), how often each token is in the answers so far

    def turn(self, logits: Tensor) -> Tensor:
        how = self._how
        if self._counts:
            if self._count is None:
                self._count = torch.zeros_like(logits, dtype=torch.long)
            seen = self._count > 0
            seen[:, self._prompt.to(logits.device)] = True
            logits = repetition_penalty(logits, seen, how.repetition_penalty)
            logits = count_penalties(logits, self._count, how.presence_penalty, how.frequency_penalty)
        if how.temperature == 0:
            return logits  # the likeliest token survives every cut
        if how.top_k:
            logits = top_k(logits, how.top_k)
        if how.top_p < 1:
            # The nucleus is that of the distribution which is drawn from, hence of the temperature.
            logits = logits.masked_fill(top_p(logits / how.temperature, how.top_p) == -torch.inf, -torch.inf)
        return logits

    def go_on(self, token: Tensor, going: Tensor) -> None:
        if self._count is not None:
            self._count = self._count.scatter_add(1, token[:, None], torch.ones_like(token)[:, None])[going]
