"""Randomness as a function of (seed, purpose, step): nothing random is saved, and a resumed run equals an uninterrupted one.

Every use of chance derives its own stream from the run's seed and a name. Two purposes never share a stream, and the order in
which they are used changes nothing.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


def derive(seed: int, *names: str | int) -> int:
    """A 63-bit seed for this purpose. `derive(0, "sampling", 3)` is the same number on every machine."""
    digest = hashlib.sha256("\x1f".join(str(part) for part in (seed, *names)).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def generator(seed: int, *names: str | int) -> torch.Generator:
    """A CPU generator of its own for this purpose."""
    import torch

    return torch.Generator().manual_seed(derive(seed, *names))


def permutation(n: int, seed: int, *names: str | int) -> list[int]:
    """A seeded order of `range(n)`."""
    import torch

    return torch.randperm(n, generator=generator(seed, *names)).tolist()  # type: ignore[no-any-return]
