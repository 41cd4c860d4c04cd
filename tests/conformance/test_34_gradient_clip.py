"""34. Gradients are clipped after they have been added up; the norm is reported before; no number, no step."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from accordant.models.optim import NotFinite, OptimConfig, Optimiser


def made() -> tuple[nn.Parameter, Optimiser]:
    weight = nn.Parameter(torch.zeros(2, 1, dtype=torch.float64))
    cfg = OptimConfig(lr=0.1, schedule="constant", eps=1.0, max_grad_norm=1.0)
    return weight, Optimiser({"w": weight}, cfg, total=9)


def test_the_sum_is_clipped_and_not_its_parts() -> None:
    """Two micro-batches pull with (30, 0) and (-27, 4): clipped one by one the sum would point elsewhere."""
    weight, optimiser = made()
    for pull in ([30.0, 0.0], [-27.0, 4.0]):
        (weight.squeeze(1) * torch.tensor(pull, dtype=torch.float64)).sum().backward()
    assert optimiser.step() == pytest.approx(5.0), "the norm is that before clipping"
    # Adam's first step at eps = 1: lr g / (|g| + 1), g = (3, 4) / 5.
    expected = [-0.1 * g / (g + 1) for g in (0.6, 0.8)]
    assert weight.detach().squeeze(1).tolist() == pytest.approx(expected, rel=1e-5)


def test_a_gradient_within_the_limit_is_not_scaled() -> None:
    weight, optimiser = made()
    weight.grad = torch.tensor([[0.3], [0.4]], dtype=torch.float64)
    assert optimiser.step() == pytest.approx(0.5)
    assert weight.detach().squeeze(1).tolist() == pytest.approx([-0.1 * 0.3 / 1.3, -0.1 * 0.4 / 1.4], rel=1e-5)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_what_is_no_number_stops_before_any_weight_moves(bad: float) -> None:
    weight, optimiser = made()
    weight.grad = torch.tensor([[0.3], [0.4]], dtype=torch.float64)
    optimiser.step()
    before, state = weight.detach().clone(), repr(optimiser.state())
    weight.grad = torch.tensor([[0.3], [bad]], dtype=torch.float64)
    with pytest.raises(NotFinite, match=r"nan|inf"):
        optimiser.step()
    assert torch.equal(weight.detach(), before)
    assert repr(optimiser.state()) == state
