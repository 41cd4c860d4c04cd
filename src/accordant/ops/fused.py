"""RMS normalisation and rotary positions as one step of autograd each, in few passes over memory.

Under autocast the plain forms of Llama's family make a float32 tensor of every intermediate result and keep most of them for
the backward pass. These compute in float32, too, but a few rows at a time, so that what lies between stays in the processor's
cache, and round once at the end.

Left out: the gated activation (SwiGLU), whose plain form was as fast.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from accordant.ops.checks import same_shape

ROWS = 512  # at a time: a megabyte of float32 for 512 numbers each


def rms_norm(x: Tensor, weight: Tensor, eps: float, dtype: torch.dtype) -> Tensor:
    """weight * x / sqrt(mean(x^2) + eps) over the last axis.

    Args:
        x: (T, H). weight: (H,). dtype: of the result, to which it is rounded once.

    Source: Zhang and Sennrich 2019, arXiv 1910.07467, eq. 4, with Llama's eps.
    """
    return _RmsNorm.apply(x, weight, eps, dtype)  # type: ignore[no-any-return, no-untyped-call]


class _RmsNorm(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, eps: float, dtype: torch.dtype) -> Tensor:
        exact = torch.promote_types(x.dtype, weight.dtype)
        inverse = (torch.linalg.vector_norm(x, dim=1, keepdim=True, dtype=exact).square_() / x.shape[1] + eps).rsqrt_()
        ctx.save_for_backward(x, weight, inverse)
        out = torch.empty(x.shape, dtype=dtype, device=x.device)
        for some in _rows(len(x)):
            out[some] = (x[some] * inverse[some]).mul_(weight)
        return out

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, inverse = ctx.saved_tensors
        d_x, d_weight = torch.empty_like(x), torch.zeros_like(weight)
        for some in _rows(len(x)):
            unit = x[some] * inverse[some]  # x / rms
            d_out = grads[0][some].to(unit.dtype)
            d_weight += (d_out * unit).sum(0)
            d_unit = d_out * weight
            along = (d_unit * unit).mean(1, keepdim=True)
            d_x[some] = d_unit.sub_(unit.mul_(along)).mul_(inverse[some])
        return d_x, d_weight, None, None


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """x cos + (-x2, x1) sin, with x = (x1, x2) in halves: rotary positions.

    Args:
        x: (T, A, D), A heads. cos, sin: (T, D).

    Returns:
        (A, T, D), contiguous, in the type of x.

    Source: Su et al. 2021, arXiv 2104.09864, eq. 34, with the halves of GPT-NeoX in the place of neighbours.
    """
    same_shape(2, cos=cos, sin=sin)
    return _Rotate.apply(x, cos, sin)  # type: ignore[no-any-return, no-untyped-call]


class _Rotate(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        ctx.save_for_backward(cos, sin)
        out = torch.empty(x.shape[1], x.shape[0], x.shape[2], dtype=x.dtype, device=x.device)
        for some in _rows(len(x)):
            c1, c2 = cos[some, None].chunk(2, -1)
            s1, s2 = sin[some, None].chunk(2, -1)
            x1, x2 = x[some].to(cos.dtype).chunk(2, -1)
            to1, to2 = out[:, some].transpose(0, 1).chunk(2, -1)
            to1.copy_((x1 * c1).addcmul_(x2, s1, value=-1))
            to2.copy_((x2 * c2).addcmul_(x1, s2))
        return out

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        cos, sin = ctx.saved_tensors
        d_out = grads[0].transpose(0, 1)
        d_x = torch.empty(d_out.shape, dtype=d_out.dtype, device=d_out.device)
        for some in _rows(len(d_out)):
            c1, c2 = cos[some, None].chunk(2, -1)
            s1, s2 = sin[some, None].chunk(2, -1)
            g1, g2 = d_out[some].to(cos.dtype).chunk(2, -1)
            to1, to2 = d_x[some].chunk(2, -1)
            to1.copy_((g1 * c1).addcmul_(g2, s2))
            to2.copy_((g2 * c2).addcmul_(g1, s1, value=-1))
        return d_x, None, None


def _rows(count: int) -> list[slice]:
    return [slice(start, start + ROWS) for start in range(0, count, ROWS)]
