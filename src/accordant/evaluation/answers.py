"""Scored answers, the one table that every part of a reward-model report reads, and how shares of them are reported."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from accordant.stats.intervals import Estimate, bootstrap_ci, paired_ci

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Answers:
    """M answers that a reward model scored: `texts` without their prompts, `score` and length in `tokens` (M,), `prompt` (M,).

    `prompt` numbers the prompts: whole prompts are resampled for every interval, because answers to one are not independent.
    """

    texts: tuple[str, ...]
    score: Floats
    tokens: Floats
    prompt: Ints

    @property
    def sd(self) -> float:
        """Standard deviation of the scores, the unit of what moves them; 0 where none differ."""
        return float(self.score.std())


@dataclass(frozen=True)
class Origin:
    """Where each of N rows is from: the name of its source, and how many turns of a user its prompt has (0: bare text)."""

    source: tuple[str, ...]
    turns: Ints


def slices(right: Floats, origin: Origin, prompts: Ints) -> dict[str, Any]:
    """Accuracy by source and by the number of the user's turns, each with its interval; bare texts have no turns."""
    turns = [str(number) for number in origin.turns.tolist()]
    return {
        "by_source": by_name(right, origin.source, prompts, "source"),
        "by_turns": by_name(right, turns, prompts, "turns") if (origin.turns > 0).any() else [],
    }


def by_name(right: Floats, names: Sequence[str], prompts: Ints, key: str) -> list[dict[str, Any]]:
    """Mean of `right` (N,) for each name, with its 95 % interval over prompts: `[{key: name, n, accuracy, ci95}]`."""
    order = sorted(dict.fromkeys(names), key=lambda name: (not name.isdigit(), int(name) if name.isdigit() else 0, name))
    found = []
    for name in order:
        here = np.array([other == name for other in names])
        found.append({key: name, **share(right[here], prompts[here])})
    return found


def share(right: Floats, prompts: Ints) -> dict[str, Any]:
    """`{n, accuracy, ci95}`; a single prompt has no interval."""
    several = len(np.unique(prompts)) > 1
    interval = list(bootstrap_ci(right, groups=prompts)) if several else [None, None]
    return {"n": len(right), "accuracy": float(right.mean()), "ci95": interval}


def beside(name: str, right: Floats, baseline: Floats, prompts: Ints) -> dict[str, Any]:
    """A trivial rule's accuracy, and by how much the model's exceeds it, paired: `gain` with `gain_ci95`."""
    several = len(np.unique(prompts)) > 1
    return {
        "name": name, "accuracy": float(baseline.mean()), "gain": float((right - baseline).mean()),
        "gain_ci95": list(paired_ci(baseline, right, groups=prompts)) if several else [None, None],
    }  # fmt: skip


def entry(found: Estimate, name: str = "value") -> dict[str, Any]:
    """An estimate as the report writes it: value, interval, n, and a note where there is something to say."""
    return {name: found.value, "ci95": [found.low, found.high], "n": found.items, "note": found.note}
