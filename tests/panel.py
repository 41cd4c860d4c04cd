"""Simulated labelers of known skill who rank answers of known quality: weak orders with rejects, some answers per item."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from accordant.types import Ranking


@dataclass(frozen=True)
class Person:
    noise: float  # standard deviation of what is perceived; qualities have one of 1
    tie_width: float
    careless: float = 0.0  # share of items ranked at random
    contrary: float = 0.0  # share of items ranked in reverse


PANEL = {
    "careful-1": Person(0.15, 0.2),
    "careful-2": Person(0.25, 0.2),
    "average-1": Person(0.9, 0.4, careless=0.05),
    "average-2": Person(0.9, 0.4, careless=0.05),
    "careless": Person(1.2, 0.6, careless=0.45),
    "contrary": Person(0.5, 0.3, contrary=0.75),
}
REJECT_BELOW = -1.5


def rank(name: str, person: Person, quality: NDArray[np.float64], rng: np.random.Generator, item: str = "q") -> Ranking:
    seen = quality + rng.normal(0.0, person.noise, len(quality))
    mood = rng.random()
    if mood < person.careless:
        seen = rng.permutation(seen)
    elif mood < person.careless + person.contrary:
        seen = 2 * seen.mean() - seen
    groups: list[list[int]] = []
    rejected = []
    for k in np.argsort(-seen).tolist():
        if seen[k] < REJECT_BELOW:
            rejected.append(k)
        elif groups and seen[groups[-1][0]] - seen[k] <= person.tie_width:
            groups[-1].append(k)
        else:
            groups.append([k])
    texts = tuple(f"answer {k}" for k in range(len(quality)))
    return Ranking(item, texts, tuple(map(tuple, groups)), tuple(rejected), name)


def simulate(
    seed: int, items: int = 300, answers: int = 4, overlap: int = 4, people: Mapping[str, Person] = PANEL
) -> tuple[NDArray[np.float64], list[list[Ranking]]]:
    """Qualities (items, answers), standard normal, and each item's rankings by `overlap` of the people, drawn anew."""
    rng = np.random.default_rng(seed)
    quality = rng.normal(size=(items, answers))
    names = list(people)
    return quality, [
        [rank(names[r], people[names[r]], row, rng, f"item {i}") for r in rng.choice(len(names), overlap, replace=False)]
        for i, row in enumerate(quality)
    ]
