"""A task as the browser may know it: answers are places 0..K-1 in this labeler's own order, and nothing tells one from another.

Completion ids, models, other people's answers, hidden gold, priority and why a task was chosen never leave the server. An id
would be enough: ids grow in the order of the import, so that the lowest is often the same model's.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from accordant.feedback.payload import SCALE, with_ids, with_places
from accordant.feedback.progress import TaskView
from accordant.feedback.words import words
from accordant.stats.grades import GRADES
from accordant.types import PromptText

_STATES = {"leased": "open", "expired": "late", "submitted": "answered", "surplus": "surplus", "skipped": "skipped"}


def task(view: TaskView, submission: str) -> dict[str, Any]:
    """What the page and its scripts get. `submission`: the id that an answer from this page will carry."""
    kept = view.draft or {}
    state = "late" if view.state == "leased" and view.lease_ms <= 0 else _STATES[view.state]
    return {
        "assignment": view.assignment_id, "project": view.project_id, "task": view.task, "criterion": view.criterion,
        "use_case": view.use_case, "warning": view.warning, "prompt": turns(view.prompt), "texts": list(view.texts),
        "attributes": list(view.attributes) if view.task == "likert" else [], "scale": [SCALE.start, SCALE.stop - 1],
        "grades": list(GRADES), "row": view.row if view.task == "vet" else None,
        "state": state, "lease_ms": max(0, view.lease_ms),
        "draft": to_places(kept.get("payload"), view.display), "ms_spent": kept.get("ms_spent", 0),
        "answer": to_places(view.answer, view.display), "revision": view.revision, "submission": submission,
        "said": words(view.task, view.answer, view.display) if view.answer else "",
    }  # fmt: skip


def turns(prompt: PromptText) -> list[dict[str, str]]:
    """A prompt as turns; plain text is one without a role."""
    if isinstance(prompt, str):
        return [{"role": "", "content": prompt}]
    return [{"role": turn.role, "content": turn.content} for turn in prompt]


def to_ids(payload: object, display: Sequence[int]) -> Any:
    """What the browser sent, or a draft of it, with ids for places. What names no place is refused by `payload.check`."""
    return with_ids(payload, display)


def unrounded(kept: object, sent: object) -> object:
    """A row as the browser sent it, with the numbers that its JavaScript rounded, or wrote 1 for 1.0, as they were."""
    if isinstance(kept, dict) and isinstance(sent, dict):
        return {name: unrounded(kept.get(name), value) for name, value in sent.items()}
    if isinstance(kept, list) and isinstance(sent, list) and len(kept) == len(sent):
        return [unrounded(a, b) for a, b in zip(kept, sent, strict=True)]
    numbers = all(isinstance(one, int | float) and not isinstance(one, bool) for one in (kept, sent))
    return kept if numbers and _rounded(kept) == _rounded(sent) else sent  # type: ignore[arg-type]


def _rounded(number: int | float) -> float:
    try:
        return float(number)
    except OverflowError:  # JavaScript has no such number
        return math.inf


def to_places(payload: Mapping[str, Any] | None, display: Sequence[int]) -> dict[str, Any] | None:
    """A stored answer, or a draft of one, with places for ids; what a draft names beside them is left out."""
    found: dict[str, Any] | None = with_places(payload, display)
    return found
