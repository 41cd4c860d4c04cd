"""Every preference loss against scalar loops written from its paper, values and gradients, up to scores of 1e4."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

import reference
from accordant.ops.preference import kwise_loss, pairwise_loss, plackett_luce_loss, ranking_pairs, tied_pair_loss

near = st.floats(-40, 40)
far = st.sampled_from([-1e4, -300.0, 0.0, 300.0, 1e4])
scores = st.one_of(near, far)
margins = st.floats(0, 3)
nus = st.floats(1e-3, 20)
SETWISE = {"K-wise": (kwise_loss, reference.k_wise), "Plackett-Luce": (plackett_luce_loss, reference.plackett_luce)}


def close(found: float, expected: float) -> bool:
    return found == pytest.approx(expected, rel=1e-9, abs=1e-9)


def with_gradient(loss: Callable[..., Tensor], *values: list[float]) -> tuple[list[float], list[list[float]]]:
    """Per-item losses and the gradient of their sum by each argument, float64."""
    leaves = [torch.tensor(value, dtype=torch.float64, requires_grad=True) for value in values]
    out = loss(*leaves)
    out.sum().backward()
    return out.tolist(), [leaf.grad.tolist() for leaf in leaves if leaf.grad is not None]


# --- pairs ------------------------------------------------------------------------------------------------------------


@given(scores, scores, margins)
def test_pairwise_loss_and_gradient_equal_the_reference(chosen: float, rejected: float, margin: float) -> None:
    (loss,), (by_chosen, by_rejected, _) = with_gradient(pairwise_loss, [chosen], [rejected], [margin])
    expected, slope = reference.bradley_terry(chosen, rejected, margin)
    assert close(loss, expected)
    assert close(by_chosen[0], slope)
    assert close(by_rejected[0], -slope)


def davidson(tie: bool, nu: float) -> Callable[[Tensor, Tensor, Tensor], Tensor]:
    return lambda a, b, m: tied_pair_loss(a, b, m, torch.full(a.shape, tie), nu)


@given(scores, scores, margins, nus, st.booleans())
def test_davidson_and_its_gradient_equal_the_reference(
    chosen: float, rejected: float, margin: float, nu: float, tie: bool
) -> None:
    (loss,), (by_chosen, by_rejected, _) = with_gradient(davidson(tie, nu), [chosen], [rejected], [margin])
    expected, slope = reference.davidson(chosen, rejected, nu, tie, margin)
    assert loss == pytest.approx(expected, rel=1e-9, abs=1e-8)
    assert by_chosen[0] == pytest.approx(slope, rel=1e-7, abs=1e-9)
    assert by_rejected[0] == pytest.approx(-slope, rel=1e-7, abs=1e-9)


@given(scores, scores, margins)
def test_without_ties_it_is_bradley_terry(chosen: float, rejected: float, margin: float) -> None:
    """nu = 0 is not a limit that is approached but the same number, gradient included."""
    one, other = (with_gradient(f, [chosen], [rejected], [margin]) for f in (davidson(False, 0.0), pairwise_loss))
    assert one[0] == other[0]
    assert one[1] == other[1]


@given(near, near, nus)
def test_the_three_outcomes_are_all_there_is(a: float, b: float, nu: float) -> None:
    first, second, tied = (davidson(tie, nu)(*(torch.tensor([x], dtype=torch.float64) for x in (x, y, 0.0)))
                           for x, y, tie in ((a, b, False), (b, a, False), (a, b, True)))  # fmt: skip
    assert sum(math.exp(-float(loss)) for loss in (first, second, tied)) == pytest.approx(1, rel=1e-12)
    assert float(first - tied) == pytest.approx(math.log(nu) - (a - b) / 2, abs=1e-9)


@given(scores, scores, margins, nus)
def test_who_is_called_chosen_in_a_tie_means_nothing(a: float, b: float, margin: float, nu: float) -> None:
    one, other = (with_gradient(davidson(True, nu), [x], [y], [margin]) for x, y in ((a, b), (b, a)))
    assert close(one[0][0], other[0][0])
    assert one[1][0] == pytest.approx(other[1][1], abs=1e-12)
    assert one[1][2] == [0.0]  # nor does its margin


@given(nus)
def test_two_equal_answers_tie_with_the_documented_probability(nu: float) -> None:
    loss = davidson(True, nu)(*(torch.zeros(1, dtype=torch.float64) for _ in range(3)))
    assert math.exp(-float(loss)) == pytest.approx(nu / (2 + nu), rel=1e-12)


@pytest.mark.parametrize("gap", [20.0, -20.0, 200.0, 1e4, -1e4])
@pytest.mark.parametrize("nu", [0.0, 0.5])
def test_float32_keeps_its_digits_at_large_gaps(gap: float, nu: float) -> None:
    """A loss of 2e-9 is not what is left of 10 - 10, and its gradient is not zero either."""
    chosen = torch.tensor([gap], requires_grad=True)
    loss = tied_pair_loss(chosen, torch.zeros(1), torch.zeros(1), torch.tensor([False]), nu)
    loss.sum().backward()
    expected, slope = reference.davidson(gap, 0.0, nu, False)
    assert float(loss.detach()) == pytest.approx(expected, rel=1e-5, abs=1e-30)
    assert chosen.grad is not None
    # float32's 1 - p near a sure thing: the slope is exact to the last place of 1, and to its own digits in between.
    assert float(chosen.grad) == pytest.approx(slope, rel=1e-5, abs=1e-30 if nu == 0 else 3e-8)


# --- rankings ---------------------------------------------------------------------------------------------------------


@st.composite
def rankings(draw: st.DrawFn, values: st.SearchStrategy[float] = scores) -> tuple[list[float], list[int]]:
    """Scores and levels of 2 to 6 answers; levels with ties and, since only their order counts, with gaps."""
    k = draw(st.integers(2, 6))
    return draw(st.lists(values, min_size=k, max_size=k)), draw(st.lists(st.integers(0, 4), min_size=k, max_size=k))


def setwise(loss: Callable[..., Tensor], levels: list[int], out: list[int] | None = None) -> Callable[[Tensor], Tensor]:
    counted = torch.tensor([[k not in (out or [])] for k in range(len(levels))])
    return lambda score: loss(score[:, None], torch.tensor(levels)[:, None], counted)


@pytest.mark.parametrize("name", SETWISE)
@given(ranking=rankings())
def test_whole_rankings_equal_the_reference(name: str, ranking: tuple[list[float], list[int]]) -> None:
    loss, expected = SETWISE[name]
    (found,), (gradient,) = with_gradient(setwise(loss, ranking[1]), ranking[0])
    value, slopes = expected(*ranking)
    assert close(found, value)
    assert gradient == pytest.approx(slopes, rel=1e-7, abs=1e-9)


@pytest.mark.parametrize("name", SETWISE)
@given(ranking=rankings(near), order=st.randoms(use_true_random=False))
def test_the_order_in_which_answers_are_listed_means_nothing(
    name: str, ranking: tuple[list[float], list[int]], order: object
) -> None:
    loss = SETWISE[name][0]
    places = list(range(len(ranking[0])))
    order.shuffle(places)  # type: ignore[attr-defined]
    (plain,), (gradient,) = with_gradient(setwise(loss, ranking[1]), ranking[0])
    mixed = setwise(loss, [ranking[1][i] for i in places])
    (found,), (other,) = with_gradient(mixed, [ranking[0][i] for i in places])
    assert close(found, plain)
    assert other == pytest.approx([gradient[i] for i in places], abs=1e-12)


@pytest.mark.parametrize("name", SETWISE)
@given(better=scores, worse=scores, first=st.booleans())
def test_of_two_answers_both_are_bradley_terry(name: str, better: float, worse: float, first: bool) -> None:
    values, levels = ([better, worse], [0, 1]) if first else ([worse, better], [1, 0])
    (loss,), (gradient,) = with_gradient(setwise(SETWISE[name][0], levels), values)
    expected, slope = reference.bradley_terry(better, worse)
    assert close(loss, expected)
    assert gradient == pytest.approx([slope, -slope] if first else [-slope, slope], rel=1e-7, abs=1e-12)


@pytest.mark.parametrize("name", SETWISE)
@given(ranking=rankings(), position=st.integers(0, 6), stranger=scores)
def test_an_answer_that_is_excluded_is_as_if_it_were_not_there(
    name: str, ranking: tuple[list[float], list[int]], position: int, stranger: float
) -> None:
    """Marked F and on the last level, with any score; its own gradient is exactly zero."""
    loss, (values, levels) = SETWISE[name][0], ranking
    place = min(position, len(values))
    (plain,), (gradient,) = with_gradient(setwise(loss, levels), values)
    longer = [*values[:place], stranger, *values[place:]]
    with_level = [*levels[:place], 9, *levels[place:]]
    (found,), (other,) = with_gradient(setwise(loss, with_level, out=[place]), longer)
    assert close(found, plain)
    assert other.pop(place) == 0.0
    assert other == pytest.approx(gradient, abs=1e-12)


@pytest.mark.parametrize("name", SETWISE)
@pytest.mark.parametrize(("levels", "out"), [([2, 2, 2], []), ([0, 1, 1], [1, 2]), ([1, 1, 1], [0, 1, 2])])
def test_a_ranking_without_any_order_says_nothing(name: str, levels: list[int], out: list[int]) -> None:
    (loss,), (gradient,) = with_gradient(setwise(SETWISE[name][0], levels, out), [3.0, -1.0, 1e4])
    assert loss == 0.0
    assert gradient == [0.0, 0.0, 0.0]


@given(rankings(near), st.floats(-100, 100))
def test_only_differences_of_scores_count(ranking: tuple[list[float], list[int]], shift: float) -> None:
    for loss, _ in SETWISE.values():
        (plain,), (gradient,) = with_gradient(setwise(loss, ranking[1]), ranking[0])
        (moved,), _ = with_gradient(setwise(loss, ranking[1]), [x + shift for x in ranking[0]])
        assert moved == pytest.approx(plain, abs=1e-9)
        assert sum(gradient) == pytest.approx(0, abs=1e-12)


@given(st.lists(near, min_size=4, max_size=4), st.permutations(range(4)))
def test_plackett_luce_is_a_distribution_over_orders(values: list[float], order: list[int]) -> None:
    """The orders of four answers have probabilities that sum to 1, and this one has the product of its draws."""
    from itertools import permutations

    score = torch.tensor(values, dtype=torch.float64)
    probability = {p: math.exp(-float(setwise(plackett_luce_loss, list(p))(score))) for p in permutations(range(4))}
    assert sum(probability.values()) == pytest.approx(1, rel=1e-9)
    best_first = sorted(range(4), key=lambda k: order[k])
    by_hand = 1.0
    for i, k in enumerate(best_first):
        by_hand /= sum(math.exp(values[j] - values[k]) for j in best_first[i:])
    assert probability[tuple(order)] == pytest.approx(by_hand, rel=1e-9)


def test_pairs_of_a_ranking() -> None:
    """Two prompts of three answers: a tie at the top, and an answer that is left out."""
    level, counted = torch.tensor([[0, 2], [0, 0], [1, 1]]), torch.tensor([[True, True], [True, True], [True, False]])
    found = ranking_pairs(level, counted)
    pairs = [{(i, j) for i in range(3) for j in range(3) if found[i, j, n]} for n in range(2)]
    assert pairs == [{(0, 2), (1, 2)}, {(1, 0)}]


def test_shapes_that_would_broadcast_are_refused() -> None:
    with pytest.raises(ValueError, match="shape"):
        pairwise_loss(torch.zeros(3), torch.zeros(3), torch.zeros(1))
    with pytest.raises(ValueError, match="shape"):
        pairwise_loss(torch.zeros(3, 1), torch.zeros(3, 1), torch.zeros(3, 1))
    with pytest.raises(ValueError, match="shape"):
        tied_pair_loss(torch.zeros(3), torch.zeros(3), torch.zeros(3), torch.tensor([True]), 1.0)
    for loss in (kwise_loss, plackett_luce_loss):
        with pytest.raises(ValueError, match="shape"):
            loss(torch.zeros(3, 2), torch.zeros(3, 1, dtype=torch.long), torch.ones(3, 2, dtype=torch.bool))
