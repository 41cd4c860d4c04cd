"""Files -> records: the fields of each row with the place they were found, or the complaint about that place.

JSONL, JSON (one list, or JSONL under that name), CSV and Parquet files, the first three also with .gz, and data sets of the
Hugging Face hub. What the fields mean is `rows`' business. A byte-order mark and Windows line ends lose nothing and are
accepted. Damage in one row does not cost the others (`recover` says how); a damaged Parquet or gzip file cannot be read.

Left out: streaming (a file is read whole); other compression than gzip.
"""

from __future__ import annotations

import gzip
import io
import json
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import TypeAlias

from accordant.data import recover
from accordant.data.recover import Broken, csv_rows, json_items, marked
from accordant.types import Source, UserError

HUB = "hub:"
_NAMED = 20  # lines that a message holds before it only counts

BAD, EMPTY, PREFIX = "bad row", "empty answer", "mismatched prefix"
"""Kinds of complaints about one row. The last two have names of their own: preference data suffer from them most."""


@dataclass(frozen=True, slots=True)
class Record:
    """The fields of one row, as the file has them; `spelled`: every value is text, as CSV has them."""

    source: Source
    fields: dict[str, object]
    spelled: bool = False


@dataclass(frozen=True, slots=True)
class Complaint:
    """What is wrong at a place, with the fix: `str()` gives "pairs.jsonl:3: ...".

    `rows`: how many rows it is about; more than 1 where all rows of a file have the same fault, which is then said once.
    `kind`: one of `BAD`, `EMPTY` and `PREFIX`.
    """

    source: Source
    message: str
    rows: int = 1
    kind: str = BAD

    def __str__(self) -> str:
        # Half a surrogate pair, which JSON can spell and nothing can print, must not break the message about it.
        return f"{self.source}: {self.message}".encode("utf-8", "backslashreplace").decode("utf-8")


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
    packed = file.suffix.lower() == ".gz"
    kind = Path(file.stem).suffix if packed else file.suffix
    if kind.lower() not in readers or (packed and kind.lower() == ".parquet"):
        raise UserError(
            f"{name}: rows cannot be read from a {kind or 'nameless'} file; use one of {', '.join(readers)}, "
            "or the source `text` for plain text"
        )
    return _unpacked(file, name, readers[kind.lower()]) if packed else readers[kind.lower()](file.read_bytes(), name)


def _unpacked(file: Path, name: str, reader: Callable[[bytes, str], Iterator[Found]]) -> Iterator[Found]:
    try:
        data = gzip.decompress(file.read_bytes())
    except (OSError, EOFError, zlib.error) as error:
        yield Complaint(Source(name, 0), f"not a readable gzip file ({error}); fetch it again, or unpack it")
        return
    yield from reader(data, name)


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
    # Two words with nothing behind them may be a name on the hub, which is written in another way.
    named = str(path).count("/") == 1 and not file.suffix and not file.is_absolute() and file.parts[0] not in ("..", "~")
    hub = f"; a data set of the hub is written hub:{path}:train" if named else ""
    if not file.parent.is_dir():
        near = _nearest(file.parent)
        raise UserError(
            f"{path} is not there: there is no folder {file.parent}{f', did you mean {near}?' if near else ''}{hub}"
        )
    near = _nearest(file)
    raise UserError(f"{path} is not there; {f'did you mean {near}?' if near else 'no file there has a similar name'}{hub}")


def _nearest(path: Path) -> str:
    """The name in the path's folder that is most like its own; "" where none is."""
    names = sorted(entry.name for entry in path.parent.iterdir()) if path.parent.is_dir() else []
    return next(iter(get_close_matches(path.name, names, n=1, cutoff=0.5)), "")


def decode(data: bytes) -> str:
    """UTF-8 without its byte-order mark.

    Raises:
        UnicodeDecodeError: the bytes are not UTF-8.
    """
    return data.decode("utf-8-sig")


def not_utf8(error: UnicodeDecodeError) -> str:
    """What to say about bytes that are not UTF-8."""
    return recover.not_utf8(error.object[error.start])


def _record(source: Source, value: object) -> Found:
    if isinstance(value, Complaint):
        return value
    if isinstance(value, dict):
        return Record(source, value)
    fix = "; bare prompts are read with the source `prompts`" if isinstance(value, str) else ""
    return Complaint(source, f'expected an object such as {{"prompt": ...}}, found {shown(value)}{fix}')


def first_few(lines: Sequence[str]) -> list[str]:
    """The first 20 of what is wrong, and how many more there are: a message names, and then it counts."""
    return [*lines[:_NAMED], *([f"and {len(lines) - _NAMED} more"] if len(lines) > _NAMED else [])]


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
    except ValueError:
        return Complaint(source, recover.TOO_LONG)


def _jsonl(data: bytes, name: str) -> Iterator[Found]:
    # Split at \n alone: str.splitlines would also cut at the line separators that JSON allows inside a string.
    for number, bare in enumerate(data.split(b"\n"), start=1):
        source = Source(name, number)
        try:
            line = decode(bare) if number == 1 else bare.decode("utf-8")
        except UnicodeDecodeError as error:
            yield Complaint(source, not_utf8(error))
            continue
        if line.strip():
            yield _record(source, _parse(line, source))


def _json(data: bytes, name: str) -> Iterator[Found]:
    """A list, item by item, so that each knows its line; or JSONL, which many data sets keep under this name."""
    text = marked(data)
    if _holds_jsonl(text):
        yield from _jsonl(data, name)
        return
    if text.strip()[:1] not in ("", "[") and not isinstance(_parse(text, Source(name, 1)), Complaint):
        yield Complaint(Source(name, 1), "expected a list of objects; wrap them in [ ], or use .jsonl")
        return
    for item in json_items(text):
        yield _complaint(item, name) if isinstance(item, Broken) else _record(Source(name, item[0]), item[1])


def _holds_jsonl(text: str) -> bool:
    """Whether there are several lines, and the first is an object."""
    first, _, rest = text.strip().partition("\n")
    return bool(rest) and first.startswith("{") and isinstance(_parse(first, Source("", 1)), dict)


def _csv(data: bytes, name: str) -> Iterator[Found]:
    """Rows under a header, each cell as text."""
    for row in csv_rows(marked(data)):
        yield _complaint(row, name) if isinstance(row, Broken) else Record(Source(name, row[0]), dict(row[1]), spelled=True)


def _complaint(broken: Broken, name: str) -> Complaint:
    return Complaint(Source(name, broken.line), broken.message)


def _parquet(data: bytes, name: str) -> Iterator[Found]:
    """Rows count from 1."""
    import pyarrow
    from pyarrow import parquet

    try:
        rows = parquet.read_table(io.BytesIO(data)).to_pylist()
    except (pyarrow.ArrowException, OSError, ValueError) as error:  # ValueError: text that is not UTF-8
        yield Complaint(Source(name, 0), f"not a readable Parquet file ({error}); write it again, or use .jsonl")
        return
    for number, fields in enumerate(rows, start=1):
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
