"""Bradley-Terry with ties (Davidson), with a discrimination and a tie rate for each labeler, fitted over many items at once.

A comparison of objects a and b by labeler r has the outcome y = 1 (a), -1 (b) or 0 (tie), and with
``eta = beta_r (s_a - s_b)``::

    P(1) = e^{eta/2} / Z     P(-1) = e^{-eta/2} / Z     P(0) = nu_r / Z     Z = e^{eta/2} + e^{-eta/2} + nu_r

beta_r = 1 and nu_r = 0 is Bradley and Terry (1952); beta_r = 1 is Davidson (1970), equation 2.5; beta_r = 0 is a labeler who
tosses a coin, and a negative one says the contrary. Scores have a Gaussian prior, so that they exist for every set of
comparisons, also where one object always wins.

Left out: position effects, and that scores are less sure where beta and nu are unsure (`discrimination` says how unsure a
beta is). The posterior of the scores is a Gaussian at its mode, so with two answers an item and few labelers the beta of a very
careful labeler comes out too small (4 as 2.2 with four labelers); from four answers an item on it is within about a fifth.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtr

NODES, NODE_WEIGHTS = np.polynomial.hermite_e.hermegauss(5)
NODE_WEIGHTS = NODE_WEIGHTS / NODE_WEIGHTS.sum()
"""Gauss and Hermite's quadrature over a standard normal."""


@dataclass(frozen=True)
class Comparisons:
    """M comparisons; objects are numbered over all items, and only objects of one item are compared with each other."""

    first: NDArray[np.int64]  # (M,) object
    second: NDArray[np.int64]  # (M,) object
    outcome: NDArray[np.int64]  # (M,) 1: first, -1: second, 0: tie
    labeler: NDArray[np.int64]  # (M,)
    weight: NDArray[np.float64]  # (M,) > 0; 1 where each comparison was made by itself
    item: NDArray[np.int64]  # (O,) the item of each object, ascending from 0
    labelers: int  # R


@dataclass(frozen=True)
class Prior:
    """Gaussian priors, as (mean, standard deviation); scores have mean 0."""

    score_sd: float = 1.0
    discrimination: tuple[float, float] = (2.0, 2.0)  # beta, per unit of score
    log_tie: tuple[float, float] = (-1.0, 1.5)  # log nu


@dataclass(frozen=True)
class Scores:
    """The posterior of the scores, as a Gaussian at its mode (Laplace)."""

    mode: NDArray[np.float64]  # (O,)
    covariance: NDArray[np.float64]  # (B,) the (K, K) of each item, the smallest items first: none is padded to the largest
    row: NDArray[np.int64]  # (O,) where the row of each object begins in it
    slot: NDArray[np.int64]  # (O,) the place of each object within its item, and so within the rows of the others

    @property
    def variance(self) -> NDArray[np.float64]:
        """(O,) of each score."""
        return self.covariance[self.row + self.slot]

    def confidence(self, objects: ArrayLike) -> NDArray[np.float64]:
        """(K, K) P(i is better than j) for objects of one item, in their order: 1/2 on the diagonal."""
        chosen = np.asarray(objects)
        block = self.covariance[self.row[chosen][:, None] + self.slot[chosen]]
        variance = np.diag(block)[:, None] + np.diag(block) - 2 * block
        np.fill_diagonal(variance, 1.0)
        return ndtr((self.mode[chosen][:, None] - self.mode[chosen]) / np.sqrt(variance))


@dataclass(frozen=True)
class Fit:
    """Scores and labelers together."""

    scores: Scores
    discrimination: NDArray[np.float64]  # (R,) beta
    log_tie: NDArray[np.float64]  # (R,) log nu
    iterations: int
    converged: bool  # no beta or log nu moved by more than the tolerance at last


def davidson(eta: ArrayLike, log_tie: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """The probabilities of first, second and tie; `eta` and `log_tie` broadcast, and ``log_tie = -inf`` excludes ties."""
    half = np.asarray(eta, dtype=np.float64) / 2
    likely, tied, total = _masses(np.abs(half), np.asarray(log_tie, dtype=np.float64))
    unlikely = likely**2 / total
    first = np.where(half >= 0, 1 / total, unlikely)
    return first, np.where(half >= 0, unlikely, 1 / total), tied / total


def _masses(half: NDArray[np.float64], log_tie: NDArray[np.float64]) -> tuple[Any, Any, Any]:
    """With ``x = e^{-half}``, half >= 0: x, nu x, and their total ``1 + x^2 + nu x``, the masses being over e^{half}.

    One exponential for all three outcomes: this is where the time of a fit goes. nu is at most e^300, so that it is finite.
    """
    x = np.exp(-half)
    tied = np.exp(np.minimum(log_tie, 300.0)) * x
    return x, tied, 1 + x * x + tied


def posterior(
    data: Comparisons, discrimination: ArrayLike, log_tie: ArrayLike, score_sd: float = 1.0, start: ArrayLike | None = None
) -> Scores:
    """The scores given the labelers (beta and log nu, (R,) each): Newton's method on a concave function, so there is one mode.

    ``log p = sum_m w_m log P(y_m) - sum_o s_o^2 / (2 sd^2)``; the covariance is the inverse of its negative Hessian.
    `start` (O,) saves steps and changes nothing else. Raises `ValueError` for comparisons across items or out of range, and
    for a tie where a labeler's log nu is -inf.
    """
    beta, tie = np.asarray(discrimination, dtype=np.float64), np.asarray(log_tie, dtype=np.float64)
    _check(data, beta, tie, score_sd)
    return _posterior(_laid_out(data), beta, tie, score_sd, None if start is None else np.array(start, dtype=np.float64))


def fit(data: Comparisons, prior: Prior | None = None, *, tolerance: float = 1e-3, most_iterations: int = 200) -> Fit:
    """Scores, discrimination and tie rate of each labeler together, by EM; deterministic.

    E: the `posterior` of the scores given the labelers. M: each labeler's beta and log nu maximise their expected
    log-likelihood under that posterior (by Gauss-Hermite quadrature over the difference of two scores) plus their log-prior.
    That the scores' uncertainty is averaged over matters: with the modes alone, a labeler's own votes would vouch for it.
    Then all beta are multiplied by the scores' posterior spread over `score_sd`, so that the scores have the spread that
    their prior says: the step of parameter-expanded EM (Liu, Rubin and Wu 1998, Biometrika 85, 755-770), which makes EM
    faster and takes back most of what a Gaussian at the mode gets wrong (modes lie too close together where beta is large).
    Begins with the priors' means, all labelers alike, so the majority decides which way is up. Where no two labelers share
    an item, beta hardly leaves the prior. Raises as `posterior` does.
    """
    prior = prior or Prior()
    beta = np.full(data.labelers, prior.discrimination[0])
    tie = np.full(data.labelers, prior.log_tie[0])
    _check(data, beta, tie, prior.score_sd)
    layout = _laid_out(data)
    start: NDArray[np.float64] | None = None
    iterations, converged = 0, False
    while not converged and iterations < most_iterations:
        scores = _posterior(layout, beta, tie, prior.score_sd, start)
        start = scores.mode
        new_beta, new_tie = _labelers(layout, scores, beta, tie, prior)
        new_beta = new_beta * _spread(scores) / prior.score_sd
        moved = max(np.abs(new_beta - beta).max(), np.abs(new_tie - tie).max())
        beta, tie = new_beta, new_tie
        iterations, converged = iterations + 1, bool(moved < tolerance)
    return Fit(_posterior(layout, beta, tie, prior.score_sd, start), beta, tie, iterations, converged)


def _spread(scores: Scores) -> float:
    """The standard deviation of all scores around 0, as the posterior has it."""
    return float(np.sqrt(np.mean(scores.mode**2 + scores.variance)))


# --- E: scores --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Layout:
    """Comparisons with what every step of a fit needs of them. Matrices (K, K) of the items are flat, as in `Scores`."""

    data: Comparisons
    row: NDArray[np.int64]  # (O,) as in `Scores`
    slot: NDArray[np.int64]  # (O,)
    item: NDArray[np.int64]  # (M,) of each comparison
    cell: NDArray[np.int64]  # (M,) of the first object's row and the second's column
    sizes: tuple[tuple[NDArray[np.int64], slice], ...]  # of n items of one size K: objects (n, K), and where the matrices are
    by_labeler: tuple[NDArray[np.int64], ...]  # R rows of indices into the comparisons


@dataclass(frozen=True)
class _Slope:
    """The log-posterior of the scores at a place."""

    height: NDArray[np.float64]  # (N,)
    gradient: NDArray[np.float64]  # (O,)
    hessian: NDArray[np.float64]  # (B,) negative


def _laid_out(data: Comparisons) -> _Layout:
    count = np.bincount(data.item)
    first = np.cumsum(count) - count
    slot = np.arange(len(data.item)) - first[data.item]
    row, sizes, used = np.empty_like(slot), [], 0
    for size in np.unique(count).tolist():
        objects = first[count == size][:, None] + np.arange(size)
        row[objects] = used + size * np.arange(objects.size).reshape(objects.shape)
        sizes.append((objects, slice(used, used + size * objects.size)))
        used += size * objects.size
    order = np.argsort(data.labeler, kind="stable")
    mine = np.split(order, np.searchsorted(data.labeler[order], np.arange(1, data.labelers)))
    cell = row[data.first] + slot[data.second]
    return _Layout(data, row, slot, data.item[data.first], cell, tuple(sizes), tuple(mine))


def _posterior(
    layout: _Layout, beta: NDArray[np.float64], tie: NDArray[np.float64], sd: float, start: NDArray[np.float64] | None
) -> Scores:
    score = np.zeros(len(layout.slot)) if start is None else start
    slope = _slope(layout, score, beta, tie, sd)
    step, covariance = np.empty_like(score), np.empty_like(slope.hessian)
    for _ in range(200):
        for objects, cells in layout.sizes:
            hessian = slope.hessian[cells].reshape(*objects.shape, -1)
            step[objects] = np.linalg.solve(hessian, slope.gradient[objects][:, :, None])[:, :, 0]
        if np.abs(step).max() < 1e-8 * (1 + np.abs(score).max()):
            for objects, cells in layout.sizes:
                covariance[cells] = np.linalg.inv(slope.hessian[cells].reshape(*objects.shape, -1)).ravel()
            return Scores(score, covariance, layout.row, layout.slot)
        score, slope = _climb(layout, score, slope, step, beta, tie, sd)
    raise ArithmeticError(f"no mode after 200 steps of Newton's method, with discriminations up to {np.abs(beta).max():g}")


def _slope(
    layout: _Layout, score: NDArray[np.float64], beta: NDArray[np.float64], tie: NDArray[np.float64], sd: float
) -> _Slope:
    data = layout.data
    likelihood, pull, stiffness = np.empty((3, len(data.outcome)))
    for some in _blocks(len(data.outcome)):
        who, outcome = data.labeler[some], data.outcome[some]
        steep, log_tie = beta[who], tie[who]
        half = steep * (score[data.first[some]] - score[data.second[some]]) / 2
        size = np.abs(half)
        x, tied, total = _masses(size, log_tie)
        mean = np.copysign((1 - x * x) / (2 * total), half)
        # log P(y): a tie has no part of -half, and its own log nu.
        likelihood[some] = outcome * half - size - np.log(total) + np.where(outcome == 0, log_tie, 0.0)
        pull[some] = steep * (outcome / 2 - mean)
        stiffness[some] = steep**2 * ((1 - tied / total) / 4 - mean**2)
    likelihood, pull, stiffness = data.weight * likelihood, data.weight * pull, data.weight * stiffness
    objects = len(score)
    height = np.bincount(layout.item, likelihood, data.item[-1] + 1) - np.bincount(data.item, score**2) / (2 * sd**2)
    gradient = np.bincount(data.first, pull, objects) - np.bincount(data.second, pull, objects) - score / sd**2
    hessian = -np.bincount(layout.cell, stiffness, layout.sizes[-1][1].stop).astype(np.float64)  # of no rows: whole numbers
    for alike, cells in layout.sizes:
        upper = hessian[cells].reshape(*alike.shape, -1)
        upper += upper.transpose(0, 2, 1).copy()
    both = np.bincount(data.first, stiffness, objects) + np.bincount(data.second, stiffness, objects)
    hessian[layout.row + layout.slot] = both + 1 / sd**2
    return _Slope(height, gradient, hessian)


def _climb(
    layout: _Layout,
    score: NDArray[np.float64],
    slope: _Slope,
    step: NDArray[np.float64],
    beta: NDArray[np.float64],
    tie: NDArray[np.float64],
    sd: float,
) -> tuple[NDArray[np.float64], _Slope]:
    """A step that lowers no item's log-posterior: halved for the items where it would."""
    length = np.ones(len(slope.height))
    while True:
        place = score + length[layout.data.item] * step
        there = _slope(layout, place, beta, tie, sd)
        lower = there.height < slope.height - 1e-9 * (1 + np.abs(slope.height))
        if not lower.any():
            return place, there
        length[lower] /= 2


# --- M: labelers ------------------------------------------------------------------------------------------------------


def _labelers(
    layout: _Layout, scores: Scores, beta: NDArray[np.float64], tie: NDArray[np.float64], prior: Prior
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Beta and log nu of each labeler."""
    data = layout.data
    gap, spread = gaps(data, scores)
    place = np.stack([beta, tie], axis=1)
    for r, mine in enumerate(layout.by_labeler):
        place[r] = _labeler(
            gap[mine, None] + spread[mine, None] * NODES, data.outcome[mine, None],
            data.weight[mine, None] * NODE_WEIGHTS, place[r], prior,
        )  # fmt: skip
    return place[:, 0], place[:, 1]


def gaps(data: Comparisons, scores: Scores) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The difference of the two scores of each comparison (M,), and its standard deviation."""
    own, across = scores.variance, scores.covariance[scores.row[data.first] + scores.slot[data.second]]
    gap = scores.mode[data.first] - scores.mode[data.second]
    return gap, np.sqrt(own[data.first] + own[data.second] - 2 * across)


def _labeler(
    gap: NDArray[np.float64], outcome: NDArray[np.int64], weight: NDArray[np.float64], place: NDArray[np.float64], prior: Prior
) -> NDArray[np.float64]:
    """One labeler's (beta, log nu) by Newton's method, with steps of at most 1, from comparisons (m, nodes)."""
    means = np.array([prior.discrimination[0], prior.log_tie[0]])
    precision = np.array([prior.discrimination[1], prior.log_tie[1]]) ** -2.0
    weighted = weight * gap
    squared = weighted * gap
    seen = np.array([(weighted * outcome).sum() / 2, (weight * (outcome == 0)).sum()])
    for _ in range(50):
        by_beta, by_tie, cross, by_beta_twice, by_tie_twice = 0.0, 0.0, 0.0, 0.0, 0.0
        for some in _blocks(len(gap)):
            half = place[0] / 2 * gap[some]
            x, tied, total = _masses(np.abs(half), place[1])
            mean, t = np.copysign((1 - x * x) / (2 * total), half), tied / total
            by_beta += _dot(weighted[some], mean)
            by_tie += _dot(weight[some], t)
            cross -= _dot(weighted[some], mean * t)
            by_beta_twice += _dot(squared[some], (1 - t) / 4 - mean * mean)
            by_tie_twice += _dot(weight[some], t * (1 - t))
        gradient = seen - [by_beta, by_tie] - (place - means) * precision
        curvature = np.array([[by_beta_twice, cross], [cross, by_tie_twice]])
        step = np.linalg.solve(curvature + np.diag(precision), gradient)
        place = place + np.clip(step, -1.0, 1.0)
        if np.abs(step).max() < 1e-4:  # well below what ends the iterations of EM
            break
    return place


def _blocks(count: int) -> Iterator[slice]:
    """Rows by the thousand: what is made of them stays in the processor's cache, which is three times as fast."""
    return (slice(start, start + 1024) for start in range(0, count, 1024))


def _dot(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    """The sum of products. BLAS would start threads for it, which cost more than it does."""
    return float(np.einsum("ij,ij->", a, b))


# --- checks -----------------------------------------------------------------------------------------------------------


def _check(data: Comparisons, beta: NDArray[np.float64], tie: NDArray[np.float64], sd: float) -> None:
    rows = (data.first, data.second, data.outcome, data.labeler, data.weight)
    if any(row.ndim != 1 or len(row) != len(data.first) for row in rows):
        raise ValueError(f"the rows of the comparisons differ in length: {[row.shape for row in rows]}")
    if len(data.item) == 0 or data.item[0] != 0 or not np.isin(np.diff(data.item), (0, 1)).all():
        raise ValueError("item must number the items of the objects from 0, ascending, leaving none out")
    if len(data.first) and (data.item[data.first] != data.item[data.second]).any():
        raise ValueError("a comparison is between objects of two items: only objects of one item can be compared")
    if (data.first == data.second).any() or not np.isin(data.outcome, (-1, 0, 1)).all() or (data.weight <= 0).any():
        raise ValueError("a comparison needs two different objects, an outcome of -1, 0 or 1 and a positive weight")
    if beta.shape != (data.labelers,) or tie.shape != (data.labelers,) or not 0 < sd < np.inf:
        raise ValueError(f"discrimination and log_tie must hold {data.labelers} numbers, and score_sd be positive: {sd}")
    if np.isneginf(tie[data.labeler[data.outcome == 0]]).any():
        raise ValueError("a labeler with log_tie = -inf made a tie: that has no likelihood")
