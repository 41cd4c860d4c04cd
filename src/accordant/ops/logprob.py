"""Log-probabilities and entropy from hidden states, without ever holding the whole (tokens, V) matrix.

The LM head runs on the positions that count, a chunk at a time; log-softmax is in float32 whatever the inputs are. With
gradient, each chunk is recomputed in the backward pass when there is more than one, so memory stays one chunk high.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

Head = Callable[[Tensor], Tensor]

CHUNK_ELEMENTS = 1 << 24
"""Logits held at once: 16M floats, 64 MiB."""


def token_logp(logits: Tensor, target: Tensor, temperature: float = 1.0) -> tuple[Tensor, Tensor]:
    """Log-probability of `target` and entropy, both in nats, at the sampling temperature.

    logp = z_target - logsumexp(z),  entropy = logsumexp(z) - sum_v softmax(z)_v z_v,  z = logits / temperature

    Args:
        logits: (N, V), any float dtype; computed in float32.
        target: (N,) int64.
        temperature: > 0. The same one that sampled, or every ratio is wrong.

    Returns:
        logp (N,) and entropy (N,), float32.
    """
    if logits.dim() != 2 or target.shape != logits.shape[:1]:
        raise ValueError(f"expected logits (N, V) and target (N,), found {tuple(logits.shape)} and {tuple(target.shape)}")
    if not temperature > 0:
        raise ValueError(f"temperature must be above 0, found {temperature}; 0 (greedy) has no log-probabilities to train on")
    logits = logits.float() if logits.dtype != torch.float64 else logits
    log_p = torch.log_softmax(logits / temperature if temperature != 1.0 else logits, dim=-1)
    logp = log_p.gather(-1, target[:, None]).squeeze(-1)
    # A logit of -inf (a token ruled out) has probability 0 and contributes 0, not 0 * -inf.
    entropy = -(log_p.exp() * log_p.clamp(min=torch.finfo(log_p.dtype).min)).sum(-1)
    return logp, entropy


def chunked_logp(
    hidden: Tensor, head: Head, target: Tensor, temperature: float = 1.0, chunk_tokens: int | None = None, vocabulary: int = 0
) -> tuple[Tensor, Tensor]:
    """`token_logp(head(hidden), target)` in chunks of `chunk_tokens`.

    Args:
        hidden: (N, H) hidden states of the positions that count.
        head: maps (n, H) to logits (n, V).
        target: (N,) int64, the token that each position predicts.
        chunk_tokens: positions per chunk; by default as many as keep `CHUNK_ELEMENTS` logits, given `vocabulary`.

    Returns:
        logp (N,) and entropy (N,), float32. The same for any chunk size, forward and backward, to rounding.
    """
    if hidden.dim() != 2 or target.shape != hidden.shape[:1]:
        raise ValueError(f"expected hidden (N, H) and target (N,), found {tuple(hidden.shape)} and {tuple(target.shape)}")
    size = chunk_tokens or max(1, CHUNK_ELEMENTS // max(1, vocabulary))
    if size >= len(target):
        return token_logp(head(hidden), target, temperature)

    def one(h: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
        return token_logp(head(h), t, temperature)

    recompute = torch.is_grad_enabled()
    parts = [
        checkpoint(one, h, t, use_reentrant=False) if recompute else one(h, t)
        for h, t in zip(torch.split(hidden, size), torch.split(target, size), strict=True)
    ]
    return torch.cat([logp for logp, _ in parts]), torch.cat([entropy for _, entropy in parts])
