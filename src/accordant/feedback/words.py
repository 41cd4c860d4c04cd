"""An answer in words, with the letters that the labeler saw: "B > A = D, F: C"; and texts for lists. Never to be parsed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from accordant.types import PromptText

EXCERPT = 80  # characters of a longer text


def words(task: str, payload: Mapping[str, Any], display: Sequence[int]) -> str:
    """What an answer says; `display` are the completion ids in the order in which its labeler saw them: A, B, ..."""
    if "cannot_judge" in payload:
        return f"cannot judge: {excerpt(payload['cannot_judge'])}"
    match task:
        case "rank":
            return _rank(payload, display)
        case "pair":
            return _pair(payload, display)
        case "likert":
            return ", ".join(f"{name} {'-' if score is None else score}" for name, score in payload["scores"].items())
        case "thumb":
            return "thumb up" if payload["up"] else "thumb down"
        case "vet":
            reason = f": {excerpt(payload['reason'])}" if payload["verdict"] == "reject" else ""
            return {"accept": "accepted", "edit": "edited", "reject": "rejected"}[payload["verdict"]] + reason
        case _:
            return excerpt(payload["text"])


def letters(display: Sequence[int]) -> dict[int, str]:
    """Completion id -> its letter on this labeler's screen; an item has at most 26 (`tasks`)."""
    return {one: chr(ord("A") + place) for place, one in enumerate(display)}


def excerpt(text: str, length: int = EXCERPT) -> str:
    """The text on one line, cut with "..." where it is longer."""
    line = " ".join(text.split())
    return line if len(line) <= length else f"{line[: length - 3]}..."


def last_turn(prompt: PromptText) -> str:
    """A prompt, or of messages what was said last: the turns before it are often the same for many items."""
    return prompt if isinstance(prompt, str) else prompt[-1].content if prompt else ""


def _rank(payload: Mapping[str, Any], display: Sequence[int]) -> str:
    name = letters(display)
    ranked = " > ".join(" = ".join(sorted(name[one] for one in group)) for group in payload["groups"])
    rejected = " ".join(sorted(name[one] for one in payload["rejected"]))
    return ", ".join(part for part in (ranked, rejected and f"F: {rejected}") if part)


def _pair(payload: Mapping[str, Any], display: Sequence[int]) -> str:
    if payload.get("tie"):
        return "A = B"
    if payload.get("both_bad"):
        return "both bad"
    how = payload["grade"]
    return f"{letters(display)[payload['better']]} {how if how == 'better' else f'{how} better'}"
