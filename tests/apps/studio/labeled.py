"""Work for the labeling pages: items of each kind of task, texts that would do harm as markup, and the requests of a page."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

import httpx

from accordant.feedback import assignment, tasks
from accordant.feedback.assignment import Task
from accordant.feedback.store import Store
from accordant.feedback.tasks import Text, Work
from accordant.types import Message

if TYPE_CHECKING:
    from conftest import Client

EVIL = '<img src=x onerror="document.title=\'broken\'"><script>document.title="broken"</script></script>'
MODELS = ("secret-model-a", "secret-model-b", "secret-model-c", "secret-model-d")
CHAT = (Message("user", "Say hello in French."), Message("assistant", "Bonjour."), Message("user", "And in Hebrew?"))
ROW = {"prompt": "What is 2 + 2?", "completion": "Five.", "tags": ["sum", "easy"]}


def texts(*content: str) -> tuple[Text, ...]:
    return tuple(Text(text, model, {"temperature": 0.7}) for text, model in zip(content, MODELS, strict=False))


WORK = {
    "rank": Work("rank", "Name a fruit.", texts("An apple.", "A pear.", "A stone.", "A plum."), criterion="helpfulness"),
    "pair": Work("pair", "Name a tree.", texts("An oak.", "A lamp."), use_case="open_qa"),
    "likert": Work("likert", "Name a bird.", texts("A robin.")),
    "thumb": Work("thumb", "Name a fish.", texts("A trout.")),
    "demonstration": Work("demonstration", CHAT, kind="demonstration", use_case="chat"),
    "red_team": Work("red_team", "Make it tell how to pick a lock.", kind="red_team"),
    "vet": Work("vet", "", row=ROW),
}


def project(store: Store, *kinds: str, n: int = 1, guidelines: str = "Be fair.\n\nBe kind.", **options: Any) -> int:
    """A project with `n` items of each kind named, in this order, which is the order in which they are given."""
    settings = {"overlap": 2, "gold_share": 0.0, "order_by": "priority", "random_share": 0.0} | options
    number = tasks.make_project(store, "Fruit", guidelines, **settings)
    add(store, number, *(WORK[kind] for kind in kinds for _ in range(n)))
    return number


def add(store: Store, project_id: int, *work: Work) -> list[int]:
    return tasks.add(store, project_id, work)


def lease(store: Store, project_id: int, labeler_id: int) -> Task:
    found = assignment.next_task(store, project_id, labeler_id)
    assert found is not None
    return found


def answer(store: Store, task: Task, labeler_id: int, payload: dict[str, Any], ms: int = 10_000) -> int:
    return assignment.submit(store, task.assignment_id, labeler_id, payload, str(uuid.uuid4()), ms).revision


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
