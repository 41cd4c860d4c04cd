import dataclasses
from itertools import combinations
from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize

from accordant.stats.bradley_terry import Comparisons, Prior, davidson, fit, posterior


def compare(rows, objects, labelers=1, item=None):
    """Rows (first, second, outcome, labeler) as `Comparisons` of one item, or of those given."""
    first, second, outcome, labeler = np.array(rows, dtype=np.int64).reshape(-1, 4).T
    owner = np.zeros(objects, dtype=np.int64) if item is None else np.asarray(item)
    return Comparisons(first, second, outcome, labeler, np.ones(len(rows)), owner, labelers)


def negative(score, rows, beta, nu, sd):
    """The equations of the module, one comparison after another, in the plain form with worths pi = e^(beta s)."""
    total = float(np.sum(np.square(score))) / (2 * sd**2)
    for a, b, y, r in rows:
        x, z = np.exp(beta[r] * score[a]), np.exp(beta[r] * score[b])
        tie = nu[r] * np.sqrt(x * z)
        total -= np.log({1: x, -1: z, 0: tie}[y] / (x + z + tie))
    return total


STRICT = [(a, b, 1 if w else -1, 0) for a, b, w in np.random.default_rng(0).integers(0, 8, (120, 3)) if a != b for w in [w % 3]]


def test_davidson_is_the_paper():
    """Davidson (1970), equation 2.5: worths 4 and 1 and nu = 0.5 give 4, 1 and 0.5 sqrt(4) out of 6."""
    first, second, tie = davidson(np.log(4.0), np.log(0.5))
    assert (first, second, tie) == pytest.approx((4 / 6, 1 / 6, 1 / 6))
    assert np.sum(davidson(2000.0, 0.0)) == pytest.approx(1.0)  # no overflow
    assert davidson(0.0, -np.inf)[2] == 0.0


def test_without_ties_and_equally_reliable_it_is_choix():
    choix = pytest.importorskip("choix")
    wins = [(a, b) if y == 1 else (b, a) for a, b, y, _ in STRICT]
    found = posterior(compare(STRICT, 8), [1.0], [-np.inf], score_sd=0.7).mode
    # choix adds alpha times the squared scores: its alpha is half of our precision.
    np.testing.assert_allclose(found, choix.opt_pairwise(8, wins, alpha=1 / 0.7**2 / 2, tol=1e-10), atol=1e-5)
    flat = posterior(compare(STRICT, 8), [1.0], [-np.inf], score_sd=1e3).mode
    likelihood = choix.opt_pairwise(8, wins, alpha=0.0, tol=1e-10)
    np.testing.assert_allclose(flat - flat.mean(), likelihood - np.mean(likelihood), atol=1e-4)


rows = st.lists(
    st.tuples(st.integers(0, 3), st.integers(1, 3), st.integers(-1, 1), st.integers(0, 1)).map(
        lambda r: (r[0], (r[0] + r[1]) % 4, r[2], r[3])
    ),
    min_size=0,
    max_size=12,
)


@settings(max_examples=40)
@given(rows, st.tuples(st.floats(-3, 4), st.floats(-3, 4)), st.tuples(st.floats(-3, 2), st.floats(-3, 2)))
def test_the_mode_is_that_of_a_general_optimiser(rows, beta, log_tie):
    found = posterior(compare(rows, 4, labelers=2), beta, log_tie, score_sd=1.5)
    oracle = minimize(negative, np.zeros(4), (rows, beta, np.exp(log_tie), 1.5), method="BFGS", options={"gtol": 1e-6})
    np.testing.assert_allclose(found.mode, oracle.x, atol=1e-4)


def test_the_covariance_is_the_inverse_hessian_by_differences():
    ties = [(0, 1, 0, 0), (1, 2, 1, 1), (2, 3, -1, 1), (3, 0, 0, 1), (0, 2, 1, 0)]
    beta, nu, h = [1.5, -0.7], [0.4, 1.2], 1e-4
    found = posterior(compare(ties, 4, labelers=2), beta, np.log(nu))
    unit = np.eye(4) * h
    hessian = [
        [sum(s * t * negative(found.mode + s * unit[i] + t * unit[j], ties, beta, nu, 1.0) for s in (1, -1) for t in (1, -1))
         / (4 * h * h) for j in range(4)] for i in range(4)
    ]  # fmt: skip
    np.testing.assert_allclose(found.covariance.reshape(4, 4), np.linalg.inv(hessian), atol=1e-5)
    np.testing.assert_allclose(found.variance, np.diag(np.linalg.inv(hessian)), atol=1e-5)
    confidence = found.confidence([2, 0])
    spread = np.array([1, 0, -1, 0])
    z = (found.mode[0] - found.mode[2]) / np.sqrt(spread @ np.linalg.inv(hessian) @ spread)
    assert confidence[1, 0] == pytest.approx(NormalDist().cdf(z), abs=1e-4)
    np.testing.assert_allclose(confidence + confidence.T, 1.0)


def test_scores_exist_where_the_likelihood_has_no_maximum():
    found = posterior(compare([(0, 1, 1, 0)] * 50, 2), [3.0], [-1.0])
    assert 0 < found.mode[0] == pytest.approx(-found.mode[1])
    assert np.isfinite(found.mode).all()
    steep = posterior(compare([(0, 1, 1, 0), (0, 1, 0, 0)], 2), [2000.0], [0.0])  # no overflow
    assert 0 < steep.mode[0] < 1
    nobody = posterior(compare([], 2), [1.0], [0.0])
    assert nobody.mode.tolist() == [0, 0]
    assert nobody.confidence([0, 1]).tolist() == [[0.5, 0.5], [0.5, 0.5]]


def test_items_do_not_touch_each_other():
    """Two items of different size at once are the same two alone."""
    one, two = [(0, 1, 1, 0), (1, 0, 0, 0)], [(0, 1, -1, 0), (1, 2, 0, 0), (0, 2, 1, 0)]
    both = one + [(a + 2, b + 2, y, r) for a, b, y, r in two]
    joint = posterior(compare(both, 5, item=[0, 0, 1, 1, 1]), [1.3], [0.2])
    first, second = posterior(compare(one, 2), [1.3], [0.2]), posterior(compare(two, 3), [1.3], [0.2])
    np.testing.assert_allclose(joint.mode, [*first.mode, *second.mode], atol=1e-9)
    np.testing.assert_allclose(joint.confidence([2, 3, 4]), second.confidence([0, 1, 2]), atol=1e-9)
    assert joint.confidence([0, 1])[0, 1] == pytest.approx(first.confidence([0, 1])[0, 1])
    assert joint.covariance.shape == (4 + 9,), "none is as wide as the widest"


def test_a_weight_of_two_is_a_comparison_made_twice():
    once = compare(STRICT, 8)
    doubled = dataclasses.replace(once, weight=np.full(len(STRICT), 2.0))
    np.testing.assert_allclose(
        posterior(doubled, [1.0], [-1.0]).mode, posterior(compare(STRICT * 2, 8), [1.0], [-1.0]).mode, atol=1e-9
    )


def test_a_labeler_of_discrimination_zero_says_nothing_and_a_negative_one_the_contrary():
    said = [(0, 1, 1, 0), (1, 2, 1, 0)]
    contrary = [(a, b, -y, r) for a, b, y, r in said]
    assert np.abs(posterior(compare(said, 3), [0.0], [0.0]).mode).max() == 0
    np.testing.assert_allclose(
        posterior(compare(said, 3), [-2.0], [0.0]).mode, posterior(compare(contrary, 3), [2.0], [0.0]).mode, atol=1e-9
    )


BETA, NU = np.array([4.0, 2.0, 0.5, -1.5]), np.array([0.3, 0.8, 0.5, 0.5])


def drawn(items, answers, seed, times=1):
    """Every labeler on every pair of every item, `times` over, drawn from the model itself."""
    rng = np.random.default_rng(seed)
    rows = []
    for i, score in enumerate(rng.normal(size=(items, answers))):
        for a, b in combinations(range(answers), 2):
            chances = np.stack(davidson(BETA * (score[a] - score[b]), np.log(NU)), axis=1)
            for r in [*range(4)] * times:
                rows.append((answers * i + a, answers * i + b, int(rng.choice([1, -1, 0], p=chances[r])), r))
    return rows, compare(rows, answers * items, labelers=4, item=np.repeat(np.arange(items), answers))


def test_the_fit_recovers_the_labelers_that_made_the_data():
    _, data = drawn(100, answers=6, seed=1, times=2)
    found = fit(data)
    assert found.converged
    np.testing.assert_allclose(found.discrimination, BETA, rtol=0.1)
    np.testing.assert_allclose(np.exp(found.log_tie), NU, rtol=0.2)


def test_the_fit_is_near_the_maximum_of_the_exact_marginal_likelihood():
    """With two objects an item the scores' difference can be integrated out exactly; Laplace costs a little."""
    rows, data = drawn(150, answers=2, seed=2)
    nodes, weights = np.polynomial.hermite_e.hermegauss(60)
    gap = np.sqrt(2) * nodes  # the difference of two scores of standard deviation 1
    outcome = np.array([y for _, _, y, _ in rows]).reshape(150, 4)
    prior = Prior()

    def loss(place):
        beta, log_tie = place[:4], place[4:]
        chance = np.array(davidson(beta[:, None] * gap, log_tie[:, None]))  # (first, second, tie; labeler; node)
        which = np.select([outcome == 1, outcome == -1], [0, 1], 2)
        per_item = np.prod(chance[which, np.arange(4)[None, :]], axis=1) @ (weights / weights.sum())
        distance = (beta - prior.discrimination[0]) ** 2 / prior.discrimination[1] ** 2
        distance = distance + (log_tie - prior.log_tie[0]) ** 2 / prior.log_tie[1] ** 2
        return -np.log(per_item).sum() + distance.sum() / 2

    exact = minimize(loss, np.concatenate([np.full(4, 2.0), np.full(4, -1.0)]), method="BFGS").x
    found = fit(data)
    np.testing.assert_allclose(found.discrimination, exact[:4], atol=0.35)
    np.testing.assert_allclose(found.log_tie, exact[4:], atol=0.15)
    assert loss(np.concatenate([found.discrimination, found.log_tie])) < loss(exact) + 1.0


def test_who_cannot_be_compared_keeps_the_prior():
    data = compare([(0, 1, 1, 0), (2, 3, 1, 1)], 4, labelers=3, item=[0, 0, 1, 1])
    found = fit(data)
    np.testing.assert_allclose(found.discrimination, Prior().discrimination[0], rtol=0.1)
    assert found.discrimination[0] == pytest.approx(found.discrimination[1])


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"outcome": np.array([2])}, "outcome of -1"),
        ({"second": np.array([0])}, "two different objects"),
        ({"second": np.array([2])}, "two items"),
        ({"weight": np.array([0.0])}, "positive weight"),
        ({"weight": np.array([1.0, 1.0])}, "differ in length"),
        ({"item": np.array([1, 1, 2])}, "from 0"),
        ({"item": np.array([0, 0, 2])}, "leaving none out"),
        ({"labelers": 2}, "hold 2 numbers"),
        ({"outcome": np.array([0])}, "made a tie"),
    ],
)
def test_what_is_refused(change, match):
    good = compare([(0, 1, 1, 0)], 3, item=[0, 0, 1])
    with pytest.raises(ValueError, match=match):
        posterior(dataclasses.replace(good, **change), [1.0], [-np.inf])
    with pytest.raises(ValueError, match="score_sd"):
        posterior(good, [1.0], [0.0], score_sd=0.0)
