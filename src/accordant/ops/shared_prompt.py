"""Several answers to one prompt in one row, computed together: [prompt, answer 1, answer 2, ...].

Each answer attends to the prompt and to itself, never to another answer, and its positions go on where the prompt ends, so that
a causal model with relative or restarting positions sees exactly what it would see in a row of its own. The prompt is computed
once instead of K times. Models differ (sliding windows, ALiBi, bidirectional encoders), so a caller asks
`models.shares_prompts` first, which compares both ways on the model itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from accordant.ops.batching import pad_rows


@dataclass(frozen=True)
class SharedRows:
    """N rows of a prompt with K answers each, right-padded to L tokens."""

    ids: Tensor  # (N, L) int64
    positions: Tensor  # (N, L) int64, restarting after the prompt for every answer
    segment: Tensor  # (N, L) int64: 0 = prompt, k = answer k, -1 = padding
    last: Tensor  # (N, K) int64, index of each answer's last token

    def attention(self) -> Tensor:
        """(N, 1, L, L) bool: True where the query (third axis) may look at the key (fourth axis)."""
        query, key = self.segment[:, :, None], self.segment[:, None, :]
        length = self.ids.shape[1]
        causal = torch.ones(length, length, dtype=torch.bool, device=self.ids.device).tril()
        allowed = causal & ((key == 0) | (key == query)) & (query >= 0)
        # A padding query sees itself alone: a row of only False is NaN in softmax, and NaN spreads.
        allowed |= torch.eye(length, dtype=torch.bool, device=self.ids.device) & (query < 0)
        return allowed[:, None]


def share_prompts(prompts: Sequence[Sequence[int]], answers: Sequence[Sequence[Sequence[int]]], pad_id: int) -> SharedRows:
    """Lay out rows of one prompt and its K answers.

    Args:
        prompts: N prompts, each at least one token (an answer's first token needs something to follow).
        answers: for each prompt the same number K of answers, each at least one token.
    """
    if len({len(group) for group in answers}) != 1:
        raise ValueError("every prompt of a batch must bring equally many answers")
    ids, positions, segments, lasts = [], [], [], []
    for prompt, group in zip(prompts, answers, strict=True):
        if not prompt or not all(group):
            raise ValueError("the prompt and every answer need at least one token")
        row, place, segment, last = list(prompt), list(range(len(prompt))), [0] * len(prompt), []
        for k, answer in enumerate(group, start=1):
            row += answer
            place += range(len(prompt), len(prompt) + len(answer))
            segment += [k] * len(answer)
            last.append(len(row) - 1)
        ids.append(row)
        positions.append(place)
        segments.append(segment)
        lasts.append(last)
    return SharedRows(pad_rows(ids, pad_id), pad_rows(positions, 0), pad_rows(segments, -1), torch.tensor(lasts))
