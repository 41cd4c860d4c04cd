"""A policy before and after, from numbers per response: pure statistics, no model.

Responses come in pairs: row i of `before` and row i of `after` answer the same prompt with the same noise. Intervals are 95 %
percentile bootstraps over prompts.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from accordant.stats.intervals import bootstrap_ci, paired_ci

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Side:
    """One model's responses to N prompts, each array (N,). `gold` and `toxicity` may be empty: not measured."""

    reward: Floats
    length: Floats  # tokens
    finished: Floats  # 0 or 1
    gold: Floats
    toxicity: Floats  # probability or 0/1


def summary(side: Side) -> dict[str, Any]:
    """Means with intervals; what was not measured, or has no spread because it is one number, is null."""
    gold, toxic = len(side.gold) > 0, len(side.toxicity) > 0
    return {
        "n": len(side.reward),
        "reward_mean": float(side.reward.mean()), "reward_sd": float(side.reward.std(ddof=1)) if len(side.reward) > 1 else None,
        "reward_ci95": list(bootstrap_ci(side.reward)),
        "gold_mean": float(side.gold.mean()) if gold else None,
        "gold_ci95": list(bootstrap_ci(side.gold)) if gold else None,
        "toxicity_mean": float(side.toxicity.mean()) if toxic else None,
        "length_mean": float(side.length.mean()), "finished_share": float(side.finished.mean()),
    }  # fmt: skip


def compare(before: Side, after: Side, kl: Floats) -> dict[str, Any]:
    """The `policy` part of a report.

    Args:
        kl: (N,) summed log-ratio of each response of `after` against the frozen model, nats.

    The win rate counts a tie as half; its judge is the gold measure where there is one, else the reward.
    """
    by_gold = len(before.gold) > 0
    first, second = (before.gold, after.gold) if by_gold else (before.reward, after.reward)
    wins = (second > first) + 0.5 * (second == first)
    return {
        "before": summary(before), "after": summary(after), "histogram": histogram(before.reward, after.reward),
        "reward_gain": gain(before.reward, after.reward), "gold_gain": gain(before.gold, after.gold) if by_gold else None,
        "kl": float(kl.mean()), "kl_ci95": list(bootstrap_ci(kl)), "kl_n": len(kl),
        "win_rate": {
            "mean": float(wins.mean()), "ci95": list(bootstrap_ci(wins)), "n": len(wins),
            "by": "exact judge" if by_gold else "reward model",
        },
    }  # fmt: skip


def gain(before: Floats, after: Floats) -> dict[str, Any]:
    """Mean of the paired differences with its interval."""
    return {"mean": float((after - before).mean()), "ci95": list(paired_ci(before, after))}


def histogram(before: Floats, after: Floats, bins: int = 30) -> dict[str, Any]:
    """Counts of both in the same bins."""
    edges = np.histogram_bin_edges(np.concatenate([before, after]), bins)
    return {
        "edges": edges.tolist(),
        "before": np.histogram(before, edges)[0].tolist(),
        "after": np.histogram(after, edges)[0].tolist(),
    }
