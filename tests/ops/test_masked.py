from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import reference
from accordant.ops.masked import (
    explained_variance,
    last_index,
    masked_mean,
    masked_sum,
    masked_var,
    position_ids,
    whiten,
)

numbers = st.floats(-100, 100, allow_subnormal=False)


@st.composite
def rows_and_masks(draw: st.DrawFn) -> tuple[torch.Tensor, torch.Tensor]:
    rows, columns = draw(st.integers(1, 4)), draw(st.integers(1, 6))
    cells = rows * columns
    x = draw(st.lists(numbers, min_size=cells, max_size=cells))
    mask = draw(st.lists(st.booleans(), min_size=cells, max_size=cells))
    mask[draw(st.integers(0, cells - 1))] = True
    return torch.tensor(x, dtype=torch.float64).view(rows, columns), torch.tensor(mask).view(rows, columns)


@given(rows_and_masks())
def test_sum_mean_and_variance_equal_plain_loops(data: tuple[torch.Tensor, torch.Tensor]) -> None:
    x, mask = data
    counted = [v for v, m in zip(x.flatten().tolist(), mask.flatten().tolist(), strict=True) if m]
    mean = sum(counted) / len(counted)
    assert float(masked_sum(x, mask)) == pytest.approx(sum(counted), abs=1e-9)
    assert float(masked_mean(x, mask)) == pytest.approx(mean, abs=1e-9)
    assert float(masked_var(x, mask)) == pytest.approx(sum((v - mean) ** 2 for v in counted) / len(counted), abs=1e-9)


def test_a_nan_outside_the_mask_reaches_neither_the_sum_nor_its_gradient() -> None:
    x = torch.tensor([1.0, math.nan, math.inf, 2.0], requires_grad=True)
    mask = torch.tensor([True, False, False, True])
    total = masked_sum(x, mask)
    total.backward()
    assert total.item() == 3.0
    assert x.grad is not None
    assert x.grad.tolist() == [1.0, 0.0, 0.0, 1.0]


def test_the_mean_of_nothing_is_zero() -> None:
    assert float(masked_mean(torch.ones(3), torch.zeros(3, dtype=torch.bool))) == 0.0


@given(rows_and_masks(), st.booleans())
def test_whiten_equals_the_reference(data: tuple[torch.Tensor, torch.Tensor], shift_mean: bool) -> None:
    x, mask = data
    expected = torch.tensor(reference.whiten(x.tolist(), mask.tolist(), shift_mean), dtype=torch.float64)
    torch.testing.assert_close(whiten(x, mask, shift_mean=shift_mean), expected, rtol=1e-6, atol=1e-6)


def test_explained_variance_of_a_perfect_a_constant_and_a_hopeless_critic() -> None:
    returns = torch.tensor([[1.0, 2.0, 4.0, 99.0]])
    mask = torch.tensor([[True, True, True, False]])
    assert float(explained_variance(returns, returns, mask)) == pytest.approx(1.0)
    assert float(explained_variance(torch.full_like(returns, 7.0), returns, mask)) == pytest.approx(0.0, abs=1e-6)
    assert float(explained_variance(-returns, returns, mask)) == pytest.approx(-3.0)
    assert math.isnan(float(explained_variance(returns, torch.ones_like(returns), mask)))


@given(st.lists(st.lists(st.booleans(), min_size=5, max_size=5), min_size=1, max_size=4))
def test_last_index_is_the_last_true(rows: list[list[bool]]) -> None:
    rows = [[*row, True, False] for row in rows] + [[True] + [False] * 6]
    expected = [max(i for i, m in enumerate(row) if m) for row in rows]
    assert last_index(torch.tensor(rows)).tolist() == expected


def test_last_index_refuses_an_empty_row() -> None:
    with pytest.raises(ValueError, match="no last token"):
        last_index(torch.tensor([[True, False], [False, False]]))


def test_positions_count_real_tokens_only() -> None:
    mask = torch.tensor([[False, False, True, True], [True, True, True, False], [True, False, True, True]])
    assert position_ids(mask).tolist()[0] == [0, 0, 0, 1]
    assert position_ids(mask).tolist()[1] == [0, 1, 2, 2]
    assert position_ids(mask).tolist()[2] == [0, 0, 1, 2]


@pytest.mark.parametrize("function", [masked_sum, masked_mean, masked_var, whiten])
def test_a_float_mask_and_a_wrong_shape_are_refused(function: object) -> None:
    assert callable(function)
    with pytest.raises(ValueError, match="boolean"):
        function(torch.ones(2, 3), torch.ones(2, 3))
    with pytest.raises(ValueError, match="shape"):
        function(torch.ones(2, 3), torch.ones(3, dtype=torch.bool))
