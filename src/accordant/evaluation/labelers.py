"""A reward model against rankings: the order of K answers, the best of them, and each labeler by name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from accordant.evaluation.answers import Answers, Floats, Ints, entry, share
from accordant.stats.intervals import Value, estimate_mean
from accordant.stats.kendall import tau_b

UNNAMED = "?"


def ranking_report(answers: Answers, places: Sequence[Ints], levels: Sequence[Ints]) -> dict[str, Any]:
    """Order and best-of-K of R rankings.

    Args:
        places: where each ranking's K answers stand in `answers`.
        levels: the level of each, 0 = best.

    Returns:
        `tau_b` (mean over rankings, those that tie everything left out), and `best_of_k`: how often the answer with the highest
        score is one of the best group, beside `chance`, which a random choice reaches.
    """
    prompts = np.array([answers.prompt[place[0]] for place in places])
    best = np.array([hit_rate(answers.score[place], level) for place, level in zip(places, levels, strict=True)])
    chance = float(np.mean([(level == 0).mean() for level in levels]))
    sizes = [len(level) for level in levels]
    return {
        "rankings": len(places), "answers": [min(sizes), max(sizes)],
        "tau_b": entry(estimate_mean(taus(answers, places, levels), groups=prompts)),
        "best_of_k": share(best, prompts) | {"chance": chance},
    }  # fmt: skip


def hit_rate(scores: Floats, level: Ints) -> float:
    """Whether the highest score is in the best group, 0 or 1; of several highest the share that is."""
    return float((level[scores == scores.max()] == 0).mean())


def taus(answers: Answers, places: Sequence[Ints], levels: Sequence[Ints]) -> list[Value]:
    """Kendall's tau-b between the scores and each ranking, 1 = the same order."""
    return [tau_b(answers.score[place], -level) for place, level in zip(places, levels, strict=True)]


def labeler_table(
    names: Sequence[str], right: Sequence[Floats], prompts: Ints, order: Sequence[Value] | None = None
) -> list[dict[str, Any]]:
    """How far the model agrees with each labeler, `[{labeler, rows, n, accuracy, ci95, tau_b}]`; empty where no row names one.

    Args:
        names: the labeler of each of R rows.
        right: of each row's comparisons (or its one judgement), which the model decides alike.
        prompts: (R,) prompt of each row.
        order: of rankings, tau-b of each.
    """
    if set(names) == {UNNAMED}:
        return []
    found = []
    for name in dict.fromkeys(sorted(names)):
        rows = [i for i, other in enumerate(names) if other == name]
        flat = np.concatenate([right[i] for i in rows])
        if not len(flat):
            continue  # this labeler tied everything that they saw
        groups = np.repeat(prompts[rows], [len(right[i]) for i in rows])
        one: dict[str, Any] = {"labeler": name, "rows": len(rows), **share(flat, groups)}
        if order is not None:
            one["tau_b"] = entry(estimate_mean([order[i] for i in rows], groups=prompts[rows]))
        found.append(one)
    return found
