"""Losses over pairs: which of two answers was preferred (Bradley and Terry 1952; Ouyang et al. 2022, arXiv 2203.02155)."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from accordant.ops.checks import same_shape


def pairwise_loss(chosen: Tensor, rejected: Tensor, margin: Tensor) -> Tensor:
    """Per-pair negative log-likelihood under Bradley-Terry, with a margin (Touvron et al. 2023, arXiv 2307.09288, eq. 2).

    loss = -log sigmoid(chosen - rejected - margin)

    `logsigmoid` keeps it finite, with a finite gradient, at any gap. An identical pair with margin 0 gives log 2.

    Args:
        chosen, rejected, margin: (N,) float32.
    """
    same_shape(1, chosen=chosen, rejected=rejected, margin=margin)
    return -F.logsigmoid(chosen - rejected - margin)
