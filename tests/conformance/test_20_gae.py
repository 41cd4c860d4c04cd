"""20. GAE equals its sum written out, with holes in the mask, and nothing leaks back from behind the end."""

from __future__ import annotations

import pytest
import torch

import reference
from accordant.ops.returns import gae

REWARDS = [[0.0, 0.5, -1.0, 2.0, 0.25, 1.0], [1.0, 0.0, 0.0, 3.0, -2.0, 0.5]]
VALUES = [[0.3, -0.2, 0.9, 0.4, 0.1, -0.7], [0.6, 0.5, -0.4, 0.3, 0.2, 0.1]]
MASKS = {
    "full": [[True] * 6, [True] * 6],
    "ended early": [[True] * 4 + [False] * 2, [True] + [False] * 5],
    "turns of others in between": [[True, True, False, False, True, True], [False, True, False, True, False, False]],
}


@pytest.mark.parametrize("name", MASKS)
@pytest.mark.parametrize(("gamma", "lam"), [(1.0, 1.0), (1.0, 0.95), (0.9, 0.5), (0.99, 0.0)])
def test_it_is_the_brute_force_sum(name: str, gamma: float, lam: float) -> None:
    rewards, values = (torch.tensor(x, dtype=torch.float64) for x in (REWARDS, VALUES))
    advantage, returns = gae(rewards, values, torch.tensor(MASKS[name]), gamma, lam)
    for b in range(2):
        expected = reference.gae(REWARDS[b], VALUES[b], MASKS[name][b], gamma, lam)
        assert advantage[b].tolist() == pytest.approx(expected[0], abs=1e-12)
        assert returns[b].tolist() == pytest.approx(expected[1], abs=1e-12)


def test_undiscounted_returns_are_the_rewards_to_go() -> None:
    """gamma = lambda = 1, known without any recursion: R_t = sum of the rewards from t on."""
    rewards, values = (torch.tensor(x, dtype=torch.float64) for x in (REWARDS, VALUES))
    _, returns = gae(rewards, values, torch.ones(2, 6, dtype=torch.bool), 1.0, 1.0)
    for b in range(2):
        assert returns[b].tolist() == pytest.approx([sum(REWARDS[b][t:]) for t in range(6)])


@pytest.mark.parametrize("garbage", [1e6, float("nan")])
def test_nothing_leaks_from_behind_the_end(garbage: float) -> None:
    mask = torch.tensor(MASKS["ended early"])
    rewards, values = (torch.tensor(x, dtype=torch.float64) for x in (REWARDS, VALUES))
    dirty = [torch.where(mask, x, garbage) for x in (rewards, values)]
    for clean, other in zip(gae(rewards, values, mask, 1.0, 0.95), gae(*dirty, mask, 1.0, 0.95), strict=True):
        assert torch.equal(clean, other)
