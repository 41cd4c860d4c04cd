"""Several answers to one prompt in one row, computed together: [prompt, answer 1, answer 2, ...].

Each answer attends to the prompt and to itself, never to another answer, and its positions go on where the prompt ends, so that
a causal model sees exactly what it would see in a row of its own. The prompt is computed once instead of K times. Since the
positions restart, such a row may be longer than the model's context: each answer with its prompt is within it.

Models differ (sliding windows, ALiBi, bidirectional encoders), so a caller first asks `models.shared.shares_prompts`, which
compares both ways on the model itself.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from accordant.ops.checks import is_mask, same_shape


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


def share_prompts(ids: Tensor, mask: Tensor, prompt_length: Tensor) -> SharedRows:
    """Join the plain rows of each prompt, one for each of its K answers, into one row.

    Prompts "a b" and "c" with the answers "x", "y z" and "u v", "w", as K * N = 4 plain rows::

        a b x .
        c u v .          a b x y z       positions  0 1 2 2 3
        a b y z          c u v w .                  0 1 2 1 .
        c w . .

    Args:
        ids: (K * N, L) int64, right-padded: the first answers of all prompts, then the second ones in the same order, ...
        mask: (K * N, L) bool, real tokens.
        prompt_length: (N,) int64, tokens that come before the answers.

    Raises:
        ValueError: the rows are no multiple of the prompts; a prompt or an answer is empty (a score is read at an answer's last
            token, and its first one needs something to follow); or the rows of one prompt begin with different tokens.
    """
    is_mask(mask=mask)
    same_shape(2, ids=ids, mask=mask)
    n, width = len(prompt_length), ids.shape[1]
    if len(ids) % n:
        raise ValueError(f"{len(ids)} rows are no multiple of {n} prompts")
    plain = ids.view(-1, n, width)  # (K, N, L)
    answer = mask.sum(dim=1).view(-1, n) - prompt_length  # (K, N) tokens of each answer
    if (prompt_length < 1).any() or (answer < 1).any():
        raise ValueError("the prompt and every answer need at least one token")
    in_prompt = torch.arange(width, device=ids.device) < prompt_length[:, None]  # (N, L)
    if ((plain != plain[0]) & in_prompt).any():
        raise ValueError("the rows of one prompt begin with different tokens")
    end = prompt_length + answer.cumsum(dim=0)  # (K, N), where the next answer begins
    place = torch.arange(int(end[-1].max()), device=ids.device).expand(n, -1)  # (N, L of the joined rows)
    ended = (place >= end[:, :, None]).sum(dim=0)  # (N, L), how many answers end before this place; all K: padding
    owner = ended.clamp(max=len(plain) - 1)
    before = (end - answer - prompt_length).T.gather(1, owner)  # (N, L), tokens of earlier answers
    padding, prompt = ended == len(plain), place < prompt_length[:, None]
    positions = torch.where(padding, 0, torch.where(prompt, place, place - before))
    rows = torch.arange(n, device=ids.device)[:, None]
    segment = torch.where(padding, -1, torch.where(prompt, 0, ended + 1))
    return SharedRows(plain[owner, rows, positions], positions, segment, (end - 1).T)
