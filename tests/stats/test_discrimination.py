"""How sure a discrimination is: the formula by differences, what it must be where that is known, and how often it is right."""

from __future__ import annotations

import dataclasses
from itertools import combinations

import numpy as np
import pytest
from numpy.typing import NDArray
from test_bradley_terry import BETA, compare, drawn

from accordant.stats.bradley_terry import Comparisons, Prior, fit, posterior
from accordant.stats.discrimination import discrimination_sd
from accordant.stats.weighted_consensus import comparisons
from panel import Person, simulate

PEOPLE = {str(noise): Person(noise, 0.3) for noise in (0.3, 0.6, 0.9, 1.5)} | {"random": Person(1.0, 0.3, careless=1.0)}


def chances(eta: NDArray[np.float64], log_tie: float) -> NDArray[np.float64]:
    """Of first, second and tie: Davidson (1970), equation 2.5, with worths e^(eta/2) and e^(-eta/2)."""
    worth = np.stack([np.exp(eta / 2), np.exp(-eta / 2), np.full_like(eta, np.exp(log_tie))])
    return worth / worth.sum(axis=0)


def test_the_formula_by_differences() -> None:
    """Everything from one function, the expected log-likelihood of an item, that is written out comparison by comparison."""
    rows, data = drawn(30, answers=3, seed=5)
    data = dataclasses.replace(data, weight=np.random.default_rng(6).uniform(0.5, 2.0, len(rows)))
    found, h = fit(data), 1e-3
    nodes, weights = np.polynomial.hermite_e.hermegauss(5)  # as `fit` has it
    covariance = found.scores.covariance.reshape(-1, 3, 3)

    def expected(i: int, theta: NDArray[np.float64], score: NDArray[np.float64]) -> float:
        total = 0.0
        for (a, b, y, r), weight in zip(rows, data.weight, strict=True):
            if a // 3 == i:
                k, j = a % 3, b % 3
                gap = score[k] - score[j] + np.sqrt(covariance[i][k, k] + covariance[i][j, j] - 2 * covariance[i][k, j]) * nodes
                chance = chances(theta[r] * gap, theta[4 + r])[{1: 0, -1: 1, 0: 2}[y]]
                total += weight * float(np.log(chance) @ weights) / weights.sum()
        return total

    theta, unit = np.concatenate([found.discrimination, found.log_tie]), np.eye(8) * h
    prior = np.diag([2.0**-2] * 4 + [1.5**-2] * 4)
    scatter, information = prior.copy(), np.zeros((8, 8))
    for i in range(30):
        score, shift = found.scores.mode[3 * i : 3 * i + 3], np.eye(3) * h
        at = {
            (k, s): [expected(i, theta + s * unit[k], score + t * shift[c]) for c in range(3) for t in (1, -1)]
            for k in range(8) for s in (1, -1)
        }  # fmt: skip
        here = expected(i, theta, score)
        side = {key: expected(i, theta + key[1] * unit[key[0]], score) for key in at}
        gradient = np.array([(side[k, 1] - side[k, -1]) / (2 * h) for k in range(8)])
        scatter += np.outer(gradient, gradient)
        by_score = np.array([
            [(at[k, 1][2 * c] - at[k, 1][2 * c + 1] - at[k, -1][2 * c] + at[k, -1][2 * c + 1]) / (4 * h * h) for c in range(3)]
            for k in range(8)
        ])  # fmt: skip
        curvature = np.diag([(2 * here - side[k, 1] - side[k, -1]) / (h * h) for k in range(8)])
        for r in range(4):
            corners = [s * t * expected(i, theta + s * unit[r] + t * unit[4 + r], score) for s in (1, -1) for t in (1, -1)]
            curvature[r, 4 + r] = curvature[4 + r, r] = -sum(corners) / (4 * h * h)
        information += curvature - by_score @ covariance[i] @ by_score.T
    bread = np.linalg.inv(prior + information)
    wider = np.maximum(np.diag(np.linalg.inv(scatter)), np.diag(bread @ scatter @ bread))
    np.testing.assert_allclose(discrimination_sd(data, found), np.sqrt(wider[:4]), rtol=1e-4)


def test_nothing_said_leaves_the_prior_and_a_prior_can_be_given() -> None:
    data = compare([(0, 1, 1, 0), (0, 1, 1, 1)], 2, labelers=3)
    for prior in (None, Prior(discrimination=(1.0, 0.7))):
        sd = discrimination_sd(data, fit(data, prior), prior)
        assert sd[2] == pytest.approx((prior or Prior()).discrimination[1])
        assert sd[0] == pytest.approx(sd[1])
        assert 0 < sd[0] < sd[2]


def test_many_comparisons_are_taken_a_block_at_a_time() -> None:
    """Items numbered the other way round give the same, with more comparisons than go into a block."""
    rows, data = drawn(250, answers=4, seed=3)
    turned = compare([(999 - a, 999 - b, y, r) for a, b, y, r in rows[::-1]], 1000, labelers=4, item=data.item)
    assert len(rows) > 4096
    one, other = (discrimination_sd(some, fit(some)) for some in (data, turned))
    np.testing.assert_allclose(one, other, rtol=1e-4)


def test_it_holds_the_beta_that_made_the_data_in_95_of_100() -> None:
    """Intervals that are too wide hold it too, so the width is checked as well: the scatter of what is estimated."""
    held, estimates, sds = [], [], []
    for seed in range(25):
        _, data = drawn(40, answers=4, seed=100 + seed)
        found = fit(data)
        estimates.append(found.discrimination)
        sds.append(discrimination_sd(data, found))
        held.append(np.abs(found.discrimination - BETA) < 1.96 * sds[-1])
    assert np.mean(held) > 0.92
    spread = np.std(estimates, axis=0)
    assert (np.median(sds, axis=0) > 0.8 * spread).all()
    assert (np.median(sds, axis=0)[1:] < 1.6 * spread[1:]).all()  # the first is better than what the others can tell


def ranked(items: int, seed: int) -> Comparisons:
    _, found = simulate(seed, items, answers=4, overlap=len(PEOPLE), people=PEOPLE)
    return comparisons(found, list(PEOPLE))


def test_the_pairs_of_one_ranking_are_not_as_many_witnesses() -> None:
    """Of rankings there is no true beta, but what many items would give. Single comparisons would be too sure of themselves."""
    many = fit(ranked(800, seed=0)).discrimination
    held = []
    for seed in range(1, 21):
        data = ranked(60, seed)
        found = fit(data)
        held.append(np.abs(found.discrimination - many) < 1.96 * discrimination_sd(data, found))
    assert np.mean(np.array(held)[:, 2:]) > 0.88  # average, poor and random
    assert np.mean(held) > 0.85


def test_of_two_labelers_nobody_knows_who_errs() -> None:
    """Strict orders of two by two: only how often they agree is known, whatever the number of items. A third tells."""
    rng = np.random.default_rng(7)
    both = [(2 * i, 2 * i + 1, y, r) for i in range(400) for r, y in enumerate((1, 1 if rng.random() < 0.8 else -1))]
    more = [(2 * i, 2 * i + 1, 1 if rng.random() < 0.8 else -1, 2) for i in range(400)]
    two, three = (
        compare(rows, 800, labelers=n, item=np.repeat(np.arange(400), 2)) for rows, n in ((both, 2), (both + more, 3))
    )
    assert (discrimination_sd(two, fit(two)) > 1).all()
    assert (discrimination_sd(three, fit(three))[1:] < 0.5).all()


def test_an_item_of_another_size_is_a_block_of_its_own() -> None:
    """A wide item whose labeler nobody else meets does not touch the others, though it is the first of all."""
    pairs = [(2 * i, 2 * i + 1, 1 if (i + r) % 4 else -1, r) for i in range(30) for r in range(3)]
    wide = [(a, b, 1, 3) for a, b in combinations(range(5), 2)]
    item = np.repeat(np.arange(30), 2)
    alone = compare(pairs, 60, labelers=3, item=item)
    moved = [(a + 5, b + 5, y, r) for a, b, y, r in pairs]
    together = compare(wide + moved, 65, labelers=4, item=np.concatenate([np.zeros(5, dtype=np.int64), item + 1]))
    found = fit(together)
    same = dataclasses.replace(
        found, discrimination=found.discrimination[:3], log_tie=found.log_tie[:3],
        scores=posterior(alone, found.discrimination[:3], found.log_tie[:3]),
    )  # fmt: skip
    assert found.scores.covariance.shape == (30 * 4 + 25,)
    np.testing.assert_allclose(discrimination_sd(together, found)[:3], discrimination_sd(alone, same), rtol=1e-6)
