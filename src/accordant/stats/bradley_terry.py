"""Bradley-Terry with ties (Davidson), with a discrimination and a tie rate for each labeler, fitted over many items at once.

A comparison of objects a and b by labeler r has the outcome y = 1 (a), -1 (b) or 0 (tie), and with
``eta = beta_r (s_a - s_b)``::

    P(1) = e^{eta/2} / Z     P(-1) = e^{-eta/2} / Z     P(0) = nu_r / Z     Z = e^{eta/2} + e^{-eta/2} + nu_r

beta_r = 1 and nu_r = 0 is Bradley and Terry (1952); beta_r = 1 is Davidson (1970), equation 2.5; beta_r = 0 is a labeler who
tosses a coin, and a negative one says the contrary. Scores have a Gaussian prior, so that they exist for every set of
comparisons, also where one object always wins.

Left out: position effects, and an uncertainty of beta and nu themselves. The posterior of the scores is a Gaussian at its
mode, so with two answers an item and few labelers the beta of a very careful labeler comes out too small (4 as 2.2 with four
labelers); from four answers an item on it is within about a fifth.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtr

_NODES, _NODE_WEIGHTS = np.polynomial.hermite_e.hermegauss(5)
_NODE_WEIGHTS = _NODE_WEIGHTS / _NODE_WEIGHTS.sum()


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
    covariance: NDArray[np.float64]  # (N, K, K), K the largest item's objects; those of smaller items are padding
    slot: NDArray[np.int64]  # (O,) the place of each object within its item

    def confidence(self, objects: ArrayLike, item: int) -> NDArray[np.float64]:
        """(K, K) P(i is better than j) for the objects of one item, in their order: 1/2 on the diagonal."""
        chosen = np.asarray(objects)
        block = self.covariance[item][np.ix_(self.slot[chosen], self.slot[chosen])]
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
    half, tie = np.broadcast_arrays(np.asarray(eta, dtype=np.float64) / 2, np.asarray(log_tie, dtype=np.float64))
    top = np.maximum(np.abs(half), tie)  # so that the largest exponent is 0
    first, second, tied = np.exp(half - top), np.exp(-half - top), np.exp(tie - top)
    total = first + second + tied
    return first / total, second / total, tied / total


def log_likelihood(eta: NDArray[np.float64], log_tie: NDArray[np.float64], outcome: NDArray[np.int64]) -> NDArray[np.float64]:
    """(M,) nats: log P of each outcome, also where P itself would round to 0."""
    half = np.abs(eta) / 2
    top = np.maximum(half, log_tie)
    log_total = top + np.log(np.exp(half - top) + np.exp(-half - top) + np.exp(log_tie - top))
    return outcome * eta / 2 + np.where(outcome == 0, log_tie, 0.0) - log_total


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
    slot = _slots(data.item)
    size, width = int(data.item[-1]) + 1, int(slot.max()) + 1
    score = np.zeros((size, width))
    if start is not None:
        score[data.item, slot] = np.asarray(start)
    for _ in range(200):
        gradient, hessian = _derivatives(data, slot, score, beta, tie, score_sd)
        step = np.linalg.solve(hessian, gradient[:, :, None])[:, :, 0]
        if np.abs(step).max() < 1e-8 * (1 + np.abs(score).max()):
            return Scores(score[data.item, slot], np.linalg.inv(hessian), slot)
        score = _climb(data, slot, score, step, beta, tie, score_sd)
    raise ArithmeticError(f"no mode after 200 steps of Newton's method, with discriminations up to {np.abs(beta).max():g}")


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
    start: NDArray[np.float64] | None = None
    iterations, converged = 0, False
    while not converged and iterations < most_iterations:
        scores = posterior(data, beta, tie, prior.score_sd, start)
        start = scores.mode
        new_beta, new_tie = _labelers(data, scores, beta, tie, prior)
        new_beta = new_beta * _spread(scores, data.item) / prior.score_sd
        moved = max(np.abs(new_beta - beta).max(), np.abs(new_tie - tie).max())
        beta, tie = new_beta, new_tie
        iterations, converged = iterations + 1, bool(moved < tolerance)
    return Fit(posterior(data, beta, tie, prior.score_sd, start), beta, tie, iterations, converged)


def _spread(scores: Scores, item: NDArray[np.int64]) -> float:
    """The standard deviation of all scores around 0, as the posterior has it."""
    return float(np.sqrt(np.mean(scores.mode**2 + scores.covariance[item, scores.slot, scores.slot])))


# --- E: scores --------------------------------------------------------------------------------------------------------


def _derivatives(
    data: Comparisons,
    slot: NDArray[np.int64],
    score: NDArray[np.float64],
    beta: NDArray[np.float64],
    tie: NDArray[np.float64],
    sd: float,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Gradient (N, K) and negative Hessian (N, K, K) of the log-posterior."""
    item, a, b, slope = data.item[data.first], slot[data.first], slot[data.second], beta[data.labeler]
    p, q, _ = davidson(slope * (score[item, a] - score[item, b]), tie[data.labeler])
    mean = (p - q) / 2
    pull = data.weight * slope * (data.outcome / 2 - mean)
    stiffness = data.weight * slope**2 * ((p + q) / 4 - mean**2)
    gradient = -score / sd**2
    np.add.at(gradient, (item, a), pull)
    np.add.at(gradient, (item, b), -pull)
    hessian = np.tile(np.eye(score.shape[1]) / sd**2, (len(score), 1, 1))
    for row, column, sign in ((a, a, 1), (b, b, 1), (a, b, -1), (b, a, -1)):
        np.add.at(hessian, (item, row, column), sign * stiffness)
    return gradient, hessian


def _climb(
    data: Comparisons,
    slot: NDArray[np.int64],
    score: NDArray[np.float64],
    step: NDArray[np.float64],
    beta: NDArray[np.float64],
    tie: NDArray[np.float64],
    sd: float,
) -> NDArray[np.float64]:
    """A step that lowers no item's log-posterior: halved for the items where it would."""
    item, a, b = data.item[data.first], slot[data.first], slot[data.second]

    def height(place: NDArray[np.float64]) -> NDArray[np.float64]:
        eta = beta[data.labeler] * (place[item, a] - place[item, b])
        likelihood = log_likelihood(eta, tie[data.labeler], data.outcome)
        return np.bincount(item, data.weight * likelihood, len(place)) - (place**2).sum(axis=1) / (2 * sd**2)

    now = height(score)
    length = np.ones(len(score))
    while True:
        place = score + length[:, None] * step
        lower = height(place) < now - 1e-9 * (1 + np.abs(now))
        if not lower.any():
            return place
        length[lower] /= 2


# --- M: labelers ------------------------------------------------------------------------------------------------------


def _labelers(
    data: Comparisons, scores: Scores, beta: NDArray[np.float64], tie: NDArray[np.float64], prior: Prior
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Beta and log nu of each labeler: Newton's method in two dimensions, with steps of at most 1."""
    item, a, b = data.item[data.first], scores.slot[data.first], scores.slot[data.second]
    v = scores.covariance
    spread = np.sqrt(v[item, a, a] + v[item, b, b] - 2 * v[item, a, b])
    gap = (scores.mode[data.first] - scores.mode[data.second])[:, None] + spread[:, None] * _NODES  # (M, nodes)
    weight = data.weight[:, None] * _NODE_WEIGHTS
    who, outcome = data.labeler, data.outcome[:, None]
    means = np.array([prior.discrimination[0], prior.log_tie[0]])
    precision = np.array([prior.discrimination[1], prior.log_tie[1]]) ** -2.0
    place = np.stack([beta, tie], axis=1)

    def total(terms: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.bincount(who, (weight * terms).sum(axis=1), data.labelers).astype(np.float64)  # of no rows: whole numbers

    for _ in range(50):
        p, q, t = davidson(place[who, 0, None] * gap, place[who, 1, None])
        mean = (p - q) / 2
        gradient = np.stack([total((outcome / 2 - mean) * gap), total((outcome == 0) - t)], axis=1)
        gradient -= (place - means) * precision
        cross = total(-mean * t * gap)
        curvature = np.empty((data.labelers, 2, 2))
        curvature[:, 0, 0] = total(((p + q) / 4 - mean**2) * gap**2) + precision[0]
        curvature[:, 1, 1] = total(t * (1 - t)) + precision[1]
        curvature[:, 0, 1] = curvature[:, 1, 0] = cross
        step = np.linalg.solve(curvature, gradient[:, :, None])[:, :, 0]
        place = place + np.clip(step, -1.0, 1.0)
        if np.abs(step).max() < 1e-4:  # well below what ends the iterations of EM
            break
    return place[:, 0], place[:, 1]


# --- checks -----------------------------------------------------------------------------------------------------------


def _slots(item: NDArray[np.int64]) -> NDArray[np.int64]:
    """The place of each object within its item."""
    starts = np.searchsorted(item, np.arange(item[-1] + 1))
    return np.arange(len(item)) - starts[item]


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
