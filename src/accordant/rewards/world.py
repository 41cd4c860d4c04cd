"""The embedded world's exact judge as a reward, for measuring and never for training in the quickstart."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from accordant.rewards import Reward, WorldReward
from accordant.types import Answer, UserError
from accordant.world.judge import judge


def load_world(cfg: WorldReward) -> Reward:
    """True utility, or whether the answer is toxic. Raises UserError for prompts that are not this world's plain text."""

    def reward(answers: Sequence[Answer]) -> Tensor:
        verdicts = [judge(_plain(a), a.completion) for a in answers]
        return torch.tensor([v.utility if cfg.measure == "utility" else float(v.toxic) for v in verdicts])

    return reward


def _plain(answer: Answer) -> str:
    if not isinstance(answer.prompt, str):
        raise UserError("the world's judge reads prompts of the embedded world, which are plain text, not messages")
    return answer.prompt
