"""32. The log-sum-exp is in float32, and any chunk size gives what one piece gives, forward and backward."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import reference
from accordant.ops.logprob import chunked_logp, token_logp


def run(chunk: int | None) -> tuple[torch.Tensor, ...]:
    torch.manual_seed(0)
    hidden = torch.randn(11, 8, requires_grad=True)
    head = nn.Linear(8, 37)
    logp, entropy = chunked_logp(hidden, head, torch.arange(11), 0.7, chunk)
    (logp.sum() + 0.3 * entropy.sum()).backward()
    assert hidden.grad is not None
    assert head.weight.grad is not None
    return logp.detach(), entropy.detach(), hidden.grad, head.weight.grad


@pytest.mark.parametrize("chunk", [1, 2, 3, 7, 10, 11, 100])
def test_any_chunk_size_gives_the_same(chunk: int) -> None:
    for ours, whole in zip(run(chunk), run(None), strict=True):
        torch.testing.assert_close(ours, whole, rtol=1e-5, atol=1e-5)


def test_bfloat16_logits_are_normalised_in_float32() -> None:
    """Over 4096 tokens a bfloat16 sum is off by whole nats; float32 is not."""
    noise = torch.Generator().manual_seed(0)
    logits = torch.randn(3, 4096, generator=noise).bfloat16()
    logp, entropy = token_logp(logits, torch.tensor([0, 1, 2]))
    assert logp.dtype == entropy.dtype == torch.float32
    for b, row in enumerate(logits.double().tolist()):
        assert float(logp[b]) == pytest.approx(reference.log_softmax(row)[b], abs=1e-4)
        assert float(entropy[b]) == pytest.approx(reference.entropy(row), abs=1e-4)


def test_huge_logits_stay_finite() -> None:
    logits = torch.tensor([[1e4, -1e4, 0.0]], requires_grad=True)
    logp, entropy = token_logp(logits, torch.tensor([1]))
    (logp + entropy).sum().backward()
    assert logits.grad is not None
    assert bool(torch.isfinite(logits.grad).all())
    assert float(logp.detach()) == -2e4
