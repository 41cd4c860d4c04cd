"""The labeling pages over HTTP: what leaves the server, who may ask for it, and that text stays text."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from labeled import EVIL, MODELS, WORK, add, answer, complete, given_task, lease, project, send
from sqlalchemy import select

from accordant.apps.studio import blind
from accordant.apps.studio.pages import static_root
from accordant.feedback import progress, tasks
from accordant.feedback.schema import TASKS, completion, item, item_completion, model, prompt
from accordant.feedback.schema import answer as answers
from accordant.feedback.tasks import Text, Work

if TYPE_CHECKING:
    from conftest import Studio


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
        "/me/data.json",
    )]  # fmt: skip
    assert len([text for text in seen if '"revision"' in text]) >= 8
    everything = "\n".join(
        re.sub(r'name="csrf"[^>]*>|[0-9a-f]{8}-[0-9a-f-]{27}|/static/[0-9a-f]{12}/', "", text) for text in seen
    )
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


# --- text is data ----------------------------------------------------------------------------------------------------


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
            assert "<img" not in page.replace(f'<img src="{static_root()}/icon.svg', "")
            scripts = re.findall(r"<script[^>]*>", page)
            assert all('src="/static/' in one or one == '<script type="application/json" id="task">' for one in scripts)
            assert page.count("</script>") == len(scripts)
