from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import reference
from accordant.ops.returns import gae, token_rewards


@st.composite
def episodes(draw: st.DrawFn) -> tuple[list[list[float]], list[list[float]], list[list[bool]]]:
    rows, columns = draw(st.integers(1, 3)), draw(st.integers(1, 6))
    numbers = st.lists(st.floats(-5, 5), min_size=columns, max_size=columns)
    masks = st.lists(st.booleans(), min_size=columns, max_size=columns).filter(any)
    return tuple(draw(st.lists(kind, min_size=rows, max_size=rows)) for kind in (numbers, numbers, masks))


def f64(x: list[list[float]]) -> torch.Tensor:
    return torch.tensor(x, dtype=torch.float64)


@given(episodes(), st.floats(0, 1), st.floats(0, 1), st.floats(-3, 3))
def test_gae_equals_the_reference(episode: tuple, gamma: float, lam: float, bootstrap: float) -> None:
    rewards, values, masks = episode
    after = torch.full((len(rewards),), bootstrap, dtype=torch.float64)
    advantage, returns = gae(f64(rewards), f64(values), torch.tensor(masks), gamma, lam, after)
    for b, (r, v, m) in enumerate(zip(rewards, values, masks, strict=True)):
        expected_advantage, expected_returns = reference.gae(r, v, m, gamma, lam, bootstrap)
        assert advantage[b].tolist() == pytest.approx(expected_advantage, abs=1e-9)
        assert returns[b].tolist() == pytest.approx(expected_returns, abs=1e-9)


@given(episodes())
def test_token_rewards_equal_the_reference(episode: tuple) -> None:
    penalties, values, masks = episode
    scores = [row[0] for row in values]
    ours = token_rewards(torch.tensor(scores, dtype=torch.float64), f64(penalties), torch.tensor(masks))
    for b, (score, penalty, mask) in enumerate(zip(scores, penalties, masks, strict=True)):
        assert ours[b].tolist() == pytest.approx(reference.token_rewards(score, penalty, mask), abs=1e-12)


def test_lambda_zero_is_the_one_step_error_and_one_the_whole_return() -> None:
    rewards, values = f64([[1.0, 2.0, 4.0]]), f64([[0.5, 0.25, 0.125]])
    mask = torch.ones(1, 3, dtype=torch.bool)
    assert gae(rewards, values, mask, 1.0, 0.0)[0].tolist() == [[0.75, 1.875, 3.875]]
    assert gae(rewards, values, mask, 1.0, 1.0)[0].tolist() == [[6.5, 5.75, 3.875]]


def test_wrong_shapes_and_float_masks_are_refused() -> None:
    mask = torch.ones(2, 3, dtype=torch.bool)
    with pytest.raises(ValueError, match="shape"):
        gae(torch.zeros(2, 3), torch.zeros(2, 1), mask, 1.0, 1.0)
    with pytest.raises(ValueError, match="boolean"):
        gae(torch.zeros(2, 3), torch.zeros(2, 3), mask.float(), 1.0, 1.0)
    with pytest.raises(ValueError, match="shape"):
        token_rewards(torch.zeros(2), torch.zeros(2, 1), mask)
    with pytest.raises(ValueError, match="score"):
        token_rewards(torch.zeros(1), torch.zeros(2, 3), mask)
    with pytest.raises(ValueError, match="bootstrap"):
        gae(torch.zeros(2, 3), torch.zeros(2, 3), mask, 1.0, 1.0, torch.zeros(1))
