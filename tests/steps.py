"""Random records of online training, made without a model: numbers where a test wants them, in float64."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from accordant.types import Rollout, Scored, Valued


def random_rollout(
    lengths: Sequence[int], samples: int = 1, prompt: int = 3, vocabulary: int = 20, seed: int = 0, width: int = 0
) -> Rollout:
    """One row per entry of `lengths` (response tokens); `samples` rows share a group; at least `width` columns."""
    noise = torch.Generator().manual_seed(seed)
    rows, columns = len(lengths), max(width, *lengths)
    response_mask = torch.arange(columns)[None] < torch.tensor(lengths)[:, None]
    mask = torch.cat([torch.ones(rows, prompt, dtype=torch.bool), response_mask], dim=1)
    mask[1::2, 0] = False  # every second prompt is one token shorter, filled on the left
    ids = torch.randint(1, vocabulary, (rows, prompt + max(lengths)), generator=noise)
    ids = torch.cat([ids, torch.zeros(rows, columns - max(lengths), dtype=torch.long)], dim=1)
    logp = -3 * torch.rand(rows, max(lengths), dtype=torch.float64, generator=noise)
    logp = torch.cat([logp, torch.zeros(rows, columns - max(lengths), dtype=torch.float64)], dim=1)
    return Rollout(
        ids=torch.where(mask, ids, 0),
        mask=mask,
        logp=torch.where(response_mask, logp, 0.0),
        finished=torch.arange(rows) % 3 != 0,
        group=torch.arange(rows) // samples,
        prompt_length=prompt,
    )


def random_scored(rollout: Rollout, seed: int = 1) -> Scored:
    """Rewards around 0.5, and a reference that disagrees by about 0.3 nats a token."""
    noise = torch.Generator().manual_seed(seed)
    reward = 0.5 + torch.randn(len(rollout.ids), dtype=torch.float64, generator=noise)
    return Scored(rollout, reward, rollout.logp, _jitter(rollout.logp, rollout.response_mask, 0.3, seed + 1))


def random_valued(rollout: Rollout, seed: int = 1) -> Valued:
    """The same with random values."""
    zero = torch.zeros_like(rollout.logp)
    return Valued(random_scored(rollout, seed), _jitter(zero, rollout.response_mask, 1.0, seed + 2))


def _jitter(x: torch.Tensor, mask: torch.Tensor, scale: float, seed: int) -> torch.Tensor:
    """`x` plus noise where `mask` is True; a token's noise does not depend on how wide the tensor is."""
    rows, columns = x.shape
    noise = torch.stack(
        [
            torch.randn(rows, dtype=torch.float64, generator=torch.Generator().manual_seed(1000 * seed + t))
            for t in range(columns)
        ],
        dim=1,
    )
    return torch.where(mask, x + scale * noise, torch.zeros_like(x))
