"""The whole store in one file and back: a zip with the schema's version and a file of rows for each table.

Taken in one transaction, so it is a moment's view while labelers go on working. The format is the same for both databases: a
backup from SQLite can be restored into PostgreSQL. Left out are the program's secrets: whoever finds a backup must not be able
to sign in with it, and a restored store makes its own.
"""

from __future__ import annotations

import json
import os
import zipfile
from pathlib import Path

from sqlalchemy import Connection, func, insert, select, text

from accordant.feedback.schema import metadata, secret
from accordant.feedback.store import Store
from accordant.types import UserError

_ROWS_AT_ONCE = 1000
_TABLES = tuple(table for table in metadata.sorted_tables if table is not secret)


def backup(store: Store, target: str | Path) -> dict[str, int]:
    """Write the store to a new file, which appears whole or not at all; returns the rows of each table.

    Raises:
        UserError: the file exists already.
    """
    target = Path(target)
    if target.exists():
        raise UserError(f"{target} exists already: a backup overwrites nothing, choose another name")
    temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    counts: dict[str, int] = {}
    try:
        with store.read() as connection, zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("schema", _version(connection))
            for table in _TABLES:
                with archive.open(f"{table.name}.jsonl", "w") as file:
                    counts[table.name] = 0
                    for row in connection.execute(select(table).order_by(*table.primary_key.columns)).mappings():
                        file.write(json.dumps(dict(row), ensure_ascii=False).encode() + b"\n")
                        counts[table.name] += 1
        with temporary.open("rb") as written:
            os.fsync(written.fileno())
        temporary.rename(target)
    finally:
        temporary.unlink(missing_ok=True)
    return counts


def restore(store: Store, source: str | Path) -> dict[str, int]:
    """Fill an empty store from a backup, all or nothing; returns the rows of each table.

    Raises:
        UserError: the store is not empty, the file is no backup or damaged, or it has another schema.
    """
    try:
        archive = zipfile.ZipFile(source)
    except (OSError, zipfile.BadZipFile) as error:
        raise UserError(f"{source} is no backup of a feedback store ({error})") from error
    counts: dict[str, int] = {}
    with archive, store.write() as connection:
        names = set(archive.namelist())
        missing = {"schema", *(f"{table.name}.jsonl" for table in _TABLES)} - names
        if missing or archive.testzip() is not None:
            raise UserError(f"{source} is no whole backup of a feedback store: {', '.join(sorted(missing)) or 'it is damaged'}")
        theirs, ours = archive.read("schema").decode(), _version(connection)
        if theirs != ours:
            raise UserError(
                f"{source} has schema {theirs!r} and this version {ours!r}: restore it with the version that made it; opening "
                "that store with a later one brings it up to date"
            )
        for table in _TABLES:
            if connection.scalar(select(func.count()).select_from(table)):
                raise UserError(f"the store is not empty (table {table.name} has rows): restore into a new one")
        for table in _TABLES:
            # Not `splitlines`: JSON leaves U+2028 and the like inside a text as they are.
            rows = [json.loads(line) for line in archive.read(f"{table.name}.jsonl").split(b"\n") if line]
            for start in range(0, len(rows), _ROWS_AT_ONCE):
                connection.execute(insert(table), rows[start : start + _ROWS_AT_ONCE])
            counts[table.name] = len(rows)
        _go_on_counting(connection)
    return counts


def _version(connection: Connection) -> str:
    return str(connection.scalar(text("SELECT version_num FROM alembic_version")))


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
