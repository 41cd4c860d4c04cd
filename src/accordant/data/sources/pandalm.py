"""Pairs of answers, each judged by three people."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

from accordant.data import rows
from accordant.data.fields import Bad, EmptyAnswer, Fields
from accordant.data.files import shown
from accordant.data.kinds import PARSERS
from accordant.data.loaded import Loaded
from accordant.data.sources.loaded import Map, one_of, user
from accordant.types import Ranking, Source

_ORDERS: dict[str, tuple[tuple[int, ...], ...]] = {"0": ((0, 1),), "1": ((0,), (1,)), "2": ((1,), (0,))}
_ANNOTATOR = re.compile(r"annotator\d+")


def pandalm(path: str | Path, *, empty: str = "name", map: Map = None) -> Loaded:
    """PandaLM's test set (arXiv 2306.05087): `instruction`, `input`, `response1`, `response2`, and `annotator1..3`.

    0 is a tie, 1 and 2 say which response is better. A row for each annotator, who is its labeler. Some of the models answered
    nothing.

    Args:
        path: the JSON or JSONL file of the test set with its raw annotations.
        empty: "name": an item with an empty response is a bad row; "keep": it stays, as the empty answer that the annotators
            judged, for the statistics of agreement. Files of rows cannot hold an empty answer.
        map: {theirs: ours} renames fields first.

    Example row: `Ranking((Message("user", "Name a colour."),), ("Red.", "Dog."), ((0,), (1,)), labeler="annotator1")`.
    Licence: Apache-2.0.
    """
    one_of("pandalm", "empty", empty, ("name", "keep"))

    def convert(fields: Fields) -> Iterator[dict[str, Any]]:
        people = sorted(name for name in fields if _ANNOTATOR.fullmatch(name))
        if not people:
            raise Bad(f"`annotator1` is missing; the fields are {sorted(fields)}")
        prompt = "\n\n".join(part for part in (_said(fields, "instruction"), _said(fields, "input")) if part.strip())
        answers = [_said(fields, f"response{i}") for i in (1, 2)]
        for i, answer in enumerate(answers, start=1):
            if not answer.strip() and empty == "name":
                raise EmptyAnswer(f"`response{i}` is empty; leave the item out, or set empty=keep for statistics of agreement")
        for person in people:
            verdict = str(fields[person])
            if verdict not in _ORDERS or isinstance(fields[person], bool):
                raise Bad(f"`{person}` is {shown(fields[person])}; it must be 0 (tie), 1 or 2 (the better response)")
            groups = [list(group) for group in _ORDERS[verdict]]
            yield {"prompt": user(prompt), "completions": answers, "groups": groups, "labeler": person}

    reads = rf"input|{_ANNOTATOR.pattern}"
    if empty == "keep":
        return rows.convert(path, convert, Ranking, map, parse=_unchecked, reads=reads + "|instruction|response[12]")
    return rows.convert(path, convert, Ranking, map, needs=("instruction", "response1", "response2"), reads=reads)


def _said(fields: Fields, name: str) -> str:
    """Text; some responses that read True are not quoted in the file."""
    value = fields.get(name, "" if name == "input" else None)
    if isinstance(value, bool | int | float):
        return str(value)
    if not isinstance(value, str):
        raise Bad(f"`{name}` must be text, found {shown(value)}")
    return value


def _unchecked(fields: Fields, source: Source) -> Ranking:
    """As the parser of rankings makes it, but for its refusal of empty answers."""
    given = cast("list[str]", fields["completions"])
    filled = {**fields, "completions": [answer if answer.strip() else "(empty)" for answer in given]}
    ranking: Ranking = PARSERS[Ranking](filled, source)
    return replace(ranking, completions=tuple(given))
