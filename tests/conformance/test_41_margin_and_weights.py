"""41. Margins and weights have their closed-form gradients; two equal answers give log 2 and move nothing.

Ties have theirs, too, and so have ratings, of which a missing one weighs nothing at all.
"""

from __future__ import annotations

import math

import pytest
import torch

import reference
from accordant.algos import reward_pairwise, reward_regression
from accordant.types import ScoreOut, TokenPair, TokenRating, Tokens, UserError

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


def test_closed_form_with_ties() -> None:
    """Decided pairs keep margin and weight, tied ones their weight; the accuracy is that of the decided ones."""
    cfg = reward_pairwise.Config(ties=0.5)
    rows = [(1.5, 0.25, 0.5, 1.0, False), (0.75, 1.0, 0.0, 2.0, True), (-1.0, 0.5, 0.25, 0.5, False)]
    batch = reward_pairwise.collate([TokenPair(ANSWER, ANSWER, m, w, tie) for _, _, m, w, tie in rows], 0)
    score = torch.tensor([r[0] for r in rows] + [r[1] for r in rows], requires_grad=True)
    sums, metrics = reward_pairwise.loss(ScoreOut(score[:, None]), batch, cfg)
    sums["preference"].backward()
    parts = [reference.davidson(c, r, 0.5, tie, m) for c, r, m, _, tie in rows]
    slopes = [w * slope for (_, _, _, w, _), (_, slope) in zip(rows, parts, strict=True)]
    assert float(sums["preference"].detach()) == pytest.approx(
        sum(row[3] * x for row, (x, _) in zip(rows, parts, strict=True)), rel=1e-6
    )
    assert score.grad is not None
    assert score.grad.tolist() == pytest.approx([*slopes, *(-s for s in slopes)], rel=1e-5)
    assert reward_pairwise.counts(batch)["preference"] == 3.5
    assert metrics["accuracy"] == (1.0, 2.0)
    assert metrics["gap"] == pytest.approx((1.25 - 1.5, 2.0))


def test_ties_that_the_loss_calls_impossible_are_refused_with_the_number_to_set() -> None:
    """One pair in five is a tie: equal answers tie with probability nu / (2 + nu) = 1/5 at nu = 0.5."""
    pairs = [TokenPair(ANSWER, ANSWER, 0.0, 1.0, tie=k == 0) for k in range(5)]
    with pytest.raises(UserError, match=r"1 of 5 pairs are ties, which algo.ties=0 calls impossible: set algo.ties=0.5 "):
        reward_pairwise.check(pairs, reward_pairwise.Config())
    assert reward_pairwise.check(pairs, reward_pairwise.Config(ties=0.5)) == "1 of 5 pairs are ties"


@pytest.mark.parametrize("huber", [None, 0.75])
def test_closed_form_of_ratings(huber: float | None) -> None:
    outputs = [[0.5, -2.0], [1.0, 3.0], [-0.25, 0.125]]
    targets = [(1.5, math.nan), (0.75, 1.0), (math.nan, math.nan)]
    batch = reward_regression.collate([TokenRating(ANSWER, t) for t in targets], 0)
    score = torch.tensor(outputs, requires_grad=True)
    sums, metrics = reward_regression.loss(ScoreOut(score), batch, reward_regression.Config(huber=huber))
    sums["error"].backward()
    there = [[not math.isnan(t) for t in row] for row in targets]
    parts = [
        [reference.rating_error(o, t, huber) if on else (0.0, 0.0) for o, t, on in zip(*row, strict=True)]
        for row in zip(outputs, targets, there, strict=True)
    ]
    assert float(sums["error"].detach()) == pytest.approx(sum(x for row in parts for x, _ in row), rel=1e-6)
    assert score.grad is not None
    assert score.grad.tolist() == [pytest.approx([slope for _, slope in row], rel=1e-6) for row in parts]
    assert reward_regression.counts(batch) == {"error": 3.0}
    assert metrics["absolute_error"] == pytest.approx((1.0 + 0.25 + 2.0, 3.0))


def test_a_missing_rating_weighs_exactly_nothing() -> None:
    """Whatever the output says there: the others' terms, counts and gradients are those of a step without it."""
    found = []
    for missing in (0.0, 1e30):
        batch = reward_regression.collate([TokenRating(ANSWER, (0.5, math.nan)), TokenRating(ANSWER, (1.0, -1.0))], 0)
        score = torch.tensor([[0.0, missing], [2.0, 0.5]], requires_grad=True)
        sums, metrics = reward_regression.loss(ScoreOut(score), batch, reward_regression.Config())
        sums["error"].backward()
        assert score.grad is not None
        assert float(score.grad[0, 1]) == 0.0
        found.append((float(sums["error"].detach()), metrics, score.grad.tolist()))
    assert found[0] == found[1]
