"""How far the policy has moved: estimators of KL(policy || reference) from sampled tokens, and the controller of its price.

Source of the estimators: J. Schulman, "Approximating KL Divergence" (2020), http://joschu.net/blog/kl-approx.html. With
r = ref/policy at a token sampled from the policy::

    k1 = -log r               unbiased, high variance, may be negative
    k2 = (log r)^2 / 2        biased in value; its gradient as a loss is the true gradient of KL(policy || ref)
    k3 = (r - 1) - log r      unbiased, never negative; its gradient as a loss is that of the forward KL(ref || policy)

k1's gradient as a loss is zero in expectation, so k1 belongs in the reward, which is where `algos/ppo` puts it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from accordant.ops.checks import is_mask, same_shape

Estimator = Literal["k1", "k2", "k3"]


def kl_estimate(logp: Tensor, ref_logp: Tensor, estimator: Estimator = "k1") -> Tensor:
    """Per-token estimate in nats, same shape as `logp`, of tokens sampled from the policy."""
    same_shape(logp.dim(), logp=logp, ref_logp=ref_logp)
    log_r = ref_logp - logp
    if estimator == "k1":
        return -log_r
    if estimator == "k2":
        return 0.5 * log_r**2
    if estimator == "k3":
        return torch.expm1(log_r) - log_r
    raise ValueError(f"unknown KL estimator {estimator!r}: k1, k2 or k3")


def sequence_kl(logp: Tensor, ref_logp: Tensor, mask: Tensor) -> Tensor:
    """Summed log-ratio of each response, (B, T) -> (B,), in nats: an unbiased sample of the sequence KL."""
    is_mask(mask=mask)
    same_shape(2, logp=logp, ref_logp=ref_logp, mask=mask)
    return torch.where(mask, logp - ref_logp, torch.zeros_like(logp)).sum(dim=1)


@dataclass(frozen=True)
class AdaptiveKL:
    """Ziegler et al. 2019 (arXiv 1909.08593, section 2.2): the coefficient follows a target.

    e = clip((kl - target) / target, -0.2, 0.2);  beta' = beta * (1 + e * rows / horizon)

    `kl` is the mean sequence KL of the step in nats, `rows` its number of responses, `horizon` in responses.
    """

    target: float
    horizon: float

    def update(self, beta: float, kl: float, rows: int) -> float:
        error = min(max((kl - self.target) / self.target, -0.2), 0.2)
        # rows > 5 * horizon would turn beta negative; a coefficient below zero would pay for leaving the reference.
        return beta * max(1 + error * rows / self.horizon, 0.1)
