from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import reference
from accordant.ops.kl import AdaptiveKL, kl_estimate, sequence_kl

logps = st.floats(-8, 0)


@given(logps, logps)
def test_estimates_equal_the_reference(logp: float, ref_logp: float) -> None:
    expected = reference.kl_estimates(logp, ref_logp)
    ours = [torch.tensor([x], dtype=torch.float64) for x in (logp, ref_logp)]
    for name in ("k1", "k2", "k3"):
        assert float(kl_estimate(*ours, name)) == pytest.approx(expected[name], rel=1e-9, abs=1e-12)


def test_k1_is_the_default() -> None:
    logp, ref_logp = torch.tensor([-1.0]), torch.tensor([-3.0])
    assert float(kl_estimate(logp, ref_logp)) == 2.0


def test_an_unknown_estimator_is_refused() -> None:
    with pytest.raises(ValueError, match="k4"):
        kl_estimate(torch.zeros(1), torch.zeros(1), "k4")  # type: ignore[arg-type]


def test_sequence_kl_sums_the_tokens_that_count() -> None:
    logp = torch.tensor([[-1.0, -2.0, -3.0], [-1.0, 50.0, -50.0]])
    ref_logp = torch.tensor([[-2.0, -2.0, -1.0], [-4.0, 0.0, 0.0]])
    mask = torch.tensor([[True, True, True], [True, False, False]])
    assert sequence_kl(logp, ref_logp, mask).tolist() == [-1.0, 3.0]


def test_sequence_kl_refuses_shapes_that_would_broadcast() -> None:
    with pytest.raises(ValueError, match="shape"):
        sequence_kl(torch.zeros(2, 3), torch.zeros(1, 3), torch.ones(2, 3, dtype=torch.bool))


@given(st.floats(0.001, 1), st.floats(-50, 50), st.floats(0.5, 20), st.integers(1, 512))
def test_the_controller_never_reaches_zero_or_below(beta: float, observed: float, target: float, rows: int) -> None:
    assert AdaptiveKL(target, horizon=100.0).update(beta, observed, rows) > 0
