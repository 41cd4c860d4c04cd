"""Answers that share a prompt, scored in one row, and the probe that says whether a model can.

What decides is the model's own arithmetic and not its family's name: a sliding window does no harm where no row is longer than
it, and attention code that cannot take such a mask gives other scores or an error.

There are three ways, and all are put to the same test. On a CPU the tokens of all prompts are laid end to end without padding,
and attention runs prompt by prompt (`ops.ragged`): "lean" is a forward pass of our own for trunks built like Llama's
(`models.lean`), "ragged" the model's own for all whose attention transformers lets be replaced. Elsewhere, and for the others,
each prompt with its answers is a row of a "padded" table under a mask (`ops.shared_prompt`).

Left out: language models (their log-probabilities could be read the same way; no algorithm needs them yet).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn
from transformers import AttentionInterface

from accordant.models.language import autocast, trunk_of
from accordant.models.lean import is_lean, lean_hidden
from accordant.models.scalar import ScalarModel
from accordant.ops.batching import pad_rows
from accordant.ops.masked import attention_bias
from accordant.ops.ragged import Segments, join_rows, ragged_attention
from accordant.ops.shared_prompt import share_prompts
from accordant.types import Tokens

Answers: TypeAlias = "tuple[Tokens, ...]"
"""The answers to one prompt, each with the prompt before it."""

TOLERANCE = 1e-4  # of scores in float32, absolute and relative: far above rounding, far below what training can use


def shared_logits(model: ScalarModel, ids: Tensor, mask: Tensor, prompt_length: Tensor) -> Tensor:
    """What `model.logits(ids, mask)` gives for the K answers of each of N prompts, every prompt computed once.

    With dropout the answers of a prompt share its noise; rows of their own would draw it anew.

    Args:
        ids, mask: (K * N, L), as `ops.shared_prompt.share_prompts` takes them. prompt_length: (N,) int64.

    Returns:
        (K * N, labels) float32, in the order of the rows.
    """
    return WAYS[model.sharing](model, ids, mask, prompt_length)


def _padded_logits(model: ScalarModel, ids: Tensor, mask: Tensor, prompt_length: Tensor) -> Tensor:
    rows = share_prompts(ids, mask, prompt_length)
    bias = attention_bias(rows.attention())
    with autocast(model.precision):
        out = trunk_of(model.module)(input_ids=rows.ids, attention_mask=bias, position_ids=rows.positions, use_cache=False)
    return model.score_at(out.last_hidden_state, rows.last).transpose(0, 1).flatten(0, 1)


def _ragged_logits(model: ScalarModel, ids: Tensor, mask: Tensor, prompt_length: Tensor) -> Tensor:
    rows, trunk = join_rows(ids, mask, prompt_length), trunk_of(model.module)
    with autocast(model.precision), _own_attention(trunk):
        out = trunk(input_ids=rows.ids, position_ids=rows.positions, use_cache=False, segments=rows.segments)
    return model.score_at(out.last_hidden_state, rows.last.view(1, -1)).view(*rows.last.shape, -1).transpose(0, 1).flatten(0, 1)


def _lean_logits(model: ScalarModel, ids: Tensor, mask: Tensor, prompt_length: Tensor) -> Tensor:
    rows, trunk = join_rows(ids, mask, prompt_length), trunk_of(model.module)
    with autocast(model.precision):
        hidden = lean_hidden(trunk, rows, torch.bfloat16 if model.precision == "bfloat16" else torch.float32)
    scores = model.score_at(hidden[None], torch.arange(len(hidden), device=hidden.device)[None])
    return scores.view(*rows.last.shape, -1).transpose(0, 1).flatten(0, 1)


WAYS: dict[str, Callable[[ScalarModel, Tensor, Tensor, Tensor], Tensor]] = {
    "lean": _lean_logits, "ragged": _ragged_logits, "padded": _padded_logits,
}  # fmt: skip
"""The fastest first."""


def _attend(
    module: nn.Module, query: Tensor, key: Tensor, value: Tensor, attention_mask: Tensor | None,  # noqa: ARG001
    scaling: float | None = None, dropout: float = 0.0, segments: Segments | None = None, **more: Any,
) -> tuple[Tensor, None]:  # fmt: skip
    """`ragged_attention` as transformers calls it: (1, H, T, D) each -> (1, T, H, D).

    Raises:
        NotImplementedError: the model does not pass the segments on, or asks of its attention what this one does not do.
    """
    if segments is None or more.get("softcap") or any(more.get(name) is not None for name in ("s_aux", "position_bias")):
        raise NotImplementedError("attention without segments, with a soft cap, with sinks or with a bias")
    window = more.get("sliding_window")
    if window is not None and window < max(prompt + max(answers) for prompt, answers in segments):
        raise NotImplementedError("attention with a window that is shorter than a row")
    scale = query.shape[-1] ** -0.5 if scaling is None else scaling
    out = ragged_attention(query[0], key[0], value[0], segments, scale, dropout if module.training else 0.0)
    return out.transpose(0, 1)[None], None


_RAGGED = "accordant_ragged"
AttentionInterface.register(_RAGGED, _attend)


@contextmanager
def _own_attention(trunk: nn.Module) -> Iterator[None]:
    """Run the trunk with `_attend` in the place of its attention; its configuration is as before afterwards."""
    config: Any = trunk.config
    before = config._attn_implementation
    config._attn_implementation = _RAGGED
    try:
        yield
    finally:
        config._attn_implementation = before


@torch.no_grad()
def shares_prompts(model: ScalarModel, items: Sequence[Answers]) -> bool:
    """Whether the answers of these items get the same scores in one row with their prompt as in rows of their own.

    Compared in float32, without dropout, on the shortest item and the longest ones, so that no item reaches further than what
    was compared: whatever a model does from some length on (a sliding window, a table of positions that ends) is met here.
    `model.sharing` then says in which of the ways `shared_logits` computes them.
    """
    if not model.causal:
        return False
    exact = ScalarModel(model.module, model.tokenizer, "float32")
    device = next(model.module.parameters()).device
    training = model.module.training
    model.module.eval()
    some = _extremes(items)
    ways = [*(["lean"] if is_lean(trunk_of(model.module)) else []), "ragged"] if device.type == "cpu" else []
    try:
        for way in (*ways, "padded"):
            if all(_same_scores(exact, WAYS[way], answers, device) for answers in some):
                model.sharing = way
                return True
        return False
    finally:
        model.module.train(training)


def _same_scores(
    model: ScalarModel, logits: Callable[[ScalarModel, Tensor, Tensor, Tensor], Tensor], answers: Answers, device: torch.device
) -> bool:
    ids = pad_rows([answer.ids for answer in answers], model.tokenizer.pad_token_id or 0).to(device)
    mask = pad_rows([[True] * len(answer.ids) for answer in answers], False, dtype=torch.bool).to(device)
    plain = model.logits(ids, mask)
    try:
        shared = logits(model, ids, mask, torch.tensor([answers[0].prompt_length], device=device))
    except (AttributeError, RuntimeError, TypeError, ValueError, IndexError):
        # The plain rows passed, so it is the mask, the positions or a missing part; each family has its own words for it.
        return False
    return torch.allclose(shared, plain, atol=TOLERANCE, rtol=TOLERANCE)


def _extremes(items: Sequence[Answers]) -> list[Answers]:
    """The shortest item, the one with the longest row of its own, and the one with the longest shared row."""
    alone = [max(len(answer.ids) for answer in answers) for answers in items]
    shared = [shared_length(answers) for answers in items]
    places = {alone.index(min(alone)), alone.index(max(alone)), shared.index(max(shared))}
    return [items[i] for i in sorted(places)]


def shared_length(answers: Answers) -> int:
    """Tokens of the row that holds the prompt once and all answers."""
    return sum(len(answer.ids) - answer.prompt_length for answer in answers) + answers[0].prompt_length
