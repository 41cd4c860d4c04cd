"""What is known of where rows came from is kept beside them, says when they were edited, and names no folder."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
from pathlib import Path

import pytest

from accordant.data import sources
from accordant.data.origin import Origin, about_data, origin_path, origins, write_origins
from accordant.types import UserError
from source_examples import as_jsonl

FROM = [Origin("dolly", "d.jsonl", "ab" * 32, 2, "CC-BY-SA-3.0"), Origin("hub", "hub:o/n:train", "", 1)]


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    path = tmp_path / "deep" / "rows.jsonl"
    path.parent.mkdir()
    path.write_bytes(as_jsonl([{"prompt": "q"}, {"prompt": "p"}, {"prompt": "o"}]))
    return path


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_a_name_that_is_no_text_can_be_written(tmp_path: Path) -> None:
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/x\xff.jsonl"))
    path.write_text('{"prompt": "q"}\n')
    target = tmp_path / "new.jsonl"
    target.write_text('{"prompt": "q"}\n')
    write_origins(target, origins(path))
    assert origins(target)[0].file == "x\\udcff.jsonl"


def test_a_bare_file_is_its_own_origin(rows: Path) -> None:
    assert origins(rows) == [Origin("file", "rows.jsonl", digest(rows), 3, "unknown")]
    assert origins(rows, rows=7)[0].rows == 7
    assert origins("hub:owner/name:train", rows=5) == [Origin("hub", "hub:owner/name:train", "", 5, "unknown")]
    with pytest.raises(UserError, match="is not there"):
        origins(rows.parent / "none.jsonl")
    with pytest.raises(dataclasses.FrozenInstanceError):
        FROM[0].rows = 1  # type: ignore[misc]


def test_what_was_written_comes_back_and_an_edit_shows(rows: Path) -> None:
    assert write_origins(rows, FROM) == origin_path(rows) == rows.with_name("rows.jsonl.origin.json")
    assert origins(rows) == FROM
    assert str(rows.parent.parent) not in origin_path(rows).read_text()
    assert sorted(path.name for path in rows.parent.iterdir()) == ["rows.jsonl", "rows.jsonl.origin.json"]
    rows.write_bytes(rows.read_bytes() + b'{"prompt": "new"}\n')
    assert origins(rows) == [*FROM, Origin("changed by hand", "rows.jsonl", digest(rows), 4, "unknown")]


def test_a_source_adds_its_licence_and_keeps_what_is_known(rows: Path) -> None:
    assert sources.origins("dolly", rows, 2) == [Origin("dolly", "rows.jsonl", digest(rows), 2, "CC-BY-SA-3.0")]
    assert sources.origins("file", rows, 3) == origins(rows)
    write_origins(rows, FROM[:1])
    assert sources.origins("thumbs", rows, 1) == [dataclasses.replace(FROM[0], rows=1)]
    write_origins(rows, FROM)
    assert sources.origins("file", rows, 1) == FROM


def test_a_checkpoint_hears_of_data_and_of_validation(rows: Path) -> None:
    said = about_data(rows, rows)
    assert said == {name: [dataclasses.asdict(origins(rows)[0])] for name in ("data", "validation")}
    assert list(about_data(rows)) == ["data"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"{", "is damaged; delete it"),
        (b"[]", "is damaged"),
        (b'{"schema": 1, "origins": [{"source": "x"}]}', "is damaged"),
        (b'{"schema": 1, "origins": [3]}', "is damaged"),
        (json.dumps({"schema": 1, "origins": [dataclasses.asdict(FROM[0]) | {"rows": "2"}]}).encode(), "is damaged"),
        (b"\xff\xfe", "is damaged"),
        (b'{"schema": 9, "origins": []}', "has schema 9, this version reads up to 1"),
    ],
)
def test_damaged_origins_are_errors_in_words(rows: Path, content: bytes, message: str) -> None:
    origin_path(rows).write_bytes(content)
    with pytest.raises(UserError, match=message):
        origins(rows)
