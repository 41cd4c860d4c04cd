"""42. K-wise: the pairs of a prompt travel in one element, at K = 2 it is Bradley-Terry, many pairs weigh no more than one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
import torch
from torch import Tensor

import reference
from accordant import algos
from accordant.algos import reward_kwise
from accordant.types import ScoreOut, TokenPair, TokenRanking, Tokens, UserError

NAMES = ("reward_kwise", "reward_plackett_luce")


def answer(token: int, length: int = 2) -> Tokens:
    """A prompt of one token, and an answer that can be told by its ids."""
    return Tokens((1,) + (token,) * (length - 1), (False,) + (True,) * (length - 1), 1)


def ranking(*level: int, rejected: Sequence[int] = (), first: int = 10) -> TokenRanking:
    return TokenRanking(
        tuple(answer(first + k) for k in range(len(level))), level, tuple(k in rejected for k in range(len(level)))
    )


def step(name: str, items: Sequence[Any], scores: Sequence[Sequence[float]], **knobs: Any) -> tuple[float, list[list[float]]]:
    """One optimiser step over items of unequal K, as the loop makes it: a batch for each K, sums over the step's counts.

    Returns the loss, and the gradient by the scores of each item.
    """
    algo, cfg = algos.load(name), algos.load(name).Config(**knobs)
    leaves = [torch.tensor(row, dtype=torch.float64, requires_grad=True) for row in scores]
    total, count = torch.zeros((), dtype=torch.float64), 0.0
    for k in {len(row) for row in scores}:
        where = [i for i, row in enumerate(scores) if len(row) == k]
        batch = algo.collate([items[i] for i in where], 0)
        joined: Tensor = torch.stack([leaves[i] for i in where], dim=1).flatten()  # first answers, second answers, ...
        total = total + algo.loss(ScoreOut(joined[:, None]), batch, cfg)[0]["preference"]
        count += algo.counts(batch)["preference"]
    loss = total / count
    loss.backward()
    return float(loss.detach()), [leaf.grad.tolist() for leaf in leaves if leaf.grad is not None]


PAIRS = [(0.5, -1.25), (-2.0, 0.75), (3.0, 3.0)]


@pytest.mark.parametrize("name", NAMES)
def test_at_two_answers_it_is_bradley_terry(name: str) -> None:
    """Wherever the preferred one of the two is listed."""
    pairs = [TokenPair(answer(10), answer(11), 0.0, 1.0)] * 3
    expected = step("reward_pairwise", pairs, PAIRS)
    found = step(name, [ranking(0, 1)] * 3, PAIRS)
    turned = step(name, [ranking(1, 0)] * 3, [(b, a) for a, b in PAIRS])
    assert found[0] == pytest.approx(expected[0], rel=1e-12)
    assert turned[0] == pytest.approx(expected[0], rel=1e-12)
    for one, two, other in zip(expected[1], found[1], turned[1], strict=True):
        assert two == pytest.approx(one, rel=1e-12)
        assert other == pytest.approx(one[::-1], rel=1e-12)


def test_the_pairs_of_a_prompt_are_one_element() -> None:
    """Every answer is one row, computed once, though it is in K - 1 pairs; the order is answers first, prompts second."""
    items = [ranking(0, 1, 2), ranking(2, 0, 1, first=20)]
    batch = reward_kwise.collate(items, 0)
    assert batch.ids[:, 1].tolist() == [10, 20, 11, 21, 12, 22]
    assert batch.extra["level"].T.tolist() == [[0, 1, 2], [2, 0, 1]]
    assert batch.extra["prompt_length"].tolist() == [1, 1]
    assert reward_kwise.counts(batch) == {"preference": 2.0}


def test_scores_reach_the_prompt_that_they_belong_to() -> None:
    scores = [(0.5, -1.0, 2.0), (0.25, 1.5, -0.75)]
    loss, gradients = step("reward_kwise", [ranking(0, 1, 2), ranking(2, 0, 1, first=20)], scores)
    parts = [reference.k_wise(s, level) for s, level in zip(scores, ((0, 1, 2), (2, 0, 1)), strict=True)]
    assert loss == pytest.approx(sum(x for x, _ in parts) / 2, rel=1e-12)
    for found, (_, expected) in zip(gradients, parts, strict=True):
        assert found == pytest.approx([x / 2 for x in expected], rel=1e-12)


def test_a_prompt_with_many_pairs_counts_once() -> None:
    """Equal scores everywhere, so that every pair costs log 2: 15 pairs of one prompt move as much as the one pair of another.

    Cut into pairs and shuffled, the prompt of six answers would have 15 of the 16 votes.
    """
    many, two = ranking(0, 1, 2, 3, 4, 5), ranking(0, 1)
    loss, (of_many, of_two) = step("reward_kwise", [many, two], [[0.0] * 6, [0.0] * 2])
    assert loss == pytest.approx(torch.log(torch.tensor(2.0)).item(), rel=1e-6)
    assert of_two == pytest.approx([-0.25, 0.25])  # half of a step whose other half is the other prompt
    # The i-th best wins 5 - i pairs and loses i, each at slope 1/2, over 15 pairs and 2 prompts.
    assert of_many == pytest.approx([-(5 - 2 * i) / 2 / 15 / 2 for i in range(6)])
    as_pairs = [TokenPair(answer(0), answer(1), 0.0, 1.0)] * 16
    cut, gradients = step("reward_pairwise", as_pairs, [[0.0, 0.0]] * 16)
    assert cut == pytest.approx(loss)
    assert gradients[-1] == pytest.approx([-1 / 32, 1 / 32])


@pytest.mark.parametrize("name", NAMES)
def test_rejects_lose_to_all_others_or_are_in_no_pair(name: str) -> None:
    """b is marked F, after the tied a and c; two rejects are not compared with each other either way."""
    scores = [(0.5, 1.0, -0.25, 2.0)]
    item = ranking(0, 1, 0, 1, rejected=(1, 3))
    expected = {"reward_kwise": reference.k_wise, "reward_plackett_luce": reference.plackett_luce}[name]
    lose, (gradient,) = step(name, [item], scores)
    value, slopes = expected(scores[0], (0, 1, 0, 1))
    assert lose == pytest.approx(value, rel=1e-12)
    assert gradient == pytest.approx(slopes, rel=1e-9)
    exclude, (gradient,) = step(name, [ranking(0, 1, 2, 2, rejected=(2, 3))], scores, rejects="exclude")
    value, slopes = expected(scores[0][:2], (0, 1))
    assert exclude == pytest.approx(value, rel=1e-12)
    assert gradient == pytest.approx([*slopes, 0, 0], rel=1e-9)


def test_a_ranking_that_says_nothing_is_counted_and_named() -> None:
    """It adds nothing to the sum but is a prompt of the step; when there is no other kind, that is an error."""
    loss, gradients = step("reward_kwise", [ranking(0, 1), ranking(0, 0)], [(0.0, 0.0), (1.0, -1.0)])
    assert loss == pytest.approx(0.5 * reference.bradley_terry(0, 0)[0], rel=1e-12)
    assert gradients[1] == [0.0, 0.0]
    cfg = reward_kwise.Config()
    assert "1 of 2 rankings put no answer above another" in reward_kwise.check([ranking(0, 1), ranking(0, 0)], cfg)
    assert reward_kwise.check([ranking(0, 1)], cfg) == ""
    only_rejects = ranking(0, 1, 1, rejected=(1, 2))
    with pytest.raises(UserError, match=r"none of the 1 rankings puts an answer above another \(rejects=exclude\)"):
        reward_kwise.check([only_rejects], reward_kwise.Config(rejects="exclude"))


def test_accuracy_is_of_pairs_a_tie_of_scores_being_half_right() -> None:
    batch = reward_kwise.collate([ranking(0, 1, 2)], 0)
    score = torch.tensor([[1.0], [1.0], [2.0]])
    _, metrics = reward_kwise.loss(ScoreOut(score), batch, reward_kwise.Config())
    assert metrics["accuracy"] == (0.5, 3.0)
