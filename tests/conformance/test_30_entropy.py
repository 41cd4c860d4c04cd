"""30. The entropy bonus has a gradient, that of the entropy itself, and only where tokens count."""

from __future__ import annotations

import math

import pytest
import torch

import reference
from accordant.algos import ppo
from accordant.ops.logprob import token_logp
from accordant.types import ActorCriticOut
from steps import random_rollout, random_valued


def test_the_gradient_is_minus_the_coefficient_times_the_derivative_of_the_entropy() -> None:
    lengths = [3, 1]
    step = random_valued(random_rollout(lengths))
    cfg = ppo.Config(entropy_coef=0.7)
    targets, _, _ = ppo.prepare(step, ppo.init(cfg), cfg)
    noise = torch.Generator().manual_seed(3)
    z = torch.randn(2 * 3, 5, generator=noise, dtype=torch.float64).requires_grad_()
    logp, entropy = token_logp(z, torch.zeros(6, dtype=torch.long))
    out = ActorCriticOut(logp.view(2, 3), entropy.view(2, 3), torch.zeros(2, 3))
    sums, _ = ppo.loss(out, targets, cfg)
    sums["entropy"].backward()
    assert z.grad is not None
    for b in range(2):
        for t in range(3):
            row = z[3 * b + t].detach().tolist()
            log_p, total = reference.log_softmax(row), reference.entropy(row)
            slope = [0.7 * math.exp(x) * (x + total) if t < lengths[b] else 0.0 for x in log_p]
            assert z.grad[3 * b + t].tolist() == pytest.approx(slope, abs=1e-9)
