"""Fixtures: an empty store on SQLite and on PostgreSQL, a cluster of its own, made for the session and ended with it.

A folder of tests that wants them imports them into its conftest. Making the tables takes far longer than most tests do, so
`store` gets them made once: a copied file on SQLite, one emptied database on PostgreSQL. `place` is there for what is about
the making.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import Connection, create_engine, text

import cluster
from accordant.feedback import schema
from accordant.feedback.store import Store
from clock import Clock


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """The URL of an empty cluster. It must be there where ACCORDANT_POSTGRES is set."""
    if cluster.INITDB is None:
        if os.environ.get("ACCORDANT_POSTGRES"):
            pytest.fail(cluster.MISSING)
        pytest.skip(cluster.MISSING)
    with cluster.postgres() as url:
        yield url


@pytest.fixture(scope="session")
def file_of_tables(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SQLite store without a row; copy it, never open it."""
    file = tmp_path_factory.mktemp("store") / "store.db"
    Store.open(file).close()
    return file


@pytest.fixture(scope="session")
def database_of_tables(postgres: str) -> str:
    """The URL of a PostgreSQL store without a row; who fills it empties it."""
    url = _new_database(postgres, "shared")
    Store.open(url).close()
    return url


@pytest.fixture(params=["sqlite", "postgresql"])
def dialect(request: pytest.FixtureRequest, quick_passwords: None) -> str:  # noqa: ARG001
    """Of which database a test gets a store."""
    return str(request.param)


@pytest.fixture
def place(dialect: str, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """Where an empty store may be made."""
    if dialect == "sqlite":
        yield str(tmp_path / "store.db")
        return
    server, name = request.getfixturevalue("postgres"), f"t{abs(hash(str(tmp_path))):x}"
    yield _new_database(server, name)
    with _at(server) as connection:
        connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))


@pytest.fixture
def store(dialect: str, request: pytest.FixtureRequest, tmp_path: Path, clock: Clock) -> Iterator[Store]:
    """An open store without a row."""
    if dialect == "sqlite":
        copy = shutil.copy(request.getfixturevalue("file_of_tables"), tmp_path / "store.db")
        with Store.open(copy, clock) as opened:
            yield opened
        return
    url = request.getfixturevalue("database_of_tables")
    with Store.open(url, clock) as opened:
        yield opened
    tables = ", ".join(f'"{table.name}"' for table in schema.metadata.sorted_tables)
    others = "datname = current_database() AND pid <> pg_backend_pid()"
    with _at(url) as connection:
        # What a failed test left open would keep the tables locked.
        connection.execute(text(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {others}"))
        connection.execute(text(f"TRUNCATE {tables} RESTART IDENTITY"))


def _new_database(server: str, name: str) -> str:
    with _at(server) as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
    return server.replace("/postgres?", f"/{name}?")


@contextmanager
def _at(url: str) -> Iterator[Connection]:
    """A connection on which each statement stands for itself."""
    engine = create_engine(url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        yield connection
    engine.dispose()
