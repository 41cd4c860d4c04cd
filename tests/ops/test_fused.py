"""Normalisation and rotary positions against the equations, and their gradients against autograd's."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from accordant.ops import fused
from accordant.ops.fused import rms_norm, rotate

T, A, D = 7, 3, 4


@pytest.fixture(autouse=True)
def few_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that seven rows are taken in several goes, the last of them shorter."""
    monkeypatch.setattr(fused, "ROWS", 3)


def noise(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)


def angles() -> tuple[Tensor, Tensor]:
    """cos and sin (T, D) that differ between the halves, as no model's do."""
    angle = noise(T, D, seed=5)
    return angle.cos(), angle.sin()


def plain_norm(x: Tensor, weight: Tensor) -> Tensor:
    return torch.stack([weight * row / math.sqrt(sum(v * v for v in row.tolist()) / len(row) + 0.1) for row in x])


def plain_rotation(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    out = torch.empty(A, T, D, dtype=x.dtype)
    for a in range(A):
        for t in range(T):
            for d in range(D):
                other = -x[t, a, d + D // 2] if d < D // 2 else x[t, a, d - D // 2]
                out[a, t, d] = x[t, a, d] * cos[t, d] + other * sin[t, d]
    return out


def test_normalisation_is_the_equation() -> None:
    x, weight = noise(T, 5), noise(5, seed=1)
    torch.testing.assert_close(rms_norm(x, weight, 0.1, torch.float64), plain_norm(x, weight))


def test_rotation_is_the_equation() -> None:
    x = noise(T, A, D)
    found = rotate(x, *angles())
    assert found.is_contiguous()
    torch.testing.assert_close(found, plain_rotation(x, *angles()))


@pytest.mark.parametrize(("made", "inputs"), [
    (lambda x, weight: rms_norm(x, weight, 0.1, torch.float64), (noise(T, 5), noise(5, seed=1))),
    (lambda x: rotate(x, *angles()), (noise(T, A, D),)),
], ids=["norm", "rotation"])  # fmt: skip
def test_gradients_are_the_differences(made: Callable[..., Tensor], inputs: tuple[Tensor, ...]) -> None:
    assert torch.autograd.gradcheck(made, tuple(x.clone().requires_grad_() for x in inputs))


@pytest.mark.parametrize(("made", "shapes", "kinds"), [
    (lambda x, weight: rms_norm(x, weight, 0.1, torch.bfloat16), ((T, 6), (6,)), (torch.float32, torch.float32)),
    (lambda x: rotate(x, *(a.float() for a in angles())), ((T, A, D),), (torch.bfloat16,)),
], ids=["norm", "rotation"])  # fmt: skip
def test_bfloat16_is_rounded_to_and_not_computed_in(
    made: Callable[..., Tensor], shapes: tuple[tuple[int, ...], ...], kinds: tuple[torch.dtype, ...]
) -> None:
    """The result is float64's, rounded once; gradients have the types of the inputs and are as near."""
    rough = [
        noise(*shape, seed=i, dtype=kind).requires_grad_() for i, (shape, kind) in enumerate(zip(shapes, kinds, strict=True))
    ]
    exact = [x.detach().double().requires_grad_() for x in rough]
    found, expected = made(*rough), made(*exact)
    assert found.dtype == torch.bfloat16
    torch.testing.assert_close(found.double(), expected.double(), atol=1e-4, rtol=2**-8)
    upstream = noise(*found.shape, seed=9, dtype=torch.bfloat16)
    found.backward(upstream)
    expected.backward(upstream.to(expected.dtype))
    for a, b in zip(rough, exact, strict=True):
        assert a.grad is not None
        assert b.grad is not None
        assert a.grad.dtype == a.dtype
        torch.testing.assert_close(a.grad.double(), b.grad, atol=1e-3, rtol=2**-8)


def test_shapes_that_would_be_stretched_are_refused() -> None:
    with pytest.raises(ValueError, match="equal shape"):
        rotate(noise(T, A, D), noise(T, D), noise(1, D))
