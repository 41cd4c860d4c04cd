"""The labeling pages over HTTP: whatever is sent that is no answer is refused in words, and nothing breaks."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from labeled import WORK, add, given_task, project, send
from sqlalchemy import select

from accordant.feedback import tasks
from accordant.feedback.schema import TASKS
from accordant.feedback.schema import answer as answers

if TYPE_CHECKING:
    from conftest import Client, Studio


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
        (b'{"ms_spent": ' + b"9" * 5000 + b"}", "thousands of"),
        (b'{"payload": {"up": true}, "ms_spent": -1}', "`ms_spent` is -1"),
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
