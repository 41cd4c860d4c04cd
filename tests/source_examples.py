"""A small file of every named source, made here in the form of the published one, and the rows that it must give."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import dataclass, field
from typing import Any

from accordant.types import Chat, Labelled, Message, Pair, Ranking, Rating, Row, Thumb


def turns(*texts: str, system: str = "") -> tuple[Message, ...]:
    """User and assistant by turns, the user first."""
    roles = ("user", "assistant")
    first = (Message("system", system),) if system else ()
    return (*first, *(Message(roles[i % 2], text) for i, text in enumerate(texts)))  # type: ignore[arg-type]


@dataclass(frozen=True)
class Example:
    """`rows`: by the number of the record, counted from 1, without their places."""

    source: str
    records: list[dict[str, Any]]
    rows: dict[int, list[Row]]
    name: str = "rows.jsonl"
    options: dict[str, Any] = field(default_factory=dict)


def as_jsonl(records: list[Any]) -> bytes:
    return "".join(json.dumps(record) + "\n" for record in records).encode()


def as_csv(records: list[dict[str, Any]]) -> bytes:
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, list(records[0]))
    writer.writeheader()
    writer.writerows(records)
    return text.getvalue().encode()


def contents(example: Example) -> bytes:
    """The file's bytes."""
    if example.name.endswith(".csv"):
        return as_csv(example.records)
    return json.dumps(example.records).encode() if example.name.endswith(".json") else as_jsonl(example.records)


def message(text: str, role: str, *replies: dict[str, Any], **others: Any) -> dict[str, Any]:
    """A message of an OpenAssistant tree."""
    given = {"text": text, "role": role, "lang": "en", "review_result": True, "deleted": False, "replies": list(replies)}
    return given | others


def _label(value: float) -> dict[str, Any]:
    return {"value": value, "count": 3}


TREE = {
    "message_tree_id": "t1",
    "tree_state": "ready_for_export",
    "prompt": message(
        "why is rain wet?",
        "prompter",
        message("it is water.", "assistant", message("and snow?", "prompter", message("frozen.", "assistant")), rank=1),
        message("ask a cloud.", "assistant", rank=2, labels={"quality": _label(0.25), "humor": _label(1.0)}),
        message("water wets.", "assistant", rank=0, labels={"quality": _label(0.5)}),
        message("no idea.", "assistant"),
    ),
}
ASKED = turns("why is rain wet?")

_FED_TURN = {
    "context": "User: Hi!\nSystem: Hello.\nUser: Tea or milk?",
    "response": "System: Tea: always.",
    "system": "kettle",
    "annotations": {"Fluent": [2, 1, 2, "N/A (odd)", 1], "Overall": [4, 3, 4, 4, 3]},
}
_FED_DIALOGUE = {
    "context": "User: Hi!\nSystem: Hello.\nUser: Tea?\nSystem: Milk.\nUser: Oh.",
    "system": "kettle",
    "annotations": {"Depth": [0, 1, 0, 1, 0], "Error recovery": ["N/A (none)"] * 5, "Overall": [2, 2, 2, 2, 2]},
}
_USR = [
    {"source": "a dog barks .\nwhere ?\n", "context": "dogs bark .\n", "system_id": str(i), "system_output": f"{place} .\n",
     "scores": {"naturalness": 3.0, "overall": overall}}
    for i, (place, overall) in enumerate([("outside", 4.0), ("on the moon", 1.5), ("in the yard", 4.0)])
]  # fmt: skip
_PANDA = {
    "idx": 0, "instruction": "Name a colour.", "input": "Not red.", "response1": "Blue.", "response2": True,
    "annotator1": 1, "annotator2": 0, "annotator3": 2,
}  # fmt: skip
_PANDA_ASKED = turns("Name a colour.\n\nNot red.")
_COLOURS = (("Red.", 8.0), ("Dog.", 1.5), ("Blue.", 8.0))
_SHP = {"post_id": "x", "history": "Boil eggs?", "human_ref_A": "Never.", "human_ref_B": "Seven minutes.", "score_ratio": 2.0}

EXAMPLES = [
    Example(
        "dolly",
        [{"instruction": "Who sings?", "context": "Ana sings.", "response": "Ana.", "category": "closed_qa"},
         {"instruction": "Say hi.", "context": "", "response": "Hi.", "category": "open_qa"}],
        {1: [Chat(turns("Who sings?\n\nAna sings."), "Ana.")], 2: [Chat(turns("Say hi."), "Hi.")]},
    ),
    Example(
        "alpaca",
        [{"instruction": "Add.", "input": "2 and 2", "output": "4"}, {"instruction": "Say hi.", "input": "", "output": "Hi."}],
        {1: [Chat(turns("Add.\n\n2 and 2"), "4")], 2: [Chat(turns("Say hi."), "Hi.")]},
        "rows.json",
    ),
    Example(
        "self-instruct",
        [{"id": "s0", "instruction": "Opposite?",
          "instances": [{"input": "night", "output": "day"}, {"input": "", "output": "-"}]}],
        {1: [Chat(turns("Opposite?\n\nnight"), "day"), Chat(turns("Opposite?"), "-")]},
    ),
    Example(
        "hh-rlhf",
        [{"chosen": "\n\nHuman: Rain?\n\nAssistant: Yes.\n\nHuman: Coat?\n\nAssistant: Take it.",
          "rejected": "\n\nHuman: Rain?\n\nAssistant: Yes.\n\nHuman: Coat?\n\nAssistant: Who knows."},
         {"chosen": "\n\nHuman: Rain?\n\nAssistant: Yes.\n\nAssistant: Wait.\n\nHuman: What?\n\nAssistant: No.",
          "rejected": "\n\nHuman: Rain?\n\nAssistant: Yes.\n\nAssistant: Wait.\n\nHuman: What?\n\nAssistant: Fish."}],
        {1: [Pair(turns("Rain?", "Yes.", "Coat?"), "Take it.", "Who knows.")],
         2: [Pair(turns("Rain?", "Yes.\n\nWait.", "What?"), "No.", "Fish.")]},
    ),
    Example(
        "shp",
        [_SHP | {"labels": 0}, _SHP | {"labels": 1, "score_ratio": 1.0}],
        {1: [Pair(turns("Boil eggs?"), "Seven minutes.", "Never.", 0.6931471805599453)],
         2: [Pair(turns("Boil eggs?"), "Never.", "Seven minutes.", 0.0)]},
    ),
    Example(
        "dialogsum",
        [{"fname": "d", "dialogue": "#Person1#: Hi.", "summary": "A greeting.", "topic": "hi"},
         {"fname": "t", "dialogue": "#Person1#: Bye.", "summary1": "A farewell.", "summary2": "They part."}],
        {1: [Chat(turns("Summarise this dialogue.\n\n#Person1#: Hi."), "A greeting.")],
         2: [Chat(turns("Summarise this dialogue.\n\n#Person1#: Bye."), said) for said in ("A farewell.", "They part.")]},
    ),
    Example(
        "scored",
        [{"prompt": "Name a colour.", "responses": ["Red.", "Dog.", "Blue."], "scores": [8, 1.5, 8]},
         {"prompt": "Name a fish.", "responses": [{"response": "Cod.", "score": 9}, {"response": "Owl.", "score": 2}]}],
        {1: [Rating("Name a colour.", said, {"score": score}) for said, score in _COLOURS],
         2: [Rating("Name a fish.", said, {"score": score}) for said, score in (("Cod.", 9.0), ("Owl.", 2.0))]},
    ),
    Example(
        "scored",
        [{"prompt": "Name a colour.", "responses": ["Red.", "Dog.", "Blue."], "scores": [8, 1.5, 8]}],
        {1: [Pair("Name a colour.", "Red.", "Dog.", 6.5), Pair("Name a colour.", "Blue.", "Dog.", 6.5)]},
        options={"what": "pairs"},
    ),
    Example(
        "thumbs",
        [{"prompt": "2+2=", "completion": "4", "label": True}, {"prompt": "2+2=", "completion": "5", "label": False}],
        {1: [Thumb("2+2=", "4", True)], 2: [Thumb("2+2=", "5", False)]},
    ),
    Example(
        "hate-speech",
        [{"": "0", "count": "3", "class": "2", "tweet": "what a day"},
         {"": "1", "count": "3", "class": "0", "tweet": "go, away"},
         {"": "2", "count": "3", "class": "1", "tweet": 'a "rude"\nword'}],
        {1: [Labelled("what a day", 0)], 2: [Labelled("go, away", 1)], 3: [Labelled('a "rude"\nword', 1)]},
        "rows.csv",
    ),
    Example(
        "pandalm",
        [_PANDA],
        {1: [Ranking(_PANDA_ASKED, ("Blue.", "True"), groups, labeler=f"annotator{i}")
             for i, groups in ((1, ((0,), (1,))), (2, ((0, 1),)), (3, ((1,), (0,))))]},
    ),
    Example(
        "fed",
        [_FED_TURN, _FED_DIALOGUE],
        {1: [Rating(turns("Hi!", "Hello.", "Tea or milk?"), "Tea: always.", {"Fluent": 1.5, "Overall": 3.6}, "mean of 5")],
         2: [Rating(turns("Hi!", "Hello.", "Tea?"), "Milk.\nUser: Oh.", {"Depth": 0.4, "Overall dialogue": 2.0}, "mean of 5")]},
        "rows.json",
    ),
    Example(
        "usr",
        _USR,
        {i: [Rating((Message("assistant", "a dog barks ."), Message("user", "where ?")), f"{place} .",
                    {"naturalness": 3.0, "overall": overall}, "mean of 3")]
         for i, (place, overall) in enumerate([("outside", 4.0), ("on the moon", 1.5), ("in the yard", 4.0)], start=1)},
        "rows.json",
    ),
    Example(
        "oasst",
        [TREE],
        {1: [Chat(ASKED, "it is water."),
             Chat((*ASKED, Message("assistant", "it is water."), Message("user", "and snow?")), "frozen."),
             Chat(ASKED, "ask a cloud."), Chat(ASKED, "water wets."), Chat(ASKED, "no idea.")]},
    ),
    Example(
        "oasst",
        [TREE],
        {1: [Ranking(ASKED, ("it is water.", "ask a cloud.", "water wets."), ((2,), (0,), (1,)),
                     labeler="the labelers' consensus")]},
        options={"what": "rankings"},
    ),
    Example(
        "oasst",
        [TREE],
        {1: [Rating(ASKED, "ask a cloud.", {"quality": 0.25, "humor": 1.0}, "mean of the labelers"),
             Rating(ASKED, "water wets.", {"quality": 0.5}, "mean of the labelers")]},
        options={"what": "ratings"},
    ),
]  # fmt: skip


def bare(row: Row) -> tuple[Any, ...]:
    """A row without its place."""
    return type(row), *(getattr(row, name) for name in row.__slots__ if name != "source")
