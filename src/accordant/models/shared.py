"""Answers that share a prompt, scored in one row, and the probe that says whether a model can.

What decides is the model's own arithmetic and not its family's name: a sliding window does no harm where no row is longer than
it, and attention code that cannot take such a mask gives other scores or an error.

Left out: language models (their log-probabilities could be read the same way; no algorithm needs them yet).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import torch
from torch import Tensor

from accordant.models.language import autocast, trunk_of
from accordant.models.scalar import ScalarModel
from accordant.ops.batching import pad_rows
from accordant.ops.shared_prompt import share_prompts
from accordant.types import Tokens

Answers: TypeAlias = "tuple[Tokens, ...]"
"""The answers to one prompt, each with the prompt before it."""

TOLERANCE = 1e-4  # of scores in float32, absolute and relative: far above rounding, far below what training can use

# An additive mask is understood by every attention implementation; a boolean one is silently added as 0 and 1 by the eager one.
# The lowest bfloat16 and not float32's, which autocast would round to -inf: no kernel has to get -inf - -inf right.
BLOCKED = torch.finfo(torch.bfloat16).min


def shared_logits(model: ScalarModel, ids: Tensor, mask: Tensor, prompt_length: Tensor) -> Tensor:
    """What `model.logits(ids, mask)` gives for the K answers of each of N prompts, every prompt computed once.

    With dropout the answers of a prompt share its noise; rows of their own would draw it anew.

    Args:
        ids, mask: (K * N, L), as `ops.shared_prompt.share_prompts` takes them. prompt_length: (N,) int64.

    Returns:
        (K * N, labels) float32, in the order of the rows.
    """
    rows = share_prompts(ids, mask, prompt_length)
    allowed = rows.attention()
    bias = torch.zeros(allowed.shape, device=ids.device).masked_fill_(~allowed, BLOCKED)
    with autocast(model.precision):
        out = trunk_of(model.module)(input_ids=rows.ids, attention_mask=bias, position_ids=rows.positions, use_cache=False)
    return model.score_at(out.last_hidden_state, rows.last).transpose(0, 1).flatten(0, 1)


@torch.no_grad()
def shares_prompts(model: ScalarModel, items: Sequence[Answers]) -> bool:
    """Whether the answers of these items get the same scores in one row with their prompt as in rows of their own.

    Compared in float32, without dropout, on the shortest item and the longest ones, so that no item reaches further than what
    was compared: whatever a model does from some length on (a sliding window, a table of positions that ends) is met here.
    """
    if not model.causal:
        return False
    exact = ScalarModel(model.module, model.tokenizer, "float32")
    device = next(model.module.parameters()).device
    training = model.module.training
    model.module.eval()
    try:
        return all(_same_scores(exact, answers, device) for answers in _extremes(items))
    finally:
        model.module.train(training)


def _same_scores(model: ScalarModel, answers: Answers, device: torch.device) -> bool:
    ids = pad_rows([answer.ids for answer in answers], model.tokenizer.pad_token_id or 0).to(device)
    mask = pad_rows([[True] * len(answer.ids) for answer in answers], False, dtype=torch.bool).to(device)
    plain = model.logits(ids, mask)
    try:
        shared = shared_logits(model, ids, mask, torch.tensor([answers[0].prompt_length], device=device))
    except (RuntimeError, TypeError, ValueError, IndexError):
        # The plain rows passed, so it is the mask or the positions that this model refuses, each family in its own words.
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
