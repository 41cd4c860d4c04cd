"""Labelers who answer whatever they are given, two of them alike and the third against them, for pages that show answers."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Any

from sqlalchemy import select

from accordant.feedback import assignment
from accordant.feedback.schema import item
from accordant.feedback.store import Store
from accordant.feedback.tasks import ATTRIBUTES


def say(task: str, display: Sequence[int], turned: bool, number: int) -> dict[str, Any]:
    """What a labeler says of item `number`: the completions in the order of their ids, or in reverse if `turned`."""
    order = sorted(display, reverse=turned)
    return {
        "rank": {"groups": [[one] for one in order[:-1]], "rejected": order[-1:]},
        "pair": {"better": order[0] if order else 0, "grade": "slightly"} if number % 5 else {"tie": True},
        "likert": {"scores": {name: 1 + (number + turned * 2 + at) % 5 for at, name in enumerate(ATTRIBUTES)}},
        "thumb": {"up": not turned if number % 3 else True},
        "demonstration": {"text": f"A fine answer {number}."},
        "red_team": {"text": f"A wicked question {number}."},
        "vet": {"verdict": "reject", "reason": "wrong"} if turned else {"verdict": "accept"},
    }[task]


def answer_all(store: Store, project_id: int, people: Sequence[int], contrary: Sequence[int] = (), most: int = 1000) -> int:
    """Everybody answers what they are given, in turn; returns the number of answers."""
    with store.read() as connection:
        kinds = {row.id: row.task for row in connection.execute(select(item).where(item.c.project_id == project_id))}
    count, going = 0, list(people)
    while going and count < most:
        for who in tuple(going):
            task = assignment.next_task(store, project_id, who)
            if task is None:
                going.remove(who)
                continue
            payload = say(kinds[task.item_id], task.display, who in contrary, task.item_id)
            assignment.submit(store, task.assignment_id, who, payload, str(uuid.uuid4()), 5000 + 700 * (task.item_id % 7))
            count += 1
    return count
