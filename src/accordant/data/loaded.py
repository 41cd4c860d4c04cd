"""What reading gives back: good rows, each with the record that it was read from, and what there is to say about the others.

A row holds only the fields that it knows. A user's own (ids, notes, who judged) stay in the record, so that rows can be split
and filtered as they came, and can take their own fields along into what is made of them.

Left out: records of rows that were put together from several, or that are no records in their file (lines of text).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from accordant.data.files import Complaint
from accordant.types import Row


@dataclass(frozen=True, slots=True)
class Kept:
    """A record as it came. One object stands for all rows that were read from it.

    `fields`: by the names that the file has, also where some were mapped; of CSV, cells that spell JSON in
    fields that the row knows are values.
    `own`: those of the fields that say nothing to a row.
    """

    fields: Mapping[str, Any]
    own: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Loaded:
    """The good rows, a complaint about each bad one, and what was passed over on purpose, with counts.

    `kept` has the record of each row, in the order of the rows; nothing where rows stand for no records.
    """

    rows: Sequence[Row]
    complaints: Sequence[Complaint] = ()
    notes: tuple[str, ...] = ()
    kept: Sequence[Kept] = ()

    def __post_init__(self) -> None:
        if self.kept and len(self.kept) != len(self.rows):
            raise ValueError(f"{len(self.rows)} rows but {len(self.kept)} records: they must be equally many")

    @property
    def records(self) -> int:
        """How many good records there are: one for each row, or fewer."""
        return len({id(record) for record in self.kept}) or len(self.rows)
