"""Which rows travel together: minibatches of whole groups, micro-batches under a token budget, and slices of records."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any, TypeVar

import torch
from torch import Tensor

from accordant.types import Rollout

R = TypeVar("R")


def microbatches(lengths: Sequence[int], budget: int, rows: Sequence[int] | None = None) -> list[list[int]]:
    """Split items into micro-batches whose padded size stays within `budget` tokens, longest items first.

    Sorting by length keeps padding low; longest first meets an out-of-memory at once and not after an hour. Deterministic, and
    every item is in exactly one micro-batch. An item over the budget gets a micro-batch of its own.

    Args:
        lengths: longest row of each item, in tokens.
        budget: padded tokens per micro-batch (rows times the longest row).
        rows: rows that each item brings (G for a group, 2 for a pair); 1 by default.
    """
    rows = [1] * len(lengths) if rows is None else rows
    if len(rows) != len(lengths):
        raise ValueError(f"{len(lengths)} lengths but {len(rows)} row counts")
    out: list[list[int]] = []
    used = longest = 0
    for i in sorted(range(len(lengths)), key=lambda i: (-lengths[i], i)):
        if not out or (used + rows[i]) * longest > budget:
            out.append([])
            used, longest = 0, max(1, lengths[i])
        out[-1].append(i)
        used += rows[i]
    return out


def minibatches(group: Tensor, parts: int, generator: torch.Generator) -> list[Tensor]:
    """A fresh random partition of the groups into `parts` minibatches of equally many groups; rows of a group stay together.

    Args:
        group: (B,) int64 group id of each row.
        parts: how many minibatches; must divide the number of groups.

    Returns:
        `parts` tensors of row indices, each ascending.

    Raises:
        ValueError: `parts` does not divide the groups; names the nearest that does.
    """
    ids, where = torch.unique(group, return_inverse=True)
    n = len(ids)
    if not 1 <= parts <= n or n % parts:
        raise ValueError(f"{parts} minibatches do not divide {n} groups; the nearest that does is {nearest_divisor(n, parts)}")
    order = torch.randperm(n, generator=generator)
    place = torch.empty_like(order)
    place[order] = torch.arange(n)
    owner = place[where.cpu()] // (n // parts)
    return [torch.nonzero(owner == part).squeeze(1) for part in range(parts)]


def nearest_divisor(n: int, wanted: int) -> int:
    """The divisor of `n` that is closest to `wanted`, the smaller of two: `nearest_divisor(12, 5) == 4`."""
    return min((d for d in range(1, n + 1) if n % d == 0), key=lambda d: (abs(d - wanted), d))


def take(record: R, index: Tensor, columns: slice | None = None) -> R:
    """Rows `index` of every tensor of a (nested, frozen) record, and `columns` of those with two axes. Other fields stay."""
    changes: dict[str, Any] = {}
    for spec in dataclasses.fields(record):  # type: ignore[arg-type]
        value = getattr(record, spec.name)
        if isinstance(value, Tensor):
            rows = value[index]
            changes[spec.name] = rows[:, columns] if columns is not None and rows.dim() == 2 else rows
        elif dataclasses.is_dataclass(value):
            changes[spec.name] = take(value, index, columns)
    return dataclasses.replace(record, **changes)  # type: ignore[type-var]


def take_rollout(rollout: Rollout, index: Tensor) -> Rollout:
    """Rows `index` of a rollout without the columns that are padding in all of them, on both sides."""
    mask, start = rollout.mask[index], rollout.prompt_length
    used = mask.any(dim=0)
    first = int(torch.nonzero(used)[0])
    end = int(torch.nonzero(used)[-1]) + 1
    return dataclasses.replace(
        rollout,
        ids=rollout.ids[index, first:end],
        mask=mask[:, first:end],
        logp=rollout.logp[index, : end - start],
        finished=rollout.finished[index],
        group=rollout.group[index],
        prompt_length=start - first,
    )


def move(record: R, device: torch.device) -> R:
    """Every tensor of a (nested, frozen) record on `device`."""
    changes: dict[str, Any] = {}
    for spec in dataclasses.fields(record):  # type: ignore[arg-type]
        value = getattr(record, spec.name)
        if isinstance(value, Tensor):
            changes[spec.name] = value.to(device)
        elif dataclasses.is_dataclass(value):
            changes[spec.name] = move(value, device)
        elif isinstance(value, dict):
            changes[spec.name] = {key: inner.to(device) for key, inner in value.items()}
    return dataclasses.replace(record, **changes)  # type: ignore[type-var]


def pad_rows(rows: Sequence[Sequence[Any]], fill: Any, *, left: bool = False, dtype: torch.dtype = torch.long) -> Tensor:
    """Rows of unequal length as one (N, L) tensor, filled on the right, or on the left."""
    width = max((len(row) for row in rows), default=0)
    out = torch.full((len(rows), width), fill, dtype=dtype)
    for i, row in enumerate(rows):
        if len(row):
            columns = slice(width - len(row), width) if left else slice(0, len(row))
            out[i, columns] = torch.as_tensor(row, dtype=dtype)
    return out
