"""11. The score arrives at the last real token: sum_t (reward_t + beta KL_t) is the score."""

from __future__ import annotations

import pytest
import torch

from accordant.algos import ppo
from accordant.ops.returns import token_rewards
from steps import random_rollout, random_valued


def test_the_score_is_paid_once_and_at_the_end() -> None:
    mask = torch.tensor([[True, True, False, False], [True, True, True, True], [True, False, False, False]])
    score, penalty = torch.tensor([1.0, -2.0, 3.0]), torch.full((3, 4), 0.25)
    rewards = token_rewards(score, penalty, mask)
    assert rewards.tolist() == [[-0.25, 0.75, 0, 0], [-0.25, -0.25, -0.25, -2.25], [2.75, 0, 0, 0]]
    paid = (rewards + torch.where(mask, penalty, 0.0)).sum(1)
    assert torch.equal(paid, score)


def test_ppo_returns_are_the_score_minus_the_price_of_what_follows() -> None:
    step = random_valued(random_rollout([1, 4, 6, 6]))
    cfg = ppo.Config(gamma=1.0, lam=1.0, kl_coef=0.3, whiten_advantages=False)
    targets, _, _ = ppo.prepare(step, ppo.init(cfg), cfg)
    moved = step.scored.old_logp - step.scored.ref_logp
    for b, length in enumerate([1, 4, 6, 6]):
        for t in range(length):
            expected = float(step.scored.reward[b]) - 0.3 * float(moved[b, t:length].sum())
            assert float(targets.returns[b, t]) == pytest.approx(expected, abs=1e-9)
