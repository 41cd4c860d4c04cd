"""Answers that share a prompt, end to end in one line of tokens without any padding, and the attention that keeps them apart.

[prompt 1, answer 1.1, answer 1.2, prompt 2, answer 2.1, ...]: all that a model does token by token works on real tokens alone.
Attention runs prompt by prompt over what a token may look at and nothing else, as plain matrix products. On a CPU that is
faster than one padded table with a mask (`ops.shared_prompt`); many small products would keep an accelerator waiting.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import torch
import torch.nn.functional as F
from torch import Tensor

from accordant.ops.checks import is_mask, same_shape
from accordant.ops.masked import BLOCKED

Segments: TypeAlias = "tuple[tuple[int, tuple[int, ...]], ...]"
"""For each prompt in turn: its tokens, and those of each of its answers."""

BLOCK = 256  # queries at a time: what lies above the diagonal is skipped in steps of this size


@dataclass(frozen=True)
class RaggedRows:
    """N prompts with K answers each as one row of T tokens."""

    ids: Tensor  # (1, T) int64
    positions: Tensor  # (1, T) int64, restarting with every prompt, and after it with each of its answers
    last: Tensor  # (N, K) int64, index of each answer's last token
    segments: Segments


def join_rows(ids: Tensor, mask: Tensor, prompt_length: Tensor) -> RaggedRows:
    """Lay the plain rows of each prompt, one for each of its K answers, end to end.

    Prompts "a b" and "c" with the answers "x", "y z" and "u v", "w", as K * N = 4 plain rows::

        a b x .
        c u v .      a b x y z c u v w      positions  0 1 2 2 3 0 1 2 1      segments  (2, (1, 2)), (1, (2, 1))
        a b y z
        c w . .

    Args:
        ids: (K * N, L) int64, right-padded: the first answers of all prompts, then the second ones in the same order, ...
        mask: (K * N, L) bool, real tokens.
        prompt_length: (N,) int64, tokens that come before the answers; the answers to a prompt begin with the same ones.

    Raises:
        ValueError: the rows are no multiple of the prompts; or a prompt or an answer is empty.
    """
    is_mask(mask=mask)
    same_shape(2, ids=ids, mask=mask)
    n, width = len(prompt_length), ids.shape[1]
    if len(ids) % n:
        raise ValueError(f"{len(ids)} rows are no multiple of {n} prompts")
    answer = (mask.sum(dim=1).view(-1, n) - prompt_length).T.tolist()  # (N, K) tokens of each answer
    before = prompt_length.tolist()
    if min(before) < 1 or min(map(min, answer)) < 1:
        raise ValueError("the prompt and every answer need at least one token")
    segments = tuple((p, tuple(a)) for p, a in zip(before, answer, strict=True))
    places: list[Tensor] = []
    last: list[list[int]] = []
    total = 0
    for row, (prompt, answers) in enumerate(segments):
        places.append(row * width + torch.arange(prompt))
        total += prompt
        last.append([])
        for k, length in enumerate(answers):
            places.append((k * n + row) * width + prompt + torch.arange(length))
            total += length
            last[-1].append(total - 1)
    place = torch.cat(places).to(ids.device)
    return RaggedRows(ids.flatten()[place][None], (place % width)[None], torch.tensor(last, device=ids.device), segments)


def ragged_attention(
    query: Tensor, key: Tensor, value: Tensor, segments: Segments, scaling: float, dropout: float = 0.0
) -> Tensor:
    """softmax(scaling q k^T) v of every token over its prompt and its own answer, up to itself.

    Args:
        query: (H, T, D). key, value: (H / R, T, D), each of them serving R heads of the query.
        segments: their lengths sum to T.
        dropout: of the attention weights.

    Returns:
        (H, T, D).
    """
    repeats = len(query) // len(key)
    if repeats > 1:
        key, value = key.repeat_interleave(repeats, 0), value.repeat_interleave(repeats, 0)
    sizes = [size for prompt, answers in segments for size in (prompt, *answers)]
    widest = max(prompt + max(answers, default=0) for prompt, answers in segments)
    bias = torch.full((widest, widest), BLOCKED, dtype=query.dtype, device=query.device).triu(1)
    parts = iter(zip(*(torch.split(x, sizes, 1) for x in (query, key, value)), strict=True))
    out: list[Tensor] = []
    for _, answers in segments:
        q, prompt_k, prompt_v = next(parts)
        out += _causal(q, prompt_k, prompt_v, bias, scaling, dropout)
        for _ in answers:
            q, k, v = next(parts)
            out += _causal(q, torch.cat([prompt_k, k], 1), torch.cat([prompt_v, v], 1), bias, scaling, dropout)
    return torch.cat(out, dim=1)


def _causal(query: Tensor, key: Tensor, value: Tensor, bias: Tensor, scaling: float, dropout: float) -> Sequence[Tensor]:
    """The last queries of a row over all of its keys, block by block: (H, n, D) over (H, m, D), n <= m."""
    out = []
    start = key.shape[1] - query.shape[1]
    for part in torch.split(query, BLOCK, 1):
        end = start + part.shape[1]
        seen = bias[start:end, :end].expand(len(part), -1, -1)
        weight = torch.baddbmm(seen, part, key[:, :end].transpose(1, 2), alpha=scaling).softmax(-1, dtype=torch.float32)
        out.append(F.dropout(weight, dropout, training=dropout > 0).to(value.dtype) @ value[:, :end])
        start = end
    return out
