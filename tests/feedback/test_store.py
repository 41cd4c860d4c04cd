"""The store opens, brings old data along, holds its file, and keeps a write whole or not at all."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import insert, select, text
from sqlalchemy.exc import OperationalError

from accordant.feedback import schema, tasks
from accordant.feedback.store import Store
from accordant.types import UserError


def test_the_migrations_make_the_schema_that_the_code_uses(store: Store) -> None:
    with store.write() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, schema.metadata) == []


def test_what_is_written_is_there_after_a_restart(place: str) -> None:
    with Store.open(place) as store:
        number = tasks.make_project(store, "kites", "Be fair.")
    with Store.open(place) as store, store.read() as connection:
        assert connection.scalar(select(schema.project.c.name).where(schema.project.c.id == number)) == "kites"


def test_a_write_that_fails_leaves_nothing(store: Store) -> None:
    def half_way() -> None:
        with store.write() as connection:
            connection.execute(insert(schema.model).values(name="m", created=0))
            raise RuntimeError("half way")

    with pytest.raises(RuntimeError, match="half way"):
        half_way()
    with store.read() as connection:
        assert connection.execute(select(schema.model)).all() == []


def test_what_is_read_is_of_one_moment(store: Store) -> None:
    with store.read() as reader:
        assert reader.execute(select(schema.model)).all() == []
        with store.write() as connection:
            connection.execute(insert(schema.model).values(name="m", created=0))
        assert reader.execute(select(schema.model)).all() == []
    with store.read() as reader:
        assert len(reader.execute(select(schema.model)).all()) == 1


def test_a_store_of_a_newer_version_is_refused(place: str) -> None:
    with Store.open(place) as store, store.write() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(UserError, match="schema '9999', which this version does not know"):
        Store.open(place)


def test_a_file_that_another_server_holds_is_refused(tmp_path: Path) -> None:
    place = tmp_path / "store.db"
    program = (
        "import sys, time\nfrom accordant.feedback.store import Store\n"
        "store = Store.open(sys.argv[1])\nprint('open', flush=True)\ntime.sleep(60)"
    )
    other = subprocess.Popen([sys.executable, "-c", program, str(place)], stdout=subprocess.PIPE, text=True)
    try:
        assert other.stdout is not None
        assert other.stdout.readline() == "open\n"
        link = tmp_path / "elsewhere" / "link.db"
        link.parent.mkdir()
        link.symlink_to(place)
        for name in (place, link):
            with pytest.raises(UserError, match="another server holds"):
                Store.open(name)
        with Store.open(place, alone=False) as reader, reader.read() as connection:
            assert connection.execute(select(schema.project)).all() == []
    finally:
        other.kill()
        other.communicate()
    Store.open(place).close()  # the lock ends with the process, however it ends


@pytest.mark.parametrize(
    ("place", "said"),
    [
        ("mysterious://host/name", "is no database URL"),
        ("postgresql+psycopg://nobody@127.0.0.1:1/none", "cannot be opened"),
        ("/proc/none/store.db", "cannot be opened"),
        ("", "the store has no name"),
        ("sqlite://", "sqlite:// names no file, and what is only in memory is lost"),
        ("sqlite:///:memory:", "names no file"),
    ],
)
def test_a_place_that_is_none_is_named(place: str, said: str) -> None:
    with pytest.raises(UserError, match=said):
        Store.open(place)


@pytest.mark.parametrize(
    "place",
    [
        "postgresql+psycopg://me:hush@127.0.0.1:1/none", "mysterious://me:hush@host/name", "postgresql+psycopg://me:hush@host:x/y",
        "postgres:ql://me:hush@host",
    ],
)  # fmt: skip
def test_a_password_is_in_no_message(place: str) -> None:
    with pytest.raises(UserError) as caught:
        Store.open(place)
    assert "hush" not in str(caught.value)
    assert place.partition("://")[0] in str(caught.value), "but which store it was is"


def test_a_database_that_fails_in_the_middle_is_told_in_a_line(place: str) -> None:
    def fail(store: Store) -> None:
        with store, store.write() as connection:
            connection.execute(insert(schema.model).values(name="m", created=0))
            raise OperationalError("INSERT INTO secret", {"value": "hush"}, Exception("database or disk is full"))

    opened = Store.open(place)
    with pytest.raises(UserError) as caught:
        fail(opened)
    assert str(caught.value) == f"the store {opened.name} failed, and nothing is stored by halves: database or disk is full"
    with Store.open(place) as store, store.read() as connection:
        assert connection.execute(select(schema.model)).all() == []


def test_a_file_that_is_no_database_is_named(tmp_path: Path) -> None:
    place = tmp_path / "notes.txt"
    place.write_text("a shopping list, " * 100)
    with pytest.raises(UserError, match="cannot be opened: file is not a database"):
        Store.open(place)
    assert place.read_text().startswith("a shopping list")
