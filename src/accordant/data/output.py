"""Rows -> files for people and other tools: JSONL or Parquet, by the file's name.

What is written here `rows.read` reads again. Left out: CSV, in which conversations and rankings have no place.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from datetime import date, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from accordant.data.rows import plain, write_jsonl
from accordant.types import Row, UserError

SUFFIXES = (".jsonl", ".parquet")


def check_output(path: Path, *inputs: Path) -> None:
    """Make sure, before any work is done, that rows can be written there.

    Raises:
        UserError: the name ends in neither of `SUFFIXES`, it is a folder or lies in a file, or it is one of the inputs.
    """
    if path.suffix.lower() not in SUFFIXES:
        raise UserError(f"{path}: rows are written to {' or '.join(SUFFIXES)} files, not to {path.suffix or 'nameless ones'}")
    if path.is_dir():
        raise UserError(f"{path} is a folder; name a file in it")
    if file := next((folder for folder in path.parents if folder.exists() and not folder.is_dir()), None):
        raise UserError(f"{path} cannot be written, because {file} is a file and no folder; name another folder")
    for other in inputs:
        if path.exists() and other.exists() and path.samefile(other):
            raise UserError(f"{path} is where the rows are read from; write to another file")


def write(path: Path, rows: Sequence[Row], extra: Sequence[Mapping[str, Any]] = ()) -> None:
    """Write rows of one kind, each with its `extra` fields where these are given; the file appears whole or not at all.

    Raises:
        UserError: as `check_output`; or prompts are text in some rows and messages in others, which no Parquet column holds.
    """
    if path.suffix.lower() == ".jsonl" and not extra:
        check_output(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_jsonl(path, rows)
        return
    more = extra or [{}] * len(rows)
    write_values(path, [plain(row) | dict(fields) for row, fields in zip(rows, more, strict=True)])


def write_values(path: Path, values: Sequence[Mapping[str, Any]]) -> None:
    """Write rows of any fields. In Parquet each gets every field that one of them has, null where it had none.

    Raises:
        UserError: as `check_output`; or fields of one name hold values of several types, which no Parquet column does.
    """
    check_output(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    _whole(path, lambda place: _lines(place, values) if path.suffix.lower() == ".jsonl" else _parquet(place, values, path))


def _whole(path: Path, put: Callable[[Path], None]) -> None:
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        put(temporary)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def _lines(place: Path, values: Sequence[Mapping[str, Any]]) -> None:
    with place.open("w", encoding="utf-8", newline="\n") as file:
        file.writelines(as_line(value) + "\n" for value in values)
        file.flush()
        os.fsync(file.fileno())


def as_line(value: Mapping[str, Any]) -> str:
    """One line of JSON. Raises UserError for what only Parquet can hold."""
    text = json.dumps(value, ensure_ascii=False, default=_spelt)
    try:
        text.encode()
    except UnicodeEncodeError:  # half a surrogate pair, which JSON can spell and UTF-8 cannot
        return json.dumps(value, default=_spelt)
    return text


def _spelt(value: object) -> str:
    """What Parquet and the hub have and JSON has not: dates, times and exact decimals become text."""
    if isinstance(value, date | time):
        return value.isoformat()
    if isinstance(value, Decimal | timedelta):
        return str(value)
    raise UserError(f"a field holds {type(value).__name__}, which JSON cannot; write .parquet, or leave that column out")


def _parquet(place: Path, values: Sequence[Mapping[str, Any]], path: Path) -> None:
    import pyarrow
    from pyarrow import parquet

    try:
        # Every row has every column, and an empty list of indices must not make a column of nulls.
        names = list(dict.fromkeys(name for value in values for name in value))
        table = pyarrow.Table.from_pylist([{name: value.get(name) for name in names} for value in values])
        parquet.write_table(table, place)
    except (pyarrow.ArrowException, OverflowError, UnicodeEncodeError) as error:
        raise UserError(f"{path}: the rows do not fit into Parquet's columns ({error}); write .jsonl") from error
