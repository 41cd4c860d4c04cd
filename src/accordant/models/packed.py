"""Several rows packed into one, for a language model, and the probe that says whether it can.

As for answers that share a prompt (`models.shared`), the model's own arithmetic decides and not its family's name.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from accordant.models.language import LanguageModel, autocast
from accordant.models.shared import TOLERANCE
from accordant.ops.batching import pad_rows
from accordant.ops.masked import attention_bias
from accordant.ops.packing import pack_rows
from accordant.types import Tokens

PROBED = 3  # rows besides the longest that are packed with it


def packed_hidden(model: LanguageModel, ids: Tensor, mask: Tensor, into: Tensor) -> Tensor:
    """What `model.hidden(ids, mask)` gives for right-padded rows, computed in packed rows.

    Args:
        ids, mask, into: as `ops.packing.pack_rows` takes them.

    Returns:
        (N, L, H); in the padding of the plain rows it means nothing.
    """
    rows = pack_rows(ids, mask, into)
    bias = attention_bias(rows.attention())
    with autocast(model.precision):
        out = model.trunk(input_ids=rows.ids, attention_mask=bias, position_ids=rows.positions, use_cache=False)
    return rows.unpack(out.last_hidden_state)


@torch.no_grad()
def packs_rows(model: LanguageModel, items: Sequence[Tokens]) -> bool:
    """Whether these rows get the same log-probabilities packed as in rows of their own.

    Compared in float32, without dropout, on the shortest rows and the longest one behind them in one packed row: whatever a
    model does from some length on is met here, since no row reaches further than the longest. Then run once as training will,
    since attention in another precision may refuse a mask that it took in float32.
    """
    device = next(model.module.parameters()).device
    order = sorted(items, key=lambda item: len(item.ids))
    some = [*order[:PROBED], order[-1]]
    ids = pad_rows([item.ids for item in some], 0).to(device)
    mask = pad_rows([[True] * len(item.ids) for item in some], False, dtype=torch.bool).to(device)
    into = torch.zeros(len(some), dtype=torch.long, device=device)
    exact = LanguageModel(model.module, model.tokenizer, "float32")
    training = model.module.training
    model.module.eval()
    try:
        plain, _ = exact.logp(ids, mask, mask)
        hidden = _tried(exact, ids, mask, into)
        if hidden is None or _tried(model, ids, mask, into) is None:
            return False
        packed, _ = exact.logp(ids, mask, mask, hidden=hidden)
        return torch.allclose(packed, plain, atol=TOLERANCE, rtol=TOLERANCE)
    finally:
        model.module.train(training)


def _tried(model: LanguageModel, ids: Tensor, mask: Tensor, into: Tensor) -> Tensor | None:
    try:
        return packed_hidden(model, ids, mask, into)
    except (RuntimeError, TypeError, ValueError, IndexError):
        # The plain rows passed, so it is the mask or the positions that this model refuses, each family in its own words.
        return None
