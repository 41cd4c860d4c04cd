"""PPO's two clipped objectives (Schulman et al. 2017, arXiv 1707.06347, eq. 7; OpenAI baselines' value clipping)."""

from __future__ import annotations

import torch
from torch import Tensor

from accordant.ops.checks import same_shape


def clipped_surrogate(logp: Tensor, old_logp: Tensor, advantage: Tensor, clip: float) -> tuple[Tensor, Tensor]:
    """Per-token policy loss and whether the clip was active.

    ratio = exp(logp - old_logp);  loss = max(-A ratio, -A clip(ratio, 1 - clip, 1 + clip))

    At ratio 1 the gradient is that of REINFORCE with advantage A.

    Returns:
        loss (same shape) and clipped (bool, same shape): True where the clipped branch is the larger one, so no gradient flows.
    """
    same_shape(logp.dim(), logp=logp, old_logp=old_logp, advantage=advantage)
    ratio = torch.exp(logp - old_logp)
    plain = -advantage * ratio
    limited = -advantage * ratio.clamp(1 - clip, 1 + clip)
    return torch.maximum(plain, limited), limited > plain


def clipped_value_loss(value: Tensor, old_value: Tensor, returns: Tensor, clip: float) -> tuple[Tensor, Tensor]:
    """Per-token value loss and whether the clip was active.

    v_c = old + clip(v - old, -clip, clip);  loss = 0.5 max((v - R)^2, (v_c - R)^2)

    `clip = inf` is the plain squared error.
    """
    same_shape(value.dim(), value=value, old_value=old_value, returns=returns)
    near = old_value + (value - old_value).clamp(-clip, clip)
    plain = (value - returns) ** 2
    limited = (near - returns) ** 2
    return 0.5 * torch.maximum(plain, limited), limited > plain
