"""What an answer to each kind of task holds, and whether a given one is complete and sensible.

::

    rank           {"groups": [[3], [1, 4], [2]], "rejected": [5]}      completion ids; best group first, ties inside a group
                   {"cannot_judge": "needs a lawyer"}                   of the whole set, with the reason
    pair           {"better": 3, "grade": "slightly"} | {"tie": true} | {"both_bad": true} | {"cannot_judge": "..."}
    likert         {"scores": {"quality": 4, "harmfulness": null}}      1 to 5, null: does not apply
    thumb          {"up": true}
    demonstration  {"text": "..."}
    red_team       {"text": "..."}
    vet            {"verdict": "accept"} | {"verdict": "edit", "row": {...}} | {"verdict": "reject", "reason": "..."}

Each may carry a `comment`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeAlias

from accordant.stats.grades import GRADES
from accordant.types import UserError

SCALE = range(1, 6)
LONGEST = 100_000  # characters of a text that a labeler writes

Payload: TypeAlias = "Mapping[str, Any]"


def check(
    task: str, payload: object, completions: Sequence[int], attributes: Sequence[str], *, gold: bool = False
) -> dict[str, Any]:
    """The payload as it is stored.

    Args:
        task: one of `schema.TASKS`.
        completions: ids of the item's completions.
        attributes: names of the project's Likert scales.
        gold: it is an expected answer: attributes that it does not name are null, which no answer to it is held to.

    Raises:
        UserError: what is missing, unknown or out of range.
    """
    if not isinstance(payload, Mapping):
        raise UserError(f"an answer is an object with fields, found {type(payload).__name__}")
    known, read = _TASKS[task]
    unknown = sorted(set(map(str, payload)) - set(known) - {"comment"})
    if unknown:
        raise UserError(f"an answer to a {task} task has no field {unknown[0]!r}; it has {', '.join(known)}")
    if gold and isinstance(payload.get("scores"), Mapping):
        payload = {**payload, "scores": {**dict.fromkeys(attributes), **payload["scores"]}}
    kept = read(payload, list(completions), list(attributes))
    comment = payload.get("comment")
    return kept | ({"comment": _text(comment, "comment")} if comment else {})


_NAMING = ("groups", "rejected", "better")  # the fields that name answers


def with_ids(payload: object, completions: Sequence[int]) -> object:
    """A payload that names answers by their place in `completions` -> the same by id.

    ``with_ids({"groups": [[1], [0]], "rejected": []}, (7, 9))`` is ``{"groups": [[9], [7]], "rejected": []}``. What is no place
    becomes null, which `check` refuses by its field's name.
    """
    if not isinstance(payload, Mapping):
        return payload

    def id_of(place: object) -> object:
        known = isinstance(place, int) and not isinstance(place, bool) and 0 <= place < len(completions)
        return completions[place] if known else None  # type: ignore[index]

    def ids_of(value: object) -> object:
        return [ids_of(one) for one in value] if isinstance(value, list) else id_of(value)

    return {name: ids_of(value) if name in _NAMING else value for name, value in payload.items()}


def misplaced(payload: Mapping[str, Any], count: int) -> Iterator[tuple[str, object]]:
    """The fields that name answers by their place, each with what it has there that is none of the `count` places."""
    for name in _NAMING:
        waiting = [payload[name]] if name in payload else []
        while waiting:
            one = waiting.pop(0)
            if isinstance(one, list):
                waiting = [*one, *waiting]
            elif not isinstance(one, int) or isinstance(one, bool) or not 0 <= one < count:
                yield name, one


def with_places(payload: object, completions: Sequence[int]) -> Any:
    """The inverse of `with_ids`; an id that is none of `completions` is left out of a list, and else null."""
    if not isinstance(payload, Mapping):
        return payload
    place = {one: k for k, one in enumerate(completions)}

    def known(value: object) -> bool:
        return isinstance(value, int) and not isinstance(value, bool) and value in place

    def places_of(value: object) -> object:
        if isinstance(value, list):
            return [places_of(one) for one in value if isinstance(one, list) or known(one)]
        return place[value] if known(value) else None  # type: ignore[index]

    return {name: places_of(value) if name in _NAMING else value for name, value in payload.items()}


def _rank(payload: Payload, completions: list[int], _: list[str]) -> dict[str, Any]:
    if "cannot_judge" in payload:
        return {"cannot_judge": _text(payload["cannot_judge"], "cannot_judge")}
    groups = [_ids(group, "groups") for group in _list(payload.get("groups"), "groups")]
    rejected = _ids(payload.get("rejected", []), "rejected")
    if [] in groups:
        raise UserError("a group of the ranking is empty: leave it out")
    placed = sorted([*rejected, *(one for group in groups for one in group)])
    if placed != sorted(completions):
        missing = sorted(set(completions) - set(placed))
        what = f"{len(missing)} of {len(completions)} answers have no place yet" if missing else "an answer has two places"
        raise UserError(f"{what}: rank each one or mark it F")
    return {"groups": groups, "rejected": rejected}


def _pair(payload: Payload, completions: list[int], _: list[str]) -> dict[str, Any]:
    given = [name for name in ("better", "tie", "both_bad", "cannot_judge") if payload.get(name)]
    if len(given) != 1:
        raise UserError(f"say one of better, tie, both_bad or cannot_judge, found {' and '.join(given) or 'none'}")
    if given == ["cannot_judge"]:
        return {"cannot_judge": _text(payload["cannot_judge"], "cannot_judge")}
    if given != ["better"]:
        if payload[given[0]] is not True:
            raise UserError(f"`{given[0]}` must be true or left out, found {payload[given[0]]!r}")
        return {given[0]: True}
    if payload["better"] not in completions:
        raise UserError(f"answer {payload['better']!r} is not one of the two of this task")
    if payload.get("grade") not in GRADES:
        raise UserError(f"`grade` is {payload.get('grade')!r}; say how much better: {', '.join(GRADES)}")
    return {"better": payload["better"], "grade": payload["grade"]}


def _likert(payload: Payload, _: list[int], attributes: list[str]) -> dict[str, Any]:
    scores = payload.get("scores")
    if not isinstance(scores, Mapping):
        raise UserError('`scores` must be an object such as {"quality": 4}')
    if set(scores) != set(attributes):
        wrong = sorted(set(scores) - set(attributes))
        missing = sorted(set(attributes) - set(scores))
        raise UserError(
            f"unknown attribute {wrong[0]!r}" if wrong else f"not rated yet: {', '.join(missing)} (null: does not apply)"
        )
    for name, score in scores.items():
        if score is not None and (isinstance(score, bool) or score not in SCALE):
            raise UserError(f"`{name}` is {score!r}; it must be a whole number from {SCALE.start} to {SCALE.stop - 1}, or null")
    if all(score is None for score in scores.values()):
        raise UserError("no attribute is rated: rate one, or skip the task with a reason")
    return {"scores": {name: scores[name] for name in attributes}}


def _thumb(payload: Payload, _: list[int], __: list[str]) -> dict[str, Any]:
    if not isinstance(payload.get("up"), bool):
        raise UserError(f"`up` must be true or false, found {payload.get('up')!r}")
    return {"up": payload["up"]}


def _written(payload: Payload, _: list[int], __: list[str]) -> dict[str, Any]:
    return {"text": _text(payload.get("text"), "text")}


def _vet(payload: Payload, _: list[int], __: list[str]) -> dict[str, Any]:
    match payload.get("verdict"):
        case "accept":
            return {"verdict": "accept"}
        case "edit":
            row = payload.get("row")
            if not isinstance(row, Mapping) or not row:
                raise UserError("an edited row must come with its fields, in `row`")
            return {"verdict": "edit", "row": dict(row)}
        case "reject":
            return {"verdict": "reject", "reason": _text(payload.get("reason"), "reason")}
        case other:
            raise UserError(f"`verdict` is {other!r}; it must be accept, edit or reject")


def _list(value: object, name: str) -> list[Any]:
    if not isinstance(value, list):
        raise UserError(f"`{name}` must be a list, found {value!r}")
    return value


def _ids(value: object, name: str) -> list[int]:
    found = _list(value, name)
    if not all(isinstance(one, int) and not isinstance(one, bool) for one in found):
        raise UserError(f"`{name}` must hold ids of answers, found {found!r}")
    return found


def _text(value: object, name: str) -> str:
    if not isinstance(value, str) or not value.strip():
        raise UserError(f"`{name}` is empty: write it, or skip the task with a reason")
    if len(value) > LONGEST:
        raise UserError(f"`{name}` has {len(value):,} characters; at most {LONGEST:,} are kept: shorten it")
    return value


_Reader: TypeAlias = Callable[[Payload, "list[int]", "list[str]"], "dict[str, Any]"]
_TASKS: dict[str, tuple[tuple[str, ...], _Reader]] = {
    "rank": (("groups", "rejected", "cannot_judge"), _rank),
    "pair": (("better", "grade", "tie", "both_bad", "cannot_judge"), _pair),
    "likert": (("scores",), _likert),
    "thumb": (("up",), _thumb),
    "demonstration": (("text",), _written),
    "red_team": (("text",), _written),
    "vet": (("verdict", "row", "reason"), _vet),
}
