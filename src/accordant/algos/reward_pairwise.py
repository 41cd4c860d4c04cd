"""A reward model from pairs: Bradley-Terry on the difference of two scores, with a margin, a weight per pair, and ties.

InstructGPT's loss at K = 2 (arXiv 2203.02155, eq. 1); with margins Llama 2's (arXiv 2307.09288, eq. 2); with ties Davidson's
(1970). The weighted mean is over the weights, so that a pair of weight 2 equals the same pair twice.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from accordant import config
from accordant.algos.sft import pad_tokens
from accordant.ops.preference import tied_pair_loss
from accordant.types import Batch, Metrics, ScoreOut, Sums, TokenPair, UserError

ROWS = ("Pair",)
HEAD = "scalar"


class Config(config.Config):
    """Knobs of the loss."""

    ties: float = config.knob(
        0.0, "nu: two equal answers tie with probability nu / (2 + nu) (Davidson 1970); 0 = there are no ties", ge=0
    )
    center: float = config.knob(
        0.0, "weight of (chosen + rejected)^2, which keeps scores around 0 (Eisenstein et al. 2023, arXiv 2312.09244)", ge=0
    )


def check(items: Sequence[TokenPair], cfg: Config) -> str:
    tied = sum(item.tie for item in items)
    if tied and not cfg.ties:
        share = tied / len(items)
        fix = f"set algo.ties={2 * share / (1 - share):.2g} (their share)" if share < 1 else "add pairs that are decided"
        raise UserError(f"{tied} of {len(items)} pairs are ties, which algo.ties=0 calls impossible: {fix}, or leave them out")
    return f"{tied} of {len(items)} pairs are ties" if tied else ""


def collate(items: Sequence[TokenPair], pad_id: int) -> Batch:
    """2N right-padded rows: the chosen answers, then the rejected ones in the same order. `extra`: (N,) each."""
    return pad_tokens(
        [item.chosen for item in items] + [item.rejected for item in items],
        pad_id,
        margin=torch.tensor([item.margin for item in items]),
        weight=torch.tensor([item.weight for item in items]),
        tie=torch.tensor([item.tie for item in items]),
        prompt_length=torch.tensor([item.chosen.prompt_length for item in items]),
    )


def counts(batch: Batch) -> dict[str, float]:
    total = float(batch.extra["weight"].sum())
    return {"preference": total, "center": total}


def loss(out: ScoreOut, batch: Batch, cfg: Config) -> tuple[Sums, Metrics]:
    """-sum w log P(what was said of the pair)."""
    chosen, rejected = out.score[:, 0].chunk(2)
    weight, tie = batch.extra["weight"], batch.extra["tie"]
    preference = (weight * tied_pair_loss(chosen, rejected, batch.extra["margin"], tie, cfg.ties)).sum()
    center = cfg.center * (weight * (chosen + rejected) ** 2).sum()
    decided, total = ~tie, float(weight.sum())
    # A tie between scores is half right: a model that says nothing gets 0.5, not 0. Scores that rounding alone tells apart are
    # tied: where answers share a row, even equal ones are summed in another order.
    same = torch.isclose(chosen, rejected, rtol=1e-5, atol=1e-5)
    right = torch.where(same, 0.5, (chosen > rejected).float())[decided].sum()
    n = float(decided.sum())
    return {"preference": preference, "center": center}, {
        "preference": (float(preference.detach()), total),
        "accuracy": (float(right), n),
        "gap": (float((chosen - rejected)[decided].detach().sum()), n),
    }
