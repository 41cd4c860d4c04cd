from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import reference
from accordant.ops.clip import clipped_surrogate, clipped_value_loss


def one(x: float) -> torch.Tensor:
    return torch.tensor([x], dtype=torch.float64)


@given(st.floats(-3, 0), st.floats(-3, 0), st.floats(-4, 4), st.floats(0.05, 0.9))
def test_surrogate_equals_the_reference(logp: float, old_logp: float, advantage: float, clip: float) -> None:
    loss, _ = clipped_surrogate(one(logp), one(old_logp), one(advantage), clip)
    assert float(loss) == pytest.approx(reference.clipped_surrogate(logp, old_logp, advantage, clip), abs=1e-9)


@pytest.mark.parametrize(
    ("ratio", "advantage", "clipped"),
    [(1.0, 1.0, False), (1.5, 1.0, True), (1.5, -1.0, False), (0.5, 1.0, False), (0.5, -1.0, True), (1.1, 1.0, False)],
)
def test_the_gradient_stops_only_where_the_ratio_moved_far_in_its_favour(ratio: float, advantage: float, clipped: bool) -> None:
    logp = one(math.log(ratio)).requires_grad_()
    loss, flag = clipped_surrogate(logp, one(0.0), one(advantage), 0.2)
    loss.sum().backward()
    assert bool(flag) is clipped
    assert logp.grad is not None
    assert float(logp.grad) == pytest.approx(0.0 if clipped else -advantage * ratio)


@given(st.floats(-3, 3), st.floats(-3, 3), st.floats(-3, 3), st.floats(0.05, 2))
def test_value_loss_equals_the_reference(value: float, old: float, returns: float, clip: float) -> None:
    loss, _ = clipped_value_loss(one(value), one(old), one(returns), clip)
    assert float(loss) == pytest.approx(reference.clipped_value_loss(value, old, returns, clip), abs=1e-9)


def test_an_infinite_clip_is_the_plain_squared_error() -> None:
    loss, clipped = clipped_value_loss(one(5.0), one(-5.0), one(1.0), math.inf)
    assert float(loss) == 8.0
    assert not bool(clipped)


def test_shapes_that_would_broadcast_are_refused() -> None:
    with pytest.raises(ValueError, match="shape"):
        clipped_surrogate(torch.zeros(2, 3), torch.zeros(2, 3), torch.zeros(2, 1), 0.2)
    with pytest.raises(ValueError, match="shape"):
        clipped_value_loss(torch.zeros(2, 3), torch.zeros(1, 3), torch.zeros(2, 3), 0.2)
