"""Projects whose labelers have said something, to be written as files; and the rows of those files."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from sqlalchemy import select

from accordant.feedback import people, schema, tasks
from accordant.feedback.assignment import next_task, submit
from accordant.feedback.store import Store
from accordant.feedback.tasks import Text, Work
from accordant.types import MADE, Message

ABC = tuple(map(Text, ("a", "b", "c")))
TURNS = (Message("user", "talk"),)
Payload = dict[str, Any]


def person(store: Store, name: str, role: str = "labeler") -> int:
    return people.join(store, people.invite(store, role), name, "long enough").id


def project(store: Store, *work: Work, **options: Any) -> int:
    options = {"gold_share": 0.0, "attributes": ("quality", "wit"), "overlap": 3} | options
    number = tasks.make_project(store, "p", "", **options)
    tasks.add(store, number, work)
    return number


def judge(store: Store, number: int, who: int, say: Callable[[str, str, dict[str, int]], Payload]) -> None:
    """Answer all that there is: `say` gets the task, the item's prompt and its completion ids by text."""
    while (task := next_task(store, number, who)) is not None:
        with store.read() as connection:
            kind, content = connection.execute(
                select(schema.item.c.task, schema.prompt.c.content).join(schema.prompt).where(schema.item.c.id == task.item_id)
            ).one()
            at = {text: n for n, text in connection.execute(
                select(schema.completion.c.id, schema.completion.c.text).where(schema.completion.c.id.in_(task.display))
            )}  # fmt: skip
        prompt = content if isinstance(content, str) else content[-1]["content"]
        submit(store, task.assignment_id, who, say(kind, prompt, at), str(uuid.uuid4()), 1000)


def ranked(at: dict[str, int], *groups: str, f: str = "") -> Payload:
    return {"groups": [[at[text] for text in group] for group in groups], "rejected": [at[text] for text in f]}


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def bare(rows: Sequence[Any]) -> list[Any]:
    return [replace(row, source=MADE) for row in rows]


EVERYTHING = (
    Work("rank", "rank me", ABC),
    Work("pair", "pair me", ABC[:2]),
    Work("likert", "rate me", ABC[:1]),
    Work("thumb", "thumb me", ABC[:1]),
    Work("demonstration", "show me"),
    Work("red_team", "attack"),
    Work("vet", "", row={"prompt": "vet me", "completion": "first"}),
)


def plainly(kind: str, _: str, at: dict[str, int]) -> Payload:
    return {
        "rank": lambda: ranked(at, "b", "a", f="c"),
        "pair": lambda: {"better": at["b"], "grade": "better"},
        "likert": lambda: {"scores": {"quality": 4, "wit": None}},
        "thumb": lambda: {"up": True},
        "demonstration": lambda: {"text": "like this"},
        "red_team": lambda: {"text": "a trap"},
        "vet": lambda: {"verdict": "accept"},
    }[kind]()
