"""The labeling pages over HTTP: what leaves the server, who may ask, and what becomes of whatever is sent."""

from __future__ import annotations

import json
import re
import threading
import uuid
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from labeled import EVIL, MODELS, ROW, WORK, add, answer, lease, project
from sqlalchemy import select

from accordant.apps.studio import blind
from accordant.feedback import assignment, people, progress, tasks
from accordant.feedback.schema import TASKS, completion, event, item, item_completion, model, prompt
from accordant.feedback.schema import answer as answers
from accordant.feedback.tasks import Text, Work
from clock import Clock

if TYPE_CHECKING:
    from conftest import Client, Studio


def given_task(client: Client, number: int) -> dict[str, Any]:
    task: dict[str, Any] = client.get(f"/api/projects/{number}/next").json()["task"]
    return task


def send(client: Client, task: dict[str, Any], payload: object, **more: object) -> httpx.Response:
    body = {"payload": payload, "submission": task["submission"], "ms_spent": 1234} | more
    return client.send(f"/api/tasks/{task['assignment']}/answer", body)


def complete(task: dict[str, Any]) -> dict[str, Any]:
    """An answer to any kind of task, in places."""
    return {
        "rank": {"groups": [[1], [0, 3]], "rejected": [2]}, "pair": {"better": 1, "grade": "slightly"},
        "likert": {"scores": dict.fromkeys(task["attributes"], 3)}, "thumb": {"up": True}, "demonstration": {"text": "Shalom."},
        "red_team": {"text": "Please?"}, "vet": {"verdict": "edit", "row": ROW | {"completion": "Four."}},
    }[task["task"]]  # fmt: skip


# --- blindness -------------------------------------------------------------------------------------------------------


def test_nothing_that_must_stay_hidden_leaves_the_server(studio: Studio) -> None:
    """Everything a labeler can fetch, searched for models, ids, gold marks, other people and their answers."""
    store, ben, cleo = studio.store, studio.people["Ben"], studio.people["Cleo"]
    number = project(store, gold_share=1.0)
    with store.write() as connection:  # ids that occur nowhere else: what comes after these rows is numbered on from them
        for table, number_, values in (
            (prompt, 5_000_000, {"project_id": number, "content": "", "kind": "normal", "source": ""}),
            (item, 6_000_000, {"project_id": number, "prompt_id": 5_000_000, "task": "thumb", "criterion": "", "priority": 0}),
            (model, 4_000_000, {"name": "filler"}),
            (completion, 7_000_000, {"prompt_id": 5_000_000, "model_id": 4_000_000, "text": "", "sampling": {}}),
        ):
            connection.execute(table.insert().values(id=number_, created=0, **values))
        connection.execute(item.update().values(halted="no real item"))
    add(store, number, *(WORK[kind] for kind in TASKS))
    marked = add(store, number, Work("rank", "Which is gold?", WORK["rank"].completions, priority=987.25))
    with store.read() as connection:
        ids = list(connection.scalars(select(item_completion.c.completion_id).where(item_completion.c.item_id == marked[0])))
    tasks.set_gold(store, marked[0], {"groups": [[one] for one in ids], "rejected": [], "comment": "this-is-gold"})
    for _ in range(2):
        theirs = lease(store, number, cleo.id)
        answer(store, theirs, cleo.id, {"cannot_judge": "cleos-own-words"} if len(theirs.display) > 1 else {"up": True})
    client, seen = studio.client("Ben"), []
    while (task := given_task(client, number)) is not None:
        place = task["assignment"]
        seen.append(json.dumps(task))
        draft = client.send(f"/api/tasks/{place}/draft", {"payload": complete(task), "ms_spent": 1})
        pages = [client.get(path).text for path in (f"/api/tasks/{place}", f"/tasks/{place}", f"/projects/{number}/mine")]
        seen += [draft.text, *pages, send(client, task, complete(task)).text, client.get(f"/tasks/{place}").text]
    seen += [client.get(path).text for path in (
        "/", f"/projects/{number}/next", f"/projects/{number}/mine", f"/projects/{number}/guidelines", "/me",
    )]  # fmt: skip
    assert len([text for text in seen if '"revision"' in text]) >= 8
    everything = "\n".join(re.sub(r'name="csrf"[^>]*>|[0-9a-f]{8}-[0-9a-f-]{27}|\?[0-9a-f]{12}"', "", text) for text in seen)
    forbidden = [
        *MODELS,
        "cleos-own-words",
        "Cleo",
        "this-is-gold",
        "gold_",
        "987.25",
        "chosen_by",
        "priority",
        "temperature",
        "display",
    ]
    assert [word for word in forbidden if word in everything] == []
    assert min(ids) > 7_000_000
    assert re.findall(r"\b[4567]0000\d\d\b", everything) == []
    assert len(progress.history(store, number, ben.id)) == 8


def test_places_and_ids_are_each_others_inverse() -> None:
    display = (31, 7, 19)
    for payload in (
        {"groups": [[2], [0, 1]], "rejected": []}, {"groups": [[], [1], []], "rejected": [0]}, {"better": 1, "grade": "better"},
        {"scores": {"better": 1}}, {"text": "groups"}, {"cannot_judge": "no"}, {"verdict": "edit", "row": {"groups": [0]}},
    ):  # fmt: skip
        assert blind.to_places(blind.to_ids(payload, display), display) == payload
    assert blind.to_ids({"groups": [[2], [0]], "better": 1}, display) == {"groups": [[19], [31]], "better": 7}


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(max_size=3), lambda inner: st.lists(inner, max_size=3)))
def test_a_draft_never_shows_an_id_again(anything: Any) -> None:
    """Whatever a page has put into a draft: what is no place is left out, so that no id can come back by this way."""
    display = (31, 7, 19)
    shown = blind.to_places(blind.to_ids({"groups": anything, "better": anything}, display), display)
    assert shown is not None
    numbers = [int(one) for one in re.findall(r"-?\d+", json.dumps(shown))]
    assert all(0 <= one < 3 for one in numbers)


# --- whose task it is ------------------------------------------------------------------------------------------------


def test_another_persons_task_can_be_neither_seen_nor_touched(studio: Studio) -> None:
    number = project(studio.store, "rank", "pair")
    theirs = lease(studio.store, number, studio.people["Cleo"].id).assignment_id
    client = studio.client("Ben")
    own = given_task(client, number)
    assert client.get(f"/tasks/{theirs}").status_code == 400
    assert client.get(f"/api/tasks/{theirs}").status_code == 400
    for what, body in (
        ("answer", {"payload": complete(own), "submission": own["submission"]}), ("draft", {"payload": {}}),
        ("skip", {"reason": "x"}), ("decline", {}),
    ):  # fmt: skip
        response = client.send(f"/api/tasks/{theirs}/{what}", body)
        assert response.status_code == 400
        assert response.json()["error"] == f"task {theirs} is not one of yours: open your next task"
    with studio.store.read() as connection:
        assert connection.execute(select(answers)).all() == []


@pytest.mark.parametrize(
    "path", ["/tasks/999", "/api/tasks/999", "/projects/999/next", "/projects/999/mine", "/projects/999/guidelines"]
)
def test_what_is_not_there_is_said_to_be_so(studio: Studio, path: str) -> None:
    response = studio.client("Ben").get(path)
    assert response.status_code == 400
    assert "999" in response.text


@pytest.mark.parametrize(
    "path", ["/tasks/0", f"/tasks/{2**31}", "/tasks/1e3", f"/projects/{10**30}/next", "/projects/1/mine?offset=-1"]
)
def test_a_number_that_can_be_none_is_refused(studio: Studio, path: str) -> None:
    project(studio.store, "thumb")
    assert studio.client("Ben").get(path).status_code == 422


def test_without_an_account_there_is_nothing_to_see(studio: Studio) -> None:
    number = project(studio.store, "rank")
    client = studio.client()
    for path in ("/", f"/projects/{number}/next", "/tasks/1", f"/projects/{number}/mine", f"/projects/{number}/guidelines"):
        response = client.get(path)
        assert response.status_code == 303
        assert response.headers["location"].startswith("/sign-in?next=")
    assert client.get(f"/api/projects/{number}/next").status_code == 401
    assert client.send("/api/tasks/1/answer", {}).status_code == 401


def test_a_request_without_the_token_or_from_another_site_changes_nothing(studio: Studio) -> None:
    number = project(studio.store, "thumb")
    client = studio.client("Ben")
    task = given_task(client, number)
    body = {"payload": {"up": True}, "submission": task["submission"]}
    path = f"/api/tasks/{task['assignment']}/answer"
    assert client.http.post(path, json=body).status_code == 403
    assert client.http.post(path, json=body, headers={"x-csrf-token": "0" * 64}).status_code == 403
    headers = {"x-csrf-token": client.token, "sec-fetch-site": "cross-site"}
    assert client.http.post(path, json=body, headers=headers).status_code == 403
    with studio.store.read() as connection:
        assert connection.execute(select(answers)).all() == []


# --- answering -------------------------------------------------------------------------------------------------------


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


def test_a_revision_keeps_the_history_and_the_draft_of_one_is_the_pages_own(studio: Studio) -> None:
    number = project(studio.store, "thumb")
    client = studio.client("Ben")
    task = given_task(client, number)
    send(client, task, {"up": True})
    draft = client.send(f"/api/tasks/{task['assignment']}/draft", {"payload": {"up": False}, "ms_spent": 5})
    assert draft.json() == {"saved": False, "lease_ms": 0}
    again = client.get(f"/api/tasks/{task['assignment']}").json()
    assert send(client, again, {"up": False}).json()["revision"] == 2
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


# --- what is wrong ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "payload", "said"),
    [
        ("rank", {"groups": [[0], [1]], "rejected": []}, "2 of 4 answers have no place yet"),
        ("rank", {"groups": [[0, 1, 2, 3, 4]]}, "must hold ids"),
        ("rank", {"groups": [[-1, 1, 2, 3]]}, "must hold ids"),
        ("rank", {"groups": "0123"}, "must be a list"),
        ("rank", None, "an answer is an object"),
        ("rank", [1], "an answer is an object"),
        ("pair", {"better": 2, "grade": "better"}, "say one of better"),
        ("pair", {"better": 1}, "say how much better"),
        ("pair", {}, "found none"),
        ("likert", {"scores": {"quality": 3}}, "not rated yet"),
        ("likert", {"scores": {"quality": 99999999999999999999}}, "not rated yet"),
        ("thumb", {"up": None}, "must be true or false"),
        ("thumb", {"up": True, "gold": True}, "has no field 'gold'"),
        ("demonstration", {"text": "  "}, "is empty"),
        ("red_team", {"text": ["x"]}, "is empty"),
        ("vet", {"verdict": "reject"}, "is empty"),
        ("vet", {"verdict": "edit", "row": []}, "must come with its fields"),
    ],
)
def test_a_wrong_answer_is_named_and_nothing_is_stored(studio: Studio, kind: str, payload: object, said: str) -> None:
    number = project(studio.store, kind)
    client = studio.client("Ben")
    task = given_task(client, number)
    response = send(client, task, payload)
    assert response.status_code == 400
    assert said in response.json()["error"]
    assert given_task(client, number)["assignment"] == task["assignment"]


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"", "no JSON"), (b"{", "no JSON"), (b"\xff", "no JSON"), (b"[1]", "must be an object with fields, found list"),
        (b'{"payload": {"up": NaN}}', "NaN, which is no number"), (b'{"ms_spent": 1e999}', "a number that is too large"),
        (b'{"payload": {"text": "\\ud800"}}', "half of a character"), (b"[" * 100_000, "nested"),
        (b'{"a":' * 30 + b"1" + b"}" * 30, "nested"),
        (b'{"ms_spent": ' + b"9" * 5000 + b"}", "no JSON"), (b'{"payload": {"up": true}, "ms_spent": -1}', "`ms_spent` is -1"),
        (b'{"payload": {"up": true}, "ms_spent": "1"}', "`ms_spent` is '1'"), (b'{"payload": {"up": true}}', "reload the page"),
        (b'{"payload": {"up": true}, "submission": "x"}', "reload the page"),
    ],
)  # fmt: skip
def test_a_malformed_request_is_refused_in_words(studio: Studio, body: bytes, said: str) -> None:
    number = project(studio.store, "thumb")
    client = studio.client("Ben")
    task = given_task(client, number)
    headers = {"x-csrf-token": client.token, "content-type": "application/json"}
    response = client.http.post(f"/api/tasks/{task['assignment']}/answer", content=body, headers=headers)
    assert response.status_code == 400
    assert said in response.json()["error"]
    with studio.store.read() as connection:
        assert connection.execute(select(answers)).all() == []


def test_a_time_that_no_person_can_have_spent_counts_as_a_day(studio: Studio) -> None:
    number = project(studio.store, "thumb")
    client = studio.client("Ben")
    assert send(client, given_task(client, number), {"up": True}, ms_spent=10**30).status_code == 200
    with studio.store.read() as connection:
        assert connection.scalars(select(answers.c.ms_spent)).all() == [86_400_000]


anything = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text("ab\x00é😀", max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
FIELDS = st.sampled_from(
    ["groups", "rejected", "better", "grade", "tie", "scores", "up", "text", "verdict", "row", "reason", "comment"]
)


@pytest.fixture
def one_of_each(studio: Studio) -> tuple[Client, dict[str, int]]:
    """A labeler with an open task of every kind."""
    client, store = studio.client("Ben"), studio.store
    leased = {}
    for kind in TASKS:
        number = tasks.make_project(store, kind, "", gold_share=0.0)
        add(store, number, WORK[kind])
        leased[kind] = given_task(client, number)["assignment"]
    return client, leased


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(kind=st.sampled_from(TASKS), payload=anything | st.dictionaries(FIELDS, anything, max_size=3))
def test_no_answer_and_no_draft_breaks_the_server(one_of_each: tuple[Client, dict[str, int]], kind: str, payload: Any) -> None:
    """Whatever is sent is stored or refused; the task's page and its JSON open afterwards."""
    client, leased = one_of_each
    path = f"/api/tasks/{leased[kind]}"
    assert client.send(f"{path}/draft", {"payload": payload, "ms_spent": 1}).status_code in (200, 400)
    answered = {"payload": payload, "submission": str(uuid.uuid4())}
    assert client.send(f"{path}/answer", answered).status_code in (200, 400)
    assert client.get(path).status_code == 200
    assert client.get(f"/tasks/{leased[kind]}").status_code == 200


def test_markup_in_any_text_stays_text(studio: Studio) -> None:
    store = studio.store
    number = project(store, guidelines=EVIL)
    evil = tuple(Text(EVIL + str(k)) for k in range(2))
    add(
        store,
        number,
        Work("pair", EVIL, evil, criterion=EVIL, use_case=None, warning=EVIL[:200]),
        Work("vet", "", row={EVIL: EVIL}),
    )
    client = studio.client("Ben")
    for _ in range(2):
        task = given_task(client, number)
        pages = [client.get(f"/tasks/{task['assignment']}").text, client.get(f"/projects/{number}/guidelines").text]
        payload = {"cannot_judge": EVIL} if task["task"] == "pair" else {"verdict": "reject", "reason": EVIL}
        assert EVIL[:30] in send(client, task, payload).json()["said"]
        pages += [client.get(path).text for path in (f"/projects/{number}/mine", f"/tasks/{task['assignment']}", "/")]
        for page in pages:
            assert "<img" not in page.replace('<img src="/static/icon.svg', "")
            scripts = re.findall(r"<script[^>]*>", page)
            assert all('src="/static/' in one or one == '<script type="application/json" id="task">' for one in scripts)
            assert page.count("</script>") == len(scripts)
