from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import reference
from accordant.ops.preference import pairwise_loss

scores = st.floats(-40, 40)


@given(scores, scores, st.floats(0, 3))
def test_pairwise_loss_and_gradient_equal_the_reference(chosen: float, rejected: float, margin: float) -> None:
    a, b, m = (torch.tensor([x], dtype=torch.float64, requires_grad=True) for x in (chosen, rejected, margin))
    loss = pairwise_loss(a, b, m)
    loss.sum().backward()
    expected, slope = reference.bradley_terry(chosen, rejected, margin)
    assert loss.item() == pytest.approx(expected, rel=1e-9, abs=1e-12)
    assert a.grad is not None
    assert b.grad is not None
    assert a.grad.item() == pytest.approx(slope, rel=1e-9, abs=1e-12)
    assert b.grad.item() == pytest.approx(-slope, rel=1e-9, abs=1e-12)


def test_shapes_that_would_broadcast_are_refused() -> None:
    with pytest.raises(ValueError, match="shape"):
        pairwise_loss(torch.zeros(3), torch.zeros(3), torch.zeros(1))
    with pytest.raises(ValueError, match="shape"):
        pairwise_loss(torch.zeros(3, 1), torch.zeros(3, 1), torch.zeros(3, 1))
