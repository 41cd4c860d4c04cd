"""From one number per response to an advantage per token.

For a state s_t (prompt and the tokens before t), action a_t, reward r_t and value V (Schulman et al. 2015, arXiv 1506.02438,
eq. 11-16)::

    delta_t = r_t + gamma V(s_{t+1}) - V(s_t)
    A_t     = delta_t + gamma lambda A_{t+1}
    R_t     = A_t + V(s_t)

V after the last token is 0: the episode ended there.
"""

from __future__ import annotations

import torch
from torch import Tensor

from accordant.ops.checks import is_mask, same_shape
from accordant.ops.masked import last_index


def token_rewards(score: Tensor, penalty: Tensor, mask: Tensor) -> Tensor:
    """Spread over tokens: minus the `penalty` at every token, plus the `score` at the last real one.

    The identity that must hold: sum_t (reward_t + penalty_t) == score.

    Args:
        score: (B,) reward of each response.
        penalty: (B, T) per-token cost, such as beta times the KL estimate.
        mask: (B, T) bool, response tokens; each row has at least one.

    Returns:
        (B, T) float, 0 where the mask is False.
    """
    is_mask(mask=mask)
    same_shape(2, penalty=penalty, mask=mask)
    same_shape(1, score=score, rows=mask[:, 0])
    rewards = torch.where(mask, -penalty, torch.zeros_like(penalty))
    rows = torch.arange(len(score), device=score.device)
    rewards[rows, last_index(mask)] += score
    return rewards


def gae(
    rewards: Tensor, values: Tensor, mask: Tensor, gamma: float, lam: float, bootstrap: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Generalised advantage estimation over the tokens that count; holes in the mask are stepped over.

    lambda=1 gives the discounted sum of rewards minus V(s_t); lambda=0 gives the one-step error.

    Args:
        rewards, values: (B, T).
        mask: (B, T) bool. Tokens outside (tool output, later turns of the user) are no actions: the state after an action
            is the next one that counts, and no time passes in between.
        gamma, lam: in [0, 1].
        bootstrap: (B,) value after the last token, for responses that were cut; 0 by default.

    Returns:
        advantages and returns, (B, T), both 0 outside the mask. Returns come before any whitening.
    """
    is_mask(mask=mask)
    same_shape(2, rewards=rewards, values=values, mask=mask)
    if not (0 <= gamma <= 1 and 0 <= lam <= 1):
        raise ValueError(f"gamma and lam lie in [0, 1], found {gamma} and {lam}")
    bootstrap = torch.zeros_like(rewards[:, 0]) if bootstrap is None else bootstrap
    same_shape(1, bootstrap=bootstrap, rows=mask[:, 0])
    next_value = bootstrap.to(rewards.dtype)
    running = torch.zeros_like(rewards[:, 0])
    advantages = torch.zeros_like(rewards)
    for t in reversed(range(rewards.shape[1])):
        here = mask[:, t]
        delta = rewards[:, t] + gamma * next_value - values[:, t]
        running = torch.where(here, delta + gamma * lam * running, running)
        next_value = torch.where(here, values[:, t], next_value)
        advantages[:, t] = torch.where(here, running, torch.zeros_like(running))
    returns = torch.where(mask, advantages + values, torch.zeros_like(values))
    return advantages, returns
