"""Token rows through a scalar model, in length-sorted micro-batches."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from accordant.models.scalar import ScalarModel
from accordant.ops.batching import microbatches, pad_rows
from accordant.types import Tokens


@torch.no_grad()
def score_tokens(model: ScalarModel, rows: Sequence[Tokens], tokens_per_microbatch: int) -> Tensor:
    """Logits of every row in the given order, (B, labels) float32 on the CPU. Dropout is off."""
    model.module.eval()
    device = next(model.module.parameters()).device
    pad = model.tokenizer.pad_token_id or 0
    parts = microbatches([len(row.ids) for row in rows], tokens_per_microbatch)
    scores: list[Tensor] = []
    for part in parts:
        ids = pad_rows([rows[i].ids for i in part], pad)
        mask = pad_rows([[True] * len(rows[i].ids) for i in part], False, dtype=torch.bool)
        scores.append(model.logits(ids.to(device), mask.to(device)).cpu())
    order = torch.tensor([i for part in parts for i in part])
    together = torch.cat(scores)
    out = torch.empty_like(together)
    out[order] = together
    return out
