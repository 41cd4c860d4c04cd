"""What people turn when they talk to a model: penalties on what was said already, and cuts of the unlikely.

All take logits (n, V) and give logits (n, V); a token that is cut has -inf. For talking only: what is sampled is no longer the
policy, so training never uses these.
"""

from __future__ import annotations

import torch
from torch import Tensor

from accordant.ops.checks import is_mask, same_shape


def repetition_penalty(logits: Tensor, seen: Tensor, penalty: float) -> Tensor:
    """Logits of `seen` tokens divided by `penalty` where positive, multiplied where negative.

    Keskar et al. 2019 (arXiv 1909.05858, section 4.1) divide all; a negative logit would rise by that, so it is multiplied, as
    everybody does since. `penalty = 1` changes nothing. seen: (n, V) bool, the tokens of the prompt and of the answer so far.
    """
    same_shape(2, logits=logits, seen=seen)
    is_mask(seen=seen)
    return torch.where(seen, torch.where(logits > 0, logits / penalty, logits * penalty), logits)


def count_penalties(logits: Tensor, count: Tensor, presence: float, frequency: float) -> Tensor:
    """logit - frequency * count - presence * [count > 0]; negative penalties encourage.

    OpenAI's formula (platform.openai.com/docs, "Frequency and presence penalties"). count: (n, V) int64, how often each token
    is in the answer so far; the prompt does not count.
    """
    same_shape(2, logits=logits, count=count)
    return logits - frequency * count.to(logits.dtype) - presence * (count > 0).to(logits.dtype)


def top_k(logits: Tensor, k: int) -> Tensor:
    """The `k` likeliest tokens of each row, and those that tie with the last of them; all where k exceeds V."""
    if k < 1:
        raise ValueError(f"k must be at least 1, found {k}")
    least = logits.topk(min(k, logits.shape[-1]), dim=-1).values[:, -1:]
    return logits.masked_fill(logits < least, -torch.inf)


def top_p(logits: Tensor, p: float) -> Tensor:
    """The nucleus: the smallest set of likeliest tokens whose probabilities sum to at least `p`; never empty.

    Holtzman et al. 2020 (arXiv 1904.09751, eq. 2-3). Among equal ones the lower id comes first. `p = 1` keeps all but tokens
    whose probability rounding has eaten.
    """
    ordered, where = logits.sort(dim=-1, descending=True, stable=True)
    mass = torch.softmax(ordered, dim=-1)
    keep = mass.cumsum(-1) - mass < p
    keep[:, 0] = True
    return torch.full_like(logits, -torch.inf).scatter(-1, where, ordered.masked_fill(~keep, -torch.inf))
