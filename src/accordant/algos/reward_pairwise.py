"""A reward model from pairs: Bradley-Terry on the difference of two scores, with a margin and a weight per pair.

InstructGPT's loss at K = 2 (arXiv 2203.02155, eq. 1); with margins Llama 2's (arXiv 2307.09288, eq. 2). The weighted mean is
over the weights, so that a pair of weight 2 equals the same pair twice.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from accordant import config
from accordant.algos.sft import pad_tokens
from accordant.ops.preference import pairwise_loss
from accordant.types import Batch, Metrics, ScoreOut, Sums, TokenPair

ROWS = ("Pair",)
HEAD = "scalar"


class Config(config.Config):
    """Knobs of the loss."""

    center: float = config.knob(
        0.0, "weight of (chosen + rejected)^2, which keeps scores around 0 (Eisenstein et al. 2023, arXiv 2312.09244)", ge=0
    )


def collate(items: Sequence[TokenPair], pad_id: int) -> Batch:
    """2N right-padded rows: the chosen answers, then the rejected ones in the same order. `extra`: (N,) each."""
    return pad_tokens(
        [item.chosen for item in items] + [item.rejected for item in items],
        pad_id,
        margin=torch.tensor([item.margin for item in items]),
        weight=torch.tensor([item.weight for item in items]),
        prompt_length=torch.tensor([item.chosen.prompt_length for item in items]),
    )


def counts(batch: Batch) -> dict[str, float]:
    total = float(batch.extra["weight"].sum())
    return {"preference": total, "center": total}


def loss(out: ScoreOut, batch: Batch, cfg: Config) -> tuple[Sums, Metrics]:
    """-sum w log sigmoid(chosen - rejected - margin)."""
    chosen, rejected = out.score.chunk(2)
    weight = batch.extra["weight"]
    preference = (weight * pairwise_loss(chosen, rejected, batch.extra["margin"])).sum()
    center = cfg.center * (weight * (chosen + rejected) ** 2).sum()
    n, total = float(len(weight)), float(weight.sum())
    # A tie between scores is half right: a model that says nothing gets 0.5, not 0. Scores that rounding alone tells apart are
    # tied: where answers share a row, even equal ones are summed in another order.
    tied = torch.isclose(chosen, rejected, rtol=1e-5, atol=1e-5)
    right = torch.where(tied, 0.5, (chosen > rejected).float()).sum()
    return {"preference": preference, "center": center}, {
        "preference": (float(preference.detach()), total),
        "accuracy": (float(right), n),
        "gap": (float((chosen - rejected).detach().sum()), n),
    }
