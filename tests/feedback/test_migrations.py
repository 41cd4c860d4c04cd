"""A store of every earlier schema opens with its rows, and none of the program's secrets leaves it."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, create_engine, insert, select, text

from accordant.feedback import people, schema, tasks
from accordant.feedback.backup import backup, restore
from accordant.feedback.store import MIGRATIONS, Store
from accordant.feedback.tasks import Text, Work

KEY = "the key that signs sessions"


def alembic(connection: Connection) -> Config:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = connection
    return config


@contextmanager
def migrated(place: str, version: str) -> Iterator[Connection]:
    """An empty database of an earlier schema."""
    engine = create_engine(place if "://" in place else f"sqlite:///{place}")
    with engine.begin() as connection:
        command.upgrade(alembic(connection), version)
        yield connection
    engine.dispose()


def test_a_store_of_the_first_schema_comes_along_with_its_rows(place: str) -> None:
    """The tables of 0001 are filled as they were then, by names of columns and not through today's schema."""
    with migrated(place, "0001") as connection:
        connection.execute(text(
            "INSERT INTO project (id, name, seed, overlap, lease_ms, gold_share, order_by, random_share, attributes, created) "
            "VALUES (7, 'kites', 1, 3, 1000, 0.5, 'random', 0.25, '[\"wit\"]', 12)"
        ))  # fmt: skip
        connection.execute(text(
            "INSERT INTO labeler (id, name, kind, role, password, active, strata, declines, created) "
            "VALUES (3, 'Ana', 'human', 'admin', NULL, TRUE, '{\"language\": \"hr\"}', '[]', 5)"
        ))  # fmt: skip
        connection.execute(text("INSERT INTO event (id, at, labeler_id, kind, what) VALUES (1, 5, 3, 'join', '{}')"))
    with Store.open(place) as store, store.write() as connection:
        (project,) = connection.execute(select(schema.project)).mappings()
        assert (project["id"], project["name"], project["attributes"], project["gold_share"]) == (7, "kites", ["wit"], 0.5)
        (ana,) = connection.execute(select(schema.labeler)).mappings()
        assert (ana["id"], ana["name"], ana["role"], ana["active"]) == (3, "Ana", "admin", True)
        assert ana["strata"] == {"language": "hr"}
        assert connection.execute(select(schema.event.c.kind)).all() == [("join",)]
        assert connection.execute(select(schema.ruling)).all() == connection.execute(select(schema.secret)).all() == []
        connection.execute(insert(schema.secret).values(name="session", value=KEY))
    with Store.open(place) as store, store.read() as connection:
        assert connection.scalar(select(schema.secret.c.value)) == KEY


def test_gold_of_an_earlier_schema_is_no_attention_check(place: str) -> None:
    with migrated(place, "0002") as connection:
        for row in (
            "project (id, name, seed, overlap, lease_ms, gold_share, order_by, random_share, attributes, created) "
            "VALUES (7, 'kites', 1, 3, 1000, 0.5, 'random', 0.25, '[]', 12)",
            "prompt (id, project_id, content, kind, source, created) VALUES (5, 7, '\"q\"', 'normal', 'f:1', 1)",
            "item (id, project_id, prompt_id, task, criterion, priority, gold, created) "
            "VALUES (9, 7, 5, 'red_team', '', 0, '{\"text\": \"x\"}', 1)",
        ):
            connection.execute(text(f"INSERT INTO {row}"))
    with Store.open(place) as store, store.write() as connection:
        assert connection.execute(select(schema.item.c.id, schema.item.c.gold, schema.item.c.attention)).all() == [
            (9, {"text": "x"}, False)
        ]
        connection.execute(schema.item.update().values(attention=True))
        command.downgrade(alembic(connection), "0002")
        assert connection.execute(text("SELECT id FROM item")).all() == [(9,)]


def test_a_secret_is_in_no_backup_and_hinders_no_restore(store: Store, tmp_path: Path) -> None:
    tasks.make_project(store, "p", "")
    with store.write() as connection:
        connection.execute(insert(schema.secret).values(name="session", value=KEY))
    assert "secret" not in backup(store, tmp_path / "a.zip")
    with zipfile.ZipFile(tmp_path / "a.zip") as archive:
        assert "secret.jsonl" not in archive.namelist()
        assert not any(KEY.encode() in archive.read(name) for name in archive.namelist())
    with Store.open(tmp_path / "new.db") as new:
        with new.write() as connection:
            connection.execute(insert(schema.secret).values(name="session", value="its own"))
        restore(new, tmp_path / "a.zip")
        with new.read() as connection:
            assert connection.execute(select(schema.secret.c.value)).all() == [("its own",)]
            assert connection.scalar(select(schema.project.c.name)) == "p"


def test_who_is_forgotten_leaves_no_ruling(store: Store) -> None:
    number = tasks.make_project(store, "p", "")
    (item,) = tasks.add(store, number, [Work("thumb", "q", (Text("a"),))])
    ana, ben = (people.join(store, people.invite(store, "admin"), name, "long enough") for name in ("Ana", "Ben"))
    with store.write() as connection:
        for who in (ana, ben):
            values = {"payload": {"up": True}, "reason": f"says {who.name}", "created": 1}
            connection.execute(insert(schema.ruling).values(item_id=item, labeler_id=who.id, **values))
    assert [row["reason"] for row in people.about(store, ana.id)["rulings"]] == ["says Ana"]
    people.forget(store, ana.id)
    assert people.about(store, ana.id)["rulings"] == []
    assert [row["reason"] for row in people.about(store, ben.id)["rulings"]] == ["says Ben"]
