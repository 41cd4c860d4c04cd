"""Fixtures: an empty store on SQLite and on PostgreSQL, a cluster of its own, made for the session and ended with it.

A folder of tests that wants them imports them into its conftest.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

import cluster
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


@pytest.fixture(params=["sqlite", "postgresql"])
def place(request: pytest.FixtureRequest, tmp_path: Path, quick_passwords: None) -> Iterator[str]:  # noqa: ARG001
    """Where an empty store may be made."""
    if request.param == "sqlite":
        yield str(tmp_path / "store.db")
        return
    server = request.getfixturevalue("postgres")
    name = f"t{abs(hash(str(tmp_path))):x}"
    engine = create_engine(server, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
    yield server.replace("/postgres?", f"/{name}?")
    with engine.connect() as connection:
        connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
    engine.dispose()


@pytest.fixture
def store(place: str, clock: Clock) -> Iterator[Store]:
    with Store.open(place, clock) as opened:
        yield opened
