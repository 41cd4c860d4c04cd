"""The report of `check` as lines to read, and as one JSON value."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from accordant.data.carry import Carried
from accordant.data.check import Report, Summary
from accordant.data.files import first_few

SCHEMA = 1


def as_json(report: Report, limit: int) -> dict[str, Any]:
    """The schema of docs/data-tools.md; `limit` as given to `check`."""
    return {
        "schema": SCHEMA,
        "max_length": limit or None,
        "files": [asdict(file) for file in report.files],
        "complaints": [
            {"kind": f.kind, "file": f.source.file, "line": f.source.line or None, "rows": f.rows, "message": f.message}
            for f in report.findings
        ],
    }


def lines(report: Report, notes: Mapping[str, Sequence[str]], limit: int, most: int) -> Iterator[str]:
    """Each file in numbers, then the findings by kind: the first `most` of each (0 = all), and how many more there are.

    `notes`: per file what was passed over on purpose.
    """
    for file in report.files:
        yield from _summary(file, notes.get(file.name, ()), limit)
    for kind in dict.fromkeys(finding.kind for finding in report.findings):
        own = [finding for finding in report.findings if finding.kind == kind]
        yield from ("", f"{kind} ({sum(finding.rows for finding in own):,})")
        yield from listed([str(finding) for finding in own], most, "; --all lists them")
    yield from ("", number(len(report.findings), "complaint") if report.findings else "no complaints")


def listed(texts: Sequence[str], most: int, more: str = "") -> Iterator[str]:
    """The first `most` (0 = all), and how many more there are."""
    shown = texts[:most] if most else texts
    yield from (f"  {text}" for text in shown)
    if len(texts) > len(shown):
        yield f"  and {len(texts) - len(shown):,} more{more}"


def printable(text: str) -> str:
    """The text with half surrogate pairs spelt out: JSON and file names can hold them, and no terminal takes them."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def number(count: int, what: str) -> str:
    """`number(2, "row")` is "2 rows"."""
    return f"{count:,} {what}{'' if count == 1 else 's'}"


def counted(records: int, rows: int) -> str:
    """Rows, or records where one of them may hold several: `counted(2, 6)` is "2 records with 6 rows"."""
    return number(rows, "row") if records == rows else f"{number(records, 'record')} with {number(rows, 'row')}"


def nulls(rows: int) -> Iterator[str]:
    """What to say of rows that hold NaN or an infinity."""
    if rows:
        yield f"NaN and infinity are null in {number(rows, 'row')}, because JSON has no word for them; Parquet has"


def own_fields(own: Carried | None) -> Iterator[str]:
    """What became of a user's own fields; None: the rows are no records, so that there are none to speak of."""
    if own is None:
        yield "no other fields come along: rows of this source are no records of the file"
        return
    if own.names:
        yield f"carried along: {', '.join(first_few([a if a == b else f'{a} as {b}' for a, b in own.names.items()]))}"
    lost = [
        f"{name}: dropped from {number(count, 'row')}, each made of several that differ in it"
        for name, count in own.lost.items()
    ]
    yield from first_few(lost)


def _named(name: str, count: int) -> str:
    """One pair with a margin, two pairs with a margin."""
    return _PLURAL.sub(r"\1", name, count=1) if count == 1 else name


def _rated(name: str) -> str:
    """The attribute of "ratings of an attribute"; "" of another count."""
    return name.removeprefix("ratings of ") if name.startswith("ratings of ") else ""


_PLURAL = re.compile(r"\b(answer|labeler|pair|prompt|ranking|rating|thumb|tie|turn)s\b")


def _summary(file: Summary, notes: Sequence[str], limit: int) -> Iterator[str]:
    rows = file.gives.get("rows", 0)
    yield f"{file.name}: {number(rows, f'{file.kind} row') if rows else 'no good rows'}"
    yield from (f"  note    {note}" for note in notes)
    held = [f"{count:,} {_named(name, count)}" for name, count in file.gives.items() if name != "rows" and not _rated(name)]
    if held:
        yield f"  holds   {', '.join(held)}"
    for count in dict.fromkeys(count for name, count in file.gives.items() if _rated(name)):
        names = [_rated(name) for name, own in file.gives.items() if own == count and _rated(name)]
        yield f"  rated   {count:,} of {', '.join(names)}"
    if file.lengths:
        parts = [f"{percent}% up to {tokens:,}" for percent, tokens in file.lengths.percentiles.items()]
        bound = f" (limit {limit:,})" if limit else ""
        yield f"  tokens  {file.lengths.total:,} in all; rows: {', '.join(parts)}, longest {file.lengths.longest:,}{bound}"
