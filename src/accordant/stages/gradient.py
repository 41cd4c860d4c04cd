"""One optimiser step from many micro-batches: shared by both loops, so that it is right once."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import torch

from accordant.models.checkpoint import save_state
from accordant.models.optim import NotFinite
from accordant.types import Metrics, Sums, UserError

T = TypeVar("T")


class Meter:
    """Adds (sum, count) pairs by name; the means come out at the end."""

    def __init__(self) -> None:
        self._sum: dict[str, float] = defaultdict(float)
        self._count: dict[str, float] = defaultdict(float)

    def add(self, metrics: Metrics) -> None:
        for name, (total, count) in metrics.items():
            self._sum[name] += total
            self._count[name] += count

    def means(self) -> dict[str, float]:
        return {name: self._sum[name] / self._count[name] for name in self._sum if self._count[name]}


def total_counts(parts: Iterable[Mapping[str, float]]) -> dict[str, float]:
    """The denominator of each term over the whole optimiser step."""
    total: dict[str, float] = defaultdict(float)
    for counts in parts:
        for name, count in counts.items():
            total[name] += count
    return dict(total)


def accumulate(
    parts: Iterable[T], loss: Callable[[T], tuple[Sums, Metrics]], totals: Mapping[str, float], meter: Meter
) -> None:
    """Backward of sum_term (sum over micro-batches of its sums) / (its count over the whole step)."""
    for part in parts:
        sums, metrics = loss(part)
        value = torch.stack([term / max(totals[name], 1e-12) for name, term in sums.items()]).sum()
        if not torch.isfinite(value):
            raise NotFinite(f"the loss is {value.item()} ({', '.join(f'{k} {float(v.detach()):g}' for k, v in sums.items())})")
        value.backward()
        meter.add(metrics)


def dump_and_stop(error: NotFinite, folder: Path, step: int, batch: Mapping[str, Any]) -> UserError:
    """Save the offending batch and say where it is and what usually helps."""
    place = folder / "not_finite.pt"
    save_state(place, {"step": step, **batch})
    return UserError(
        f"step {step}: {error}; the weights are those of the step before and the batch is in {place}. "
        "A lower optim.lr or float32 precision usually helps"
    )
