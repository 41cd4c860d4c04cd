"""Other tools' rows -> our own: a table of the shapes that people have, each recognised by its fields.

`SHAPES` is the whole table; the first entry that fits decides, and a record that fits none is read as it stands. What a shape
becomes is written in the fields of `rows`, so that every row passes the same checks. A record with several judgements (of
several people, of several answers) becomes several rows.

Left out: tool calls, images, Argilla's label and text questions.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

from accordant.data import argilla
from accordant.data import fields as want
from accordant.data.fields import Bad, Fields
from accordant.data.files import shown

Opened: TypeAlias = "list[dict[str, Any]]"

_ASKED = ("prompt", "messages", "labeler")
_JUDGED = ("margin", "weight", "tie", "labeler")
_INSTRUCTED = ("system", "history")
_SPEAKERS = {
    "human": "user", "user": "user", "prompter": "user",
    "gpt": "assistant", "assistant": "assistant", "chatgpt": "assistant", "bot": "assistant", "model": "assistant",
    "system": "system",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Shape:
    """`needs`: the fields that are all there and not null, `*.x` standing for any field that ends so.

    `reads`: the other fields that `opened` may read or hand on to the row.
    """

    name: str
    needs: tuple[str, ...]
    becomes: str
    opened: Callable[[Fields], Opened]
    reads: tuple[str, ...] = ()

    def fits(self, fields: Fields) -> bool:
        return all(self._has(fields, need) for need in self.needs)

    def knows(self, name: str) -> bool:
        """Whether a field of this name says something here."""
        return any(name.endswith(known[1:]) if known.startswith("*") else name == known for known in self.needs + self.reads)

    @staticmethod
    def _has(fields: Fields, need: str) -> bool:
        if need.startswith("*"):
            return any(name.endswith(need[1:]) for name in fields)
        return fields.get(need) is not None


def opened(fields: Fields) -> list[Fields]:
    """The record in our own fields, one row for each judgement in it. `Bad`: it is a faulty one of a known shape."""
    shape = shape_of(fields)
    return list(shape.opened(fields)) if shape else [fields]


def shape_of(fields: Fields) -> Shape | None:
    """The shape that the record is of; None where it has our own fields, or none that are known."""
    return next((shape for shape in SHAPES if shape.fits(fields)), None)


# --- ShareGPT --------------------------------------------------------------------------------------------------------


def turn(value: object, name: str) -> dict[str, str]:
    """A turn of {"from", "value"} or {"role", "content"} as our message."""
    if isinstance(value, dict) and {"from", "value"} <= set(value):
        speaker, said = value["from"], value["value"]
    elif isinstance(value, dict) and {"role", "content"} <= set(value):
        speaker, said = value["role"], value["content"]
    else:
        raise Bad(f'`{name}` must be {{"from": ..., "value": ...}}, found {shown(value)}')
    if not isinstance(speaker, str) or speaker not in _SPEAKERS:
        raise Bad(f"`{name}.from` is {shown(speaker)}; it must be one of {', '.join(sorted(_SPEAKERS))}")
    return {"role": _SPEAKERS[speaker], "content": said}


def _turns(fields: Fields, name: str) -> list[dict[str, str]]:
    """The turns of a list, after the row's own `system` text."""
    found = [turn(item, f"{name}[{i}]") for i, item in enumerate(want.sequence(fields, name))]
    if not found:
        raise Bad(f"`{name}` is empty; give at least one turn")
    if fields.get("system"):
        found.insert(0, {"role": "system", "content": want.text(fields, "system")})
    return found


def _answer(fields: Fields, name: str) -> object:
    """A chosen or rejected answer: text, a turn, or a list of turns."""
    value = fields[name]
    if isinstance(value, dict):
        found = turn(value, name)
        if found["role"] != "assistant":
            raise Bad(f"`{name}` is a {found['role']} turn; it must be the assistant's answer")
        return found["content"]
    return [turn(item, f"{name}[{i}]") for i, item in enumerate(value)] if isinstance(value, list) else value


def _answered(fields: Fields, name: str) -> dict[str, Any]:
    """All turns but the last as the prompt, and the last as its answer."""
    turns = _turns(fields, name)
    if turns[-1]["role"] != "assistant" or len(turns) < 2:
        raise Bad(
            f"`{name}` has {len(turns)} turns and ends with {turns[-1]['role']}; it must end with the assistant's answer to "
            "an earlier turn"
        )
    return {"prompt": turns[:-1], "completion": turns[-1]["content"]}


def _sharegpt(fields: Fields) -> Opened:
    return [_answered(fields, "conversations")]


def _sharegpt_pair(fields: Fields) -> Opened:
    pair = {"prompt": _turns(fields, "conversations")} | {name: _answer(fields, name) for name in ("chosen", "rejected")}
    return [_kept(fields, *_JUDGED) | pair]


def _judged_turns(fields: Fields) -> Opened:
    name = "conversations" if fields.get("conversations") is not None else "messages"
    tag = "kto_tag" if fields.get("kto_tag") is not None else "label"
    return [_kept(fields, "labeler") | _answered(fields, name) | {"up": want.flag(fields, tag, default=None)}]


def _judged(fields: Fields) -> Opened:
    kept = {name: value for name, value in fields.items() if name != "label"}
    return [kept | {"up": want.flag(fields, "label", default=None)}]


# --- instructions ----------------------------------------------------------------------------------------------------


def instruction(fields: Fields, extra: str) -> list[dict[str, str]]:
    """An instruction and, where there is one, the text it is about, as one user turn; `system` and `history` before it."""
    asked = want.text(fields, "instruction")
    about = fields.get(extra)
    if about is not None and not isinstance(about, str):
        raise Bad(f"`{extra}` must be text, found {shown(about)}")
    turns = [{"role": "system", "content": want.text(fields, "system")}] if fields.get("system") else []
    for i, past in enumerate(want.sequence(fields, "history") if fields.get("history") else []):
        if not isinstance(past, list) or len(past) != 2:
            raise Bad(f"`history[{i}]` must be [question, answer], found {shown(past)}")
        turns += [{"role": "user", "content": past[0]}, {"role": "assistant", "content": past[1]}]
    return [*turns, {"role": "user", "content": f"{asked}\n\n{about}" if about and about.strip() else asked}]


def _alpaca(fields: Fields) -> Opened:
    return [{"prompt": instruction(fields, "input"), "completion": fields["output"]}]


def _alpaca_thumb(fields: Fields) -> Opened:
    tag = "kto_tag" if fields.get("kto_tag") is not None else "label"
    return [_kept(fields, "labeler") | _alpaca(fields)[0] | {"up": want.flag(fields, tag, default=None)}]


def _alpaca_pair(fields: Fields) -> Opened:
    pair = {"prompt": instruction(fields, "input")} | {name: _answer(fields, name) for name in ("chosen", "rejected")}
    return [_kept(fields, *_JUDGED) | pair]


def _dolly(fields: Fields) -> Opened:
    return [{"prompt": instruction(fields, "context"), "completion": fields["response"]}]


# --- scores ----------------------------------------------------------------------------------------------------------


def _scored_pair(chosen: str, rejected: str) -> Callable[[Fields], Opened]:
    """The margin is the difference of the scores; where it is 0, the pair is a tie."""

    def opened(fields: Fields) -> Opened:
        gap = want.number(fields, chosen, 0.0) - want.number(fields, rejected, 0.0)
        if gap < 0:
            raise Bad(f"`{chosen}` is {-gap:g} below `{rejected}`; swap the answers or correct the scores")
        kept = {name: value for name, value in fields.items() if name not in (chosen, rejected, "messages")}
        return [{"margin": gap, "tie": gap == 0} | want.present(kept)]

    return opened


def _scored_list(answers: str) -> Callable[[Fields], Opened]:
    def opened(fields: Fields) -> Opened:
        return [
            _kept(fields, *_ASKED) | {"completion": answer, "scores": {"score": score}}
            for answer, score in scored(fields, answers)
        ]

    return opened


def scored(fields: Fields, answers: str) -> list[tuple[object, float]]:
    """Each answer with its score: `scores` beside `answers`, or both in objects {"response": ..., "score": ...}."""
    given = want.sequence(fields, answers)
    if "scores" not in fields:
        if any(not isinstance(item, dict) or not {"response", "score"} <= set(item) for item in given):
            raise Bad(f'`{answers}` must hold objects {{"response": ..., "score": ...}}, or stand beside `scores`')
        return [(item["response"], want.number(item, "score", 0.0)) for item in given]
    marks = want.sequence(fields, "scores")
    if len(marks) != len(given):
        raise Bad(f"`scores` has {len(marks)} numbers for {len(given)} {answers}; give one for each")
    return [
        (answer, want.number({f"scores[{i}]": mark}, f"scores[{i}]", 0.0))
        for i, (answer, mark) in enumerate(zip(given, marks, strict=True))
    ]


def _kept(fields: Fields, *names: str) -> dict[str, Any]:
    return {name: fields[name] for name in names if name in fields}


_BESIDE = ("*.responses.users", "*.responses.status", "*.suggestion", "*.suggestion.agent", "*.responses")

SHAPES: tuple[Shape, ...] = (
    Shape("Argilla record", ("fields", "responses"), "Rating or Ranking", argilla.record, ("suggestions",)),
    Shape("Argilla record", ("fields", "suggestions"), "Rating or Ranking", argilla.record, ("responses",)),
    Shape("Argilla columns", ("*.responses",), "Rating or Ranking", argilla.columns, _BESIDE + argilla.TEXTS),
    Shape("Argilla columns", ("*.suggestion",), "Rating or Ranking", argilla.columns, _BESIDE + argilla.TEXTS),
    Shape("ShareGPT pair", ("conversations", "chosen", "rejected"), "Pair", _sharegpt_pair, ("system", *_JUDGED)),
    Shape("ShareGPT thumb", ("conversations", "kto_tag"), "Thumb", _judged_turns, ("system", "labeler")),
    Shape("ShareGPT thumb", ("conversations", "label"), "Thumb", _judged_turns, ("system", "labeler")),
    Shape("ShareGPT thumb", ("messages", "kto_tag"), "Thumb", _judged_turns, ("system", "labeler")),
    Shape("messages with a label", ("messages", "label"), "Thumb", _judged_turns, ("system", "labeler")),
    Shape("ShareGPT", ("conversations",), "Chat", _sharegpt, ("system",)),
    Shape("unpaired preference", ("prompt", "completion", "label"), "Thumb", _judged, ("labeler",)),
    Shape("Alpaca pair", ("instruction", "chosen", "rejected"), "Pair", _alpaca_pair, ("input", *_INSTRUCTED, *_JUDGED)),
    Shape("Alpaca thumb", ("instruction", "output", "kto_tag"), "Thumb", _alpaca_thumb, ("input", *_INSTRUCTED, "labeler")),
    Shape("Alpaca", ("instruction", "output"), "Chat", _alpaca, ("input", *_INSTRUCTED)),
    Shape("Dolly", ("instruction", "response"), "Chat", _dolly, ("context", *_INSTRUCTED)),
    *(
        Shape("scored pair", ("chosen", "rejected", better, worse), "Pair", _scored_pair(better, worse), ("prompt", *_JUDGED))
        for better, worse in (
            ("score_chosen", "score_rejected"),
            ("chosen_score", "rejected_score"),
            ("chosen-rating", "rejected-rating"),
            ("chosen_rating", "rejected_rating"),
        )
    ),
    Shape("scored answers", ("responses", "scores"), "Rating", _scored_list("responses"), _ASKED),
    Shape("scored answers", ("completions", "scores"), "Rating", _scored_list("completions"), _ASKED),
    Shape("scored answers", ("prompt", "responses"), "Rating", _scored_list("responses"), _ASKED),
)

FIELDS = frozenset(need for shape in SHAPES for need in shape.needs if not need.startswith("*")) | {
    "system", "history", "input", "context", "category",
}  # fmt: skip
"""What these shapes call things, for the check of names that a user types."""
