"""A reward model against ratings: for each attribute its correlation with people, and its error on their own scale."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from accordant.evaluation.answers import Floats, Ints, entry
from accordant.stats.correlation import pearson_estimate, spearman_estimate
from accordant.stats.intervals import bootstrap_ci

RESAMPLES = 1000


def attribute_report(
    name: str, predicted: Floats, rated: Floats, prompts: Ints, mean: float | None, rated_by_model: bool
) -> dict[str, Any]:
    """One attribute on the N answers that were rated on it, each array (N,).

    Args:
        predicted: the model's output; on the rating's scale if `mean` is given.
        rated: what people gave.
        prompts: prompt of each answer: whole prompts are resampled.
        mean: the mean rating that training saw, which is the baseline's answer to everything; None: the model was not trained
            on ratings, so its errors mean nothing and correlations are all there is.
        rated_by_model: whether the output is this attribute's own.

    Returns:
        `spearman`, `pearson`; `rmse` and `mae`, each with `value`, `baseline` and `difference` (model less baseline: below
        zero is better) with `ci95`, or None.
    """
    several = len(np.unique(prompts)) > 1
    found: dict[str, Any] = {
        "attribute": name, "n": len(rated), "own_output": rated_by_model,
        "spearman": entry(spearman_estimate(predicted, rated, groups=prompts, n=RESAMPLES)),
        "pearson": entry(pearson_estimate(predicted, rated, groups=prompts, n=RESAMPLES)),
        "rmse": None, "mae": None,
    }  # fmt: skip
    if mean is None:
        return found
    errors = np.stack([predicted - rated, mean - rated], axis=1)
    for key, measure in (("rmse", _rmse), ("mae", _mae)):
        low_high = list(bootstrap_ci(errors, partial(_difference, measure), n=RESAMPLES, groups=prompts))
        found[key] = {
            "value": measure(errors[:, 0]), "baseline": measure(errors[:, 1]), "difference": _difference(measure, errors),
            "ci95": low_high if several else [None, None],
        }  # fmt: skip
    return found


def _difference(measure: Callable[[Floats], float], errors: Floats) -> float:
    return float(measure(errors[:, 0]) - measure(errors[:, 1]))


def _rmse(error: Floats) -> float:
    return float(np.sqrt((error**2).mean()))


def _mae(error: Floats) -> float:
    return float(np.abs(error).mean())
