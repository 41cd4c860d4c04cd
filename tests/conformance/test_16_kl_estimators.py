"""16. The three estimators against the exact KL of two distributions, summed over the vocabulary instead of sampled."""

from __future__ import annotations

import math

import pytest
import torch

import reference
from accordant.algos import ppo
from accordant.ops.kl import Estimator, kl_estimate

P_LOGITS, Q_LOGITS = [1.0, -0.5, 0.3, 2.0, -1.0], [0.2, 0.4, -0.6, 1.0, 0.5]
LOG_P, LOG_Q = reference.log_softmax(P_LOGITS), reference.log_softmax(Q_LOGITS)
EXACT = reference.kl(LOG_P, LOG_Q)


def expectation(estimator: Estimator) -> tuple[float, list[float]]:
    """E_{v ~ p} of the estimate, and of its gradient by p's logits: the weight is not differentiated."""
    z = torch.tensor(P_LOGITS, dtype=torch.float64, requires_grad=True)
    log_p = torch.log_softmax(z, -1)
    mean = (log_p.detach().exp() * kl_estimate(log_p, torch.tensor(LOG_Q, dtype=torch.float64), estimator)).sum()
    mean.backward()
    assert z.grad is not None
    return float(mean.detach()), z.grad.tolist()


def test_values() -> None:
    assert expectation("k1")[0] == pytest.approx(EXACT, rel=1e-12)
    assert expectation("k3")[0] == pytest.approx(EXACT, rel=1e-12)
    assert abs(expectation("k2")[0] - EXACT) > 0.01 * EXACT, "k2 is biased"


def test_k3_is_never_negative_and_k1_sometimes_is() -> None:
    log_p, log_q = torch.tensor(LOG_P), torch.tensor(LOG_Q)
    assert bool((kl_estimate(log_p, log_q, "k3") >= 0).all())
    assert bool((kl_estimate(log_p, log_q, "k1") < 0).any())


def test_gradients() -> None:
    backward_kl = [math.exp(p) * (p - q - EXACT) for p, q in zip(LOG_P, LOG_Q, strict=True)]
    forward_kl = [math.exp(p) - math.exp(q) for p, q in zip(LOG_P, LOG_Q, strict=True)]
    assert expectation("k1")[1] == pytest.approx([0.0] * len(LOG_P), abs=1e-12)
    assert expectation("k2")[1] == pytest.approx(backward_kl, abs=1e-12)
    assert expectation("k3")[1] == pytest.approx(forward_kl, abs=1e-12)


def test_ppo_puts_k1_into_the_reward_by_default() -> None:
    assert ppo.Config().kl_estimator == "k1"
