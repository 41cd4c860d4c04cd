"""Files that no particular data set owns: our own rows, shapes recognised by their fields, scores and thumbs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from typing import Any

from accordant.data import rows, shapes
from accordant.data.fields import Bad, Fields
from accordant.data.kinds import PARSERS
from accordant.data.loaded import Loaded
from accordant.data.sources.loaded import Map, nearest, one_of, passed_over
from accordant.types import Pair, Rating, Row, Thumb, UserError


def file(path: str | Path, *, kind: str = "", map: Map = None) -> Loaded:
    """Rows by their fields: our own, or other tools' as `shapes` knows them; JSONL, JSON, CSV, Parquet or a hub data set.

    Args:
        path: the file, or "hub:owner/name:split".
        kind: the rows to make of it, such as prompt, chat or pair; "": as the fields say.
        map: {theirs: ours} renames fields first.

    Example row: any. Licence: the file's own.
    """
    kinds: dict[str, type[Row]] = {of.__name__.lower(): of for of in PARSERS}
    if kind and kind not in kinds:
        raise UserError(f"there is no kind of row {kind!r}; {nearest(kind, list(kinds))}")
    return rows.check(path, kinds.get(kind), map)


def thumbs(path: str | Path, *, map: Map = None) -> Loaded:
    """Answers with a thumb up or down: prompt, completion and label (true or false), or turns with `label` or `kto_tag`.

    Example row: `Thumb("2+2=", "4", up=True)`. Licence: the file's own.
    """
    return rows.check(path, Thumb, map)


def scored(path: str | Path, *, what: str = "ratings", min_gap: float = 0.0, map: Map = None) -> Loaded:
    """One prompt and several answers, each with a score (often 1 to 10): `prompt`, `responses` (or `completions`), `scores`.

    Args:
        path: the file, or "hub:owner/name:split".
        what: "ratings", a row for each answer; or "pairs", all pairs of a prompt's answers, the higher score preferred and the
            difference as the margin. Equal scores give no pair.
        min_gap: pairs whose scores differ by less than this are left out and counted.
        map: {theirs: ours} renames fields first.

    Example row: `Rating("Name a colour.", "Red.", {"score": 8.0})` or `Pair("Name a colour.", "Red.", "Dog.", margin=7.0)`.
    Licence: the file's own.
    """
    one_of("scored", "what", what, ("ratings", "pairs"))
    close = 0

    def convert(fields: Fields) -> Iterator[dict[str, Any]]:
        nonlocal close
        name = "responses" if "responses" in fields else "completions"
        prompt = {key: fields[key] for key in ("prompt", "messages") if key in fields}
        if not prompt:
            raise Bad(f"`prompt` is missing; the fields are {sorted(fields)}")
        answers = shapes.scored(fields, name)
        if what == "ratings":
            yield from (prompt | {"completion": answer, "scores": {"score": score}} for answer, score in answers)
            return
        for one, other in combinations(answers, 2):
            (chosen, high), (rejected, low) = sorted((one, other), key=lambda answer: -answer[1])
            if high > low and high - low >= min_gap:
                yield prompt | {"chosen": chosen, "rejected": rejected, "margin": high - low}
            else:
                close += 1

    reads = "prompt|messages|responses|completions|scores"
    found = rows.convert(path, convert, Rating if what == "ratings" else Pair, map, reads=reads)
    return replace(found, notes=passed_over("pairs of answers with equal or too close scores, left out", close))
