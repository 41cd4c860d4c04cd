"""How the commands under `data` read rows: a source, names to map, options, and what becomes of bad rows.

Left out: printing; `say` is given every line that there is to tell.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from accordant.config import parse_overrides
from accordant.data import sources
from accordant.data.findings import listed
from accordant.data.loaded import Loaded
from accordant.data.origin import Origin, write_origins
from accordant.data.output import check_output, write_together
from accordant.data.rows import all_good, plain
from accordant.types import Row, UserError

LISTED = 20  # complaints of a kind that are printed before they are only counted


def new_names(words: Sequence[str] | None) -> list[tuple[str, str]]:
    """Theirs and ours of each `--map THEIRS=OURS` of a command line. Raises UserError where one is not that."""
    names = [word.partition("=") for word in words or ()]
    for theirs, sign, ours in names:
        if not (theirs and sign and ours):
            raise UserError(f"--map {theirs}{sign}{ours} is not THEIRS=OURS, for example --map question=prompt")
    return [(theirs, ours) for theirs, _, ours in names]


@dataclass(frozen=True)
class Reading:
    """How files become rows."""

    source: str
    map: Mapping[str, str]
    options: Mapping[str, Any]

    @classmethod
    def of(cls, source: str = "file", renamed: Sequence[str] | None = None, options: Sequence[str] | None = None) -> Reading:
        """From words of a command line. Raises UserError where they are not THEIRS=OURS or KEY=VALUE."""
        names = new_names(renamed)
        twice = next((theirs for i, (theirs, _) in enumerate(names) if theirs in [name for name, _ in names[:i]]), None)
        if twice is not None:
            raise UserError(f"--map names the field {twice!r} twice; give it once")
        settings = parse_overrides(options or ())
        if "map" in settings:
            raise UserError("--option map=... is no option of a source; write --map THEIRS=OURS")
        return cls(source, dict(names), settings)

    def check(self, path: str) -> Loaded:
        """Good rows, complaints and notes."""
        return sources.check(self.source, path, map=dict(self.map), **self.options)

    def read(self, path: str, on_bad: str, say: Callable[[str], None]) -> Loaded:
        """Good rows, one at least; the others are an error, or are named and left out."""
        found = self.check(path)
        leave = on_bad == "drop" and bool(found.rows)
        if leave and found.complaints:
            count = sum(complaint.rows for complaint in found.complaints)
            say(f"{count} of {count + found.records} rows are bad and left out:")
            for line in listed([str(complaint) for complaint in found.complaints], LISTED):
                say(line)
        for note in found.notes:
            say(f"{path}: {note}")
        all_good(path, list(found.rows), () if leave else found.complaints, found.records)
        return found

    def origins(self, path: str, rows: int) -> list[Origin]:
        """Where these rows come from."""
        return sources.origins(self.source, path, rows)

    def again(self, found: Loaded) -> Iterator[str]:
        """What to say of rows that were written as they came: which words read them again, where some are needed."""
        if not found.kept:
            yield "the rows are written as read: in this source they are no records of the file"
            return
        words = [f"--source {self.source}"] * (self.source != "file")
        words += [f"--map {theirs}={ours}" for theirs, ours in self.map.items()]
        if words:
            yield f"the fields are the file's own: read them with {' '.join(words)}"

    def write(self, files: Mapping[Path, Sequence[Mapping[str, Any]]], given: str) -> int:
        """Write rows of any fields that were read from `given`, with their origins beside them: all files, or none.

        Returns: as `write_together`.
        """
        changed = write_together(files)
        for out, values in files.items():
            write_origins(out, self.origins(given, len(values)))
        return changed


def came(found: Loaded, rows: Sequence[Row]) -> list[tuple[Row, Mapping[str, Any]]]:
    """The records of some rows as they came, each once with the first of its rows; the rows, where they are no records."""
    if not found.kept:
        return [(row, plain(row)) for row in rows]
    record = {id(row): kept for row, kept in zip(found.rows, found.kept, strict=True)}
    firsts: dict[int, tuple[Row, Mapping[str, Any]]] = {}
    for row in rows:
        kept = record[id(row)]
        firsts.setdefault(id(kept), (row, kept.fields))
    return list(firsts.values())


def beside(records: Sequence[Mapping[str, Any]], new: Sequence[Mapping[str, Any]], prefix: str) -> list[dict[str, Any]]:
    """The records with new fields, which are called `prefix` and their name where a record has a field of that name."""
    held = {name for record in records for name in record}
    names = {name: name for fields in new for name in fields}
    for name in names:
        while names[name] in held:
            names[name] = prefix + names[name]
    return [
        {**record, **{names[name]: value for name, value in more.items()}} for record, more in zip(records, new, strict=True)
    ]


def ready(out: Path, given: str) -> None:
    """Raises UserError, before any work is done, where rows that are read from `given` cannot be written there."""
    check_output(out, Path(given))
