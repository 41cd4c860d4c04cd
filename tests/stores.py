"""Fixtures: an empty store on SQLite and on PostgreSQL, a cluster of its own, made for the session and ended with it.

A folder of tests that wants them imports them into its conftest.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine, text

from accordant.feedback.store import Store
from clock import Clock

BINARIES = sorted(Path("/usr/lib/postgresql").glob("*/bin"))


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """The URL of an empty cluster, on a socket in a folder of its own. It must be there where ACCORDANT_POSTGRES is set."""
    initdb = next((b / "initdb" for b in BINARIES if (b / "initdb").is_file()), None)
    if initdb is None:
        reason = "PostgreSQL is not installed (Debian: apt-get install postgresql)"
        if os.environ.get("ACCORDANT_POSTGRES"):
            pytest.fail(reason)
        pytest.skip(reason)
    # initdb refuses root, so the cluster is nobody's; and not in pytest's own folder, which every session closes to others.
    as_user = ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups"] if os.getuid() == 0 else []
    with tempfile.TemporaryDirectory(prefix="accordant-pg-") as name:
        folder = Path(name)
        if as_user:
            shutil.chown(folder, "nobody", "nogroup")
        data, log = folder / "data", folder / "log"
        quiet: dict[str, Any] = {"check": True, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "cwd": folder}
        subprocess.run([*as_user, initdb, "-D", data, "-U", "accordant", "-A", "trust", "-E", "UTF8", "--no-sync"], **quiet)
        control = [*as_user, initdb.with_name("pg_ctl"), "-D", data, "-w", "-l", log]
        subprocess.run([*control, "-o", f"-k {folder} -c listen_addresses='' -c fsync=off", "start"], **quiet)
        yield f"postgresql+psycopg://accordant@/postgres?host={folder}"
        subprocess.run([*control, "-m", "immediate", "stop"], **quiet)


@pytest.fixture(params=["sqlite", "postgresql"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
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
