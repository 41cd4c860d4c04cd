"""Which kind of row some fields are, and one parser for each kind."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from difflib import get_close_matches
from functools import lru_cache
from typing import Any

from accordant.data import fields as want
from accordant.data import shapes
from accordant.data.fields import Bad, Fields
from accordant.types import Chat, Document, Labelled, Pair, Prompt, PromptText, Ranking, Rating, Row, Source, Thumb


def recognise(fields: Fields) -> type[Row] | None:
    """The kind of the first line of the table of `rows` that fits."""
    for names, kind in _RECOGNISED:
        if all(name in fields for name in names):
            return kind
    return None


def readable_as(fields: Fields, kind: type[Row]) -> bool:
    """Whether the fields that the kind needs are there."""
    return any(all(name in fields for name in names) for names, of in _RECOGNISED if of is kind)


def odd_one(fields: Fields, recognised: type[Row] | None, usual: type[Row]) -> str:
    """What is wrong with a row that is not of the kind that most rows of its file are: what it lacks, if it has a part."""
    near = max(
        (names for names, of in _RECOGNISED if of is usual),
        key=lambda names: sum(name in fields for name in names) / len(names),
    )
    missing = [f"`{name}`" for name in near if name not in fields]
    if missing and (recognised is None or recognised in _PART_OF.get(usual, ())):
        verb = "is" if len(missing) == 1 else "are"
        return (
            f"{' and '.join(missing)} {verb} missing: the other rows are {usual.__name__} rows, this one has only the fields "
            f"{sorted(fields)}; complete it or delete it"
        )
    other = recognised.__name__ if recognised else "unknown"
    return f"a {other} row among {usual.__name__} rows; complete it, or keep kinds in separate files"


def refuse_typos(fields: Fields, kind: type[Row]) -> None:
    """An unknown column is nobody's harm, but `weigth` would silently be no weight."""
    lost = _LOST_IF_MISSPELT.get(kind, ())
    for name in fields:
        near = _meant(name, lost)
        if (name, near) in _OTHER_WORDS:
            continue
        if near and name not in lost and near not in fields:
            raise Bad(f"unknown field {name!r}; did you mean {near!r}?")


@lru_cache(maxsize=4096)
def _meant(name: str, known: tuple[str, ...]) -> str:
    """The known name that this is nearly, or is; "" where there is none. Rows have the same few names again and again."""
    return next(iter(get_close_matches(name, known, n=1, cutoff=0.8)), "")


_RECOGNISED: tuple[tuple[tuple[str, ...], type[Row]], ...] = (
    (("chosen", "rejected"), Pair),
    (("completions", "ranks"), Ranking),
    (("completions", "groups"), Ranking),
    (("completion", "scores"), Rating),
    (("completion", "up"), Thumb),
    (("completion",), Chat),
    (("messages",), Chat),
    (("text", "label"), Labelled),
    (("text",), Document),
    (("prompt",), Prompt),
    (("messages",), Prompt),  # only where prompts are asked for: by itself it is a Chat
)

_LOST_IF_MISSPELT: dict[type[Row], tuple[str, ...]] = {
    Prompt: ("completion", "completions", "chosen", "rejected"),
    Document: ("label",),
    Pair: ("margin", "weight", "tie", "labeler"),
    Ranking: ("labeler", "rejected"),
    Rating: ("labeler",),
    Thumb: ("labeler",),
}

_OTHER_WORDS = {("label", "labeler"), ("labels", "labeler")}
"""Common columns that are near a known name and mean something else."""

_PART_OF: dict[type[Row], tuple[type[Row], ...]] = {
    Chat: (Prompt,),
    Pair: (Prompt,),
    Ranking: (Prompt,),
    Rating: (Prompt, Chat),
    Thumb: (Prompt, Chat),
    Labelled: (Document,),
}
"""The kinds that a row of another kind becomes when a field of it is missing."""


def knows(kind: type[Row], fields: Fields) -> frozenset[str]:
    """The names of the fields that a row of the kind is made of; all others are its user's own."""
    known = _FIELDS_OF[kind]
    if not {"prompt", "messages"} <= fields.keys():
        return known
    return known - {"messages" if kind is not Chat or "completion" in fields else "prompt"}


_ANSWERED = frozenset({"prompt", "messages", "completion"})
_FIELDS_OF: dict[type[Row], frozenset[str]] = {
    Prompt: frozenset({"prompt", "messages"}),
    Document: frozenset({"text"}),
    Labelled: frozenset({"text", "label"}),
    Chat: _ANSWERED | {"up", "label"},  # which it refuses, unless they are null
    Pair: frozenset({"prompt", "messages", "chosen", "rejected", "margin", "weight", "tie", "labeler"}),
    Ranking: frozenset({"prompt", "messages", "completions", "ranks", "groups", "rejected", "labeler"}),
    Rating: _ANSWERED | {"scores", "labeler"},
    Thumb: _ANSWERED | {"up", "labeler"},
}


def nearest_shape(fields: Fields) -> str:
    """What is missing to the shape that most of is there, and which field may be it under another name."""
    known = [(of.__name__, names) for names, of in _RECOGNISED] + [(f"{s.becomes} ({s.name})", s.needs) for s in shapes.SHAPES]
    name, needs = max(known, key=lambda shape: sum(need in fields for need in shape[1]) / len(shape[1]))
    missing = [need for need in needs if need not in fields]
    if len(missing) == len(needs):
        near = [(field, *get_close_matches(field, sorted(KNOWN_FIELDS), n=1, cutoff=0.8)) for field in sorted(fields)]
        hint = next((f"; rename {pair[0]!r} to {pair[1]!r}" for pair in near if len(pair) == 2), "")
        return f"{known_shapes()}; or name them with map, such as map={{question: prompt}}{hint}"
    lacks = " and ".join(f"`{need}`" for need in missing)
    return (
        f"the nearest is {name}, to which {lacks} {'is' if len(missing) == 1 else 'are'} missing; add it, or name it with map"
    )


def known_shapes(kind: type[Row] | None = None) -> str:
    shapes = ["+".join(names) for names, of in _RECOGNISED if kind in (None, of)]
    return "give " + " or ".join(dict.fromkeys(shapes))


# --- one parser for each kind ----------------------------------------------------------------------------------------


def _prompt(fields: Fields, source: Source) -> Prompt:
    return Prompt(want.prompt(fields), source)


def _document(fields: Fields, source: Source) -> Document:
    return Document(want.text(fields, "text"), source)


def _labelled(fields: Fields, source: Source) -> Labelled:
    return Labelled(want.text(fields, "text"), want.integer(fields, "label", least=0), source)


def _chat(fields: Fields, source: Source) -> Chat:
    for judged in ("up", "label"):
        if fields.get(judged) is not None:
            raise Bad(f"the answer has `{judged}`; judged answers are no demonstrations: keep the good ones, without it")
    return _answered(fields, source)


def _answered(fields: Fields, source: Source) -> Chat:
    if "messages" in fields and "completion" not in fields:
        turns = want.messages(fields, "messages", answered=True)
        if len(turns) < 2 or turns[-1].role != "assistant":
            raise Bad(
                f"`messages` has {len(turns)} turns and ends with {turns[-1].role}; it must end with the assistant's "
                "answer to an earlier turn"
            )
        return Chat(turns[:-1], turns[-1].content, source)
    prompt, completion = want.answer(fields, "completion")
    return Chat(want.one_prompt(fields, {"completion": prompt}), completion, source)


def _rating(fields: Fields, source: Source) -> Rating:
    chat = _answered(fields, source)
    return Rating(chat.prompt, chat.completion, want.scores(fields, "scores"), want.labeler(fields), source)


def _thumb(fields: Fields, source: Source) -> Thumb:
    chat = _answered(fields, source)
    return Thumb(chat.prompt, chat.completion, want.flag(fields, "up", default=None), want.labeler(fields), source)


def _pair(fields: Fields, source: Source) -> Pair:
    before_chosen, chosen = want.answer(fields, "chosen")
    before_rejected, rejected = want.answer(fields, "rejected")
    prompt: PromptText
    if "prompt" not in fields and not before_chosen and not before_rejected:
        prompt, chosen, rejected = want.shared_prefix(chosen, rejected)
    else:
        prompt = want.one_prompt(fields, {"chosen": before_chosen, "rejected": before_rejected})
    margin = want.number(fields, "margin", default=0.0)
    weight = want.number(fields, "weight", default=1.0)
    if margin < 0:
        raise Bad(f"`margin` is {margin}; it must be at least 0: swap chosen and rejected instead")
    if weight <= 0:
        raise Bad(f"`weight` is {weight}; it must be above 0: delete the row instead")
    tie = want.flag(fields, "tie", default=False)
    return Pair(prompt, chosen, rejected, margin, weight, tie, want.labeler(fields), source)


def _ranking(fields: Fields, source: Source) -> Ranking:
    prompt = want.prompt(fields)
    completions = want.texts(fields, "completions")
    if "groups" in fields:
        groups = tuple(want.integers(group, "groups") for group in want.sequence(fields, "groups"))
        marked = fields.get("rejected")
        rejected = () if marked is None else want.integers(marked, "rejected")
    else:
        groups, rejected = want.groups_of_ranks(fields, "ranks", len(completions))
    placed = sorted(index for group in (*groups, rejected) for index in group)
    if placed != list(range(len(completions))) or () in groups:
        raise Bad(
            f"the ranking places the answers {placed}, and there are {len(completions)}, counted from 0; place each "
            "once, in a group that is not empty or among the rejected"
        )
    return Ranking(prompt, completions, groups, rejected, want.labeler(fields), source)


PARSERS: dict[type[Row], Callable[[Fields, Source], Any]] = {
    Prompt: _prompt,
    Document: _document,
    Chat: _chat,
    Labelled: _labelled,
    Pair: _pair,
    Ranking: _ranking,
    Rating: _rating,
    Thumb: _thumb,
}

KNOWN_FIELDS = frozenset(name for names, _ in _RECOGNISED for name in names) | shapes.FIELDS | {
    "margin", "weight", "tie", "labeler",
}  # fmt: skip
"""All that a field can be renamed to."""

_TAKEN = frozenset().union(*_FIELDS_OF.values(), *(shape.needs for shape in shapes.SHAPES))
_MISSPELT = tuple(sorted({name for names in _LOST_IF_MISSPELT.values() for name in names}))


def own_names(names: Iterable[str]) -> dict[str, str]:
    """What a user's own fields are called beside those of another kind of row: as they are, or `original_...`.

    The latter where a reader of rows would take the field for one of its own, or for one that is misspelt.
    """
    given = list(dict.fromkeys(names))
    taken = {name for name in given if not _says_something(name)}
    called = {}
    for name in given:
        new = name
        while (new != name and new in taken) or _says_something(new):
            # A dot would make one of Argilla's columns of it.
            new = f"original_{new.replace('.', '_')}"
        called[name] = new
        taken.add(new)
    return called


def _says_something(name: str) -> bool:
    columns = name.endswith((".responses", ".suggestion"))
    return columns or name in _TAKEN or bool(_meant(name, _MISSPELT))
