"""A clock that a test turns by hand."""

from __future__ import annotations


class Clock:
    """Milliseconds that pass when the test says so."""

    def __init__(self) -> None:
        self.ms = 1_700_000_000_000

    def __call__(self) -> int:
        return self.ms

    def minutes(self, n: float) -> None:
        self.ms += round(n * 60_000)
