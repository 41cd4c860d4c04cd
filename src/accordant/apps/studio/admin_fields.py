"""From the fields of an admin's form to values, and to an answer as `payload.check` wants it.

The forms work without scripts: an answer is a select box for each completion or attribute, or a choice of one.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Container, Mapping, Sequence
from typing import Any, TypeAlias

from starlette.datastructures import FormData, QueryParams

from accordant.apps.strict_json import strict_json
from accordant.feedback.payload import with_ids
from accordant.types import UserError

Fields: TypeAlias = "FormData | QueryParams"


def text(form: Fields, name: str) -> str:
    """What was typed, without spaces around it and with the line ends of every other text; a file is no text.

    Raises:
        UserError: for the character U+0000, which no database keeps as text.
    """
    value = form.get(name, "")
    if not isinstance(value, str):
        return ""
    if "\0" in value:
        raise UserError(f"`{name}` has the character U+0000: take it out")
    return value.replace("\r\n", "\n").strip()


def typed(form: Fields) -> dict[str, str]:
    """All that was typed, to show it again beside what was wrong with it."""
    return {name: value.replace("\0", "") for name, value in form.items() if name != "csrf" and isinstance(value, str)}


def shown(value: object) -> str:
    """A value of a row or of the log as text."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def number(form: Fields, name: str, label: str) -> float:
    """Raises UserError for what is no finite number."""
    value = text(form, name)
    try:
        found = float(value)
    except ValueError:
        found = math.nan
    if not math.isfinite(found):
        raise UserError(f"{label} is {value!r}: give a number")
    return found


def whole(form: Fields, name: str, label: str) -> int:
    """Raises UserError for what is no whole number."""
    found = number(form, name, label)
    if found != int(found):
        raise UserError(f"{label} is {found:g}: give a whole number")
    return int(found)


def share(form: Fields, name: str, label: str) -> float:
    """A percentage as a share. Raises UserError outside of 0 to 100."""
    found = number(form, name, label)
    if not 0 <= found <= 100:
        raise UserError(f"{label} is {found:g} %: give 0 to 100")
    return found / 100


def choice(form: Fields, name: str, known: Sequence[str], label: str) -> str:
    """One of `known`, the first where nothing was said. Raises UserError for another word."""
    value = text(form, name) or known[0]
    if value not in known:
        raise UserError(f"{label} is {value!r}: give {', '.join(known[:-1])} or {known[-1]}")
    return value


def one_of(query: QueryParams, name: str, known: Container[str]) -> str:
    """What a list is filtered by; empty, which is no filter, for anything that is not known."""
    value = text(query, name)
    return value if value in known else ""


def page_number(query: QueryParams) -> int:
    """Of a list; anything that is no number is its first page."""
    value = query.get("page", "1")
    return int(value) if _is_number(value) else 1


def payload(form: Fields, task: str, completions: Sequence[int], attributes: Sequence[str]) -> dict[str, Any]:
    """The answer that the form of `admin_answer.html` says; what is missing or wrong is left to `payload.check`.

    Args:
        completions: ids in the order of the page, which the script's answer names by place.

    Raises:
        UserError: the form cannot be read as an answer at all.
    """
    if text(form, "payload"):
        return _by_script(text(form, "payload"), completions)
    reason = text(form, "cannot_judge")
    if task in ("rank", "pair") and reason:
        return {"cannot_judge": reason}
    return _READ[task](form, completions, attributes)


def _by_script(said: str, completions: Sequence[int]) -> dict[str, Any]:
    found = with_ids(strict_json(said, "the answer"), completions)
    if not isinstance(found, Mapping):
        raise UserError("the answer is no object: load the page again")
    return dict(found)


def _rank(form: Fields, completions: Sequence[int], _: Sequence[str]) -> dict[str, Any]:
    said = {one: text(form, f"rank-{one}") for one in completions}
    unranked = [one for one, value in said.items() if not value]
    if unranked:
        raise UserError(f"{len(unranked)} of {len(said)} answers have no place yet: rank each one or mark it F")
    wrong = [value for value in said.values() if value != "F" and not _is_number(value)]
    if wrong:
        raise UserError(f"a rank is {wrong[0]!r}: give a number or F")
    ranks = sorted({int(value) for value in said.values() if value != "F"})
    groups = [[one for one, value in said.items() if value != "F" and int(value) == rank] for rank in ranks]
    return {"groups": groups, "rejected": [one for one, value in said.items() if value == "F"]}


def _pair(form: Fields, _: Sequence[int], __: Sequence[str]) -> dict[str, Any]:
    verdict = text(form, "verdict")
    if not verdict:
        raise UserError("choose which of the two is better, or say why it cannot be judged")
    if verdict in ("tie", "both_bad"):
        return {verdict: True}
    better, _, grade = verdict.partition(":")
    return {"better": int(better) if _is_number(better) else better, "grade": grade}


def _likert(form: Fields, _: Sequence[int], attributes: Sequence[str]) -> dict[str, Any]:
    said = {name: text(form, f"score-{place}") for place, name in enumerate(attributes)}
    wrong = [value for value in said.values() if value not in ("", "none") and not _is_number(value)]
    if wrong:
        raise UserError(f"a score is {wrong[0]!r}: give a number")
    return {"scores": {name: None if value == "none" else int(value) for name, value in said.items() if value}}


def _thumb(form: Fields, _: Sequence[int], __: Sequence[str]) -> dict[str, Any]:
    return {"up": {"up": True, "down": False}.get(text(form, "thumb"))}


def _written(form: Fields, _: Sequence[int], __: Sequence[str]) -> dict[str, Any]:
    return {"text": text(form, "text")}


def _vet(form: Fields, _: Sequence[int], __: Sequence[str]) -> dict[str, Any]:
    verdict = text(form, "verdict")
    if verdict == "reject":
        return {"verdict": "reject", "reason": text(form, "reject_reason")}
    if verdict != "edit":
        return {"verdict": verdict}
    return {"verdict": "edit", "row": strict_json(text(form, "row"), "the edited row")}


def _is_number(value: str) -> bool:
    return value.isascii() and value.isdigit() and len(value) < 10


_Read: TypeAlias = Callable[["Fields", "Sequence[int]", "Sequence[str]"], "dict[str, Any]"]
_READ: Mapping[str, _Read] = {
    "rank": _rank,
    "pair": _pair,
    "likert": _likert,
    "thumb": _thumb,
    "demonstration": _written,
    "red_team": _written,
    "vet": _vet,
}
