"""A task as the browser may know it: answers are places 0..K-1 in this labeler's own order, and nothing tells one from another.

Completion ids, models, other people's answers, hidden gold, priority and why a task was chosen never leave the server. An id
would be enough: ids grow in the order of the import, so that the lowest is often the same model's.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from accordant.apps.strict_json import strict_json
from accordant.feedback.payload import SCALE, with_ids, with_places
from accordant.feedback.progress import TaskView
from accordant.feedback.words import words
from accordant.stats.grades import GRADES
from accordant.types import PromptText, UserError

_LINE_END = re.compile(r"\r\n|\r|\n")
_STATES = {"leased": "open", "expired": "late", "submitted": "answered", "surplus": "surplus", "skipped": "skipped"}


def task(view: TaskView, submission: str) -> dict[str, Any]:
    """What the page and its scripts get. `submission`: the id that an answer from this page will carry."""
    kept = view.draft or {}
    state = "late" if view.state == "leased" and view.lease_ms <= 0 else _STATES[view.state]
    return {
        "assignment": view.assignment_id, "project": view.project_id, "task": view.task, "criterion": view.criterion,
        "use_case": view.use_case, "warning": view.warning, "prompt": turns(view.prompt), "texts": list(view.texts),
        "attributes": list(view.attributes) if view.task == "likert" else [], "scale": [SCALE.start, SCALE.stop - 1],
        "grades": list(GRADES), "fields": fields(view.row, kept.get("payload") or view.answer),
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


def fields(row: Mapping[str, Any] | None, said: object = None) -> list[dict[str, Any]]:
    """A row to vet as its form shows it, field by field: what is not text is JSON as text, since JavaScript rounds its numbers.

    `said`: the labeler's answer or draft; the `said` of a field is what its `row` has there, and null where it has none.
    """
    found = said.get("row") if isinstance(said, Mapping) else None
    left = found if isinstance(found, Mapping) else {}
    shown = []
    for name, value in (row or {}).items():
        is_json = not isinstance(value, str)
        then = _written(left[name], is_json) if name in left else None
        shown.append({"name": name, "json": is_json, "text": _written(value, is_json), "said": then})
    return shown


def with_row(payload: Any, row: Mapping[str, Any] | None) -> Any:
    """An answer to `vet` whose `typed` has the texts of the fields that were changed -> the same with the whole `row`.

    What was not changed is as it came; a text whose line ends were all alike keeps them, since a browser makes them all "\\n".

    Raises:
        UserError: the row has no such field, or what was typed is no JSON where it must be.
    """
    if row is None or not isinstance(payload, dict) or "typed" not in payload or "row" in payload:
        return payload  # what is wrong with it is said by `payload.check`
    typed = payload["typed"]
    if not isinstance(typed, dict) or not all(isinstance(one, str) for one in typed.values()):
        raise UserError("`typed` must be an object with the text of each field that was changed")
    if unknown := [name for name in typed if name not in row]:
        raise UserError(f"the row has no field {unknown[0]!r}; it has {', '.join(row)}")
    changed = {name: _read(name, text, row[name]) for name, text in typed.items()}
    return {name: one for name, one in payload.items() if name != "typed"} | {"row": {**row, **changed}}


def _written(value: object, is_json: bool) -> str:
    return value if isinstance(value, str) and not is_json else json.dumps(value, ensure_ascii=False, indent=2)


def _read(name: str, text: str, before: object) -> object:
    if not isinstance(before, str):
        return strict_json(text, f"the field {name!r}")
    ends = set(_LINE_END.findall(before))
    return _LINE_END.sub(ends.pop(), text) if len(ends) == 1 else text


def to_places(payload: Mapping[str, Any] | None, display: Sequence[int]) -> dict[str, Any] | None:
    """A stored answer, or a draft of one, with places for ids; what a draft names beside them is left out."""
    found: dict[str, Any] | None = with_places(payload, display)
    return found
