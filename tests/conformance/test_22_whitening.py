"""22. Returns come before whitening; whitening is masked and over the whole step; whitened rewards keep their mean."""

from __future__ import annotations

import torch

import reference
from accordant.algos import ppo
from steps import random_rollout, random_valued

LENGTHS = [3, 5, 1, 4]


def targets_of(**knobs: bool) -> ppo.Targets:
    cfg = ppo.Config(**knobs)
    return ppo.prepare(random_valued(random_rollout(LENGTHS)), ppo.init(cfg), cfg)[0]


def test_advantages_are_whitened_over_the_tokens_of_the_step_and_returns_are_not() -> None:
    plain, white = targets_of(whiten_advantages=False), targets_of(whiten_advantages=True)
    assert torch.equal(plain.returns, white.returns)
    expected = reference.whiten(plain.advantage.tolist(), plain.mask.tolist())
    torch.testing.assert_close(white.advantage, torch.tensor(expected, dtype=torch.float64), rtol=1e-9, atol=1e-9)


def test_whitened_rewards_keep_their_mean() -> None:
    step = random_valued(random_rollout(LENGTHS))
    cfg = ppo.Config(gamma=0.0, lam=0.0, whiten_rewards=True, whiten_advantages=False)
    targets, _, _ = ppo.prepare(step, ppo.init(cfg), cfg)
    penalty = (cfg.kl_coef * (step.scored.old_logp - step.scored.ref_logp)).tolist()
    masks = step.scored.rollout.response_mask.tolist()
    scores = step.scored.reward.tolist()
    rewards = [reference.token_rewards(*row) for row in zip(scores, penalty, masks, strict=True)]
    expected = torch.tensor(reference.whiten(rewards, masks, shift_mean=False), dtype=torch.float64)
    # With gamma = 0 a token's return is its own reward.
    torch.testing.assert_close(targets.returns, expected, rtol=1e-9, atol=1e-9)
