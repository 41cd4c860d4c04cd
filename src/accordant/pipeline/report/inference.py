"""What the page concludes from a report's numbers: which changes are clear, and whether the reward was over-optimised.

"Clear" means here that a 95 % interval leaves out zero; nothing is corrected for looking at several measures. Means of
shares (toxicity, finished answers) carry no interval in the report, so one is made from the mean and n: Wilson's. For a
variable in [0, 1] that is no plain yes or no it is rather too wide, since a variance there is at most m(1 - m).
"""

from __future__ import annotations

import math
from itertools import pairwise
from statistics import fmean, variance
from typing import Literal, TypeAlias

from accordant.pipeline.report.format import is_finite
from accordant.pipeline.report.schema import CurvePoint, Number, Policy
from accordant.stats.intervals import wilson

Z95 = 1.959963984540054
Direction: TypeAlias = Literal["up", "down", "unclear", "unknown"]

MIN_JUDGED_STEPS = 9
"""Three thirds of three: with fewer steps the spread inside a third says nothing."""
KL_GROUPS = 12


def direction(ci95: list[Number] | tuple[Number, Number] | None, no_change: float = 0.0) -> Direction:
    """On which side of `no_change` (0 for a difference, 0.5 for a win rate) a 95 % interval lies."""
    if ci95 is None or not all(map(is_finite, ci95)):
        return "unknown"
    low, high = ci95
    return "up" if low > no_change else "down" if high < no_change else "unclear"


def share_interval(share: Number, n: int) -> tuple[float, float] | None:
    """Wilson's 95 % interval of a share of `n`, or of a mean of `n` values in [0, 1]; None where there is none."""
    if share is None or not 0 <= share <= 1 or n == 0:
        return None
    return wilson(share * n, n)


def share_difference(before: Number, n_before: int, after: Number, n_after: int) -> tuple[float, float] | None:
    """95 % interval of after - before for independent shares, from two Wilson intervals (Newcombe 1998, method 10)."""
    first, second = share_interval(before, n_before), share_interval(after, n_after)
    if first is None or second is None:
        return None
    change = after - before
    return (
        change - math.hypot(after - second[0], first[1] - before),
        change + math.hypot(second[1] - after, before - first[0]),
    )


def judged_steps(curve: list[CurvePoint]) -> list[CurvePoint]:
    """The steps of which reward, judge's utility and KL are all known, in order."""
    return [point for point in curve if all(is_finite(point[key]) for key in ("reward", "gold", "kl"))]


def means_over_kl(points: list[CurvePoint], key: Literal["reward", "gold"]) -> list[tuple[float, float]]:
    """(mean KL, mean of `key`) of at most `KL_GROUPS` equally large groups of steps, by rising KL."""
    ordered = sorted(points, key=lambda point: point["kl"])
    groups = min(KL_GROUPS, len(ordered))
    borders = [round(i * len(ordered) / groups) for i in range(groups + 1)] if groups else []
    parts = [ordered[start:end] for start, end in pairwise(borders)]
    return [(fmean(p["kl"] for p in part), fmean(p[key] for p in part)) for part in parts]


def over_optimised(policy: Policy, curve: list[CurvePoint]) -> Literal["overall", "late"] | None:
    """Whether the reward rose while the judge's utility clearly fell (Gao et al. 2023, "Scaling Laws for Reward Model
    Overoptimization").

    "overall": on the held-out prompts the reward's gain is clearly positive and the judge's clearly negative. "late":
    over the training steps the last third's judged utility is below the better of the first two thirds by more than the
    95 % interval of that difference, while its reward is higher. Steps are taken as independent, so "late" is a hint.
    """
    gold_gain = policy["gold_gain"]
    if gold_gain and direction(gold_gain["ci95"]) == "down" and direction(policy["reward_gain"]["ci95"]) == "up":
        return "overall"
    points = judged_steps(curve)
    if len(points) < MIN_JUDGED_STEPS:
        return None
    third = len(points) // 3
    parts = points[:third], points[third:-third], points[-third:]
    gold = [[point["gold"] for point in part] for part in parts]
    reward = [fmean(point["reward"] for point in part) for part in parts]
    best = max((0, 1), key=lambda i: fmean(gold[i]))
    error = math.sqrt(variance(gold[best]) / len(gold[best]) + variance(gold[2]) / len(gold[2]))
    fell = fmean(gold[best]) - fmean(gold[2]) > Z95 * error
    return "late" if fell and reward[2] > reward[best] else None
