"""The door: shape and dtype checks that fail with the names and shapes of what was passed."""

from __future__ import annotations

import torch
from torch import Tensor


def same_shape(rank: int, **tensors: Tensor) -> None:
    """All tensors have `rank` dimensions and one shape. Raises ValueError that names each with its shape."""
    shapes = {name: tuple(t.shape) for name, t in tensors.items()}
    if len(set(shapes.values())) != 1 or len(next(iter(shapes.values()))) != rank:
        found = ", ".join(f"{name} {shape}" for name, shape in shapes.items())
        raise ValueError(f"expected tensors of rank {rank} and equal shape, found {found}")


def is_mask(**tensors: Tensor) -> None:
    """All tensors are boolean: a 0/1 float mask multiplies silently where a boolean one selects."""
    for name, t in tensors.items():
        if t.dtype != torch.bool:
            raise ValueError(f"{name} must be a boolean mask (True = this token counts), found {t.dtype}")
