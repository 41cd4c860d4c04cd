"""Sampling: prompts in, a `Rollout` out.

What a user of other samplers may miss, and why: top-k, top-p and min-p change the distribution that was sampled from, so the
log-probabilities of training would belong to another policy; they are left out here on purpose (`models.stream`, for talking to
a model, has them). Temperature is the one knob, and every log-probability knows it. 0 is greedy decoding, for looking at a
model, never for training.

Noise is drawn per (row, position) before anything runs, and a token is chosen by inverting the cumulative distribution. So what
a row says does not depend on which rows share its batch or on when the others end.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from transformers import DynamicCache

from accordant.models.language import LanguageModel, autocast, base_of, trunk_arguments
from accordant.ops.batching import microbatches, pad_rows
from accordant.ops.masked import position_ids
from accordant.types import Rollout, UserError


@dataclass(frozen=True)
class Sampling:
    """How responses are drawn: at most `max_new_tokens`, ending at any of `stop_ids`, at `temperature`."""

    max_new_tokens: int
    temperature: float
    stop_ids: tuple[int, ...]
    tokens_per_microbatch: int = 1 << 16


def stop_ids(model: LanguageModel) -> tuple[int, ...]:
    """All tokens that end a response: the tokenizer's EOS and those that the checkpoint's generation settings name.

    Raises:
        UserError: there are none, so no response could ever end.
    """
    settings = getattr(base_of(model.module), "generation_config", None)
    named = getattr(settings, "eos_token_id", None)
    extra = named if isinstance(named, list) else [named]
    ids = tuple(sorted({int(i) for i in [model.tokenizer.eos_token_id, *extra] if i is not None}))
    if not ids:
        raise UserError("the tokenizer has no end-of-sequence token, so no response could end: set `tokenizer.eos_token`")
    return ids


def add_stop(module: nn.Module, token: int) -> None:
    """Let a response also end at this token, in the generation settings that are saved with the checkpoint."""
    settings = base_of(module).generation_config
    named = settings.eos_token_id
    known = named if isinstance(named, list) else [] if named is None else [named]
    if token not in known:
        settings.eos_token_id = [*known, token] if known else token


@torch.no_grad()
def generate(
    model: LanguageModel, prompts: Sequence[Sequence[int]], samples: int, how: Sampling, noise: torch.Generator
) -> Rollout:
    """Sample `samples` responses to each prompt.

    Args:
        model: the policy; dropout is off while sampling.
        prompts: P token rows, each at least one token.
        samples: G responses per prompt, rows of a prompt adjacent.
        how: the sampling settings.
        noise: source of chance; the same generator state gives the same responses.

    Raises:
        UserError: a prompt is empty, or it and the new tokens exceed the model's context.
    """
    check_context(model, prompts, how.max_new_tokens)
    rows = [prompt for prompt in prompts for _ in range(samples)]
    uniform = torch.rand(len(rows), how.max_new_tokens, generator=noise)
    training = model.module.training
    model.module.eval()
    width = max(len(prompt) for prompt in rows)
    pad = model.tokenizer.pad_token_id or 0
    ids = torch.full((len(rows), how.max_new_tokens), pad)
    logp = torch.zeros(len(rows), how.max_new_tokens)
    length = torch.zeros(len(rows), dtype=torch.long)
    finished = torch.zeros(len(rows), dtype=torch.bool)
    for part in microbatches([len(row) + how.max_new_tokens for row in rows], how.tokens_per_microbatch):
        where = torch.tensor(part)
        out = _sample(model, [rows[i] for i in part], uniform[where], how)
        ids[where], logp[where], length[where], finished[where] = out
    model.module.train(training)
    longest = int(length.max())
    response_mask = torch.arange(longest)[None] < length[:, None]
    prompt_ids = pad_rows(rows, pad, left=True)
    prompt_mask = pad_rows([[True] * len(row) for row in rows], False, left=True, dtype=torch.bool)
    return Rollout(
        ids=torch.cat([prompt_ids, torch.where(response_mask, ids[:, :longest], pad)], dim=1),
        mask=torch.cat([prompt_mask, response_mask], dim=1),
        logp=torch.where(response_mask, logp[:, :longest], torch.zeros(())),
        finished=finished,
        group=torch.arange(len(prompts)).repeat_interleave(samples),
        prompt_length=width,
    )


def check_context(model: LanguageModel, prompts: Sequence[Sequence[int]], new_tokens: int) -> None:
    """Every prompt has a token and leaves room for its response. Raises UserError with the numbers and the fix."""
    for number, prompt in enumerate(prompts, start=1):
        if not prompt:
            raise UserError(
                f"prompt {number} of {len(prompts)} has 0 tokens and at least 1 is needed: there is nothing to continue; "
                "write some text or drop the row"
            )
    longest = max(len(prompt) for prompt in prompts)
    if model.context and longest + new_tokens > model.context:
        raise UserError(
            f"a prompt of {longest} tokens and {new_tokens} new ones exceed the model's context of {model.context}: "
            f"shorten the prompt or set max_new_tokens to at most {max(0, model.context - longest)}"
        )


class Growing:
    """Rows that grow by a token at a time, with what the model remembers of them (its cache), on the model's device.

    `rows`: token rows, each at least one token; shorter ones are padded on the left.
    """

    def __init__(self, model: LanguageModel, rows: Sequence[Sequence[int]]) -> None:
        self.device = next(model.module.parameters()).device
        self._model = model
        self._mask = pad_rows([[True] * len(row) for row in rows], False, left=True, dtype=torch.bool).to(self.device)
        self._new = pad_rows(rows, model.tokenizer.pad_token_id or 0, left=True).to(self.device)
        self._cache = DynamicCache(config=model.config)

    def logits(self) -> Tensor:
        """Logits (n, V), float32, of what follows each row: one forward over the tokens that are new; once a step."""
        model, mask = self._model, self._mask
        arguments = trunk_arguments(model.trunk, mask)
        if "position_ids" in arguments:
            arguments["position_ids"] = position_ids(mask)[:, -self._new.shape[1] :]
        if bool(mask.all()):
            # No padding: without a mask the fast attention kernels are used.
            del arguments["attention_mask"]
        with autocast(model.precision):
            out = model.trunk(input_ids=self._new, past_key_values=self._cache, use_cache=True, **arguments)
        return model.head(out.last_hidden_state[:, -1])

    def go_on(self, token: Tensor, going: Tensor) -> None:
        """Each row gets its `token` (n,); only the rows `going` (m,) stay, in this order."""
        if len(going) < len(token):
            self._cache.batch_select_indices(going)
            self._mask, token = self._mask[going], token[going]
        self._mask = torch.cat([self._mask, torch.ones_like(self._mask[:, :1])], dim=1)
        self._new = token[:, None]


def _sample(
    model: LanguageModel, rows: Sequence[Sequence[int]], uniform: Tensor, how: Sampling
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Sample one micro-batch: ids (n, T), logp (n, T), length (n,), finished (n,), all on the CPU."""
    growing = Growing(model, rows)
    device = growing.device
    stop = torch.tensor(how.stop_ids, device=device)
    n, steps = uniform.shape
    uniform = uniform.to(device)
    ids = torch.zeros(n, steps, dtype=torch.long, device=device)
    logp = torch.zeros(n, steps, device=device)
    length = torch.full((n,), steps, device=device)
    finished = torch.zeros(n, dtype=torch.bool, device=device)
    alive = torch.arange(n, device=device)
    for t in range(steps):
        token, log_p = choose(growing.logits(), uniform[alive, t], how.temperature)
        ids[alive, t], logp[alive, t] = token, log_p.gather(-1, token[:, None]).squeeze(-1)
        ended = torch.isin(token, stop)
        length[alive[ended]], finished[alive[ended]] = t + 1, True
        going = torch.nonzero(~ended).squeeze(1)
        if not len(going):
            break
        growing.go_on(token, going)
        alive = alive[going]
    return ids.cpu(), logp.cpu(), length.cpu(), finished.cpu()


def choose(logits: Tensor, uniform: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
    """One token per row by inverting the cumulative distribution; at temperature 0 the likeliest.

    Args:
        logits: (n, V) float32; -inf where a token has no chance.
        uniform: (n,) in [0, 1).

    Returns:
        token (n,), and the log-probabilities (n, V) that it was drawn from; at temperature 0 those of temperature 1.
    """
    if temperature == 0:
        return logits.argmax(-1), torch.log_softmax(logits, -1)
    log_p = torch.log_softmax(logits / temperature, dim=-1)
    total = log_p.exp().cumsum(-1)
    # total[-1] is 1 up to rounding; scaling by it keeps the draw inside the vocabulary and off zero-probability tokens.
    token = torch.searchsorted(total, (uniform[:, None] * total[:, -1:]), right=True).squeeze(-1)
    return token.clamp(max=logits.shape[-1] - 1), log_p
