"""A reward model from rankings: all pairs of a prompt's K answers in one element (InstructGPT, arXiv 2203.02155, eq. 1).

Every prompt counts once, however many pairs it gives. Pairs cut out of rankings and shuffled over the batches would be seen
K - 1 times per answer and over-fit; here an answer is computed once. At K = 2 it is `reward_pairwise`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

from accordant import config
from accordant.algos.sft import pad_tokens
from accordant.ops.preference import kwise_loss, ranking_pairs
from accordant.types import Batch, Metrics, ScoreOut, Sums, TokenRanking, UserError

ROWS = ("Ranking",)
HEAD = "scalar"


class Config(config.Config):
    """Knobs of the loss."""

    rejects: Literal["lose", "exclude"] = config.knob("lose", "answers marked F lose to all others, or are in no pair")


def check(items: Sequence[TokenRanking], cfg: Config) -> str:
    return said_of(items, cfg.rejects)


def collate(items: Sequence[TokenRanking], pad_id: int) -> Batch:
    """K * N right-padded rows: the first answers of all prompts, then the second ones, ... `extra`: (K, N) each, and (N,)."""
    return pad_tokens(
        [answer for answers in zip(*(item.answers for item in items), strict=True) for answer in answers],
        pad_id,
        level=torch.tensor([item.level for item in items]).T,
        rejected=torch.tensor([item.rejected for item in items]).T,
        prompt_length=torch.tensor([item.answers[0].prompt_length for item in items]),
    )


def counts(batch: Batch) -> dict[str, float]:
    """Prompts. One whose answers are all tied counts as well, and adds nothing."""
    return {"preference": float(batch.extra["level"].shape[1])}


def loss(out: ScoreOut, batch: Batch, cfg: Config) -> tuple[Sums, Metrics]:
    """-sum over prompts of the mean log sigmoid(score_i - score_j) over their pairs."""
    score, level = out.score[:, 0].view_as(batch.extra["level"]), batch.extra["level"]
    counted = taking_part(batch, cfg.rejects)
    preference = kwise_loss(score, level, counted).sum()
    return {"preference": preference}, {
        "preference": (float(preference.detach()), counts(batch)["preference"]), "accuracy": accuracy(score, level, counted)
    }  # fmt: skip


# --- shared with `reward_plackett_luce` ---


def said_of(items: Sequence[TokenRanking], rejects: str) -> str:
    """How many rankings say nothing, because nothing in them is above anything else. Raises UserError if none says anything."""
    empty = sum(not _ordered(item, rejects) for item in items)
    if empty == len(items):
        raise UserError(f"none of the {empty} rankings puts an answer above another (rejects={rejects}): give some that do")
    return f"{empty} of {len(items)} rankings put no answer above another and teach nothing" if empty else ""


def _ordered(item: TokenRanking, rejects: str) -> bool:
    levels = {level for level, out in zip(item.level, item.rejected, strict=True) if not out or rejects == "lose"}
    return len(levels) > 1


def taking_part(batch: Batch, rejects: str) -> Tensor:
    """(K, N) bool: the answers that are compared."""
    rejected = batch.extra["rejected"]
    return torch.ones_like(rejected) if rejects == "lose" else ~rejected


def accuracy(score: Tensor, level: Tensor, counted: Tensor) -> tuple[float, float]:
    """Pairs that the scores order as the ranking does, a tie between scores being half right; and all pairs."""
    better = ranking_pairs(level, counted)
    same = torch.isclose(score[:, None], score[None], rtol=1e-5, atol=1e-5)
    right = torch.where(same, 0.5, (score[:, None] > score[None]).float())
    return float(right[better].sum()), float(better.sum())
