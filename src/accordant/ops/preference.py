"""Losses over answers to one prompt: which were preferred (Bradley and Terry 1952; Ouyang et al. 2022, arXiv 2203.02155).

Left out: learnt tie thresholds, and models in which preference is not transitive.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from accordant.ops.checks import is_mask, same_shape


def pairwise_loss(chosen: Tensor, rejected: Tensor, margin: Tensor) -> Tensor:
    """Per-pair negative log-likelihood under Bradley-Terry, with a margin (Touvron et al. 2023, arXiv 2307.09288, eq. 2).

    loss = -log sigmoid(chosen - rejected - margin)

    `logsigmoid` keeps it finite, with a finite gradient, at any gap. An identical pair with margin 0 gives log 2.

    Args:
        chosen, rejected, margin: (N,) float32.
    """
    same_shape(1, chosen=chosen, rejected=rejected, margin=margin)
    return -F.logsigmoid(chosen - rejected - margin)


def tied_pair_loss(chosen: Tensor, rejected: Tensor, margin: Tensor, tie: Tensor, nu: float) -> Tensor:
    """Per-pair negative log-likelihood when a pair may end in a tie (Davidson 1970, JASA 65, 317-328, eq. 2.5).

    With d = chosen - rejected:  P(chosen) : P(tie) : P(rejected) = exp(d/2) : nu : exp(-d/2). Two equal answers tie with
    probability nu / (2 + nu). Given that a pair is no tie it is Bradley-Terry's, so nu = 0 is `pairwise_loss`. The margin is
    taken off d where the pair is decided.

    Args:
        chosen, rejected, margin: (N,) float32. tie: (N,) bool.
        nu: >= 0; a tie at nu = 0 is impossible and its loss infinite.
    """
    is_mask(tie=tie)
    same_shape(1, chosen=chosen, rejected=rejected, margin=margin, tie=tie)
    gap = chosen - rejected - torch.where(tie, torch.zeros_like(margin), margin)
    decided = torch.logaddexp(gap / 2, -gap / 2)
    log_nu = torch.tensor(nu, dtype=gap.dtype, device=gap.device).log()
    # log of the total is decided + softplus(log nu - decided); what cancels is not computed, so large gaps keep their digits.
    return torch.where(tie, -F.logsigmoid(log_nu - decided), -F.logsigmoid(gap) - F.logsigmoid(decided - log_nu))


def ranking_pairs(level: Tensor, counted: Tensor) -> Tensor:
    """(K, K, N) bool: answer i (first axis) was preferred to answer j (second axis).

    Args:
        level: (K, N) int64, 0 = best, equal = tied. counted: (K, N) bool, the answers that take part.
    """
    is_mask(counted=counted)
    same_shape(2, level=level, counted=counted)
    return (level[:, None] < level[None]) & counted[:, None] & counted[None]


def kwise_loss(score: Tensor, level: Tensor, counted: Tensor) -> Tensor:
    """Per-prompt mean of `pairwise_loss` over all its pairs (arXiv 2203.02155, eq. 1), (N,).

    loss = -1/|pairs| sum over i preferred to j of log sigmoid(score_i - score_j)

    So a prompt with many answers counts no more than one with two. At K = 2 it is Bradley-Terry; without any pair it is 0.

    Args:
        score: (K, N) float32. level: (K, N) int64. counted: (K, N) bool. As `ranking_pairs` takes them.
    """
    same_shape(2, score=score, level=level)
    better = ranking_pairs(level, counted)
    losses = -F.logsigmoid(score[:, None] - score[None])
    return torch.where(better, losses, torch.zeros_like(losses)).sum((0, 1)) / better.sum((0, 1)).clamp(min=1)


def plackett_luce_loss(score: Tensor, level: Tensor, counted: Tensor) -> Tensor:
    """Per-prompt negative log-likelihood of the whole order (Plackett 1975; Luce 1959), (N,).

    loss = sum over answers i, but for those of the last level, of  log sum_{j: level_j >= level_i} exp(score_j) - score_i

    The answers are drawn best first, each from those that are left; tied ones are drawn from the same set (Breslow's
    approximation), and the last level is what remains. At K = 2 it is Bradley-Terry; without any order it is 0.

    Args:
        score: (K, N) float32. level: (K, N) int64. counted: (K, N) bool. As `ranking_pairs` takes them.
    """
    same_shape(2, score=score, level=level)
    is_mask(counted=counted)
    left = (level[None] >= level[:, None]) & counted[None]  # (K, K, N): j is still there when i is drawn
    remaining = torch.where(left, score[None].expand(left.shape), -torch.inf).logsumexp(1)
    drawn = ranking_pairs(level, counted).any(1)  # (K, N): somebody comes after i
    # What is not drawn is masked before the sum: a set of nobody has the logarithm -inf, and its gradient would be NaN.
    return torch.where(drawn, remaining.masked_fill(~drawn, 0.0) - score, torch.zeros_like(score)).sum(0)
