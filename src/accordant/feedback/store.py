"""The store: one database, SQLite by default and PostgreSQL by URL, with the same code.

A write is one transaction. On SQLite it begins with `BEGIN IMMEDIATE`, so that two labelers who ask at once are served one
after the other; on PostgreSQL the rows in question are locked (`assignment`). The schema's version is checked when the store is
opened, and a SQLite file is held by one server at a time.
"""

from __future__ import annotations

import fcntl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from pathlib import Path
from typing import IO, Any

from sqlalchemy import URL, Connection, Engine, create_engine, event, insert
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, DatabaseError, OperationalError

from accordant.feedback import schema
from accordant.types import UserError

MIGRATIONS = Path(__file__).parent / "migrations"
BUSY_MS = 30_000  # how long a writer waits for the one before it
_NO_URL = "{name} is no database URL ({error}): give a file, or postgresql+psycopg://user@host/name"
INSERT = {"sqlite": sqlite.insert, "postgresql": postgresql.insert}
"""By dialect: an INSERT with `on_conflict_do_nothing`, for rows that somebody else may be making at the same moment."""
_LOG = insert(schema.event).inline()  # nobody asks for its id


class Store:
    """An open feedback store. Use `with Store.open(place) as store`.

    A database that fails inside of it (a full disk, a lost connection) comes out as a UserError.
    """

    def __init__(self, name: str, engine: Engine, clock: Callable[[], int], held: ExitStack) -> None:
        self.name = name
        self.engine = engine
        self.now = clock
        self._held = held
        self._turn = threading.Lock()
        self.swept = 0  # when this process last looked for leases that ran out (`assignment`)

    @classmethod
    def open(cls, place: str | Path, clock: Callable[[], int] | None = None, *, alone: bool = True) -> Store:
        """Open the store, making a new one or bringing an old one to today's schema.

        Args:
            place: a file for SQLite, or a URL such as postgresql+psycopg://user@host/name. A password in it is never shown.
            clock: milliseconds since 1970; another clock is for tests.
            alone: refuse a SQLite file that another server holds. False for a tool that only reads.

        Raises:
            UserError: the place cannot be opened, is held by another server, or has a newer schema.
        """
        name, url = _named(str(place))
        with ExitStack() as undo:
            try:
                engine = create_engine(
                    url, connect_args={"timeout": BUSY_MS / 1000} if url.get_backend_name() == "sqlite" else {}
                )
                undo.callback(engine.dispose)
                if engine.dialect.name == "sqlite":
                    _teach_sqlite(engine)
                    if alone:
                        undo.enter_context(_hold(Path(engine.url.database or "")))
                migrate(engine)
            except (ArgumentError, ModuleNotFoundError) as error:
                raise UserError(_NO_URL.format(name=name, error=error)) from error
            except (DatabaseError, OSError) as error:
                reason = str(error.orig if isinstance(error, DatabaseError) else error).strip()
                raise UserError(f"the store {name} cannot be opened: {reason}") from error
            return cls(name, engine, clock or (lambda: time.time_ns() // 1_000_000), undo.pop_all())

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """A transaction that is kept whole or not at all; nobody else writes meanwhile on SQLite.

        There the writers of this process queue here: SQLite itself lets them sleep and try again, longer each time, and whoever
        comes then goes first.
        """
        with self._turn if self.engine.dialect.name == "sqlite" else nullcontext(), self.engine.begin() as connection:
            yield connection

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """One moment's view for as long as it is open; writers are not kept waiting."""
        options: dict[str, Any] = {"accordant_read": True}
        if self.engine.dialect.name == "postgresql":
            options["isolation_level"] = "REPEATABLE READ"  # its default shows each statement a moment of its own
        with self.engine.connect().execution_options(**options) as connection:
            yield connection

    @contextmanager
    def glance(self) -> Iterator[Connection]:
        """One statement's view, without a transaction around it: on PostgreSQL one message to the server instead of three."""
        level: Any = {"isolation_level": "AUTOCOMMIT"} if self.engine.dialect.name == "postgresql" else {"accordant_read": True}
        with self.engine.connect().execution_options(**level) as connection:
            yield connection

    def log(self, connection: Connection, kind: str, labeler_id: int | None, **what: Any) -> None:
        """Append to the event log, in the transaction of what it tells of."""
        connection.execute(_LOG, {"at": self.now(), "labeler_id": labeler_id, "kind": kind, "what": what})

    def close(self) -> None:
        self._held.close()

    def __enter__(self) -> Store:
        return self

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        self.close()
        if isinstance(error, OperationalError):
            raise UserError(
                f"the store {self.name} failed, and nothing is stored by halves: {str(error.orig).strip()}"
            ) from error


def holds_password(place: str) -> bool:
    """Whether a store's address has a password in it, which whoever reads the address would know."""
    return "://" in place and _named(place)[1].password is not None


def _named(place: str) -> tuple[str, URL]:
    """A store's name for people, which has no password in it, and its address."""
    if not place.strip():
        raise UserError("the store has no name: give a file, or a database URL")
    if "://" not in place:
        return place, URL.create("sqlite", database=str(Path(place).absolute()))
    try:
        url = make_url(place)
    except (ArgumentError, ValueError) as error:  # a port that is no number
        raise UserError(_NO_URL.format(name=f"{place.partition('://')[0]}://...", error=error)) from error
    if url.get_backend_name() == "sqlite" and url.database in (None, "", ":memory:"):
        raise UserError(f"{place} names no file, and what is only in memory is lost: give a file")
    return url.render_as_string(), url


def _teach_sqlite(engine: Engine) -> None:
    """WAL, foreign keys, and transactions that take the write lock when they begin and not in their middle."""

    @event.listens_for(engine, "connect")
    def on_connect(connection: Any, _: object) -> None:
        connection.isolation_level = None  # the driver begins nothing by itself
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", f"busy_timeout={BUSY_MS}"):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def on_begin(connection: Connection) -> None:
        reads = connection.get_execution_options().get("accordant_read", False)
        connection.exec_driver_sql("BEGIN" if reads else "BEGIN IMMEDIATE")


def _hold(file: Path) -> IO[str]:
    """A lock beside the file for as long as this process lives; the system lets go of it however the process ends."""
    file = file.resolve()  # one file by two names is one store
    file.parent.mkdir(parents=True, exist_ok=True)
    lock = file.with_name(f"{file.name}.lock").open("a+")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        lock.close()
        raise UserError(f"another server holds {file}: stop it, or give this one a store of its own with --store") from error
    return lock


def migrate(engine: Engine) -> None:
    """Bring the database to today's schema.

    Raises:
        UserError: it was written by a newer version.
    """
    from alembic import command
    from alembic.config import Config
    from alembic.runtime.migration import MigrationContext
    from alembic.script import ScriptDirectory

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    script = ScriptDirectory.from_config(config)
    with engine.begin() as connection:
        found = MigrationContext.configure(connection).get_current_revision()
        known = {revision.revision for revision in script.walk_revisions()}
        if found is not None and found not in known:
            raise UserError(
                f"the store has schema {found!r}, which this version does not know (it goes up to "
                f"{script.get_current_head()!r}): update accordant"
            )
        if found != script.get_current_head():
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
