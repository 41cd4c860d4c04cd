"""What is on the surface of an answer, and whether a reward model's scores follow it instead of what the answer says.

A correlation is no proof: better answers may really be longer. It is where to look, together with the probes. The words are
English; in other languages the word lists count nothing, and the report says that they never vary.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np

from accordant.evaluation.answers import Answers, entry
from accordant.stats.correlation import spearman_estimate

RESAMPLES = 500


def _counter(pattern: str, flags: int = re.IGNORECASE) -> Callable[[str], float]:
    compiled = re.compile(pattern, flags)
    return lambda text: float(len(compiled.findall(text)))


FEATURES: dict[str, Callable[[str], float]] = {
    "list items": _counter(r"^[ \t]*(?:[-*\u2022]|\d+[.)])[ \t]+\S", re.MULTILINE),
    "question marks": _counter(r"\?"),
    "exclamation marks": _counter(r"!"),
    "digits": _counter(r"\d"),
    "capital letters": lambda text: float(sum(letter.isupper() for letter in text)),
    "refusal words": _counter(
        r"\b(?:can(?:not|['\u2019]?t)|won['\u2019]?t|unable|not able|refuse|against my|as an ai|inappropriate|illegal)\b"
    ),
    "first person": _counter(r"\b(?:i|me|my|mine|myself)\b"),
    "politeness words": _counter(r"\b(?:please|thanks?|thank you|sorry|apologi[sz]e|welcome|glad|happy to|appreciate)\b"),
}
"""How often each is in an answer."""


def feature_table(answers: Answers) -> list[dict[str, Any]]:
    """Spearman's correlation of the score with length and with each of `FEATURES`: `[{feature, rho, ci95, n, note, share}]`.

    `share`: of the answers, those that have any of it. Where nothing varies `rho` is None and `note` says why.
    """
    columns = {"length in tokens": answers.tokens}
    columns |= {name: np.array([count(text) for text in answers.texts]) for name, count in FEATURES.items()}
    found = []
    for name, column in columns.items():
        value = spearman_estimate(answers.score, column, groups=answers.prompt, n=RESAMPLES)
        found.append({"feature": name, **entry(value, "rho"), "share": float((column > 0).mean())})
    return found
