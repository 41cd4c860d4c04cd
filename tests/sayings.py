"""Answers as tests make them: without a store."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from accordant.feedback.answers import Completion, Said

COMPLETIONS = {"rank": 3, "pair": 2, "likert": 1, "thumb": 1}


def say(
    task: str, payload: Mapping[str, Any], who: str = "ana", item: int = 1, *, k: int | None = None,
    display: Sequence[int] | None = None, **others: Any,
) -> Said:  # fmt: skip
    """What `who` says of an item whose k completions have the ids 10 * item, 10 * item + 1, ... and the texts "a", "b", ..."""
    count = COMPLETIONS.get(task, 0) if k is None else k
    ids = [10 * item + place for place in range(count)]
    texts = tuple(Completion(number, "abcdefghij"[place], "m") for place, number in enumerate(ids))
    kept: dict[str, Any] = {
        "item_id": item, "prompt_id": item, "task": task, "prompt": f"q{item}", "completions": texts, "payload": payload,
        "labeler_id": _number(who), "labeler": who, "kind": "human", "strata": {},
        "display": tuple(ids if display is None else (ids[place] for place in display)), "ms_spent": 20_000, "revision": 1,
        "surplus": False, "gold": None, "attention": False, "row": None,
    }  # fmt: skip
    return Said(**kept | others)


def _number(who: str) -> int:
    return sum(ord(letter) * 256**i for i, letter in enumerate(who)) % (2**61 - 1)


def rank(groups: str, who: str = "ana", item: int = 1, rejected: str = "", **others: Any) -> Said:
    """`rank("c ab", rejected="d")`: c first, then a and b tied, d rejected."""
    count = len(groups.replace(" ", "")) + len(rejected)
    ids = {letter: 10 * item + place for place, letter in enumerate("abcdefghij")}
    payload = {"groups": [[ids[x] for x in group] for group in groups.split()], "rejected": [ids[x] for x in rejected]}
    return say("rank", payload, who, item, k=count, **others)


def pair(verdict: str, who: str = "ana", item: int = 1, **others: Any) -> Said:
    """`pair("a slightly")`, `pair("tie")`, `pair("both_bad")`, `pair("cannot_judge")`."""
    if verdict in ("tie", "both_bad"):
        return say("pair", {verdict: True}, who, item, **others)
    if verdict == "cannot_judge":
        return say("pair", {"cannot_judge": "in Finnish"}, who, item, **others)
    better, grade = verdict.split()
    return say("pair", {"better": 10 * item + "ab".index(better), "grade": grade}, who, item, **others)


def likert(who: str = "ana", item: int = 1, **scores: int | None) -> Said:
    return say("likert", {"scores": scores}, who, item)


def thumb(up: bool, who: str = "ana", item: int = 1, **others: Any) -> Said:
    return say("thumb", {"up": up}, who, item, **others)


def vet(verdict: str, who: str = "ana", item: int = 1, **others: Any) -> Said:
    return say("vet", {"verdict": verdict}, who, item, **others)
