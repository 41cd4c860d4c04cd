"""Penalties and cuts against their definitions, token by token in float64."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from accordant.ops.sampling import count_penalties, repetition_penalty, top_k, top_p

LOGITS = st.lists(st.integers(-40, 40).map(lambda n: n / 8), min_size=1, max_size=12)


def kept(logits: torch.Tensor) -> list[set[int]]:
    return [{i for i, value in enumerate(row) if value > -math.inf} for row in logits.tolist()]


@given(rows=st.lists(st.tuples(LOGITS, st.integers(1, 14)), min_size=1, max_size=3))
def test_top_k_keeps_the_k_largest_and_their_ties(rows: list[tuple[list[float], int]]) -> None:
    for values, k in rows:
        logits = torch.tensor([values, values[::-1]], dtype=torch.float64)
        cut = top_k(logits, k)
        for row, found in zip(logits.tolist(), kept(cut), strict=True):
            assert found == {i for i, value in enumerate(row) if sum(other > value for other in row) < k}
        assert torch.equal(cut[cut > -math.inf], logits[cut > -math.inf])


@given(values=LOGITS, p=st.floats(0, 1))
def test_top_p_keeps_the_smallest_set_that_has_p(values: list[float], p: float) -> None:
    """Holtzman et al. 2020, eq. 2: the smallest set whose sum reaches p, of all sets, so of the likeliest tokens."""
    total = math.fsum(map(math.exp, values))
    chance = sorted((math.exp(value) / total for value in values), reverse=True)
    sums = [math.fsum(chance[:size]) for size in range(len(chance) + 1)]
    if any(abs(one - p) < 1e-9 for one in sums[1:-1]):
        return  # rounding decides
    size = next((size for size, one in enumerate(sums) if one >= p - 1e-12 and size), len(chance))
    (found,) = kept(top_p(torch.tensor([values], dtype=torch.float64), p))
    assert len(found) == size
    order = sorted(range(len(values)), key=lambda i: (-values[i], i))
    assert found == set(order[:size]), "among equals the first"


def test_top_p_of_each_row_by_itself() -> None:
    logits = torch.log(torch.tensor([[0.5, 0.3, 0.2], [0.1, 0.1, 0.8], [0.2, 0.4, 0.4]], dtype=torch.float64))
    assert kept(top_p(logits, 0.7)) == [{0, 1}, {2}, {1, 2}]
    assert kept(top_p(logits, 0.0)) == [{0}, {2}, {1}]
    assert torch.equal(top_p(logits, 1.0), logits)


@given(values=LOGITS, theta=st.floats(0.2, 5), seen=st.sets(st.integers(0, 11)))
def test_repetition_penalty_by_hand(values: list[float], theta: float, seen: set[int]) -> None:
    mask = torch.tensor([[i in seen for i in range(len(values))]])
    found = repetition_penalty(torch.tensor([values], dtype=torch.float64), mask, theta)[0].tolist()
    for i, value in enumerate(values):
        expected = value if i not in seen else value / theta if value > 0 else value * theta
        assert found[i] == pytest.approx(expected, rel=1e-12)


@given(values=LOGITS, presence=st.floats(-2, 2), frequency=st.floats(-2, 2), counts=st.lists(st.integers(0, 5), min_size=12))
def test_count_penalties_by_hand(values: list[float], presence: float, frequency: float, counts: list[int]) -> None:
    """mu[j] - c[j] * frequency - (1 if c[j] > 0 else 0) * presence."""
    count = torch.tensor([counts[: len(values)]])
    found = count_penalties(torch.tensor([values], dtype=torch.float64), count, presence, frequency)[0].tolist()
    for value, c, one in zip(values, counts, found, strict=False):
        assert one == pytest.approx(value - c * frequency - float(c > 0) * presence, abs=1e-12)


def test_what_makes_no_sense_is_refused() -> None:
    logits = torch.zeros(2, 3)
    with pytest.raises(ValueError, match="k must be at least 1, found 0"):
        top_k(logits, 0)
    with pytest.raises(ValueError, match="expected tensors of rank 2"):
        repetition_penalty(logits, torch.zeros(3, dtype=torch.bool), 1.2)
    with pytest.raises(ValueError, match="must be a boolean mask"):
        repetition_penalty(logits, torch.zeros(2, 3), 1.2)
    with pytest.raises(ValueError, match="expected tensors of rank 2"):
        count_penalties(logits, torch.zeros(1, 3), 1.0, 1.0)
