"""The fields of a record, each checked for type and sense; a bad one raises `Bad`, a complaint once `rows` has it."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import Any, TypeAlias, get_args

from accordant.data.files import BAD, EMPTY, PREFIX, Complaint, shown
from accordant.types import Message, PromptText, Role, Source

Fields: TypeAlias = Mapping[str, object]
Context: TypeAlias = tuple[Message, ...]

_OPTIONAL = ("prompt", "margin", "weight", "labeler", "tie")
_NEVER_TEXT = (
    "label", "up", "tie", "margin", "weight", "messages", "completions", "ranks", "groups", "scores",
    "conversations", "responses", "history", "instances", "kto_tag",
    "score_chosen", "score_rejected", "chosen_score", "rejected_score",
    "chosen-rating", "rejected-rating", "chosen_rating", "rejected_rating",
)  # fmt: skip
_FLAGS = ("label", "up", "tie", "kto_tag")
_LARGEST = 3.4e38
_TRANSCRIPT_MARKER = "\n\nAssistant:"


class Bad(Exception):
    """What is wrong with a field, and the fix."""

    kind = BAD

    def at(self, source: Source) -> Complaint:
        """The complaint about the row that is there."""
        return Complaint(source, str(self), kind=self.kind)


class EmptyAnswer(Bad):
    """An answer without a word."""

    kind = EMPTY


class Mismatched(Bad):
    """Answers to different conversations."""

    kind = PREFIX


def present(fields: Fields) -> Fields:
    """Without the optional fields that are null: Parquet and the hub give every row every column."""
    return {name: value for name, value in fields.items() if value is not None or name not in _OPTIONAL}


def unspelled(fields: Mapping[str, object]) -> Fields:
    """The numbers, lists and objects that CSV cells spell, by the name of the field; all else stays text."""
    return {name: _unspelled(name, str(cell), "groups" in fields) for name, cell in fields.items()}


def _unspelled(name: str, cell: str, ranking: bool) -> object:
    if not cell and name in _OPTIONAL:
        return None
    if name in _FLAGS and cell.lower() in ("true", "false"):  # as Python and spreadsheets spell them
        return cell.lower() == "true"
    try:
        found = json.loads(cell)
    except (ValueError, RecursionError):
        return cell  # text, or what the field's own check will refuse
    messages_like = isinstance(found, list) and all(isinstance(item, dict) and "role" in item for item in found)
    if name in _NEVER_TEXT or (name == "rejected" and ranking) or (found and messages_like):
        return found
    return cell


def require(fields: Fields, needs: Sequence[str]) -> None:
    """Raises `Bad` where some of these fields are missing, with the nearest names that are there."""
    missing = [name for name in needs if name not in fields]
    if not missing:
        return
    lacks = " and ".join(f"`{name}`" for name in missing)
    near = get_close_matches(missing[0], sorted(fields), n=1, cutoff=0.7)
    hint = f"; is {near[0]!r} what is meant? then map it" if near else ""
    raise Bad(f"{lacks} {'is' if len(missing) == 1 else 'are'} missing; the fields are {sorted(fields)}{hint}")


def _given(fields: Fields, name: str) -> Any:
    if name not in fields:
        raise Bad(f"`{name}` is missing; the fields are {sorted(fields)}")
    return fields[name]


def text(fields: Fields, name: str) -> str:
    """A string that is not blank."""
    return _text(_given(fields, name), name)


def answer_text(fields: Fields, name: str) -> str:
    """An answer that is not blank."""
    return _text(_given(fields, name), name, EmptyAnswer)


def _text(value: object, name: str, empty: type[Bad] = Bad) -> str:
    if not isinstance(value, str):
        raise Bad(f"`{name}` must be text, found {shown(value)}")
    if not value.strip():
        raise empty(f"`{name}` is empty; write it or delete the row")
    try:
        value.encode("utf-8")
    except UnicodeEncodeError as error:
        raise Bad(f"`{name}` has half a surrogate pair at character {error.start}; delete that character") from error
    return value


def texts(fields: Fields, name: str) -> tuple[str, ...]:
    """At least two answers."""
    found = tuple(_text(item, f"{name}[{i}]", EmptyAnswer) for i, item in enumerate(sequence(fields, name)))
    if len(found) < 2:
        raise Bad(f"`{name}` has {len(found)} answers; a comparison needs at least 2")
    return found


def number(fields: Fields, name: str, default: float) -> float:
    """A finite number that float32 can hold, or the default where the field is absent."""
    return _number(fields[name], name) if name in fields else default


def _number(value: object, name: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise Bad(f"`{name}` must be a number, found {shown(value)}")
    try:
        found = float(value)
    except OverflowError as error:
        raise Bad(f"`{name}` must be a number, found {shown(value)}") from error
    if not math.isfinite(found):
        raise Bad(f"`{name}` is {found}; it must be finite: leave the field out where nothing is known")
    if abs(found) > _LARGEST:
        raise Bad(f"`{name}` is {found:g}; training counts in float32, which ends at {_LARGEST:g}: use another scale")
    return found


def flag(fields: Fields, name: str, default: bool | None) -> bool:
    """True or false; the default where the field is absent, unless that is None."""
    if name not in fields and default is not None:
        return default
    value = _given(fields, name)
    if not isinstance(value, bool):
        raise Bad(f"`{name}` must be true or false, found {shown(value)}")
    return value


def integer(fields: Fields, name: str, least: int) -> int:
    """A whole number from `least` up."""
    found = _integer(_given(fields, name), name)
    if found < least:
        raise Bad(f"`{name}` is {found}; it must be at least {least}")
    return found


def _integer(value: object, name: str) -> int:
    found = _number(value, name)
    if found != int(found):
        raise Bad(f"`{name}` must be a whole number, found {shown(value)}")
    return int(found)


def integers(value: object, name: str) -> tuple[int, ...]:
    """A list of whole numbers."""
    if not isinstance(value, list):
        raise Bad(f"`{name}` must hold lists of indices, found {shown(value)}")
    return tuple(_integer(item, name) for item in value)


def labeler(fields: Fields) -> str:
    """Who said it, or "?"."""
    return text(fields, "labeler") if "labeler" in fields else "?"


def scores(fields: Fields, name: str) -> dict[str, float]:
    """Numbers by attribute; a null says that the attribute was not rated."""
    found = fields.get(name)
    if not isinstance(found, dict):
        raise Bad(f'`{name}` must be an object such as {{"quality": 4}}, found {shown(found)}')
    rated = {_text(key, f"{name} key"): _number(value, f"{name}.{key}") for key, value in found.items() if value is not None}
    if not rated:
        raise Bad(f"`{name}` rates no attribute; rate one or delete the row")
    return rated


def sequence(fields: Fields, name: str) -> list[Any]:
    """A list."""
    found = _given(fields, name)
    if not isinstance(found, list):
        raise Bad(f"`{name}` must be a list, found {shown(found)}")
    return found


def groups_of_ranks(fields: Fields, name: str, count: int) -> tuple[tuple[tuple[int, ...], ...], tuple[int, ...]]:
    """Best group first, and the rejected: ranks [2, 1, null, 1] -> ((1, 3), (0,)), (2,)."""
    found = sequence(fields, name)
    if len(found) != count:
        raise Bad(f"`{name}` has {len(found)} ranks for {count} completions; give each one, null for a rejected one")
    ranks = [None if rank is None else _number(rank, name) for rank in found]
    order = sorted({rank for rank in ranks if rank is not None})
    groups = tuple(tuple(i for i, rank in enumerate(ranks) if rank == place) for place in order)
    return groups, tuple(i for i, rank in enumerate(ranks) if rank is None)


# --- prompts and answers ---------------------------------------------------------------------------------------------


def messages(fields: Fields, name: str, answered: bool = False) -> Context:
    """A list of messages that is not empty; `answered`: the last of them is the answer."""
    given = sequence(fields, name)
    if not given:
        raise Bad(f"`{name}` is empty; give at least one message")
    last = len(given) - 1 if answered else -1
    return tuple(_message(item, f"{name}[{i}]", EmptyAnswer if i == last else Bad) for i, item in enumerate(given))


def _message(value: object, name: str, empty: type[Bad]) -> Message:
    if not isinstance(value, dict) or not {"role", "content"} <= set(value):
        raise Bad(f'`{name}` must be {{"role": ..., "content": ...}}, found {shown(value)}')
    role = value["role"]
    if role not in get_args(Role):
        raise Bad(f"`{name}.role` is {shown(role)}; it must be one of {', '.join(get_args(Role))}")
    return Message(role, _text(value["content"], f"{name}.content", empty))


def prompt(fields: Fields) -> PromptText:
    """The `prompt` field, or the `messages` that stand in its place; never ends with an answer."""
    name = "prompt" if "prompt" in fields or "messages" not in fields else "messages"
    if not isinstance(fields.get(name), list):
        return text(fields, name)
    found = messages(fields, name)
    if found[-1].role == "assistant":
        raise Bad(f"`{name}` ends with an assistant turn, so nothing is left to answer; take it out")
    return found


def answer(fields: Fields, name: str) -> tuple[Context, str]:
    """The turns that a message list has before its last, and that last one's text; no turns where it is plain text."""
    if not isinstance(fields.get(name), list):
        return (), answer_text(fields, name)
    found = messages(fields, name, answered=True)
    if found[-1].role != "assistant":
        raise Bad(f"`{name}` ends with a {found[-1].role} turn; it must end with the assistant's answer")
    return found[:-1], found[-1].content


def one_prompt(fields: Fields, contexts: Mapping[str, Context]) -> PromptText:
    """The prompt that `prompt` and the turns before each answer agree on."""
    held = {name: context for name, context in contexts.items() if context}
    if len(set(held.values())) > 1 or 0 < len(held) < len(contexts):
        raise Mismatched(f"{' and '.join(contexts)} have different turns before the answer; a pair answers one prompt")
    if not held:
        return prompt(fields)
    context = next(iter(held.values()))
    if context[-1].role == "assistant":
        raise Bad(f"`{next(iter(held))}` ends with two assistant turns; merge them")
    if "prompt" in fields:
        given = prompt(fields)
        agrees = any(turn.content == given for turn in context) if isinstance(given, str) else given == context
        if not agrees:
            raise Mismatched(f"`prompt` is not what `{next(iter(held))}` has before the answer; leave one of the two out")
    return context


def shared_prefix(chosen: str, rejected: str) -> tuple[str, str, str]:
    r"""Split two transcripts into their prompt and its two answers.

    Transcripts with "\n\nAssistant:" turns are cut behind the last one; others where they begin to differ, at a space.
    """
    if _TRANSCRIPT_MARKER in chosen and _TRANSCRIPT_MARKER in rejected:
        ends = [transcript.rindex(_TRANSCRIPT_MARKER) + len(_TRANSCRIPT_MARKER) for transcript in (chosen, rejected)]
        if chosen[: ends[0]] != rejected[: ends[1]]:
            raise Mismatched("`chosen` and `rejected` differ before their last answers; a pair answers one prompt")
        end = ends[0]
    else:
        if chosen == rejected:
            raise Bad("`prompt` is missing and `chosen` and `rejected` are the same; give the prompt or delete the row")
        same = next((i for i, (c, r) in enumerate(zip(chosen, rejected, strict=False)) if c != r), None)
        shared = chosen[:same] if same is not None else min(chosen, rejected, key=len)
        end = max((i for i, character in enumerate(shared) if character.isspace()), default=0)
        if not chosen[:end].strip():
            raise Mismatched("`prompt` is missing and `chosen` and `rejected` begin differently; give the prompt")
    answers = [_text(all_[end:], f"{name} answer", EmptyAnswer) for name, all_ in (("chosen", chosen), ("rejected", rejected))]
    return chosen[:end], answers[0], answers[1]
