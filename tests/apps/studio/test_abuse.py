"""What an attacker, a careless script or an unlucky name may try: it is refused in words, and it spoils nothing."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import select

from accordant.apps.studio.guard import HEADERS, Limiter
from accordant.feedback import assignment, inspection, overview, people, tasks
from accordant.feedback.schema import project
from accordant.feedback.tasks import Text, Work
from clock import Clock

if TYPE_CHECKING:
    from conftest import Client, Studio

PASSWORD = "long enough"
HALF = "\\ud800"  # half of a surrogate pair, as JSON writes it


@pytest.fixture
def ada(studio: Studio) -> Client:
    return studio.client("Ada")


def test_my_data_do_not_tell_gold_from_other_tasks_nor_one_completion_from_another(studio: Studio) -> None:
    store, ben = studio.store, studio.people["Ben"]
    number = tasks.make_project(store, "p", "", gold_share=0.5)
    for i in range(8):
        work = Work("pair", f"question {i}", (Text(f"left {i}", "model-a"), Text(f"right {i}", "model-b")))
        (made,) = tasks.add(store, number, [work])
        if i % 2:
            first = inspection.one_item(store, number, made).completions[0].id
            tasks.set_gold(store, made, {"better": first, "grade": "better"}, attention=i % 4 == 1)
    client = studio.client("Ben")
    for _ in range(6):
        task = assignment.next_task(store, number, ben.id)
        assert task is not None
        assignment.save_draft(store, task.assignment_id, ben.id, {"payload": {"better": task.display[0]}, "ms_spent": 1})
        if task.assignment_id % 3:
            said = {"better": task.display[1], "grade": "better"}
            assignment.submit(store, task.assignment_id, ben.id, said, f"uuid {task.assignment_id}", 5)
        else:
            assignment.skip(store, task.assignment_id, ben.id, "no idea")
    held = client.get("/me/data.json").json()
    told = json.dumps(held)
    assert "gold" not in told
    assert "attention" not in told
    assert "chosen_by" not in told
    assert {row["payload"]["better"] for row in held["answers"]} == {1}, "answers by their place on the own screen"
    assert not any({"display", "item_id"} & set(row) for row in held["assignments"])
    assert not any({"item", "chosen_by"} & set(row["what"]) for row in held["events"])
    assert [row["payload"]["payload"]["better"] for row in held["drafts"]] == [0] * len(held["drafts"])
    assert held["drafts"]
    assert len(held["assignments"]) == 6


def test_another_sites_form_does_not_sign_anybody_out(studio: Studio) -> None:
    """The browser sends no cookie with it, and must not be given a new one in place of the old."""
    client = studio.client()
    client.http.cookies.clear()
    response = client.http.post("/me/password", data={"new": "x"}, headers={"sec-fetch-site": "cross-site"})
    assert response.status_code == 403
    assert "set-cookie" not in response.headers


def test_an_error_of_ours_carries_the_policy_too(studio: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
    client = studio.client("Ben")
    monkeypatch.setattr(people, "about", lambda *_: 1 / 0)
    response = client.http.get("/me")
    assert response.status_code == 500
    assert {name: response.headers.get(name) for name in HEADERS} == HEADERS
    assert response.headers["cache-control"] == "no-store"


def test_looking_at_a_limiter_is_not_remembered() -> None:
    limiter = Limiter(2, 60, Clock())
    for i in range(1000):
        assert limiter.wait(f"name {i}", count=False) == 0
    assert not limiter._seen


def test_a_guessed_invitation_costs_no_password_hash(studio: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
    client = studio.client()
    monkeypatch.setattr(people, "_scrypt", lambda _: 1 / 0)
    response = client.post("/join/guessed", {"name": "Eve", "password": PASSWORD, "again": PASSWORD})
    assert response.status_code == 400
    assert "not valid any more" in response.text


def test_a_long_file_name_in_another_script_is_no_error(studio: Studio, ada: Client) -> None:
    number = tasks.make_project(studio.store, "p", "")
    ada.get(f"/admin/projects/{number}")
    row = json.dumps({"prompt": "q", "completion": "a", "up": True}).encode()
    response = ada.post(f"/admin/projects/{number}/import", files={"file": (f"{'長' * 100}.jsonl", row)})
    assert response.status_code == 303, response.text
    assert overview.one_project(studio.store, number).items == 1


@pytest.mark.parametrize("field", ["criterion", "warning"])
def test_what_holds_for_all_rows_is_no_longer_than_a_rows_own(studio: Studio, ada: Client, field: str) -> None:
    number = tasks.make_project(studio.store, "p", "")
    ada.get(f"/admin/projects/{number}")
    row = json.dumps({"prompt": "q", "completion": "a", "up": True}).encode()
    response = ada.post(f"/admin/projects/{number}/import", {field: "x" * 301}, files={"file": ("r.jsonl", row)})
    assert response.status_code == 400
    assert "301 characters" in response.text
    assert overview.one_project(studio.store, number).items == 0


@pytest.mark.parametrize(
    "row",
    [
        {"task": "vet", "note": "half \ud800"},
        {"task": "vet", "half \ud800": "note"},
        {"prompt": "q", "completions": [{"text": "a", "model": "\ud800"}, {"text": "b"}]},
        {"prompt": "q", "completions": [{"text": "a", "sampling": {"by": "\ud800"}}, {"text": "b"}]},
        {"prompt": "q", "completions": [{"text": "a", "sampling": {"t": float("nan")}}, {"text": "b"}]},
        {"prompt": "q", "completion": "a", "up": True, "criterion": "\ud800"},
        {"prompt": "q", "completion": "a", "up": True, "warning": "\ud800"},
        {"task": "demonstration", "prompt": "q", "instruction": "\ud800", "examples": [{"prompt": "a", "completion": "b"}]},
        {"task": "demonstration", "prompt": "q", "examples": [{"prompt": "a", "completion": "\ud800"}]},
        {"prompt": "q", "completion": "a", "task": "thumb", "gold": {"up": True, "comment": "\ud800"}},
    ],
)
def test_a_row_that_no_page_could_show_is_refused_with_its_line(studio: Studio, ada: Client, row: dict[str, Any]) -> None:
    number = tasks.make_project(studio.store, "p", "")
    ada.get(f"/admin/projects/{number}")
    response = ada.post(f"/admin/projects/{number}/import", files={"file": ("r.jsonl", json.dumps(row).encode())})
    assert response.status_code == 400, response.text
    assert "r.jsonl:1" in response.text
    assert overview.one_project(studio.store, number).items == 0


@pytest.mark.parametrize(
    "said",
    [f'{{"cannot_judge": "{HALF}"}}', '{"cannot_judge": "x", "comment": NaN}', "[" * 100_000, f'{{"comment": "{HALF}"}}'],
)
def test_a_ruling_that_no_page_could_show_is_refused(studio: Studio, ada: Client, said: str) -> None:
    number = tasks.make_project(studio.store, "p", "")
    (made,) = tasks.add(studio.store, number, [Work("pair", "q", (Text("a"), Text("b")))])
    tasks.halt(studio.store, made, "looked at")
    where = f"/admin/projects/{number}/disputes"
    ada.get(where)
    assert ada.post(f"{where}/{made}", {"payload": said, "reason": "because"}).status_code == 400
    assert ada.post(f"/admin/projects/{number}/items/{made}/gold", {"payload": said}).status_code == 400
    assert ada.get(where).status_code == 200
    assert ada.get(f"/admin/projects/{number}/items/{made}").status_code == 200


@pytest.mark.parametrize("row", ["[" * 100_000, '{"a": NaN}', f'{{"a": "{HALF}"}}', '{"a": 1e999}'])
def test_an_edited_row_that_cannot_be_kept_is_refused(studio: Studio, ada: Client, row: str) -> None:
    number = tasks.make_project(studio.store, "p", "")
    (made,) = tasks.add(studio.store, number, [Work("vet", "", row={"a": 1})])
    where = f"/admin/projects/{number}/items/{made}"
    ada.get(where)
    response = ada.post(f"{where}/gold", {"verdict": "edit", "row": row})
    assert response.status_code == 400, response.text
    assert ada.get(where).status_code == 200


def test_what_was_typed_for_one_dispute_does_not_turn_up_under_another(studio: Studio, ada: Client) -> None:
    number = tasks.make_project(studio.store, "p", "")
    first, second = tasks.add(studio.store, number, [Work("demonstration", "first"), Work("demonstration", "second")])
    for one in (first, second):
        tasks.halt(studio.store, one, "looked at")
    where = f"/admin/projects/{number}/disputes"
    ada.get(where)
    assert ada.post(f"{where}/{first}", {"text": "about the first", "reason": "because"}).status_code == 303
    response = ada.post(f"{where}/{first}", {"text": "about the first again", "reason": ""})
    assert response.status_code == 400
    assert "about the first again" not in response.text
    assert re.search(rf"item {first}\b", response.text), "it is said which item the error is about"


def test_only_kinds_that_there_are_can_be_turned_off(studio: Studio) -> None:
    client = studio.client("Ben")
    assert client.post("/me/declines", {"kind": ["thumb", "no such kind", "thumb"]}).status_code == 303
    found = people.known(studio.store, studio.people["Ben"].id)
    assert found is not None
    assert found[0].declines == ("thumb",)


@pytest.mark.parametrize("words", ["a\0b", "half \ud800"])
def test_a_text_that_no_database_keeps_is_refused_from_a_labeler(studio: Studio, words: str) -> None:
    number = tasks.make_project(studio.store, "p", "", gold_share=0.0)
    tasks.add(studio.store, number, [Work("demonstration", "q")])
    client = studio.client("Ben")
    task = client.get(f"/api/projects/{number}/next").json()["task"]
    where = f"/api/tasks/{task['assignment']}"
    sent = [
        ("answer", {"payload": {"text": words}, "submission": task["submission"]}), ("draft", {"payload": {"text": words}}),
        ("skip", {"reason": words}),
    ]  # fmt: skip
    for path, body in sent:
        said = client.http.post(f"{where}/{path}", content=json.dumps(body), headers={"x-csrf-token": client.token})
        assert said.status_code == 400, said.text
        assert "U+0000" in said.json()["error"] or "half of a character" in said.json()["error"]


def test_a_name_or_a_group_that_no_database_keeps_is_refused(studio: Studio) -> None:
    client = studio.client()
    response = client.post("/sign-in", {"name": "A\0da", "password": PASSWORD})
    assert response.status_code == 400
    assert "do not belong together" in response.text
    joining = {"name": "Eve", "password": PASSWORD, "again": PASSWORD}
    for wrong in ("x" * 101, "a\0b"):
        response = client.post(f"/join/{people.invite(studio.store)}", {**joining, "language": wrong})
        assert response.status_code == 400, response.text
        assert "language" in response.text


def test_only_an_admins_upload_may_be_large(studio: Studio) -> None:
    large = {"content": b"name=" + b"x" * 2**21, "headers": {"content-type": "application/x-www-form-urlencoded"}}
    ben = studio.client("Ben")
    assert ben.http.post("/join/import", **large).status_code == 413
    assert ben.http.post("/admin/projects/1/items/1/import", **large).status_code == 413
    refused = ben.http.post("/admin/projects/1/import", **large)
    assert refused.status_code == 403
    assert "for admins" in refused.text, "before what was sent is looked at"
    assert studio.client().http.post("/admin/projects/1/import", **large).headers["location"].startswith("/sign-in")


def test_nobody_can_compute_which_of_their_tasks_are_gold(studio: Studio, ada: Client) -> None:
    """The seed decides it, and how the answers are shuffled: one that all projects share would be known to all."""
    ada.get("/admin")
    settings = {"overlap": "1", "lease_minutes": "30", "gold_share": "50", "random_share": "20", "attributes": "quality"}
    for name in ("first", "second"):
        assert ada.post("/admin/projects", {"name": name, **settings}).status_code == 303
    with studio.store.read() as connection:
        seeds = list(connection.scalars(select(project.c.seed)))
    assert len({*seeds, 0}) == 3
