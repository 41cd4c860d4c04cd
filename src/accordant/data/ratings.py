"""Ratings as targets: which attributes there are, and the scale that puts all of them on one."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, pstdev

from accordant.types import Rating, UserError


@dataclass(frozen=True)
class Scale:
    """The attributes of some ratings, in the order of a model's outputs, with the mean and standard deviation of each."""

    names: tuple[str, ...]
    mean: tuple[float, ...]
    sd: tuple[float, ...]

    @classmethod
    def of(cls, rows: Sequence[Rating]) -> Scale:
        """Measured on these rows; an attribute whose ratings are all the same keeps its unit.

        Raises:
            UserError: there are no rows.
        """
        if not rows:
            raise UserError("there are no ratings to measure a scale on; give at least one row with scores")
        names = tuple(sorted({name for row in rows for name in row.scores}))
        columns = [[row.scores[name] for row in rows if name in row.scores] for name in names]
        return cls(names, tuple(fmean(c) for c in columns), tuple(pstdev(c) or 1.0 for c in columns))

    def targets(self, row: Rating) -> tuple[float, ...]:
        """(score - mean) / sd of each attribute, nan where it is missing.

        Raises:
            UserError: the row rates an attribute that is not among them.
        """
        strange = sorted(set(row.scores) - set(self.names))
        if strange:
            raise UserError(f"{row.source}: rates {strange[0]!r}, but the attributes are {', '.join(self.names)}")
        parts = zip(self.names, self.mean, self.sd, strict=True)
        return tuple((row.scores.get(name, math.nan) - mean) / sd for name, mean, sd in parts)
