"""Answers that share a prompt, end to end in one line of tokens without any padding, and the attention that keeps them apart.

[prompt 1, answer 1.1, answer 1.2, prompt 2, answer 2.1, ...]: all that a model does token by token works on real tokens alone.
Attention runs prompt by prompt over what a token may look at and nothing else, as plain matrix products. On a CPU that is
faster than one padded table with a mask (`ops.shared_prompt`); many small products would keep an accelerator waiting.

Without dropout the backward pass is written out: it keeps one copy of the weights, and no cast and no slice of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

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


@dataclass(frozen=True)
class Block:
    """Some queries with all that they may look at: the last of the keys are their own tokens."""

    first: int  # of the queries, among all queries
    count: int
    keys: tuple[slice, ...]  # one run of tokens, or the prompt's and the answer's

    def of(self, states: Tensor) -> Tensor:
        """The keys' part of (H, T, D)."""
        parts = [states[:, run] for run in self.keys]
        return parts[0] if len(parts) == 1 else torch.cat(parts, 1)

    def add_to(self, total: Tensor, part: Tensor) -> None:
        """What `of` took, added up where it came from."""
        start = 0
        for run in self.keys:
            stop = start + run.stop - run.start
            total[:, run] += part[:, start:stop]
            start = stop


def blocks_of(segments: Segments) -> list[Block]:
    """Every token as a query. A prompt goes on into its first answer; each of the others has the prompt before it."""
    out: list[Block] = []
    offset = 0
    for prompt, answers in segments:
        before = slice(offset, offset + prompt)
        end = before.stop + sum(answers[:1])
        out += [Block(q, min(BLOCK, end - q), (slice(offset, min(q + BLOCK, end)),)) for q in range(offset, end, BLOCK)]
        for size in answers[1:]:
            start, end = end, end + size
            out += [
                Block(q, min(BLOCK, end - q), (before, slice(start, min(q + BLOCK, end)))) for q in range(start, end, BLOCK)
            ]
        offset = end
    return out


def last_blocks_of(segments: Segments) -> list[Block]:
    """Only the last token of each answer as a query, prompt by prompt in the order of the answers."""
    out: list[Block] = []
    offset = 0
    for prompt, answers in segments:
        before, end = slice(offset, offset + prompt), offset + prompt
        for size in answers:
            start, end = end, end + size
            out.append(Block(len(out), 1, (before, slice(start, end))))
        offset = end
    return out


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
    return attend(query, key, value, blocks_of(segments), scaling, dropout)


def attend(query: Tensor, key: Tensor, value: Tensor, blocks: Sequence[Block], scaling: float, dropout: float = 0.0) -> Tensor:
    """`ragged_attention` for the queries of these blocks alone: (H, Q, D) -> (H, Q, D)."""
    repeats = len(query) // len(key)
    if repeats > 1:
        key, value = key.repeat_interleave(repeats, 0), value.repeat_interleave(repeats, 0)
    # Under autocast rotary positions give float32, and values do not.
    query, key = (query * scaling).to(value.dtype), key.to(value.dtype)
    widest = max(block.count for block in blocks)
    bias = torch.full((widest, widest), BLOCKED, dtype=query.dtype, device=query.device).triu(1)
    if not dropout:
        return _Attention.apply(query, key, value, blocks, bias)  # type: ignore[no-any-return, no-untyped-call]
    out = [F.dropout(_weights(block, query, key, bias), dropout) @ block.of(value) for block in blocks]
    return torch.cat(out, dim=1)


def _weights(block: Block, query: Tensor, key: Tensor, bias: Tensor) -> Tensor:
    """(H, n, m): the attention weights of a block's n queries over its m keys."""
    n = block.count
    scores = query[:, block.first : block.first + n] @ block.of(key).transpose(1, 2)
    if n > 1:
        scores[:, :, -n:] += bias[:n, :n]
    return scores.softmax(-1)


class _Attention(torch.autograd.Function):
    """`attend` without dropout, in the precision of its arguments; softmax and its backward pass round once."""

    @staticmethod
    def forward(ctx: Any, query: Tensor, key: Tensor, value: Tensor, blocks: Sequence[Block], bias: Tensor) -> Tensor:
        ctx.blocks, weights = blocks, []
        out = torch.empty_like(query)
        with torch.autocast(query.device.type, enabled=False):
            for block in blocks:
                weights.append(_weights(block, query, key, bias))
                out[:, block.first : block.first + block.count] = weights[-1] @ block.of(value)
        ctx.save_for_backward(query, key, value, *weights)
        return out

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        query, key, value, *weights = ctx.saved_tensors
        d_query, d_key, d_value = torch.empty_like(query), torch.zeros_like(key), torch.zeros_like(value)
        for block, weight in zip(ctx.blocks, weights, strict=True):
            queries = slice(block.first, block.first + block.count)
            d_out = grads[0][:, queries]
            block.add_to(d_value, weight.transpose(1, 2) @ d_out)
            d_weight = d_out @ block.of(value).transpose(1, 2)
            d_scores = torch._softmax_backward_data(d_weight, weight, -1, weight.dtype)
            d_query[:, queries] = d_scores @ block.of(key)
            block.add_to(d_key, d_scores.transpose(1, 2) @ query[:, queries])
        return d_query, d_key, d_value, None, None
