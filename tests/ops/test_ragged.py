"""Attention over rows laid end to end, against a dense softmax with the mask written out."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from accordant.ops import ragged
from accordant.ops.ragged import Segments, join_rows, ragged_attention


def visible(segments: Segments) -> Tensor:
    """(T, T) bool, token by token: who may look at whom."""
    owner = [
        (n, k) for n, (prompt, answers) in enumerate(segments) for k, size in enumerate((prompt, *answers)) for _ in range(size)
    ]
    return torch.tensor([
        [j <= i and a[0] == b[0] and b[1] in (0, a[1]) for j, b in enumerate(owner)] for i, a in enumerate(owner)
    ])  # fmt: skip


def dense(query: Tensor, key: Tensor, value: Tensor, segments: Segments, scaling: float) -> Tensor:
    repeats = len(query) // len(key)
    allowed, out = visible(segments), []
    for h in range(len(query)):
        scores = (scaling * query[h] @ key[h // repeats].T).masked_fill(~allowed, -math.inf)
        out.append(scores.softmax(-1) @ value[h // repeats])
    return torch.stack(out)


shapes = st.lists(st.tuples(st.integers(1, 5), st.lists(st.integers(1, 4), min_size=0, max_size=3)), min_size=1, max_size=4)


@given(shapes, st.sampled_from([1, 2, 4]), st.sampled_from([1, 2, 3, 256]))
def test_it_is_dense_attention_under_a_mask(shape: list[tuple[int, list[int]]], heads: int, block: int) -> None:
    """Values and gradients, with fewer heads of keys than of queries, and however the queries are cut into blocks."""
    segments: Segments = tuple((prompt, tuple(answers)) for prompt, answers in shape)
    size = sum(prompt + sum(answers) for prompt, answers in segments)
    noise = torch.Generator().manual_seed(size)
    states = [torch.randn(h, size, 3, dtype=torch.float64, generator=noise) for h in (4, heads, heads)]
    found = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ragged, "BLOCK", block)
        for attention in (ragged_attention, dense):
            leaves = [x.clone().requires_grad_() for x in states]
            out = attention(*leaves, segments, 0.7)
            out.tanh().square().sum().backward()
            found.append([out.detach(), *(leaf.grad for leaf in leaves)])
    for ours, theirs in zip(*found, strict=True):
        # The product of query and key is in float64, its softmax in float32, as everywhere.
        torch.testing.assert_close(ours, theirs, atol=1e-6, rtol=1e-5)


def test_the_example_of_the_docstring() -> None:
    a, b, c, u, v, w, x, y, z, pad = range(10)
    ids = torch.tensor([[a, b, x, pad], [c, u, v, pad], [a, b, y, z], [c, w, pad, pad]])
    rows = join_rows(ids, ids != pad, torch.tensor([2, 1]))
    assert rows.ids.tolist() == [[a, b, x, y, z, c, u, v, w]]
    assert rows.positions.tolist() == [[0, 1, 2, 2, 3, 0, 1, 2, 1]]
    assert rows.segments == ((2, (1, 2)), (1, (2, 1)))
    assert rows.last.tolist() == [[2, 4], [7, 8]]


@pytest.mark.parametrize("prompt", [[0, 1], [2, 3]])
def test_an_empty_prompt_or_answer_is_refused(prompt: list[int]) -> None:
    mask = torch.tensor([[True] * 3, [True, True, False], [True] * 3, [True, True, True]])
    with pytest.raises(ValueError, match="at least one token"):
        join_rows(torch.ones(4, 3, dtype=torch.long), mask, torch.tensor(prompt))


def test_rows_that_are_no_multiple_of_the_prompts_are_refused() -> None:
    with pytest.raises(ValueError, match="3 rows are no multiple of 2 prompts"):
        join_rows(torch.ones(3, 2, dtype=torch.long), torch.ones(3, 2, dtype=torch.bool), torch.tensor([1, 1]))


def test_dropout_leaves_out_weights_and_scales_the_others() -> None:
    """In the mean over many heads it is the same attention."""
    segments: Segments = ((3, (2, 2)),)
    noise = torch.Generator().manual_seed(0)
    query, key, value = (torch.randn(1, 7, 2, generator=noise).expand(4000, -1, -1) for _ in range(3))
    torch.manual_seed(0)
    out = ragged_attention(query, key, value, segments, 1.0, dropout=0.5)
    assert (out[0] - out[1]).abs().max() > 0.1
    torch.testing.assert_close(out.mean(0), dense(query[:1], key[:1], value[:1], segments, 1.0)[0], atol=0.1, rtol=0)
