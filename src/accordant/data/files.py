"""Files -> records: the fields of each row with the place they were found, or the complaint about that place.

JSONL, JSON (one list), CSV and Parquet files, and data sets of the Hugging Face hub. What the fields mean is `rows`'
business. A byte-order mark and Windows line ends lose nothing and are accepted.

Left out: compressed files; streaming (a file is read whole).
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import TypeAlias

from accordant.types import Source, UserError

HUB = "hub:"


@dataclass(frozen=True, slots=True)
class Record:
    """The fields of one row, as the file has them; `spelled`: every value is text, as CSV has them."""

    source: Source
    fields: dict[str, object]
    spelled: bool = False


@dataclass(frozen=True, slots=True)
class Complaint:
    """What is wrong at a place, with the fix: `str()` gives "pairs.jsonl:3: ..."."""

    source: Source
    message: str

    def __str__(self) -> str:
        return f"{self.source}: {self.message}"


Found: TypeAlias = "Record | Complaint"


def records(path: str | Path) -> Iterator[Found]:
    """Every row of a file or of a hub data set ("hub:owner/name:split", "hub:owner/name/config:split"), in order.

    Raises:
        UserError: nothing is there, or its kind is unknown.
    """
    name = str(path)
    if name.startswith(HUB):
        return _hub(name)
    file = existing(name)
    readers = {".jsonl": _jsonl, ".json": _json, ".csv": _csv, ".parquet": _parquet}
    if file.suffix.lower() not in readers:
        raise UserError(
            f"{name}: rows cannot be read from a {file.suffix or 'nameless'} file; use one of {', '.join(readers)}, "
            "or the source `text` for plain text"
        )
    return readers[file.suffix.lower()](file, name)


def existing(path: str | Path) -> Path:
    """The path of a file that is there.

    Raises:
        UserError: it is not, with the nearest name in its folder.
    """
    file = Path(path)
    if file.is_file():
        return file
    if file.is_dir():
        raise UserError(f"{path} is a folder; name a file in it")
    if not file.parent.is_dir():
        raise UserError(f"{path} is not there: there is no folder {file.parent}")
    near = get_close_matches(file.name, sorted(entry.name for entry in file.parent.iterdir()), n=1, cutoff=0.5)
    hint = f"did you mean {near[0]}?" if near else "no file there has a similar name"
    raise UserError(f"{path} is not there; {hint}")


def decode(data: bytes) -> str:
    """UTF-8 without its byte-order mark.

    Raises:
        UnicodeDecodeError: the bytes are not UTF-8.
    """
    return data.decode("utf-8-sig")


def not_utf8(error: UnicodeDecodeError) -> str:
    """What to say about bytes that are not UTF-8."""
    return f"byte 0x{error.object[error.start]:02x} is not UTF-8; save the file as UTF-8"


def _record(source: Source, value: object) -> Found:
    if isinstance(value, Complaint):
        return value
    if isinstance(value, dict):
        return Record(source, value)
    return Complaint(source, f'expected an object such as {{"prompt": ...}}, found {shown(value)}')


def shown(value: object) -> str:
    """A value in the words of the file it came from, cut to a line."""
    text = json.dumps(value, ensure_ascii=False, default=repr)
    return text if len(text) <= 60 else text[:57] + "..."


def _parse(text: str, source: Source) -> object | Complaint:
    """The JSON value, or a complaint whose line counts from that of `source`."""
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        place = Source(source.file, source.line + error.lineno - 1)
        return Complaint(place, f"invalid JSON, {error.msg} (column {error.colno}); write complete JSON")
    except RecursionError:
        return Complaint(source, "invalid JSON, nested too deeply to be a row; write flat objects")
    except ValueError as error:  # an integer of thousands of digits
        return Complaint(source, f"invalid JSON, {error}; write a shorter number")


def _jsonl(file: Path, name: str) -> Iterator[Found]:
    # Split at \n alone: str.splitlines would also cut at the line separators that JSON allows inside a string.
    for number, data in enumerate(file.read_bytes().split(b"\n"), start=1):
        source = Source(name, number)
        try:
            line = decode(data) if number == 1 else data.decode("utf-8")
        except UnicodeDecodeError as error:
            yield Complaint(source, not_utf8(error))
            continue
        if line.strip():
            yield _record(source, _parse(line, source))


def _json(file: Path, name: str) -> Iterator[Found]:
    """A list, item by item, so that each knows its line."""
    try:
        text = decode(file.read_bytes())
    except UnicodeDecodeError as error:
        yield Complaint(Source(name, error.object.count(b"\n", 0, error.start) + 1), not_utf8(error))
        return
    if not text.strip():
        return
    values = _parse(text, Source(name, 1))
    if isinstance(values, Complaint):
        yield values
        return
    if not isinstance(values, list):
        yield Complaint(Source(name, 1), "expected a list of objects; wrap them in [ ], or use .jsonl")
        return
    yield from (_record(Source(name, line), value) for line, value in zip(_item_lines(text), values, strict=True))


def _item_lines(text: str) -> Iterator[int]:
    """The line on which each item of a valid JSON list begins."""
    decoder, blank = json.JSONDecoder(), " \t\r\n,"
    position, line = text.index("[") + 1, 1
    counted = 0
    while True:
        while text[position] in blank:
            position += 1
        if text[position] == "]":
            return
        line += text.count("\n", counted, position)
        counted = position
        yield line
        _, position = decoder.raw_decode(text, position)


def _csv(file: Path, name: str) -> Iterator[Found]:
    """Rows under a header, each cell as text."""
    data = file.read_bytes()
    try:
        text = decode(data)
    except UnicodeDecodeError as error:
        yield Complaint(Source(name, error.object.count(b"\n", 0, error.start) + 1), not_utf8(error))
        return
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    line = 1
    try:
        header = next(reader, [])
        if len(set(header)) < len(header):
            twice = next(column for column in header if header.count(column) > 1)
            yield Complaint(Source(name, 1), f"two columns are called {twice!r}; rename one")
            return
        line = reader.line_num + 1
        for cells in reader:
            source, line = Source(name, line), reader.line_num + 1
            if cells and len(cells) != len(header):
                fix = "quote cells that contain commas or line ends"
                yield Complaint(source, f"{len(cells)} cells under a header of {len(header)}; {fix}")
            elif cells:
                yield Record(source, dict(zip(header, cells, strict=True)), spelled=True)
    except csv.Error as error:
        fix = "double the quotes inside a quoted cell, and close each"
        yield Complaint(Source(name, line), f"invalid CSV, {error}; {fix}")


def _parquet(file: Path, name: str) -> Iterator[Found]:
    """Rows count from 1."""
    import pyarrow
    from pyarrow import parquet

    try:
        table = parquet.read_table(file)
    except pyarrow.ArrowException as error:
        yield Complaint(Source(name, 0), f"not a readable Parquet file ({error}); write it again, or use .jsonl")
        return
    for number, fields in enumerate(table.to_pylist(), start=1):
        yield Record(Source(name, number), fields)


def _hub(name: str) -> Iterator[Found]:
    """Rows of a data set on the Hugging Face hub, or in its cache; rows count from 1."""
    repository, _, split = name.removeprefix(HUB).rpartition(":")
    parts = repository.split("/")
    if not split or not all(parts) or len(parts) not in (2, 3):
        raise UserError(f"{name!r} is not hub:owner/name:split or hub:owner/name/config:split")
    import datasets

    config = parts[2] if len(parts) == 3 else None
    try:
        table = datasets.load_dataset("/".join(parts[:2]), config, split=split)
    except (datasets.exceptions.DatasetsError, OSError, ValueError) as error:
        raise UserError(f"{name}: the data set could not be loaded ({error}); check name, split and network") from error
    for number, fields in enumerate(table, start=1):
        yield Record(Source(name, number), fields)
