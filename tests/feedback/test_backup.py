"""A backup holds whatever a store holds, and a damaged one is told in a line and leaves nothing behind."""

from __future__ import annotations

import fcntl
import json
import random
import resource
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import insert, select

from accordant.feedback import schema, tasks
from accordant.feedback.backup import backup, check, restore
from accordant.feedback.store import Store
from accordant.feedback.tasks import Text, Work
from accordant.types import UserError
from command import Death, accordant

HASH = "scrypt$very$secret"


def everything(store: Store) -> dict[str, list[tuple[Any, ...]]]:
    with store.read() as connection:
        return {
            table.name: [tuple(row) for row in connection.execute(select(table).order_by(*table.primary_key.columns))]
            for table in schema.metadata.sorted_tables
        }


def filled(store: Store) -> int:
    """A store with a row in most tables, one of them with the hash of a password."""
    number = tasks.make_project(store, "p", "Be fair.")
    tasks.add(store, number, [Work("thumb", f"q{i}", (Text(f"a{i}"),)) for i in range(3)])
    with store.write() as connection:
        person = {"name": "Ana", "kind": "human", "role": "admin", "active": True, "strata": {}, "declines": [], "created": 1}
        connection.execute(insert(schema.labeler).values(**person, password=HASH))
    return number


@pytest.fixture
def whole(tmp_path: Path, file_of_tables: Path) -> Path:
    """A good backup."""
    place = tmp_path / "first.db"
    place.write_bytes(file_of_tables.read_bytes())
    with Store.open(place) as first:
        filled(first)
        backup(first, tmp_path / "whole.zip")
    return tmp_path / "whole.zip"


def rewritten(whole: Path, name: str, change: Callable[[bytes], bytes | None]) -> Path:
    """The backup with another content of one of its files, or without it."""
    target = whole.with_name("other.zip")
    with zipfile.ZipFile(whole) as old, zipfile.ZipFile(target, "w") as new:
        for one in old.namelist():
            held = old.read(one) if one != name else change(old.read(one))
            if held is not None:
                new.writestr(one, held)
    return target


def refused(store: Store, source: Path, *words: str) -> None:
    """Refused in a line that says these words and nothing of any row, and the store is as empty as before."""
    with pytest.raises(UserError) as error:
        restore(store, source)
    told = str(error.value)
    assert all(word in told for word in words), told
    assert "\n" not in told
    assert HASH not in told
    assert "Ana" not in told
    assert not any(everything(store).values())


def test_whatever_a_store_holds_comes_back_bit_for_bit(store: Store, tmp_path: Path) -> None:
    """A model's reply with half a surrogate pair was logged once; the log and JSON of every kind can hold such."""
    number = filled(store)
    odd = {
        "raw": "A \ud800",
        "\udfff": ["\u2028\n\x85", 1.5, 10**25, None, True],
        "tiny": 5e-324,
        "pair": "\U0001f9d1",
        "nul": "\0",
    }
    with store.write() as connection:
        store.log(connection, "judged", None, **odd)
        connection.execute(schema.prompt.update().values(content="\ud83d half"))
    tasks.revise_guidelines(store, number, "caf\xe9 \U0001f9d1\x7f\u2029")
    backup(store, tmp_path / "b.zip")
    check(tmp_path / "b.zip")
    with Store.open(tmp_path / "other.db") as other:
        restore(other, tmp_path / "b.zip")
        assert everything(other) == everything(store)


def test_what_only_sqlite_keeps_is_refused_by_postgresql_in_a_line(store: Store, whole: Path) -> None:
    nul = rewritten(whole, "completion.jsonl", lambda data: data.replace(b'"a1"', b'"a\\u0000"'))
    if store.engine.dialect.name == "postgresql":
        refused(store, nul, "nothing of", "was restored, because of table completion", "NUL")
    else:
        restore(store, nul)
        with store.read() as connection:
            assert "a\0" in list(connection.scalars(select(schema.completion.c.text)))


def test_backups_with_raw_unicode_are_still_read(store: Store, whole: Path) -> None:
    """Those of earlier versions."""
    raw = rewritten(whole, "completion.jsonl", lambda data: data.replace(b'"a1"', '"é\u2028\x85x"'.encode()))
    restore(store, raw)
    with store.read() as connection:
        assert "é\u2028\x85x" in list(connection.scalars(select(schema.completion.c.text)))


def change(name: str, value: Any) -> Callable[[bytes], bytes]:
    """Another value in the first row."""

    def changed(data: bytes) -> bytes:
        first, *others = data.splitlines(keepends=True)
        return b"".join([json.dumps({**json.loads(first), name: value}).encode() + b"\n", *others])

    return changed


def without(name: str) -> Callable[[bytes], bytes]:
    def changed(data: bytes) -> bytes:
        rows = [json.loads(line) for line in data.splitlines()]
        return b"".join(json.dumps({key: row[key] for key in row if key != name}).encode() + b"\n" for row in rows)

    return changed


@pytest.mark.parametrize(
    ("table", "how", "words"),
    [
        ("labeler", lambda data: data[:-10], "table labeler, row 1 is no JSON"),
        ("labeler", lambda data: data.replace(b"Ana", b"\xff\xfe"), "table labeler, row 1 is no JSON"),
        ("labeler", lambda data: data.decode().encode("utf-16"), "table labeler, row 1 is no JSON"),
        ("labeler", lambda _: b"[" * 100_000, "table labeler, row 1 is no JSON"),
        ("labeler", lambda _: b"1" * 5_000, "table labeler, row 1 is no JSON"),
        ("labeler", lambda _: b"[1]\n", "row 1 has not the columns"),
        ("labeler", without("password"), "row 1 has not the columns"),
        ("labeler", change("passwort", HASH), "row 1 has not the columns"),
        ("labeler", change("name", None), "row 1 has in name what the column cannot hold"),
        ("labeler", change("name", 3), "row 1 has in name"),
        ("labeler", change("name", HASH + "\ud800"), "row 1 has in name"),
        ("labeler", change("active", HASH), "row 1 has in active"),
        ("labeler", change("active", 1), "row 1 has in active"),
        ("labeler", change("created", True), "row 1 has in created"),
        ("labeler", change("created", HASH), "row 1 has in created"),
        ("labeler", change("created", 2**63), "row 1 has in created"),
        ("labeler", change("created", 1.5), "row 1 has in created"),
        ("item", change("priority", "high"), "row 1 has in priority"),
        ("item", change("priority", 10**400), "row 1 has in priority"),
        ("item", change("prompt_id", 99), "table item: "),
        ("labeler", change("role", "boss"), "table labeler: "),
        ("labeler", lambda data: data * 2, "table labeler: "),
        ("labeler", lambda _: None, "it has no labeler.jsonl"),
    ],
)  # fmt: skip
def test_damaged_rows_are_told_in_a_line(store: Store, whole: Path, table: str, how: Any, words: str) -> None:
    refused(store, rewritten(whole, f"{table}.jsonl", how), "or damaged (", words)


def test_a_zip_with_another_schema_or_a_broken_one(store: Store, whole: Path) -> None:
    refused(store, rewritten(whole, "schema", lambda _: b"0815"), "has schema '0815' and this version")
    refused(store, rewritten(whole, "schema", lambda _: b"\xff"), "or damaged (")


def test_a_cut_zip(store: Store, whole: Path) -> None:
    data = whole.read_bytes()
    for end in (0, 30, len(data) // 2, len(data) - 1):
        whole.write_bytes(data[:end])
        refused(store, whole, "or damaged (")


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(place=st.floats(0, 1, exclude_max=True), bits=st.integers(1, 255))
def test_any_byte_may_be_damaged(whole: Path, place: float, bits: int) -> None:
    data = bytearray(whole.read_bytes())
    data[int(place * len(data))] ^= bits
    bad = whole.with_name("bad.zip")
    bad.write_bytes(data)
    told = "or damaged ("  # so it reads for a byte that says nothing, such as one of a date
    try:
        check(bad)
    except UserError as error:
        told = str(error)
    assert "or damaged (" in told
    assert HASH not in told
    assert "\n" not in told


LOCAL, CENTRAL, END = b"PK\x03\x04", b"PK\x01\x02", b"PK\x05\x06"


@pytest.mark.parametrize(
    ("header", "offset", "value"),
    [
        (CENTRAL, 8, 1), (CENTRAL, 10, 99), (CENTRAL, 10, 14),  # encrypted; packed in an unknown way; by LZMA
        (CENTRAL, 42, 255), (LOCAL, 29, 255), (END, 19, 255),  # begins elsewhere; after the end; before the beginning
    ],
)  # fmt: skip
def test_what_a_damaged_header_says(store: Store, whole: Path, header: bytes, offset: int, value: int) -> None:
    """`zipfile` raises another error for each of these than for bad data."""
    data = bytearray(whole.read_bytes())
    data[data.index(header) + offset] = value
    whole.write_bytes(data)
    refused(store, whole, "or damaged (")


def test_a_store_that_has_rows_takes_no_backup(store: Store, whole: Path) -> None:
    filled(store)
    before = everything(store)
    with pytest.raises(UserError, match="the store is not empty"):
        restore(store, whole)
    assert everything(store) == before


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """A limit on the size of files that this process writes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("size", [0, 40_000, 300_000])
def test_a_backup_that_cannot_be_written_leaves_nothing(store: Store, tmp_path: Path, size: int) -> None:
    rng = random.Random(3)
    tasks.make_project(store, "p", "".join(chr(rng.randrange(33, 127)) for _ in range(400_000)))
    folder = tmp_path / "backups"
    folder.mkdir()
    with pytest.raises(UserError, match=r"^the backup .*b\.zip cannot be written: File too large$"), largest_file(size):
        backup(store, folder / "b.zip")
    assert list(folder.iterdir()) == []
    assert backup(store, folder / "b.zip")["project"] == 1
    with pytest.raises(UserError, match=r"nowhere/b\.zip cannot be written: No such file or directory"):
        backup(store, tmp_path / "nowhere" / "b.zip")


def test_what_a_killed_backup_left_is_written_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with Store.open("feedback.db") as store:
        filled(store)
    (tmp_path / "out").mkdir()
    killed = accordant("studio", "backup", "out/b.zip", die=Death("accordant.feedback.backup", "os.fsync"))
    assert killed.code < 0
    (left,) = (tmp_path / "out").iterdir()
    left.write_bytes(b"x" * 200_000)  # it may have been larger
    assert accordant("studio", "backup", "out/b.zip").code == 0
    assert [file.name for file in (tmp_path / "out").iterdir()] == ["b.zip"]
    check("out/b.zip")


def test_of_two_backups_into_one_file_the_second_is_refused(store: Store, tmp_path: Path) -> None:
    with (tmp_path / ".b.zip.tmp").open("w") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(UserError, match=r"another backup is writing .*b\.zip"):
            backup(store, tmp_path / "b.zip")
    assert backup(store, tmp_path / "b.zip")["project"] == 0


def test_a_backup_that_ends_while_another_begins_is_not_overwritten(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def late(file: Any, how: int) -> None:
        (tmp_path / "b.zip").write_text("the other's")
        flock(file, how)

    flock = fcntl.flock
    monkeypatch.setattr(fcntl, "flock", late)
    with pytest.raises(UserError, match="overwrites nothing"):
        backup(store, tmp_path / "b.zip")
    assert [(file.name, file.read_text()) for file in tmp_path.glob("*b.zip*")] == [("b.zip", "the other's")]


def test_no_store_is_made_for_a_file_that_is_no_backup(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "notes.txt").write_text("milk")
    for name, words in (("nofile.zip", "cannot be read: No such file or directory"), ("notes.txt", "is no backup")):
        ended = accordant("studio", "restore", name, "--store", "new.db")
        assert (ended.code, ended.error.count("\n")) == (2, 1)
        assert words in ended.error
    assert [file.name for file in tmp_path.iterdir()] == ["notes.txt"]
