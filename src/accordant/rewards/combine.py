"""Several rewards as one: the sum of weight x part, each part standardised first if asked."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from accordant.rewards import CombineReward, Reward, load
from accordant.rewards.whiten import whitened
from accordant.types import Answer


def load_combine(cfg: CombineReward) -> Reward:
    """sum_k weight_k (part_k - mean_k) / sd_k, with fixed constants; without `whiten` sum_k weight_k part_k.

    Raises:
        UserError: a part cannot be loaded, or has no size on the reference answers.
    """
    parts = [
        (whitened(load(part.reward), part.whiten or cfg.whiten, f"part '{name}'"), part.weight)
        for name, part in cfg.parts.items()
    ]

    def reward(answers: Sequence[Answer]) -> Tensor:
        total = torch.zeros(len(answers), dtype=torch.float64)
        for part, weight in parts:
            total += weight * part(answers).double()
        return total.float()

    return reward
