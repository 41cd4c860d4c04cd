"""Signs that a labeler is not reading: answers too fast, one position, always a tie or F, checks missed; gold accuracy.

Each is a small test against what the others do, or against chance. A flag is a reason to look, never a verdict. With many
labelers, divide `alpha` by their number. Left out: drift over time, and copies of other labelers' answers.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import beta, binom

ALPHA = 1e-3
"""The chance, at most, that a labeler like the others is flagged."""


SLIP = 0.05
"""The share of attention checks that somebody who reads may miss."""


@dataclass(frozen=True, slots=True)
class Flag:
    """Whether something happens to a labeler too often. `Flag(True, 0.95, 0.2, 40, 1e-20, "...")`."""

    raised: bool
    share: float  # of the labeler's own answers
    expected: float  # share that the test takes for ordinary
    n: int  # answers of the labeler
    p: float  # chance of such a share or a higher one, if the labeler were ordinary
    words: str


@dataclass(frozen=True, slots=True)
class GoldAccuracy:
    """How often a labeler is right on gold items, with a central credible interval. Shares, within (0, 1)."""

    mean: float
    low: float
    high: float
    n: int


def too_often(happened: int, n: int, expected: float, *, at_least: float = 0.5, alpha: float = ALPHA, what: str = "it") -> Flag:
    """A binomial tail: is `happened` of `n` more than a rate of `expected` explains, and at least `at_least` of all?

    Raised where ``P(X >= happened) < alpha`` for X binomial(n, expected), and ``happened / n >= at_least``: with many
    answers a small excess is certain and yet no reason to look. No answers raise nothing (p = 1). Raises `ValueError`
    unless 0 <= happened <= n and the rates are in [0, 1].
    """
    if not 0 <= happened <= n or not 0.0 <= expected <= 1.0 or not 0.0 <= at_least <= 1.0 or not 0.0 < alpha < 1.0:
        raise ValueError(
            f"{happened} of {n} with an expected share of {expected}, at least {at_least}, alpha {alpha}: out of range"
        )
    p = float(binom.sf(happened - 1, n, expected)) if n else 1.0
    share = happened / n if n else 0.0
    raised = n > 0 and p < alpha and share >= at_least
    words = f"{what}: {happened} of {n} answers; {expected:.0%} would be ordinary; chance of as many or more: {p:.1g}"
    return Flag(raised, share, expected, n, p, words)


def always(happened: int, n: int, others_happened: int, others_n: int, *, what: str, alpha: float = ALPHA) -> Flag:
    """Does nearly always (80 % of the answers or more) what the others do less often: always a tie, always F.

    `others_*` are the project's counts without this labeler. Their rate is ``(others_happened + 1) / (others_n + 2)``,
    so that what they never did is still possible. Raises as `too_often` does.
    """
    if not 0 <= others_happened <= others_n:
        raise ValueError(f"others: {others_happened} of {others_n} is out of range")
    rate = (others_happened + 1) / (others_n + 2)
    return too_often(happened, n, rate, at_least=0.8, alpha=alpha, what=what)


def always_same_position(best_position: Sequence[int], shown: Sequence[int], *, alpha: float = ALPHA) -> Flag:
    """Prefers one place on the screen: the best answers (n,) by displayed position, of items with `shown` (n,) answers.

    With an own shuffle for each labeler every position is the best one equally often, so the commonest position is tested
    against a rate of the mean of ``1 / shown``, times the number of positions for having looked for it (Bonferroni).
    Leave out the answers without a single best. Raises `ValueError` for a position that does not exist.
    """
    place, count = np.asarray(best_position, dtype=np.int64), np.asarray(shown, dtype=np.int64)
    if place.ndim != 1 or place.shape != count.shape or (count < 2).any() or (place < 0).any() or (place >= count).any():
        raise ValueError("each answer needs its best position, from 0, and how many answers (2 or more) were shown")
    if len(place) == 0:
        return too_often(0, 0, 0.5, what="the same position is best")
    times = np.bincount(place)
    positions = int(count.max())
    top = int(times.argmax())
    # A position that shorter items lack is the best one less often than this: the test errs on the cautious side.
    return too_often(
        int(times[top]), len(place), float((1 / count).mean()), at_least=0.8, alpha=alpha / positions,
        what=f"position {top + 1} is best",
    )  # fmt: skip


def fast_answers(seconds: ArrayLike, everyone: ArrayLike, *, floor: float = 2.0, z: float = 3.5) -> NDArray[np.bool_]:
    """Which answers (n,) took less than `floor` seconds, or are far below what is usual on a logarithmic scale.

    Far below: ``(log t - median) / (1.4826 MAD) < -z`` with median and MAD (median absolute deviation) of the logs of
    `everyone`'s times (N,). With a MAD of 0 only the floor counts. Raises `ValueError` for times that are not positive
    and finite. Source of the robust z and of 3.5: Iglewicz and Hoaglin (1993), How to Detect and Handle Outliers.
    """
    own, every = np.asarray(seconds, dtype=np.float64), np.asarray(everyone, dtype=np.float64)
    for times in (own, every):
        if times.ndim != 1 or not np.isfinite(times).all() or (times <= 0).any():
            raise ValueError("times must be a row of positive, finite seconds")
    below = own < floor
    if len(every) == 0:
        return below
    centre = np.median(np.log(every))
    spread = 1.4826 * np.median(np.abs(np.log(every) - centre))
    return below | (np.log(own) - centre < -z * spread) if spread > 0 else below


def too_fast(seconds: ArrayLike, others: ArrayLike, *, floor: float = 2.0, z: float = 3.5, alpha: float = ALPHA) -> Flag:
    """Answers a tenth or more of the items too fast (see `fast_answers`), and more often than the other labelers do.

    `seconds` (n,) are the labeler's times, `others` (N,) those of the rest of the project: both give the usual time its
    meaning by the rest alone, so that a fast labeler with many answers does not become the norm.
    """
    mine = int(fast_answers(seconds, others, floor=floor, z=z).sum())
    theirs = int(fast_answers(others, others, floor=floor, z=z).sum())
    n, rest = np.asarray(seconds).size, np.asarray(others).size
    return too_often(mine, n, (theirs + 1) / (rest + 2), at_least=0.1, alpha=alpha, what="too fast to have been read")


def missed_checks(missed: int, n: int, others_missed: int, others_n: int, *, alpha: float = ALPHA) -> Flag:
    """Misses a fifth or more of `n` attention checks, and more than a slip now and then explains.

    Ordinary are `SLIP`, or the share that the other labelers miss where that is more: a check that most people miss gives no
    answer away. Raises as `too_often` does.
    """
    if not 0 <= others_missed <= others_n:
        raise ValueError(f"others: {others_missed} of {others_n} is out of range")
    rate = max(SLIP, others_missed / others_n) if others_n else SLIP
    return too_often(missed, n, rate, at_least=0.2, alpha=alpha, what="attention checks missed")


def gold_accuracy(right: int, n: int, *, prior: tuple[float, float] = (2.0, 1.0), level: float = 0.95) -> GoldAccuracy:
    """The Beta-smoothed share of `n` gold items that a labeler got right, ``(a + right) / (a + b + n)``.

    The prior Beta(a, b) presumes two right of three, and is what an untested labeler gets. Raises `ValueError` unless
    0 <= right <= n, a, b > 0 and 0 < level < 1.
    """
    a, b = prior
    if not 0 <= right <= n or min(a, b) <= 0 or not 0.0 < level < 1.0:
        raise ValueError(f"{right} right of {n} with a prior of {prior} at level {level}: out of range")
    a, b = a + right, b + n - right
    low, high = beta.ppf([(1 - level) / 2, (1 + level) / 2], a, b)
    return GoldAccuracy(a / (a + b), float(low), float(high), n)
