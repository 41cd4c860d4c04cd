from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import reference
from accordant.ops.logprob import chunked_logp, token_logp


@given(
    st.lists(st.floats(-30, 30), min_size=2, max_size=7),
    st.floats(0.1, 5),
    st.integers(0, 6),
)
def test_logp_and_entropy_equal_the_reference(logits: list[float], temperature: float, token: int) -> None:
    token %= len(logits)
    logp, entropy = token_logp(torch.tensor([logits]), torch.tensor([token]), temperature)
    assert float(logp) == pytest.approx(reference.log_softmax(logits, temperature)[token], rel=1e-4, abs=1e-4)
    assert float(entropy) == pytest.approx(reference.entropy(logits, temperature), rel=1e-3, abs=1e-4)


def test_uniform_logits_give_log_v() -> None:
    logp, entropy = token_logp(torch.full((2, 50), 3.0), torch.tensor([0, 49]))
    torch.testing.assert_close(logp, torch.full((2,), -math.log(50)))
    torch.testing.assert_close(entropy, torch.full((2,), math.log(50)))


def test_entropy_gradient_equals_the_derivative() -> None:
    """dH/dz_v = -p_v (log p_v + H)."""
    logits = [0.3, -1.0, 2.0, 0.0]
    z = torch.tensor([logits], requires_grad=True)
    token_logp(z, torch.tensor([1]))[1].sum().backward()
    log_p, total = reference.log_softmax(logits), reference.entropy(logits)
    assert z.grad is not None
    assert z.grad[0].tolist() == pytest.approx([-math.exp(x) * (x + total) for x in log_p], abs=1e-6)


def test_chunked_of_no_position_is_empty() -> None:
    logp, entropy = chunked_logp(torch.zeros(0, 4), torch.nn.Linear(4, 9), torch.zeros(0, dtype=torch.long), vocabulary=9)
    assert logp.shape == entropy.shape == (0,)


def test_shapes_are_checked_at_the_door() -> None:
    with pytest.raises(ValueError, match=r"\(2, 3, 4\)"):
        token_logp(torch.zeros(2, 3, 4), torch.zeros(2, dtype=torch.long))
    with pytest.raises(ValueError, match=r"\(3,\)"):
        token_logp(torch.zeros(2, 4), torch.zeros(3, dtype=torch.long))


@pytest.mark.parametrize("temperature", [0.0, -1.0])
def test_a_temperature_that_is_none_is_refused(temperature: float) -> None:
    with pytest.raises(ValueError, match="temperature"):
        token_logp(torch.zeros(1, 4), torch.zeros(1, dtype=torch.long), temperature)
