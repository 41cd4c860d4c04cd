"""25. The value loss is half the larger of two squared errors, averaged over the tokens that count."""

from __future__ import annotations

import pytest
import torch

import reference
from accordant.algos import ppo
from accordant.ops.clip import clipped_value_loss
from accordant.types import ActorCriticOut
from steps import random_rollout, random_valued


@pytest.mark.parametrize(
    ("value", "old", "returns", "expected", "clipped"),
    [
        (1.0, 0.5, 2.0, 0.845, True),  # held at 0.7: 0.5 * 1.3^2 > 0.5 * 1.0^2
        (0.0, 0.5, 0.2, 0.02, False),  # held at 0.3: 0.5 * 0.1^2 < 0.5 * 0.2^2
        (0.6, 0.5, 2.0, 0.98, False),  # within the clip: both are 0.5 * 1.4^2
        (3.0, 0.0, 0.0, 4.5, False),  # held at 0.2: far off is never forgiven
    ],
)
def test_worked_numbers(value: float, old: float, returns: float, expected: float, clipped: bool) -> None:
    loss, flag = clipped_value_loss(*(torch.tensor([x], dtype=torch.float64) for x in (value, old, returns)), 0.2)
    assert float(loss) == pytest.approx(expected)
    assert bool(flag) is clipped


def test_ppo_averages_it_over_the_response_tokens() -> None:
    lengths = [3, 1, 4]
    step = random_valued(random_rollout(lengths))
    cfg = ppo.Config(value_coef=0.5)
    targets, _, _ = ppo.prepare(step, ppo.init(cfg), cfg)
    value = torch.linspace(-2, 2, 12, dtype=torch.float64).view(3, 4)
    out = ActorCriticOut(targets.old_logp, torch.zeros_like(value), value)
    sums, _ = ppo.loss(out, targets, cfg)
    losses = [
        reference.clipped_value_loss(float(value[b, t]), float(step.value[b, t]), float(targets.returns[b, t]), 0.2)
        for b, length in enumerate(lengths)
        for t in range(length)
    ]
    assert float(sums["value"]) / ppo.counts(targets)["value"] == pytest.approx(0.5 * sum(losses) / len(losses))
