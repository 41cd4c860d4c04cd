"""41. Margins and weights have their closed-form gradients; two equal answers give log 2 and move nothing."""

from __future__ import annotations

import math

import pytest
import torch

import reference
from accordant.algos import reward_pairwise
from accordant.types import ScoreOut, TokenPair, Tokens

ANSWER = Tokens((1, 2), (False, True), 1)
CFG = reward_pairwise.Config()


def step(pairs: list[tuple[float, float, float, float]]) -> tuple[float, list[float]]:
    """Mean loss and gradient by the scores (chosen ones first) of (chosen, rejected, margin, weight) rows."""
    batch = reward_pairwise.collate([TokenPair(ANSWER, ANSWER, m, w) for _, _, m, w in pairs], 0)
    score = torch.tensor([p[0] for p in pairs] + [p[1] for p in pairs], requires_grad=True)
    sums, _ = reward_pairwise.loss(ScoreOut(score[:, None]), batch, CFG)
    mean = sums["preference"] / reward_pairwise.counts(batch)["preference"]
    mean.backward()
    assert score.grad is not None
    return float(mean.detach()), score.grad.tolist()


def test_closed_form() -> None:
    pairs = [(1.5, 0.25, 0.0, 1.0), (-0.5, 1.0, 0.75, 2.0), (0.0, 0.0, 1.0, 0.5)]
    loss, gradient = step(pairs)
    parts = [reference.bradley_terry(c, r, m) for c, r, m, _ in pairs]
    total = sum(w for *_, w in pairs)
    slopes = [w * slope / total for (*_, w), (_, slope) in zip(pairs, parts, strict=True)]
    assert loss == pytest.approx(sum(w * x for (*_, w), (x, _) in zip(pairs, parts, strict=True)) / total, rel=1e-6)
    assert gradient == pytest.approx([*slopes, *(-s for s in slopes)], rel=1e-5)


def test_a_pair_of_weight_two_equals_the_pair_twice() -> None:
    heavy, once = (1.0, 0.5, 0.25, 2.0), (1.0, 0.5, 0.25, 1.0)
    other = (0.0, 0.75, 0.0, 1.0)
    loss, gradient = step([heavy, other])
    twice, parts = step([once, once, other])
    assert loss == pytest.approx(twice, rel=1e-6)
    assert gradient[0] == pytest.approx(parts[0] + parts[1], rel=1e-6)


def test_equal_answers_give_log_two_and_no_net_gradient() -> None:
    """Both rows are one text, so one score: what pulls it up as the chosen one pulls it down as the rejected one."""
    shared = torch.tensor(0.7, requires_grad=True)
    batch = reward_pairwise.collate([TokenPair(ANSWER, ANSWER, 0.0, 1.0)], 0)
    sums, metrics = reward_pairwise.loss(ScoreOut(torch.stack([shared, shared])[:, None]), batch, CFG)
    sums["preference"].backward()
    assert float(sums["preference"].detach()) == pytest.approx(math.log(2))
    assert shared.grad is not None
    assert float(shared.grad) == 0.0
    assert metrics["accuracy"] == (0.5, 1.0)
