"""What weighing labelers by reliability gains over counting them alike, on simulated panels of known skill.

Run       .venv/bin/python benchmarks/consensus.py        (a minute on one core)

Two careful labelers, two average ones, a careless and a contrary one rank answers of known quality (tests/panel.py); in the
panel called "equal" all six are average, so there is nothing to weigh. The table shows Kendall's tau-b with the true order,
the mean over ten seeds: Borda, Bradley-Terry with ties where all count alike, the scores of the weighted consensus and its
weak order, and the gain of its scores over Borda with the 95 % interval over seeds. Below it: how often a confidence was
right.
"""

from __future__ import annotations

import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from accordant.stats.bradley_terry import posterior
from accordant.stats.consensus import borda
from accordant.stats.intervals import Undefined, bootstrap_ci
from accordant.stats.kendall import tau_b
from accordant.stats.rankings import levels
from accordant.stats.weighted_consensus import Consensus, comparisons, weighted_consensus
from accordant.types import Ranking

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from panel import PANEL, Person, simulate

EQUAL = {name: Person(noise=0.9, tie_width=0.4) for name in PANEL}
# items, answers, overlap, people
SETTINGS = [(*sizes, PANEL) for sizes in ((300, 4, 4), (300, 2, 4), (300, 7, 4), (300, 4, 2), (300, 4, 6), (20, 4, 4))]
SETTINGS += [(*sizes, EQUAL) for sizes in ((300, 4, 4), (300, 4, 2), (20, 4, 4))]
SEEDS = 10
EDGES = (0.5, 0.6, 0.7, 0.8, 0.9, 0.97, 1.0 + 1e-9)


def mean_tau(scores: list[NDArray[np.float64]], quality: NDArray[np.float64]) -> float:
    """A consensus that ties everything counts as 0."""
    taus = [tau_b(score, truth) for score, truth in zip(scores, quality, strict=True)]
    return float(np.mean([0.0 if isinstance(tau, Undefined) else tau for tau in taus]))


def alike(items: list[list[Ranking]]) -> list[NDArray[np.float64]]:
    """Bradley-Terry with ties, every labeler with the same discrimination and tie rate."""
    data = comparisons(items, sorted(PANEL))
    mode = posterior(data, np.full(len(PANEL), 2.0), np.full(len(PANEL), -1.0)).mode
    return np.split(mode, len(items))


def sureness(found: Consensus, quality: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """The confidence in each pair's likelier order, and whether that is the true one."""
    above = np.triu_indices(quality.shape[1], 1)
    confidence = np.concatenate([item.confidence[above] for item in found.items])
    truth = np.concatenate([(row[:, None] > row)[above] for row in quality])
    return np.maximum(confidence, 1 - confidence), np.where(confidence > 0.5, truth, ~truth)


def main() -> None:
    print("items answers overlap  panel   Borda   alike  weighted  weak order   gain (95 %)")
    calibration = []
    for setting in SETTINGS:
        taus = []
        for seed in range(SEEDS):
            quality, items = simulate(seed, *setting)
            found = weighted_consensus(items)
            weighted = mean_tau([item.score for item in found.items], quality)
            plain, same = mean_tau([borda(item) for item in items], quality), mean_tau(alike(items), quality)
            weak = mean_tau([-levels(item.ranking) for item in found.items], quality)
            taus.append((plain, same, weighted, weak))
            if setting is SETTINGS[0]:
                calibration.append(sureness(found, quality))
        table = np.array(taus)
        low, high = bootstrap_ci(table[:, 2] - table[:, 0])
        plain, same, weighted, weak = table.mean(axis=0)
        print("{:5d} {:7d} {:7d}".format(*setting), f"  {'equal' if setting[3] is EQUAL else 'mixed'}   {plain:.3f}", end="")
        print(f"   {same:.3f}     {weighted:.3f}       {weak:.3f}   {weighted - plain:+.3f} ({low:+.3f} to {high:+.3f})")
    sure, right = (np.concatenate(parts) for parts in zip(*calibration, strict=True))
    print("\nconfidence      pairs   stated   right   (first row of the table)")
    for bottom, top in pairwise(EDGES):
        here = (sure >= bottom) & (sure < top)
        print(f"{bottom:.2f} to {top:.2f} {here.sum():8d}   {sure[here].mean():.3f}    {right[here].mean():.3f}")


if __name__ == "__main__":
    main()
