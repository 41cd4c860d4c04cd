"""Confidence intervals: the percentile bootstrap over rows, pairs or clusters, and Wilson's for a share.

`estimate` is for a statistic that can be undefined: it answers with a number and its interval, or with the reason why
there is none. Left out: bias-corrected (BCa) and studentised bootstraps, and tests of significance.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from statistics import NormalDist
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray


def bootstrap_ci(
    values: ArrayLike,
    statistic: Callable[[NDArray[np.float64]], float] = np.mean,
    *,
    n: int = 2000,
    seed: int = 0,
    level: float = 0.95,
    groups: ArrayLike | None = None,
) -> tuple[float, float]:
    """The percentile bootstrap interval of `statistic` over `values` (N, ...), from `n` resamples of rows.

    With `groups` (N,) whole groups are resampled, each with all its rows: rows of one prompt are not independent, and
    an interval over rows would be too narrow. Raises `ValueError` for no rows, values that are not finite, a level
    outside (0, 1), or group ids of another length.
    Source: Efron and Tibshirani (1993), An Introduction to the Bootstrap, chapter 13.
    """
    rows = np.asarray(values, dtype=np.float64)
    if rows.ndim == 0 or len(rows) == 0 or not np.isfinite(rows).all():
        raise ValueError(f"values must be finite and at least one, not an array of shape {rows.shape} with {rows.size} numbers")
    _check_resampling(n, level)
    drawn = [statistic(rows[chosen]) for chosen in _resamples(_members(groups, len(rows)), n, seed)]
    return _percentiles(drawn, level)


@dataclass(frozen=True, slots=True)
class Undefined:
    """Why a statistic has no value on some data, as a sentence for the person who asked."""

    reason: str


Value: TypeAlias = "float | Undefined"


@dataclass(frozen=True, slots=True)
class Estimate:
    """A statistic with its interval. `Estimate(0.43, 0.38, 0.5, 30)`; `Estimate(None, None, None, 4, "one category only")`."""

    value: float | None  # None: undefined, and `note` says why
    low: float | None  # None: no interval, and `note` says why
    high: float | None
    items: int  # what was given, undefined items included
    note: str = ""


def estimate(
    statistic: Callable[[Any], Value],
    items: NDArray[Any] | Sequence[Any],
    *,
    n: int = 1000,
    seed: int = 0,
    level: float = 0.95,
    groups: ArrayLike | None = None,
) -> Estimate:
    """A statistic over N items with its percentile bootstrap interval from `n` resamples of items.

    `items` is an array (N, ...) or a sequence of N records; `statistic` gets as many of them, drawn with replacement, and
    answers with a number or with `Undefined`. With `groups` (N,) whole groups are resampled, as in `bootstrap_ci`.
    Resamples on which the statistic is undefined are left out; where they are more than a tenth of all there is no
    interval, because what is left is no longer a sample of the same thing. Raises `ValueError` for no items, n < 1, a
    level outside (0, 1), group ids of another length, or a statistic that answers nan.
    """
    if len(items) == 0:
        raise ValueError("no items: a statistic needs at least one")
    _check_resampling(n, level)
    members = _members(groups, len(items))
    value = _defined_or_why(statistic(items))
    if isinstance(value, Undefined) or len(members) < 2:
        return _estimate(value, [], len(items), len(members), n, level, groups is not None)
    drawn = [_defined_or_why(statistic(_take(items, chosen))) for chosen in _resamples(members, n, seed)]
    defined = [one for one in drawn if not isinstance(one, Undefined)]
    return _estimate(value, defined, len(items), len(members), n, level, groups is not None)


@dataclass(frozen=True)
class Sums:
    """A statistic that needs of its items only sums over them: a resample is a weighted sum, and costs next to nothing."""

    terms: Callable[[NDArray[Any]], NDArray[np.float64]]  # (N, ...) items -> (N, D)
    value: Callable[[NDArray[np.float64]], NDArray[np.float64]]  # (B, D) sums -> (B,) values, nan where undefined


def estimate_sums(
    statistic: Sums,
    terms: NDArray[np.float64],
    why: str,
    *,
    n: int = 1000,
    seed: int = 0,
    level: float = 0.95,
    groups: ArrayLike | None = None,
) -> Estimate:
    """What `estimate` answers, for a statistic of sums over N items with the terms (N, D), and with the same resamples.

    `why`: the reason to give where it is undefined. Raises as `estimate` does.
    """
    if len(terms) == 0:
        raise ValueError("no items: a statistic needs at least one")
    _check_resampling(n, level)
    unit = _units(groups, len(terms))
    units = int(unit.max()) + 1
    value = float(statistic.value(terms.sum(axis=0, keepdims=True))[0])
    if np.isnan(value) or units < 2:
        found: Value = Undefined(why) if np.isnan(value) else value
        return _estimate(found, [], len(terms), units, n, level, groups is not None)
    summed = np.stack([np.bincount(unit, column, units) for column in terms.T], axis=1)
    drawn = statistic.value(np.stack([times @ summed for times in _times(units, n, seed)]))
    return _estimate(value, drawn[~np.isnan(drawn)].tolist(), len(terms), units, n, level, groups is not None)


def _estimate(value: Value, defined: list[float], items: int, units: int, n: int, level: float, grouped: bool) -> Estimate:
    """The estimate from a value and what the resamples gave where they were defined."""
    if isinstance(value, Undefined):
        return Estimate(None, None, None, items, value.reason)
    if units < 2:
        what = "group of items" if grouped else "item"
        return Estimate(value, None, None, items, f"there is one {what}: an interval needs at least two")
    missing = n - len(defined)
    if missing > 0.1 * n:
        why = f"too few items for an interval: {missing} of {n} resamples leave the statistic undefined"
        return Estimate(value, None, None, items, why)
    low, high = _percentiles(defined, level)
    note = f"{missing} of {n} resamples are left out: the statistic is undefined on them" if missing else ""
    return Estimate(value, low, high, items, note)


def mean_of_defined(values: Sequence[Value]) -> Value:
    """The mean of what is defined; `Undefined` with the most common reason where nothing is."""
    numbers = [value for value in values if not isinstance(value, Undefined)]
    if numbers:
        return float(np.mean(numbers))
    reasons = [value.reason for value in values if isinstance(value, Undefined)]
    return Undefined(max(reasons, key=reasons.count) if reasons else "there are no items")


def paired_ci(
    before: ArrayLike,
    after: ArrayLike,
    *,
    n: int = 2000,
    seed: int = 0,
    level: float = 0.95,
    groups: ArrayLike | None = None,
) -> tuple[float, float]:
    """The bootstrap interval of the mean of `after - before`, both (N,) and in the same order. See `bootstrap_ci`."""
    first, second = np.asarray(before, dtype=np.float64), np.asarray(after, dtype=np.float64)
    if first.ndim != 1 or first.shape != second.shape:
        raise ValueError(f"before {first.shape} and after {second.shape} must be two rows of equally many numbers")
    return bootstrap_ci(second - first, n=n, seed=seed, level=level, groups=groups)


def wilson(k: int, n: int, level: float = 0.95) -> tuple[float, float]:
    """Wilson's score interval of a share, for k successes in n trials: within [0, 1], sensible at k = 0 and k = n.

    ``(p + z^2/2n +- z sqrt(p(1-p)/n + z^2/4n^2)) / (1 + z^2/n)``. Raises `ValueError` unless 0 <= k <= n and n >= 1.
    Source: Wilson (1927), Journal of the American Statistical Association 22, 209-212.
    """
    if not (n >= 1 and 0 <= k <= n):
        raise ValueError(f"{k} successes in {n} trials: k must be within 0..n and n at least 1")
    _check_level(level)
    z = NormalDist().inv_cdf((1 + level) / 2)
    share = k / n
    centre = share + z * z / (2 * n)
    half = z * (share * (1 - share) / n + z * z / (4 * n * n)) ** 0.5
    scale = 1 + z * z / n
    # At the ends the bound is exact, and rounding must not push it outside.
    low = 0.0 if k == 0 else (centre - half) / scale
    high = 1.0 if k == n else (centre + half) / scale
    return low, high


def estimate_mean(
    values: Sequence[Value], *, n: int = 1000, seed: int = 0, level: float = 0.95, groups: ArrayLike | None = None
) -> Estimate:
    """The mean of one value an item, with its interval; items on which it is undefined are left out, and counted in the note.

    `items` is the number of items that are left. Raises as `estimate` does.
    """
    kept = [i for i, value in enumerate(values) if not isinstance(_defined_or_why(value), Undefined)]
    missing = len(values) - len(kept)
    if not kept:
        return estimate(mean_of_defined, values, n=n, seed=seed, level=level, groups=groups)
    ids = None if groups is None else np.asarray(groups)
    if ids is not None and ids.shape != (len(values),):
        raise ValueError(f"groups must hold one id for each of the {len(values)} values, not be of shape {ids.shape}")
    numbers = np.array([values[i] for i in kept], dtype=np.float64)
    terms = np.stack([numbers, np.ones(len(numbers))], axis=1)
    mean = Sums(lambda rows: rows, lambda sums: sums[:, 0] / sums[:, 1])
    found = estimate_sums(mean, terms, "", n=n, seed=seed, level=level, groups=None if ids is None else ids[kept])
    if not missing:
        return found
    why = mean_of_defined([value for value in values if isinstance(value, Undefined)])
    assert isinstance(why, Undefined)
    left_out = f"{missing} of {len(values)} items are left out: {why.reason}"
    return replace(found, note="; ".join(filter(None, (found.note, left_out))))


def _defined_or_why(value: Value) -> Value:
    if not isinstance(value, Undefined) and not np.isfinite(value):
        raise ValueError(f"the statistic answered {value}: it must be a finite number, or `Undefined` with the reason")
    return value


def _take(items: NDArray[Any] | Sequence[Any], chosen: NDArray[np.int64]) -> Any:
    return items[chosen] if isinstance(items, np.ndarray) else [items[i] for i in chosen.tolist()]


def _resamples(members: list[NDArray[np.int64]], n: int, seed: int) -> Iterator[NDArray[np.int64]]:
    """`n` times the row indices of as many units as there are, drawn with replacement."""
    single = all(len(rows) == 1 for rows in members)
    flat = np.concatenate(members)
    for picks in _picks(len(members), n, seed):
        yield flat[picks] if single else np.concatenate([members[pick] for pick in picks])


def _times(units: int, n: int, seed: int) -> Iterator[NDArray[np.float64]]:
    """The same as how often each unit was drawn (units,)."""
    for picks in _picks(units, n, seed):
        yield np.bincount(picks, minlength=units).astype(np.float64)


def _picks(units: int, n: int, seed: int) -> Iterator[NDArray[np.int64]]:
    rng = np.random.default_rng(seed)
    for _ in range(n):
        yield rng.integers(units, size=units)


def _percentiles(drawn: Sequence[float], level: float) -> tuple[float, float]:
    low, high = np.quantile(drawn, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def _check_resampling(n: int, level: float) -> None:
    if n < 1:
        raise ValueError(f"n is {n}: at least one resample is needed")
    _check_level(level)


def _check_level(level: float) -> None:
    if not 0.0 < level < 1.0:
        raise ValueError(f"level is {level}: it must be between 0 and 1, for example 0.95")


def _units(groups: ArrayLike | None, count: int) -> NDArray[np.int64]:
    """The number of the unit that each row is resampled with: its own, or its group's."""
    if groups is None:
        return np.arange(count)
    ids = np.asarray(groups)
    if ids.shape != (count,):
        raise ValueError(f"groups must hold one id for each of the {count} values, not be of shape {ids.shape}")
    return np.unique(ids, return_inverse=True)[1]


def _members(groups: ArrayLike | None, count: int) -> list[NDArray[np.int64]]:
    """The row indices of each unit that is resampled: a row, or a group."""
    inverse = _units(groups, count)
    order = np.argsort(inverse, kind="stable")
    return np.split(order, np.flatnonzero(np.diff(inverse[order])) + 1)
