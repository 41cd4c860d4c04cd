"""Token rows through a scalar model, in length-sorted micro-batches."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from accordant.models.scalar import ScalarModel
from accordant.ops.batching import microbatches, pad_rows
from accordant.types import Tokens, UserError


@torch.no_grad()
def score_tokens(model: ScalarModel, rows: Sequence[Tokens], tokens_per_microbatch: int) -> Tensor:
    """Logits of every row in the given order, (B, labels) float32 on the CPU. Dropout is off.

    Raises:
        UserError: a row is longer than the model's context: nothing is cut, and beyond it scores mean nothing.
    """
    longest = max(len(row.ids) for row in rows)
    if model.context and longest > model.context:
        raise UserError(
            f"a text to be scored has {longest} tokens and the scoring model's context is {model.context}: lower "
            "max_new_tokens, leave out the longest prompts, or use a model with a longer context"
        )
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
