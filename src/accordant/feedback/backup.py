"""The whole store in one file and back: a zip with the schema's version and a file of rows for each table.

Taken in one transaction, so it is a moment's view while labelers go on working. The format is the same for both databases: a
backup from SQLite can be restored into PostgreSQL. Rows are JSON in ASCII, so that whatever a store holds can be written. What
is restored is checked row by row, and no message repeats what a row says: one of the tables holds password hashes.

Left out are the program's secrets: whoever finds a backup must not be able to sign in with it, and a restored store makes its
own.
"""

from __future__ import annotations

import fcntl
import json
import lzma
import os
import struct
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from sqlalchemy import JSON, Column, Connection, Table, func, insert, select, text
from sqlalchemy.exc import DBAPIError, IntegrityError

from accordant.feedback.schema import metadata, secret
from accordant.feedback.store import MIGRATIONS, Store
from accordant.types import UserError

_ROWS_AT_ONCE = 1000
_TABLES = tuple(table for table in metadata.sorted_tables if table is not secret)
_BROKEN = (
    zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, OSError, RuntimeError, LookupError, ValueError, OverflowError,
    struct.error,
)  # fmt: skip
"""What reading a damaged zip raises: not only BadZipFile, but whatever the damage leads to (RuntimeError: it says that it is
encrypted, or packed in a way that nobody knows; OSError and ValueError: of places outside the file)."""


def backup(store: Store, target: str | Path) -> dict[str, int]:
    """Write the store to a new file, which appears whole or not at all; returns the rows of each table.

    Raises:
        UserError: the file exists already, another backup is writing it, or it cannot be written.
    """
    target = Path(target)
    counts: dict[str, int] = {}
    try:
        with (
            _new(target) as file,
            store.read() as connection,
            zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive,
        ):
            archive.writestr("schema", str(connection.scalar(text("SELECT version_num FROM alembic_version"))))
            for table in _TABLES:
                counts[table.name] = 0
                with archive.open(f"{table.name}.jsonl", "w") as rows:
                    for row in connection.execute(select(table).order_by(*table.primary_key.columns)).mappings():
                        rows.write(json.dumps(dict(row)).encode() + b"\n")
                        counts[table.name] += 1
    except OSError as error:
        raise UserError(f"the backup {target} cannot be written: {error.strerror or error}") from error
    return counts


@contextmanager
def _new(target: Path) -> Iterator[IO[bytes]]:
    """A file that gets its name when it is whole. What a killed backup has left of it is written over by the next one."""
    taken = UserError(f"{target} exists already: a backup overwrites nothing, choose another name")
    if target.exists():
        raise taken
    temporary = target.with_name(f".{target.name}.tmp")
    with os.fdopen(os.open(temporary, os.O_RDWR | os.O_CREAT, 0o666), "r+b") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise UserError(f"another backup is writing {target}: wait for it, or choose another name") from error
        try:
            if target.exists():  # written by another backup since
                raise taken
            file.truncate(0)
            yield file
            file.flush()
            os.fsync(file.fileno())
            temporary.rename(target)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise


def check(source: str | Path) -> None:
    """Read a backup from end to end, without a store.

    Raises:
        UserError: the file is no backup or damaged, or it has another schema.
    """
    for _ in _read(source):
        pass


def restore(store: Store, source: str | Path) -> dict[str, int]:
    """Fill an empty store from a backup, all or nothing; returns the rows of each table.

    Raises:
        UserError: the store is not empty, the file is no backup or damaged, or it has another schema.
    """
    counts: Counter[str] = Counter({table.name: 0 for table in _TABLES})
    with store.write() as connection:
        for table in _TABLES:
            if connection.scalar(select(func.count()).select_from(table)):
                raise UserError(f"the store is not empty (table {table.name} has rows): restore into a new one")
        for table, rows in _read(source):
            try:
                connection.execute(insert(table), rows)
            except IntegrityError as error:
                raise _damaged(source, f"table {table.name}: {_reason(error)}") from None
            except DBAPIError as error:
                raise UserError(f"nothing of {source} was restored, because of table {table.name}: {_reason(error)}") from None
            counts[table.name] += len(rows)
        _go_on_counting(connection)
    return dict(counts)


def _read(source: str | Path) -> Iterator[tuple[Table, list[dict[str, Any]]]]:
    """The rows of each table, some at a time; what a row refers to comes before it."""
    try:
        with zipfile.ZipFile(source) as archive:
            _check_parts(archive, source)
            for table in _TABLES:
                yield from ((table, rows) for rows in _rows(archive, table, source))
    except _BROKEN as error:
        if isinstance(error, OSError) and error.filename is not None:  # it was not to be opened
            raise UserError(f"the backup {source} cannot be read: {error.strerror}") from error
        raise _damaged(source, str(error) or type(error).__name__) from None


def _check_parts(archive: zipfile.ZipFile, source: str | Path) -> None:
    from alembic.script import ScriptDirectory

    missing = {"schema", *(f"{table.name}.jsonl" for table in _TABLES)} - set(archive.namelist())
    if missing:
        raise _damaged(source, f"it has no {', '.join(sorted(missing))}")
    theirs, ours = archive.read("schema").decode(), ScriptDirectory(str(MIGRATIONS)).get_current_head()
    if theirs != ours:
        raise UserError(
            f"{source} has schema {theirs!r} and this version {ours!r}: restore it with the version that made it; opening "
            "that store with a later one brings it up to date"
        )


def _rows(archive: zipfile.ZipFile, table: Table, source: str | Path) -> Iterator[list[dict[str, Any]]]:
    some: list[dict[str, Any]] = []
    with archive.open(f"{table.name}.jsonl") as lines:
        for number, line in enumerate(lines, start=1):
            row = _row(table, line)
            if isinstance(row, str):
                raise _damaged(source, f"table {table.name}, row {number} {row}")
            some.append(row)
            if len(some) == _ROWS_AT_ONCE:
                yield some
                some = []
    if some:
        yield some


def _row(table: Table, line: bytes) -> dict[str, Any] | str:
    """The row that a line holds, or what is wrong with it."""
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        return "is no JSON"
    if not isinstance(row, dict) or row.keys() != set(table.columns.keys()):
        return "has not the columns of the table"
    wrong = [column.name for column in table.columns if not _fits(column, row[column.name])]
    return f"has in {wrong[0]} what the column cannot hold" if wrong else row


def _fits(column: Column[Any], value: object) -> bool:
    if isinstance(column.type, JSON):
        return True
    if value is None:
        return bool(column.nullable)
    kind = column.type.python_type
    if isinstance(value, str):
        return kind is str and _is_utf8(value)
    if isinstance(value, bool) or kind is bool:
        return isinstance(value, bool) and kind is bool
    if isinstance(value, int):
        return kind in (int, float) and -(2**63) <= value < 2**63
    return isinstance(value, float) and kind is float


def _is_utf8(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _damaged(source: str | Path, why: str) -> UserError:
    return UserError(f"{source} is no backup of a feedback store, or damaged ({why}): take another one")


def _reason(error: DBAPIError) -> str:
    """The first line of what the database says; those that follow may repeat the row."""
    return next(iter(str(error.orig).splitlines()), type(error.orig).__name__)


def _go_on_counting(connection: Connection) -> None:
    """PostgreSQL's own counters know nothing of ids that were given; SQLite looks at the rows."""
    if connection.dialect.name != "postgresql":
        return
    for table in _TABLES:
        if "id" in table.c:
            highest = connection.scalar(select(func.max(table.c.id)))
            if highest is not None:
                sequence = {"name": f"{table.name}_id_seq", "value": highest}
                connection.execute(text("SELECT setval(CAST(:name AS regclass), :value)"), sequence)
