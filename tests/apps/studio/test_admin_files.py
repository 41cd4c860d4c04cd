"""Files into a project and out of it, over HTTP: whole or not at all, and the same as from the command line."""

from __future__ import annotations

import io
import json
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import labeled
import pytest
from crowd import answer_all
from managed import HERE, alert, ids, note, upload

from accordant.feedback import inspection, overview, people, tasks
from accordant.feedback.tasks import Work
from accordant.stages import feedback_files

if TYPE_CHECKING:
    import httpx

    from conftest import Client, Studio


ROWS = [
    {"prompt": "Name a fruit.", "completions": ["An apple.", {"text": "A stone.", "model": "m2"}], "task": "rank"},
    {"prompt": "Name a tree.", "chosen": "An oak.", "rejected": "A lamp."},
]


def test_a_file_is_put_in_whole(studio: Studio, ada: Client) -> None:
    labeled.project(studio.store)
    content = "\n".join(map(json.dumps, ROWS))
    assert (
        note(ada, upload(ada, "my rows.jsonl", content, criterion="truth", warning="violence")) == "2 items are in the project."
    )
    first, second = (inspection.one_item(studio.store, 1, one) for one in ids(studio))
    assert (first.task, second.task, first.criterion, second.warning) == ("rank", "pair", "truth", "violence")
    assert (first.source, second.source) == ("my_rows.jsonl:1", "my_rows.jsonl:2"), "the folder it lay in is nobody's business"
    assert overview.log(studio.store, kind="import").rows[0].who == "Ada"
    csv = "prompt,completion\nName a bird.,A robin.\n"
    assert note(ada, upload(ada, "C:\\rows.csv", csv, task="thumb")) == "1 item is in the project."
    assert inspection.one_item(studio.store, 1, ids(studio)[-1]).task == "thumb"


BAD_FILES: list[Any] = [
    ("rows.jsonl", json.dumps(ROWS[0]) + '\n{"prompt": "x", "completions": ["only one"]}\n', "rows.jsonl:2"),
    ("rows.jsonl", json.dumps(ROWS[0]) + "\n{not json\n", "rows.jsonl:2"),
    ("rows.json", "[1]", "rows.json"),
    ("rows.jsonl", "", "rows.jsonl"),
    ("rows.parquet", "this is no parquet", "rows.parquet"),
    ("rows.jsonl", b"\xff\xfe\x00", "rows.jsonl"),
    ("rows.exe", "x", "rows.exe cannot be read: give a file that ends in .jsonl"),
    ("..", "x", "give a file that ends in"),
    ("", "", "choose a file"),
]


def test_a_bad_file_is_named_with_its_line_and_adds_nothing(studio: Studio, ada: Client) -> None:
    labeled.project(studio.store)
    for name, content, words in BAD_FILES:
        response = upload(ada, name, content, criterion="keep this")
        assert words in alert(response), (name, content)
        assert "/tmp" not in response.text, "the message names the file and not where it lay"
        assert 'value="keep this"' in response.text
        assert ids(studio) == []


def test_a_task_that_is_none_and_no_file_at_all_are_refused(studio: Studio, ada: Client) -> None:
    labeled.project(studio.store)
    assert "the task is 'x'" in alert(upload(ada, "rows.jsonl", json.dumps(ROWS[0]), task="x"))
    assert "choose a file" in alert(ada.post(f"{HERE}/import", {"file": "only words"}))


def unzipped(response: httpx.Response) -> dict[str, bytes]:
    assert response.status_code == 200, response.text
    assert response.headers["content-disposition"].startswith("attachment; filename*=")
    with zipfile.ZipFile(io.BytesIO(response.content)) as archive:
        return {name.partition("/")[2]: archive.read(name) for name in archive.namelist() if not name.endswith("/")}


@pytest.mark.parametrize(
    ("query", "options"),
    [
        ("", {}),
        ("which=consensus&method=borda&margins=large", {"which": "consensus", "method": "borda", "margins": "large"}),
        ("ties=keep&rejects=lose&surplus=yes&ai=yes", {"ties": "keep", "rejects": "lose", "surplus": True, "ai": True}),
        ("shape=trl&form=parquet&margins=small&min_confidence=", {"shape": "trl", "form": "parquet", "margins": "small"}),
        ("which=consensus&min_confidence=75", {"which": "consensus", "min_confidence": 0.75}),
        ("test=25&validation=25&seed=3", {"splits": {"test": 0.25, "validation": 0.25}, "seed": 3}),
    ],
)
def test_a_download_is_what_the_exporter_writes(
    studio: Studio, ada: Client, tmp_path: Path, query: str, options: dict[str, Any]
) -> None:
    number = labeled.project(studio.store)
    for i in range(4):
        labeled.add(studio.store, number, *(replace(labeled.WORK[task], prompt=f"Question {i}") for task in ("rank", "pair")))
    robot = people.add_ai(studio.store, "judge").id
    answer_all(studio.store, number, [studio.people[name].id for name in ("Ben", "Cleo")] + [robot], [robot])
    feedback_files.write(studio.store, number, tmp_path / "out", feedback_files.How(**options))
    wanted = {
        str(path.relative_to(tmp_path / "out")): path.read_bytes() for path in (tmp_path / "out").rglob("*") if path.is_file()
    }
    found = unzipped(ada.get(f"{HERE}/export?{query}"))
    assert set(found) == set(wanted)
    assert len(found) > 1
    for name in wanted:
        assert found[name] == wanted[name], name


def test_gold_is_in_no_export(studio: Studio, ada: Client) -> None:
    number = labeled.project(studio.store, "pair", n=2, gold_share=0.5)
    (gold,) = tasks.add(studio.store, number, [Work("pair", "The golden question", labeled.texts("yes", "no"))])
    tasks.set_gold(studio.store, gold, {"tie": True})
    answer_all(studio.store, number, [studio.people[name].id for name in ("Ben", "Cleo", "Dora")])
    assert any(one.revisions for one in inspection.one_item(studio.store, number, gold).work), "gold was answered"
    for query in ("", "which=consensus", "shape=trl", "ties=keep&rejects=lose&surplus=yes&ai=yes"):
        assert b"golden" not in b"".join(unzipped(ada.get(f"{HERE}/export?{query}")).values()), query


WRONG_EXPORTS: list[Any] = [
    ("shape=x", "the shape is 'x'"), ("test=150", "150 %"), ("seed=1.5", "give a whole number"),
    ("margins=huge", "the margins"), ("test=0", "test"), ("ai=yes&form=csv", "the format is 'csv'"),
]  # fmt: skip


def test_an_export_that_cannot_be_is_explained(studio: Studio, ada: Client) -> None:
    number = labeled.project(studio.store, "pair")
    assert "none gives a row" in alert(ada.get(f"{HERE}/export"))
    answer_all(studio.store, number, [studio.people["Ben"].id])
    for query, words in WRONG_EXPORTS:
        assert words in alert(ada.get(f"{HERE}/export?{query}")), query


def test_rows_that_do_not_fit_are_named_by_their_place_in_the_download(studio: Studio, ada: Client) -> None:
    number = labeled.project(studio.store)
    labeled.add(studio.store, number, *(Work("vet", "", row={"n": value}) for value in (1, "one")))
    ben = studio.people["Ben"].id
    for _ in range(2):
        labeled.answer(studio.store, labeled.lease(studio.store, number, ben), ben, {"verdict": "accept"})
    said = alert(ada.get(f"{HERE}/export?form=parquet"))
    assert "Fruit/vetted.parquet: the rows do not fit" in said
    assert "accordant-export" not in said


def test_an_export_leaves_nothing_behind(studio: Studio, ada: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    number = labeled.project(studio.store, "pair")
    assert ada.get(f"{HERE}/export").status_code == 400
    answer_all(studio.store, number, [studio.people["Ben"].id])
    assert ada.get(f"{HERE}/export").status_code == 200
    assert not [path for path in tmp_path.iterdir() if path.name.startswith("accordant-export")]
