"""Statistics over the tokens that count."""

from __future__ import annotations

import torch
from torch import Tensor

from accordant.ops.checks import is_mask, same_shape


def masked_sum(x: Tensor, mask: Tensor) -> Tensor:
    """Sum of `x` (any shape) where `mask` (same shape, bool) is True; NaN and inf elsewhere do not leak in."""
    is_mask(mask=mask)
    same_shape(x.dim(), x=x, mask=mask)
    return torch.where(mask, x, torch.zeros_like(x)).sum()


def masked_mean(x: Tensor, mask: Tensor) -> Tensor:
    """Mean of `x` where `mask` is True; 0 where nothing counts."""
    return masked_sum(x, mask) / mask.sum().clamp(min=1)


def masked_var(x: Tensor, mask: Tensor) -> Tensor:
    """Population variance (divides by n) of `x` where `mask` is True."""
    mean = masked_mean(x, mask)
    return masked_mean((x - mean) ** 2, mask)


def whiten(x: Tensor, mask: Tensor, *, shift_mean: bool = True, eps: float = 1e-8) -> Tensor:
    """Scale `x` to unit variance over the tokens that count, and to mean 0 unless `shift_mean` is False.

    `(x - mean) / sqrt(var + eps)`; with `shift_mean=False` the mean is put back, as for rewards, whose sign matters.
    Positions outside the mask become 0. Give it the whole step: whitening a micro-batch makes the gradient depend on the split.
    """
    mean = masked_mean(x, mask)
    scale = torch.rsqrt(masked_var(x, mask) + eps)
    out = (x - mean) * scale
    if not shift_mean:
        out = out + mean
    return torch.where(mask, out, torch.zeros_like(out))


def explained_variance(value: Tensor, returns: Tensor, mask: Tensor) -> Tensor:
    """`1 - Var(returns - value) / Var(returns)`: 1 is a perfect critic, 0 is as good as a constant, below 0 is worse.

    NaN where the returns do not vary.
    """
    total = masked_var(returns, mask)
    left = masked_var(returns - value, mask)
    return torch.where(total > 0, 1 - left / total, torch.full_like(total, float("nan")))


def last_index(mask: Tensor) -> Tensor:
    """Index of the last True of each row of `mask` (B, L): (B,) int64. Right, left and no filling alike.

    Raises:
        ValueError: a row has no True.
    """
    is_mask(mask=mask)
    same_shape(2, mask=mask)
    if not bool(mask.any(dim=1).all()):
        raise ValueError("a row without any real token has no last token")
    positions = torch.arange(mask.shape[1], device=mask.device)
    return torch.where(mask, positions, -1).amax(dim=1)


# The lowest bfloat16 and not float32's, which autocast would round to -inf: no kernel has to get -inf - -inf right.
BLOCKED = torch.finfo(torch.bfloat16).min


def attention_bias(allowed: Tensor) -> Tensor:
    """What is added to attention scores, float32: 0 where a query may look, `BLOCKED` where it may not.

    Every attention implementation understands an additive mask; the eager one silently adds a boolean one as 0 and 1.
    """
    is_mask(allowed=allowed)
    return torch.zeros(allowed.shape, device=allowed.device).masked_fill_(~allowed, BLOCKED)


def position_ids(mask: Tensor) -> Tensor:
    """Positions that count real tokens only, so that left-padded rows see the same positions as unpadded ones.

    (B, L) bool -> (B, L) int64; padding repeats the position before it, 0 where there is none.
    """
    is_mask(mask=mask)
    return (mask.long().cumsum(dim=1) - 1).clamp(min=0)
