"""Rows -> files for people and other tools: JSONL, Parquet, or where it is asked for CSV, by the file's name.

What is written here `rows.read` reads again. Left out: converting and splitting into CSV, in which conversations and rankings
have no place; in the tables that `reward score` writes, lists and objects are cells of JSON.
"""

from __future__ import annotations

import csv
import json
import math
import os
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from accordant.data.files import shown
from accordant.data.rows import plain, write_jsonl
from accordant.types import Row, UserError

SUFFIXES = (".jsonl", ".parquet")
TABLES = (*SUFFIXES, ".csv")


def check_output(path: Path, *inputs: Path, suffixes: Sequence[str] = SUFFIXES) -> None:
    """Make sure, before any work is done, that rows can be written there.

    Raises:
        UserError: the name ends in none of `suffixes`, it is a folder or lies in a file, or it is one of the inputs.
    """
    if path.suffix.lower() not in suffixes:
        raise UserError(f"{path}: rows are written to {' or '.join(suffixes)} files, not to {path.suffix or 'nameless ones'}")
    if path.is_dir():
        raise UserError(f"{path} is a folder; name a file in it")
    if file := next((folder for folder in path.parents if folder.exists() and not folder.is_dir()), None):
        raise UserError(f"{path} cannot be written, because {file} is a file and no folder; name another folder")
    for other in inputs:
        if path.exists() and other.exists() and path.samefile(other):
            raise UserError(f"{path} is where the rows are read from; write to another file")


def write(path: Path, rows: Sequence[Row], extra: Sequence[Mapping[str, Any]] = ()) -> int:
    """Write rows of one kind, each with its `extra` fields where these are given; the file appears whole or not at all.

    Returns: as `write_together`.

    Raises:
        UserError: as `check_output`; or prompts are text in some rows and messages in others, which no Parquet column holds.
    """
    if path.suffix.lower() == ".jsonl" and not extra:
        check_output(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_jsonl(path, rows)
        return 0
    more = extra or [{}] * len(rows)
    return write_values(path, [plain(row) | dict(fields) for row, fields in zip(rows, more, strict=True)])


def write_values(path: Path, values: Sequence[Mapping[str, Any]], suffixes: Sequence[str] = SUFFIXES) -> int:
    """Write rows of any fields; as `write_together`, of one file."""
    return write_together({path: values}, suffixes)


def write_together(files: Mapping[Path, Sequence[Mapping[str, Any]]], suffixes: Sequence[str] = SUFFIXES) -> int:
    """Write files of one format with rows of any fields: all appear, or none does.

    In Parquet all have the same columns, and each row has every field that one of them has, null where it had none; so have
    objects in a column. In CSV lists and objects are JSON, and null is empty.

    Returns: how many rows hold NaN or an infinity that became null, because JSON has no word for it.

    Raises:
        UserError: as `check_output`; or fields of one name hold values of several types, which no Parquet column does, or
            something that the format has no word for.
    """
    for path in files:
        check_output(path, suffixes=suffixes)
    places = {path: path.with_name(f".{path.name}.{os.getpid()}.tmp") for path in files}
    put = {".jsonl": _lines, ".parquet": _parquet, ".csv": _csv}[next(iter(files)).suffix.lower()]
    try:
        for path in files:
            path.parent.mkdir(parents=True, exist_ok=True)
        changed = put(files, places)
        for path, place in places.items():
            os.replace(place, path)
        return changed
    finally:
        for place in places.values():
            place.unlink(missing_ok=True)


def _lines(files: Mapping[Path, Sequence[Mapping[str, Any]]], places: Mapping[Path, Path]) -> int:
    changed = 0
    for path, values in files.items():
        with places[path].open("w", encoding="utf-8", newline="\n") as file:
            for value in values:
                line, same = _line(value)
                changed += not same
                file.write(line + "\n")
            file.flush()
            os.fsync(file.fileno())
    return changed


def as_line(value: object) -> str:
    """One line of JSON, null for NaN and infinities. Raises UserError for what only Parquet can hold."""
    return _line(value)[0]


def _line(value: object) -> tuple[str, bool]:
    """The value as JSON, and whether JSON has a word for all of its numbers."""
    try:
        text = json.dumps(value, ensure_ascii=False, default=_spelt, allow_nan=False)
    except ValueError:
        return _line(_finite(value))[0], False
    except UserError:
        for name, inner in value.items() if isinstance(value, Mapping) else ():
            _cell(name, [inner])  # says which field it is
        raise
    try:
        text.encode()
    except UnicodeEncodeError:  # half a surrogate pair, which JSON can spell and UTF-8 cannot
        return json.dumps(value, default=_spelt), True
    return text, True


def _finite(value: object) -> object:
    """The same with null for each number that is none."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {name: _finite(inner) for name, inner in value.items()}
    return [_finite(inner) for inner in value] if isinstance(value, list | tuple) else value


def _spelt(value: object) -> str:
    """What Parquet and the hub have and JSON has not: dates, times and exact decimals become text."""
    if isinstance(value, date | time):
        return value.isoformat()
    if isinstance(value, Decimal | timedelta):
        return str(value)
    raise UserError(f"holds {type(value).__name__}, which JSON cannot; write .parquet, or leave that field out")


def _csv(files: Mapping[Path, Sequence[Mapping[str, Any]]], places: Mapping[Path, Path]) -> int:
    for path, values in files.items():
        with places[path].open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, list(dict.fromkeys(name for value in values for name in value)))
            try:
                writer.writeheader()
                writer.writerows({name: _cell(name, held) for name, held in value.items()} for value in values)
            except UnicodeEncodeError as error:
                raise UserError(
                    f"{path}: half a surrogate pair, which JSON can spell, has no place in CSV; write .jsonl"
                ) from error
    return 0


def _cell(name: str, value: object) -> object:
    """What is written of a field. Raises UserError that names it."""
    try:
        return as_line(value) if isinstance(value, list | tuple | Mapping | bytes) else value
    except UserError as error:
        raise UserError(f"{name!r} {error}") from error


def _parquet(files: Mapping[Path, Sequence[Mapping[str, Any]]], places: Mapping[Path, Path]) -> int:
    import pyarrow
    from pyarrow import parquet

    # From all rows of all files: a column that is empty or null in one of them must not be of another type there.
    rows = [row for values in files.values() for row in values]
    names = dict.fromkeys(name for row in rows for name in row)
    try:
        columns = {name: _column([row.get(name) for row in rows]) for name in names}
        start = 0
        for path, values in files.items():
            parquet.write_table(pyarrow.table(columns).slice(start, len(values)), places[path])
            start += len(values)
    # The last two: an integer beyond 64 bits, and half a surrogate pair.
    except (pyarrow.ArrowException, OverflowError, UnicodeEncodeError) as error:
        path, what = _misfit(files, names) or (next(iter(files)), str(error))
        raise UserError(f"{path}: the rows do not fit into Parquet's columns ({what}); write .jsonl") from error
    return 0


def _column(values: Sequence[object]) -> Any:
    """The values as Arrow has them. Raises one of Arrow's errors, OverflowError or UnicodeEncodeError."""
    import pyarrow

    column = pyarrow.array(values)
    # Of dates among times, or of nanoseconds, Arrow cuts off a part without a word.
    if pyarrow.types.is_temporal(column.type) and column.to_pylist() != values:
        raise pyarrow.ArrowInvalid(f"{column.type} loses a part of them, or they are of several kinds")
    return column


def _misfit(files: Mapping[Path, Sequence[Mapping[str, Any]]], names: Iterable[str]) -> tuple[Path, str] | None:
    """The file that holds the first value with which a column no longer is one, and its name, fault, row and value."""
    rows = [(path, number, row) for path, values in files.items() for number, row in enumerate(values, 1)]
    for name in names:
        values = [row.get(name) for _, _, row in rows]
        fault, fine, bad = _fault(name, values), 0, len(values)
        if not fault:
            continue
        while bad - fine > 1:
            half = (fine + bad) // 2
            if found := _fault(name, values[:half]):
                fault, bad = found, half
            else:
                fine = half
        path, number, row = rows[bad - 1]
        what = f"{name!r}: {fault}; row {number} has {shown(row.get(name))}"
        return path, what.encode("utf-8", "backslashreplace").decode("utf-8")
    return None


def _fault(name: str, values: Sequence[object]) -> str:
    """Why no Parquet column holds these values; "" where one does."""
    import pyarrow
    from pyarrow import parquet

    try:
        parquet.write_table(pyarrow.table({name: _column(values)}), pyarrow.BufferOutputStream())
    except (pyarrow.ArrowException, OverflowError, UnicodeEncodeError) as error:
        return str(error)
    return ""
