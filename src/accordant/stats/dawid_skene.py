"""How skilled each labeler is, without knowing the right answers: Dawid and Skene's EM over categorical votes.

Votes are as the labeler saw them. Where every labeler has an own shuffle, `flipped` says which votes were given with the
two sides exchanged: the truth is about the completions, the confusion matrix about the sides, so a labeler who likes the
left side shows as one. Left out: items of different difficulty, and labelers who change over time.
"""

from dataclasses import dataclass
from math import log

import numpy as np
from numpy.typing import ArrayLike, NDArray

from accordant.stats.intervals import Undefined

FIRST, SECOND, TIE = 0, 1, 2
SIDES = (SECOND, FIRST, TIE)
"""What first, second and tie become when the two sides are exchanged: the `mirror` of pairwise votes."""


@dataclass(frozen=True)
class Skill:
    """What the votes say about N items, R labelers and C classes."""

    truth: NDArray[np.float64]  # (N, C) posterior of each item's class
    confusion: NDArray[np.float64]  # (R, C, C): [r, c, v] = P(labeler r votes v | the truth, as it was shown, is c)
    share: NDArray[np.float64]  # (C,) of the classes over items
    objective: tuple[float, ...]  # log-posterior in nats after each iteration; it never falls
    converged: bool  # it rose by less than the tolerance at last

    @property
    def accuracy(self) -> NDArray[np.float64]:
        """(R,): the chance that a labeler's vote is right, over the classes as often as they occur."""
        return np.einsum("c,rcc->r", self.share, self.confusion)


@dataclass(frozen=True)
class _Votes:
    item: NDArray[np.int64]  # (M,)
    labeler: NDArray[np.int64]  # (M,)
    vote: NDArray[np.int64]  # (M,) as displayed
    shown: NDArray[np.int64]  # (M, C): the class that class c is displayed as
    cell: NDArray[np.int64]  # (C, M): where (labeler, shown as, vote) is in the confusion matrices, were the truth c
    shape: tuple[int, int, int]  # items, labelers, classes


def dawid_skene(
    item: ArrayLike,
    labeler: ArrayLike,
    vote: ArrayLike,
    classes: int,
    *,
    flipped: ArrayLike | None = None,
    mirror: tuple[int, ...] = SIDES,
    known: ArrayLike | None = None,
    smoothing: float = 0.5,
    trust: float = 1.0,
    tolerance: float = 1e-7,
    most_iterations: int = 1000,
) -> Skill | Undefined:
    """Posterior truth, confusion matrices and class shares from M votes, by EM from the shares of votes; deterministic.

    E: ``q_i(c) ~ p_c prod_m pi[r_m, shown_m(c), v_m]`` over the votes m of item i, ``shown_m(c)`` being `mirror[c]` for
    flipped votes and c for others. M: ``p_c ~ smoothing + sum_i q_i(c)`` and ``pi[r, c, v] ~ smoothing + trust [c = v] +
    sum of q`` over the votes v of r that were shown c: a Dirichlet prior that presumes of an unknown labeler a little
    skill. `smoothing=0, trust=0` is the maximum likelihood of the paper, whose zeros can never change again.

    Args:
        item, labeler, vote: (M,) indices from 0.
        flipped: (M,) bool, whether the sides were exchanged on display.
        mirror: what each class becomes when the sides are exchanged.
        known: (N,) the class of gold items, -1 for others; it stays as given.
        smoothing, trust: pseudo-votes in every cell of a confusion matrix, and more of them on its diagonal.
        tolerance: EM stops where an iteration raises the objective by less, in nats.

    Returns:
        `Undefined` where no item has votes of two labelers and none is gold, and where all votes are one class.

    Raises:
        ValueError: indices out of range, rows of different lengths, a mirror that is no exchange.
    """
    votes, gold = _checked(item, labeler, vote, classes, flipped, mirror, known)
    why = _undefined(votes, gold)
    if why is not None:
        return why
    if min(smoothing, trust) < 0:
        raise ValueError(f"smoothing is {smoothing} and trust {trust}: both must be at least 0")
    prior = smoothing + trust * np.eye(classes)
    truth = _clamp(_shares(votes), gold)
    objective: list[float] = []
    converged = False
    while True:
        share, confusion = _maximise(truth, votes, prior, smoothing)
        with np.errstate(divide="ignore"):
            log_share, log_confusion = np.log(share), np.log(confusion)
        joint = _joint(votes, log_share, log_confusion)
        total = _log_total(joint)
        value = np.where(gold < 0, total, joint[np.arange(len(joint)), gold]).sum()
        value += _log_prior(prior, log_confusion) + _log_prior(np.full(classes, smoothing), log_share)
        truth = _clamp(np.exp(joint - total[:, None]), gold)
        if objective and value - objective[-1] < tolerance:
            converged = True
        objective.append(float(value))
        if converged or len(objective) == most_iterations:
            return Skill(truth, confusion, share, tuple(objective), converged)


def side_bias(confusion: ArrayLike) -> NDArray[np.float64]:
    """By how much each labeler favours the first side (R,): P(vote first) - P(vote second), truth being as often either.

    `confusion` (R, 3, 3) of pairwise votes (first, second, tie): 1 is always the first, -1 always the second, 0 fair.
    """
    table = np.asarray(confusion, dtype=np.float64)
    if table.ndim != 3 or table.shape[1:] != (3, 3):
        raise ValueError(f"confusion must be (labelers, 3, 3) of first, second and tie, not of shape {table.shape}")
    return (table[:, :2, FIRST] - table[:, :2, SECOND]).mean(axis=1)


def vote_weight(accuracy: float, classes: int) -> float:
    """The log-odds weight of a vote, ``log(a (C - 1) / (1 - a))`` nats: 0 for guessing, negative for worse than guessing.

    Adding such weights is the best rule for labelers who err independently and to every wrong class alike. Raises
    `ValueError` unless 0 < accuracy < 1 and classes >= 2: smooth an accuracy of 0 or 1 (`gold_accuracy` does).
    Source: Nitzan and Paroush (1982), International Economic Review 23, 289-297.
    """
    if not 0.0 < accuracy < 1.0 or classes < 2:
        raise ValueError(f"accuracy is {accuracy} over {classes} classes: it must be strictly between 0 and 1, of at least 2")
    return log(accuracy * (classes - 1) / (1 - accuracy))


# --- the two steps ----------------------------------------------------------------------------------------------------


def _maximise(
    truth: NDArray[np.float64], votes: _Votes, prior: NDArray[np.float64], smoothing: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Class shares (C,) and confusion matrices (R, C, C), given what the items probably are."""
    _, labelers, classes = votes.shape
    share = smoothing + truth.sum(axis=0)
    confusion = np.tile(prior, (labelers, 1, 1))
    for c in range(classes):
        np.add.at(confusion.ravel(), votes.cell[c], truth[votes.item, c])
    total = confusion.sum(axis=2, keepdims=True)
    # Without a prior, a class that nobody was shown says nothing about the labeler.
    confusion = np.divide(confusion, total, out=np.full_like(confusion, 1 / classes), where=total > 0)
    return share / share.sum(), confusion


def _joint(votes: _Votes, log_share: NDArray[np.float64], log_confusion: NDArray[np.float64]) -> NDArray[np.float64]:
    """(N, C): log P(class, votes) of each item."""
    joint = np.tile(log_share, (votes.shape[0], 1))
    for c in range(votes.shape[2]):
        np.add.at(joint[:, c], votes.item, log_confusion.ravel()[votes.cell[c]])
    return joint


def _log_total(joint: NDArray[np.float64]) -> NDArray[np.float64]:
    """(N,): log of the sum over classes. scipy's `logsumexp` took half of the time of a fit."""
    top = joint.max(axis=1)
    return top + np.log(np.exp(joint - top[:, None]).sum(axis=1))


def _log_prior(pseudo: NDArray[np.float64], log_chance: NDArray[np.float64]) -> float:
    """Dirichlet, up to a constant: the sum of pseudo-votes times log-probability."""
    terms = np.broadcast_to(pseudo, log_chance.shape)
    return float((terms[terms > 0] * log_chance[terms > 0]).sum())


def _shares(votes: _Votes) -> NDArray[np.float64]:
    """(N, C): the share of each class among an item's votes, turned back to the completions; equal where there are none."""
    count = np.zeros((votes.shape[0], votes.shape[2]))
    meant = votes.shown[np.arange(len(votes.vote)), votes.vote]  # an exchange is its own inverse
    np.add.at(count, (votes.item, meant), 1.0)
    total = count.sum(axis=1, keepdims=True)
    return np.divide(count, total, out=np.full_like(count, 1 / votes.shape[2]), where=total > 0)


def _clamp(truth: NDArray[np.float64], gold: NDArray[np.int64]) -> NDArray[np.float64]:
    known = gold >= 0
    truth[known] = np.eye(truth.shape[1])[gold[known]]
    return truth


# --- checks -----------------------------------------------------------------------------------------------------------


def _checked(
    item: ArrayLike,
    labeler: ArrayLike,
    vote: ArrayLike,
    classes: int,
    flipped: ArrayLike | None,
    mirror: tuple[int, ...],
    known: ArrayLike | None,
) -> tuple[_Votes, NDArray[np.int64]]:
    rows = {"item": np.asarray(item), "labeler": np.asarray(labeler), "vote": np.asarray(vote)}
    for name, row in rows.items():
        if row.ndim != 1 or len(row) == 0 or row.shape != rows["item"].shape or row.dtype.kind not in "iu" or row.min() < 0:
            raise ValueError(f"{name} must be a row of indices from 0, as long as the others and not empty")
    if classes < 2 or rows["vote"].max() >= classes:
        raise ValueError(f"classes is {classes}: at least 2, and more than the largest vote, {rows['vote'].max()}")
    shown = np.tile(np.arange(classes), (len(rows["vote"]), 1))
    if flipped is not None:
        flips = np.asarray(flipped)
        if flips.shape != rows["vote"].shape or flips.dtype != np.bool_:
            raise ValueError(f"flipped must be True or False for each of the {len(shown)} votes")
        if sorted(mirror) != list(range(classes)) or any(mirror[mirror[c]] != c for c in range(classes)):
            raise ValueError(f"mirror is {mirror}: it must exchange some of the {classes} classes with each other")
        shown[flips] = mirror
    items = int(rows["item"].max()) + 1
    gold = np.full(items, -1) if known is None else np.asarray(known)
    if gold.ndim != 1 or len(gold) < items or gold.dtype.kind != "i" or gold.min() < -1 or gold.max() >= classes:
        raise ValueError(f"known must hold a class below {classes} or -1 for each of the {items} items")
    shape = (len(gold), int(rows["labeler"].max()) + 1, classes)
    cell = (rows["labeler"] * classes + shown.T) * classes + rows["vote"]
    return _Votes(rows["item"], rows["labeler"], rows["vote"], shown, cell, shape), gold


def _undefined(votes: _Votes, gold: NDArray[np.int64]) -> Undefined | None:
    seen = np.unique(np.stack([votes.item, votes.labeler]), axis=1)[0]
    if np.bincount(seen).max() < 2 and (gold[votes.item] < 0).all():
        return Undefined(
            "no item has votes of two labelers, and none that was voted on is gold: skill cannot be told from agreement "
            "where nobody can be compared with anybody"
        )
    if (votes.vote == votes.vote[0]).all():
        return Undefined("all votes are the same: whoever always says one thing and whoever is always right look alike")
    return None
