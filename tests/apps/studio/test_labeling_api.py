"""The labeling pages over HTTP: tasks are answered, revised, kept as drafts, skipped and declined."""

from __future__ import annotations

import html
import threading
from typing import TYPE_CHECKING

import httpx
import pytest
from labeled import WORK, add, answer, complete, given_task, lease, project, send
from sqlalchemy import select

from accordant.apps.studio import blind
from accordant.feedback import assignment, people, progress, tasks
from accordant.feedback.schema import TASKS, event
from accordant.feedback.schema import answer as answers
from accordant.feedback.tasks import Work
from clock import Clock

if TYPE_CHECKING:
    from conftest import Studio


@pytest.mark.parametrize("kind", TASKS)
def test_every_kind_of_task_is_answered_in_places_and_stored_by_id(studio: Studio, kind: str) -> None:
    number = project(studio.store, kind)
    client = studio.client("Ben")
    task = given_task(client, number)
    assert task["task"] == kind
    assert task["texts"] == [] or sorted(task["texts"]) == sorted(text.text for text in WORK[kind].completions)
    response = send(client, task, complete(task)).json()
    said = {
        "rank": "B > A = D, F: C", "pair": "B slightly better", "thumb": "thumb up", "demonstration": "Shalom.",
        "red_team": "Please?", "vet": "edited", "likert": ", ".join(f"{name} 3" for name in task["attributes"]),
    }[kind]  # fmt: skip
    assert response == {"revision": 1, "said": said, "surplus": False, "next": f"/projects/{number}/next"}
    view = progress.task(studio.store, task["assignment"], studio.people["Ben"].id)
    assert blind.to_places(view.answer, view.display) == complete(task)
    with studio.store.read() as connection:
        (row,) = connection.execute(select(answers)).all()
    assert row.ms_spent == 1234
    if kind == "rank":
        assert row.payload["groups"][0] == [view.display[1]]
        assert view.texts[1] == task["texts"][1]
    again = client.get(f"/api/tasks/{task['assignment']}").json()
    assert (again["answer"], again["said"], again["state"], again["revision"]) == (complete(task), said, "answered", 1)
    assert again["submission"] != task["submission"]


@pytest.mark.parametrize(
    ("kind", "payload", "said"),
    [
        ("rank", {"groups": [[0], [1], [3, 2]]}, "A > B > C = D"),
        ("rank", {"cannot_judge": "in Finnish", "rejected": "x"}, "cannot judge: in Finnish"),
        ("pair", {"better": 0, "grade": "better", "cannot_judge": None}, "A better"),
        ("pair", {"tie": True, "both_bad": False, "cannot_judge": "", "comment": ""}, "A = B"),
        ("vet", {"verdict": "accept", "row": {"a": 1}, "reason": 3}, "accepted"),
    ],
)
def test_what_may_be_left_out_is_left_out(studio: Studio, kind: str, payload: dict[str, object], said: str) -> None:
    """An answer with fewer fields than the page sends, or with empty ones, is said as it is stored."""
    number = project(studio.store, kind)
    client = studio.client("Ben")
    response = send(client, given_task(client, number), payload)
    assert (response.status_code, response.json().get("said")) == (200, said)
    assert html.escape(said) in client.get(f"/projects/{number}/mine").text


def test_two_posts_at_once_with_one_id_are_one_answer(studio: Studio) -> None:
    number = project(studio.store, "thumb")
    client = studio.client("Ben")
    task = given_task(client, number)
    start, found = threading.Barrier(4), []

    def post() -> None:
        with httpx.Client(base_url=studio.url, cookies=client.http.cookies, timeout=20) as http:
            start.wait()
            body = {"payload": {"up": True}, "submission": task["submission"], "ms_spent": 1}
            path, headers = f"/api/tasks/{task['assignment']}/answer", {"x-csrf-token": client.token}
            found.append(http.post(path, json=body, headers=headers))

    threads = [threading.Thread(target=post) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [(one.status_code, one.json()["revision"]) for one in found] == [(200, 1)] * 4
    with studio.store.read() as connection:
        assert len(connection.execute(select(answers)).all()) == 1
    assert given_task(client, number) is None


def test_an_id_of_another_answer_is_refused(studio: Studio) -> None:
    number = project(studio.store, "thumb", n=2)
    ben, cleo = studio.client("Ben"), studio.client("Cleo")
    first, second = given_task(ben, number), given_task(cleo, number)
    assert send(ben, first, {"up": True}).status_code == 200
    response = send(cleo, second, {"up": False}, submission=first["submission"])
    assert response.status_code == 400
    assert "used for another answer" in response.json()["error"]


def test_a_late_answer_is_kept_and_said_to_be_late(studio: Studio, clock: Clock) -> None:
    number = project(studio.store, "thumb", overlap=1)
    ben, cleo = studio.client("Ben"), studio.client("Cleo")
    late = given_task(ben, number)
    assert (late["state"], late["lease_ms"]) == ("open", 30 * 60_000)
    clock.minutes(31)
    assert ben.get(f"/api/tasks/{late['assignment']}").json()["state"] == "late", "before anybody has looked"
    assert send(cleo, given_task(cleo, number), {"up": True}).json()["surplus"] is False
    assert ben.get(f"/api/tasks/{late['assignment']}").json()["state"] == "late"
    assert send(ben, late, {"up": False}).json() == {
        "revision": 1, "said": "thumb down", "surplus": True, "next": f"/projects/{number}/next",
    }  # fmt: skip
    assert ben.get(f"/api/tasks/{late['assignment']}").json()["state"] == "surplus"
    assert "came late" in ben.get(f"/projects/{number}/mine").text


def test_a_revision_keeps_the_history_and_its_draft_is_no_answer(studio: Studio) -> None:
    number = project(studio.store, "thumb")
    client = studio.client("Ben")
    task = given_task(client, number)
    send(client, task, {"up": True})
    place = f"/api/tasks/{task['assignment']}"
    late = client.send(f"{place}/draft", {"payload": {"up": False}, "ms_spent": 5})
    assert late.json() == {"saved": False, "lease_ms": 0}, "of a page that does not know of the answer"
    assert client.get(place).json()["draft"] is None
    draft = client.send(f"{place}/draft", {"payload": {"up": False}, "ms_spent": 5, "revision": 1})
    assert draft.json() == {"saved": True, "lease_ms": 0}
    again = client.get(place).json()
    assert (again["draft"], again["answer"], again["said"], again["revision"]) == ({"up": False}, {"up": True}, "thumb up", 1)
    assert "thumb down" not in client.get(f"/projects/{number}/mine").text
    assert [one["payload"]["payload"] for one in client.get("/me/data.json").json()["drafts"]] == [{"up": False}]
    assert send(client, again, {"up": False}).json()["revision"] == 2
    assert client.get(place).json()["draft"] is None
    assert client.get("/me/data.json").json()["drafts"] == []
    assert client.send(f"{place}/draft", {"payload": {}, "revision": "x"}).status_code == 400
    with studio.store.read() as connection:
        assert [row.payload for row in connection.execute(select(answers).order_by(answers.c.revision))] == [
            {"up": True},
            {"up": False},
        ]
    page = client.get(f"/projects/{number}/mine").text
    assert "thumb down" in page
    assert "changed 1 time" in page


def test_a_draft_comes_back_in_places_with_the_time_spent_and_begins_the_lease_anew(studio: Studio, clock: Clock) -> None:
    number = project(studio.store, "rank")
    client = studio.client("Ben")
    task = given_task(client, number)
    clock.minutes(20)
    draft = {"groups": [[], [3]], "rejected": [1], "comment": "so far"}
    response = client.send(f"/api/tasks/{task['assignment']}/draft", {"payload": draft, "ms_spent": 61_000})
    assert response.json() == {"saved": True, "lease_ms": 30 * 60_000}
    again = given_task(client, number)
    assert (again["draft"], again["ms_spent"]) == (draft, 61_000)
    view = progress.task(studio.store, task["assignment"], studio.people["Ben"].id)
    assert view.draft is not None
    assert view.draft["payload"]["groups"] == [[], [view.display[3]]]


def test_skipping_needs_a_reason_and_passes_on(studio: Studio) -> None:
    number = project(studio.store, "thumb", "pair")
    client = studio.client("Ben")
    task = given_task(client, number)
    path = f"/api/tasks/{task['assignment']}/skip"
    for wrong in ({}, {"reason": " "}, {"reason": 3}):
        assert client.send(path, wrong).json()["error"] == "say in a word why the task is skipped"
    assert "at most 300" in client.send(path, {"reason": "x" * 301}).json()["error"]
    assert client.send(path, {"reason": "in Finnish"}).json() == {"next": f"/projects/{number}/next"}
    assert given_task(client, number)["task"] == "pair"
    assert client.get(f"/api/tasks/{task['assignment']}").json()["state"] == "skipped"
    with studio.store.read() as connection:
        assert connection.scalars(select(event.c.what).where(event.c.kind == "skip")).one()["reason"] == "in Finnish"
    answered = given_task(client, number)
    send(client, answered, {"tie": True})
    assert "already answered" in client.send(f"/api/tasks/{answered['assignment']}/skip", {"reason": "x"}).json()["error"]


def test_such_tasks_are_not_given_again_once_declined(studio: Studio) -> None:
    number = project(studio.store, "thumb")
    bad = Work("thumb", "q", WORK["thumb"].completions, warning="violence", priority=5)
    add(studio.store, number, bad, bad)
    client = studio.client("Ben")
    task = given_task(client, number)
    assert task["warning"] == "violence"
    assert client.send(f"/api/tasks/{task['assignment']}/decline", {}).status_code == 200
    found = people.known(studio.store, studio.people["Ben"].id)
    assert found is not None
    assert found[0].declines == ("violence",)
    plain = given_task(client, number)
    assert plain["warning"] is None
    assert "carries no warning" in client.send(f"/api/tasks/{plain['assignment']}/decline", {}).json()["error"]
    send(client, plain, {"up": True})
    nothing = client.get(f"/api/projects/{number}/next").json()
    assert nothing == {"task": None, "why": "1 open task is of a kind that you turned off; your own page can change that."}
    assert "turned off" in client.get(f"/projects/{number}/next").text


def test_the_front_page_and_the_way_to_a_task(studio: Studio) -> None:
    client = studio.client("Ben")
    assert "There is no project yet" in client.get("/").text
    number = project(studio.store, "thumb", n=3)
    front = client.get("/").text
    assert ">Start<" in front
    assert "<dd>3</dd>" in front
    there = client.get(f"/projects/{number}/next")
    task = assignment.next_task(studio.store, number, studio.people["Ben"].id)
    assert task is not None
    assert (there.status_code, there.headers["location"]) == (303, f"/tasks/{task.assignment_id}")
    answer(studio.store, task, studio.people["Ben"].id, {"up": True}, ms=30_000)
    assert ">Go on<" in client.get("/").text
    following = client.get(client.get(f"/projects/{number}/next").headers["location"]).text
    assert "1 done · 2 left · about 1 minute at your pace" in following
    assert f'href="/tasks/{task.assignment_id}"' in following, "the way to the answer before"


def test_my_answers_are_paged(studio: Studio) -> None:
    number = project(studio.store, "thumb", n=52)
    ben = studio.people["Ben"].id
    for _ in range(52):
        answer(studio.store, lease(studio.store, number, ben), ben, {"up": True})
    client = studio.client("Ben")
    first, second = (client.get(f"/projects/{number}/mine?offset={offset}").text for offset in (0, 50))
    assert (first.count("thumb up"), second.count("thumb up")) == (50, 2)
    assert ('href="?offset=50"' in first, 'href="?offset=0"' in first) == (True, False)
    assert ('href="?offset=0"' in second, 'href="?offset=100"' in second) == (True, False)
    assert "answered nothing" in client.get(f"/projects/{number}/mine?offset=100").text


def test_guidelines_are_paragraphs_and_every_version_stays(studio: Studio) -> None:
    number = project(studio.store, "thumb", guidelines="One.\r\n\r\nTwo,\r\nthree.")
    tasks.revise_guidelines(studio.store, number, "Newer.")
    client = studio.client("Ben")
    newest, old = (client.get(f"/projects/{number}/guidelines{query}").text for query in ("", "?version=1"))
    assert "version 2 of 2" in newest
    assert "Newer." in newest
    assert '<p class="text" dir="auto">One.</p>' in old
    assert '<p class="text" dir="auto">Two,\nthree.</p>' in old
    assert "This is an old version" in old
    assert client.get(f"/projects/{number}/guidelines?version=9").status_code == 400
