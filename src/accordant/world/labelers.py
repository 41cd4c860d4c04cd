"""Simulated labelers: they rank completions by the exact judge's utility, as they perceive it.

A labeler perceives ``utility - per_word * words + noise``. On some items a careless one picks at random, and a contrary
one reverses what it perceives. Perceptions within `tie_width` of the best of a group are tied with it, and those below
`reject_below` are marked F. Identical completions are always tied. Left out: learning, fatigue, labelers who copy.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from accordant.types import Ranking
from accordant.world.judge import judge


@dataclass(frozen=True, slots=True)
class Labeler:
    """How one labeler differs from the judge. Utilities run from -7.5 to 3."""

    name: str
    noise: float  # standard deviation, in units of utility
    tie_width: float  # units of utility
    reject_below: float  # perceived utility
    careless: float = 0.0  # share of the items that it ranks at random
    contrary: float = 0.0  # share of the items that it ranks in reverse
    per_word: float = 0.0  # personal taste: utility that each word costs


LABELERS: Final[tuple[Labeler, ...]] = (
    Labeler("careful-1", noise=0.15, tie_width=0.2, reject_below=-1.5),
    Labeler("careful-2", noise=0.25, tie_width=0.2, reject_below=-2.0, per_word=0.03),
    Labeler("average", noise=0.9, tie_width=0.4, reject_below=-2.0, careless=0.05),
    Labeler("careless", noise=1.2, tie_width=0.6, reject_below=-2.5, careless=0.45),
    Labeler("contrary", noise=0.5, tie_width=0.3, reject_below=-2.5, contrary=0.75),
)
"""Two of care, an average one, one that often picks at random, and one that reverses three items in four."""


def rank(labeler: Labeler, prompt: str, completions: Sequence[str], rng: random.Random) -> Ranking:
    """The labeler's weak order over K completions of one prompt of the embedded world, some of them perhaps marked F.

    Raises `UserError` where the prompt is not of the embedded world.
    """
    perceived = _perceive(labeler, prompt, completions, rng)
    order = sorted(range(len(completions)), key=lambda i: -perceived[completions[i]])
    groups: list[list[int]] = []
    rejected: list[int] = []
    for index in order:
        score = perceived[completions[index]]
        if score < labeler.reject_below:
            rejected.append(index)
        elif groups and perceived[completions[groups[-1][0]]] - score <= labeler.tie_width:
            groups[-1].append(index)
        else:
            groups.append([index])
    return Ranking(
        prompt=prompt,
        completions=tuple(completions),
        groups=tuple(tuple(group) for group in groups),
        rejected=tuple(rejected),
        labeler=labeler.name,
    )


def _perceive(labeler: Labeler, prompt: str, completions: Sequence[str], rng: random.Random) -> dict[str, float]:
    """What each distinct completion looks like to the labeler, this time."""
    perceived = {}
    for text in dict.fromkeys(completions):
        verdict = judge(prompt, text)
        perceived[text] = verdict.utility - labeler.per_word * verdict.words + rng.gauss(0.0, labeler.noise)
    mood = rng.random()
    if mood < labeler.careless:
        shuffled = rng.sample(list(perceived.values()), len(perceived))
        return dict(zip(perceived, shuffled, strict=True))
    if mood < labeler.careless + labeler.contrary:
        turned = sum(perceived.values()) / max(len(perceived), 1) * 2  # reflected about the item's mean
        return {text: turned - score for text, score in perceived.items()}
    return perceived
