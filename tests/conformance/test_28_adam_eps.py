"""28. AdamW's eps is 1e-5 by default, matters on one step, and is in the configuration; the rate falls to 0."""

from __future__ import annotations

import pytest
import torch
import yaml
from torch import nn

import reference
from accordant.config import to_yaml
from accordant.models.optim import OptimConfig, Optimiser


def after(gradients: list[float], **knobs: float | str) -> float:
    """Where a weight that starts at 0.5 ends up."""
    weight = nn.Parameter(torch.tensor([[0.5]], dtype=torch.float64))
    optimiser = Optimiser({"w": weight}, OptimConfig(**knobs), total=len(gradients))
    for gradient in gradients:
        weight.grad = torch.full_like(weight, gradient)
        optimiser.step()
    return weight.item()


def test_the_default_is_recorded_in_the_dump() -> None:
    dump = yaml.safe_load(to_yaml(OptimConfig()))
    assert float(dump["eps"]) == 1e-5
    assert (dump["beta1"], dump["beta2"], dump["schedule"]) == (0.9, 0.999, "linear")


@pytest.mark.parametrize("eps", [1e-5, 1e-8])
def test_one_step_is_the_reference_with_that_eps(eps: float) -> None:
    assert after([1e-6], lr=0.1, eps=eps) == pytest.approx(reference.adamw(0.5, [1e-6], 0.1, eps=eps), rel=1e-9)


def test_eps_decides_how_far_a_tiny_gradient_goes() -> None:
    """g = 1e-6: the step is lr g / (g + eps), an eleventh of lr with 1e-5 and nearly all of it with 1e-8."""
    assert 0.5 - after([1e-6], lr=0.1) == pytest.approx(0.1 / 11, rel=1e-6)
    assert 0.5 - after([1e-6], lr=0.1, eps=1e-8) == pytest.approx(0.1 / 1.01, rel=1e-6)


def test_several_steps_with_decay_are_the_reference() -> None:
    gradients = [0.3, -0.2, 0.05, 0.4]
    ours = after(gradients, lr=0.01, schedule="constant", weight_decay=0.1)
    assert ours == pytest.approx(reference.adamw(0.5, gradients, 0.01, eps=1e-5, decay=0.1), rel=1e-9)


def test_the_linear_schedule_falls_to_zero() -> None:
    weight = nn.Parameter(torch.ones(2, 2))
    optimiser = Optimiser({"w": weight}, OptimConfig(lr=1.0), total=4)
    rates = []
    for _ in range(4):
        rates.append(optimiser.lr())
        weight.grad = torch.ones_like(weight)
        optimiser.step()
    assert rates == pytest.approx([1.0, 0.75, 0.5, 0.25])
    assert optimiser.lr() == 0.0
