"""How sure a labeler's discrimination is: the spread of the beta that `bradley_terry.fit` learns.

Two things leave beta open, and each is seen by an estimate that misses the other. That scores are unknown, so that the others
may be who errs: the scatter of the items' gradients says it, and the curvature of the M step does not, for it takes the
scores for known. And that the pairs of one ranking hang together more than a model of single comparisons allows: the sandwich
of scatter and curvature says it. The wider one is taken.

Left out: that beta is pulled towards its prior, and what a Gaussian at the mode of the scores makes too small
(`bradley_terry`), so that of a labeler far better than all others an interval around beta lies too low; docs/statistics.md
has figures. The tie rates are accounted for, and have no interval of their own.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from accordant.stats.bradley_terry import NODE_WEIGHTS, NODES, Comparisons, Fit, Prior, Scores, davidson, gaps

_BLOCK = 4096  # comparisons at a time: what is made of them is small


def discrimination_sd(data: Comparisons, found: Fit, prior: Prior | None = None) -> NDArray[np.float64]:
    """The standard deviation of each beta (R,) of a `fit` with these data and this prior.

    All is of the 2R parameters beta and log nu. With g_i the gradient of the log-likelihood of item i, P the precision of the
    prior and H the information::

        J = P + sum_i g_i g_i^T                      the wider of (J^-1)_rr and (B J B)_rr with B = (P + H)^-1
        H = C - D V D^T                              none of its eigenvalues below 0

    g_i is what the gradient of the item's comparisons is expected to be under the posterior of its scores, C the expected
    curvature, D the expected derivative of the gradient by the scores, V their covariance. Takes matrices of (2R)^2 numbers.

    Sources: the information of an EM, Louis (1982), Journal of the Royal Statistical Society B 44, 226-233; the scatter,
    Berndt, Hall, Hall and Hausman (1974), Annals of Economic and Social Measurement 3, 653-665; the sandwich, White (1982),
    Econometrica 50, 1-25.
    """
    prior = prior or Prior()
    own = np.diag(np.repeat([prior.discrimination[1], prior.log_tie[1]], data.labelers) ** -2.0)
    told, who = _derivatives(data, found), np.concatenate([data.labeler, data.labelers + data.labeler])
    items, objects, parameters = int(data.item[-1]) + 1, len(data.item), 2 * data.labelers
    slope = csr_array((told.slope.ravel(), (np.tile(data.item[data.first], 2), who)), shape=(items, parameters))
    scatter = own + (slope.T @ slope).toarray()
    ends = np.concatenate([np.tile(data.first, 2), np.tile(data.second, 2)])
    across = np.concatenate([told.by_gap.ravel(), -told.by_gap.ravel()])
    by_score = csr_array((across, (np.tile(who, 2), ends)), shape=(parameters, objects))
    missing = (by_score @ _covariance(found.scores) @ by_score.T).toarray()
    size, direction = np.linalg.eigh(_curvature(data, told) - missing)
    bread = np.linalg.inv(own + (direction * np.maximum(size, 0.0)) @ direction.T)
    variance = np.maximum(np.diag(np.linalg.inv(scatter)), np.diag(bread @ scatter @ bread))
    return np.sqrt(variance[: data.labelers])


@dataclass(frozen=True)
class _Derivatives:
    """Of the log-likelihood of each of M comparisons, expected under the posterior of the scores; rows: by beta, by log nu."""

    slope: NDArray[np.float64]  # (2, M)
    curvature: NDArray[np.float64]  # (3, M) negative: by beta twice, by both, by log nu twice
    by_gap: NDArray[np.float64]  # (2, M) of the slope by the difference of the two scores


def _derivatives(data: Comparisons, found: Fit) -> _Derivatives:
    count = len(data.first)
    slope, curvature, by_gap = np.empty((2, count)), np.empty((3, count)), np.empty((2, count))
    middle, spread = gaps(data, found.scores)
    for start in range(0, count, _BLOCK):
        some = slice(start, start + _BLOCK)
        gap, who = middle[some, None] + spread[some, None] * NODES, data.labeler[some, None]
        beta, outcome, weight = found.discrimination[who], data.outcome[some, None], data.weight[some]
        first, second, tied = davidson(beta * gap, found.log_tie[who])
        mean = (first - second) / 2
        variance = (1 - tied) / 4 - mean**2
        for out, values in (
            (slope, (gap * (outcome / 2 - mean), (outcome == 0) - tied)),
            (curvature, (gap**2 * variance, -gap * mean * tied, tied * (1 - tied))),
            (by_gap, (outcome / 2 - mean - beta * gap * variance, beta * tied * mean)),
        ):
            out[:, some] = weight * (np.stack(values) @ NODE_WEIGHTS)
    return _Derivatives(slope, curvature, by_gap)


def _curvature(data: Comparisons, told: _Derivatives) -> NDArray[np.float64]:
    """(2R, 2R) of a block for each labeler: were the scores known, none would tell of another."""
    beta, both, tie = (np.diag(np.bincount(data.labeler, row, data.labelers)) for row in told.curvature)
    return np.block([[beta, both], [both, tie]])


def _covariance(scores: Scores) -> csr_array:
    """(O, O) of all scores: a block for each item."""
    owner = np.argsort(scores.row)
    width = np.diff(np.append(scores.row[owner], len(scores.covariance)))
    within = np.arange(len(scores.covariance)) - np.repeat(scores.row[owner], width)
    columns = np.repeat(owner - scores.slot[owner], width) + within
    return csr_array((scores.covariance, (np.repeat(owner, width), columns)), shape=(len(owner), len(owner)))
