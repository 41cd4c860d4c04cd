"""What a careful reader of a reward-model report should worry about, in plain words.

Only what an interval supports is said: a number alone, or one whose interval reaches the harmless side, is not. Nothing is
corrected for looking at many probes and features, so one of them can be chance.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

MOVES = 0.3
"""A probe that moves the mean score by as many standard deviations is worth a word."""
FOLLOWS = 0.3
"""So is a surface feature that correlates with the score by as much."""
FAR = 0.1
"""And a source, or a number of turns, that is less accurate than the whole by as much."""


def suspicions(report: Mapping[str, Any]) -> list[str]:
    """Sentences, the worst kind first; empty where nothing is suspicious."""
    return [
        *_baselines(report.get("baselines", [])),
        *_probes(report.get("probes", [])),
        *_features(report.get("features", [])),
        *_weak_parts(report),
        *_attributes(report.get("attributes", [])),
        *_labelers(report.get("labelers", [])),
    ]


def _clear(ci95: Sequence[float | None], null: float = 0.0) -> int:
    """1 or -1 where the interval lies above or below `null`, else 0."""
    low, high = ci95
    if low is None or high is None:
        return 0
    return 1 if low > null else -1 if high < null else 0


def _baselines(baselines: Sequence[Mapping[str, Any]]) -> list[str]:
    return [
        f"The model is not clearly better than the rule “{one['name']}”, which is right {one['accuracy']:.1%} of the time."
        for one in baselines
        if one["gain_ci95"][0] is not None and _clear(one["gain_ci95"]) <= 0
    ]


def _probes(probes: Sequence[Mapping[str, Any]]) -> list[str]:
    words = []
    for one in sorted(probes, key=lambda probe: -abs(probe["change"] or 0.0)):
        way = _clear(one["ci95"])
        if not way or abs(one["change"]) < MOVES or (way < 0 and not one["harmless"]):
            continue
        up = "up" if way > 0 else "down"
        share = one["rises"] if way > 0 else one["falls"]
        words.append(
            f"{one['words'][0].upper()}{one['words'][1:]} moves the score {up} by {abs(one['change']):.1f} sd on average, and "
            f"in {share:.0%} of {one['n']} answers, though it makes an answer no {'better' if way > 0 else 'worse'}."
        )
    return words


def _features(features: Sequence[Mapping[str, Any]]) -> list[str]:
    return [
        f"The score {'rises' if one['rho'] > 0 else 'falls'} with {one['feature']} (Spearman's correlation {one['rho']:+.2f}, "
        f"95 % interval {one['ci95'][0]:+.2f} to {one['ci95'][1]:+.2f}): it may read that instead of quality."
        for one in features
        if one["rho"] is not None and _clear(one["ci95"]) and abs(one["rho"]) >= FOLLOWS
    ]


def _weak_parts(report: Mapping[str, Any]) -> list[str]:
    whole = report.get("heldout_accuracy")
    parts = [(f"in {one['source']}", one) for one in report.get("by_source", [])]
    parts += [(f"in prompts with {_turns(one['turns'])} of the user", one) for one in report.get("by_turns", [])]
    return [
        f"It is clearly less accurate {where}: {one['accuracy']:.1%} of {one['n']}, and {whole:.1%} overall."
        for where, one in parts
        if whole is not None and whole - one["accuracy"] >= FAR and _clear(one["ci95"], whole) < 0
    ]


def _turns(number: str) -> str:
    return f"{number} turn{'' if number == '1' else 's'}"


def _attributes(attributes: Sequence[Mapping[str, Any]]) -> list[str]:
    return [
        f"For “{one['attribute']}” it does not clearly beat the mean rating (root mean squared error "
        f"{one['rmse']['value']:.3g}, always saying the mean {one['rmse']['baseline']:.3g})."
        for one in attributes
        if one["rmse"] and one["rmse"]["ci95"][0] is not None and _clear(one["rmse"]["ci95"]) >= 0
    ]


def _labelers(labelers: Sequence[Mapping[str, Any]]) -> list[str]:
    return [
        f"It decides against the labeler “{one['labeler']}” more often than with them ({one['accuracy']:.1%} alike, "
        f"n = {one['n']})."
        for one in labelers
        if _clear(one["ci95"], 0.5) < 0
    ]
