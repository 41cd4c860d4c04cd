"""A PostgreSQL cluster of our own, for as long as a test session or a load run lasts."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

INITDB = next((place for place in sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb")) if place.is_file()), None)
MISSING = "PostgreSQL is not installed (Debian: apt-get install postgresql)"


@contextmanager
def postgres(*, durable: bool = False) -> Iterator[str]:
    """The URL of an empty cluster, on a socket in a folder of its own.

    `durable`: what is committed reaches the disk, as in earnest; tests do without.
    """
    assert INITDB is not None, MISSING
    # initdb refuses root, so the cluster is nobody's; and not in pytest's own folder, which every session closes to others.
    as_user = ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups"] if os.getuid() == 0 else []
    with tempfile.TemporaryDirectory(prefix="accordant-pg-") as name:
        folder = Path(name)
        if as_user:
            shutil.chown(folder, "nobody", "nogroup")
        data, log = folder / "data", folder / "log"
        quiet: dict[str, Any] = {"check": True, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "cwd": folder}
        subprocess.run([*as_user, INITDB, "-D", data, "-U", "accordant", "-A", "trust", "-E", "UTF8", "--no-sync"], **quiet)
        control = [*as_user, INITDB.with_name("pg_ctl"), "-D", data, "-w", "-l", log]
        fsync = "on" if durable else "off"
        subprocess.run([*control, "-o", f"-k {folder} -c listen_addresses='' -c fsync={fsync}", "start"], **quiet)
        try:
            yield f"postgresql+psycopg://accordant@/postgres?host={folder}"
        finally:
            subprocess.run([*control, "-m", "immediate", "stop"], **quiet)
