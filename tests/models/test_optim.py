from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from accordant.models.optim import OptimConfig, Optimiser


def rates(total: int, **knobs: float | str) -> list[float]:
    weight = nn.Parameter(torch.zeros(1))
    optimiser = Optimiser({"w": weight}, OptimConfig(lr=1.0, **knobs), total)
    out = []
    for _ in range(total):
        out.append(optimiser.lr())
        weight.grad = torch.ones(1)
        optimiser.step()
    return out


def test_schedules() -> None:
    assert rates(4, schedule="constant") == [1.0] * 4
    assert rates(4, schedule="linear") == pytest.approx([1.0, 0.75, 0.5, 0.25])
    cosine = [0.5 * (1 + math.cos(math.pi * n / 4)) for n in range(4)]
    assert rates(4, schedule="cosine") == pytest.approx(cosine, abs=1e-6)


def test_warm_up_rises_to_the_peak_and_then_falls() -> None:
    assert rates(6, warmup=1 / 3) == pytest.approx([0.5, 1.0, 1.0, 0.75, 0.5, 0.25])
    assert rates(3, warmup=1.0) == pytest.approx([1 / 3, 2 / 3, 1.0])


def test_decay_touches_matrices_only() -> None:
    matrix, vector = nn.Parameter(torch.ones(2, 2)), nn.Parameter(torch.ones(2))
    optimiser = Optimiser({"m": matrix, "v": vector}, OptimConfig(lr=0.1, weight_decay=0.5, schedule="constant"), total=1)
    matrix.grad, vector.grad = torch.zeros(2, 2), torch.zeros(2)
    optimiser.step()
    torch.testing.assert_close(matrix.detach(), torch.full((2, 2), 0.95))
    assert torch.equal(vector.detach(), torch.ones(2))


def test_gradients_are_cleared_after_a_step() -> None:
    weight = nn.Parameter(torch.zeros(1))
    optimiser = Optimiser({"w": weight}, OptimConfig(), total=1)
    weight.grad = torch.ones(1)
    optimiser.step()
    assert weight.grad is None


def test_a_restored_optimiser_goes_on_bit_for_bit() -> None:
    def start() -> tuple[nn.Parameter, Optimiser]:
        weight = nn.Parameter(torch.linspace(-1, 1, 6).view(2, 3))
        return weight, Optimiser({"w": weight}, OptimConfig(lr=0.1, warmup=0.3), total=8)

    def run(weight: nn.Parameter, optimiser: Optimiser, steps: range) -> None:
        for n in steps:
            weight.grad = torch.randn(2, 3, generator=torch.Generator().manual_seed(n))
            optimiser.step()

    whole, optimiser = start()
    run(whole, optimiser, range(8))
    first, optimiser = start()
    run(first, optimiser, range(4))
    resumed, fresh = start()
    with torch.no_grad():
        resumed.copy_(first)
    fresh.restore(optimiser.state())
    run(resumed, fresh, range(4, 8))
    assert torch.equal(resumed, whole)


def test_in_one_pass_it_is_the_equation(monkeypatch: pytest.MonkeyPatch) -> None:
    """Against AdamW written out (Loshchilov and Hutter 2017, algorithm 2), with decay; torch is asked to fuse it."""
    asked = []
    real = torch.optim.AdamW
    monkeypatch.setattr(torch.optim, "AdamW", lambda *given, **more: asked.append(more["fused"]) or real(*given, **more))
    cfg = OptimConfig(lr=0.1, weight_decay=0.5, schedule="constant", eps=0.01, beta1=0.8, beta2=0.9, max_grad_norm=1e9)
    noise = torch.Generator().manual_seed(0)
    start, grads = torch.randn(3, 2, generator=noise), torch.randn(4, 3, 2, generator=noise)
    weight = nn.Parameter(start.clone())
    optimiser = Optimiser({"w": weight}, cfg, total=4, fused=True)
    expected, mean, square = start.double(), torch.zeros(3, 2).double(), torch.zeros(3, 2).double()
    for t, grad in enumerate(grads, 1):
        weight.grad = grad.clone()
        optimiser.step()
        mean, square = 0.8 * mean + 0.2 * grad, 0.9 * square + 0.1 * grad**2
        step = mean / (1 - 0.8**t) / ((square / (1 - 0.9**t)).sqrt() + 0.01)
        expected = expected - 0.1 * (step + 0.5 * expected)
        torch.testing.assert_close(weight.detach().double(), expected, atol=1e-6, rtol=1e-6)
    assert asked == [True]
