"""Attention checks: every page of an admin's says them apart from gold, and nothing that a labeler gets tells one."""

from __future__ import annotations

import json
import re
import uuid

import pytest

from accordant.feedback import tasks
from conftest import Client, Studio

EXPECTED = {"better": 0, "grade": "better"}


@pytest.fixture
def project(studio: Studio, ada: Client) -> int:
    """Three ordinary pairs, three of gold and three attention checks."""
    number = tasks.make_project(studio.store, "p", "", gold_share=0.9)
    rows = [
        {"task": "pair", "prompt": f"q {i}", "chosen": "x", "rejected": "y"}
        | ({"gold": EXPECTED} if i >= 3 else {})
        | ({"attention": True} if i >= 6 else {})
        for i in range(9)
    ]
    file = "\n".join(map(json.dumps, rows)).encode()
    ada.get(f"/admin/projects/{number}")
    put = ada.http.post(
        f"/admin/projects/{number}/import", data={"csrf": ada.token, "task": ""}, files={"file": ("rows.jsonl", file)}
    )
    assert put.status_code == 303, put.text
    return number


@pytest.mark.parametrize(
    ("state", "rows", "words"), [("", 9, "gold"), ("gold", 3, "gold"), ("attention", 3, "attention check")]
)
def test_items_are_listed_by_state(project: int, ada: Client, state: str, rows: int, words: str) -> None:
    shown = ada.get(f"/admin/projects/{project}/items?state={state}")
    assert shown.status_code == 200
    assert len(re.findall(r">Item \d+</a>", shown.text)) == rows
    assert f'<span class="tag warn">{words}</span>' in shown.text


def test_nothing_that_a_labeler_gets_tells_them(project: int, studio: Studio) -> None:
    ben = studio.client("Ben")
    told = []
    for _ in range(9):
        page = ben.get(f"/projects/{project}/next")
        number = int(page.headers["location"].removeprefix("/tasks/"))
        told += [ben.get(f"/tasks/{number}").text, ben.get(f"/api/tasks/{number}").text]
        told.append(ben.send(f"/api/tasks/{number}/draft", {"payload": EXPECTED}).text)
        said = {"payload": EXPECTED, "submission": str(uuid.uuid4()), "ms_spent": 1000}
        told.append(ben.send(f"/api/tasks/{number}/answer", said).text)
        assert json.loads(told[-1])["revision"] == 1
    told += [ben.get(f"/projects/{project}/mine").text, ben.get("/me/data.json").text, ben.get("/me").text]
    assert not re.search("gold|attention|chosen_by|expected", " ".join(told))
