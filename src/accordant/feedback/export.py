"""Answers -> rows that train: what each labeler said, as the records that every stage reads.

A row names its labeler, and equal prompts of one item share a text, so that a split by prompt keeps them together. Nothing is
added and nothing guessed: what several labelers mean together is `stats.consensus`'s business, and what a ranking is worth in
pairs `data.convert`'s.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeAlias

from accordant.feedback.answers import Said, source_of
from accordant.stats.grades import MARGINS
from accordant.types import Chat, Pair, Prompt, Ranking, Rating, Row, Thumb


def rows(answers: Iterable[Said], margins: str | None = None) -> dict[str, list[Row]]:
    """The rows that these answers give, by kind of task; a kind that gives none is absent.

    Args:
        margins: "small" or "large": the grades of a pair become its margin; None: margin 0.

    A whole set that could not be judged, and a pair whose answers were both bad, give no row.
    """
    out: dict[str, list[Row]] = {}
    for one in answers:
        row = _ROWS[one.task](one, MARGINS[margins] if margins else {})
        if row is not None:
            out.setdefault(one.task, []).append(row)
    return out


def vetted(answers: Iterable[Said]) -> list[dict[str, Any]]:
    """The imported rows that were accepted, as they came or as they were edited, in the order of the items."""
    kept = []
    for one in answers:
        if one.task == "vet" and one.payload["verdict"] != "reject":
            kept.append(dict(one.payload["row"] if one.payload["verdict"] == "edit" else one.row or {}))
    return kept


def _texts(one: Said) -> tuple[str, ...]:
    return tuple(completion.text for completion in one.completions)


def _rank(one: Said, _: Mapping[str, float]) -> Row | None:
    if "cannot_judge" in one.payload:
        return None
    place = {completion.id: k for k, completion in enumerate(one.completions)}
    groups = tuple(tuple(place[i] for i in group) for group in one.payload["groups"])
    return Ranking(
        one.prompt, _texts(one), groups, tuple(place[i] for i in one.payload["rejected"]), one.labeler, source_of(one.item_id)
    )


def _pair(one: Said, margins: Mapping[str, float]) -> Row | None:
    first, second = one.completions
    if one.payload.get("tie"):
        return Pair(one.prompt, first.text, second.text, tie=True, labeler=one.labeler, source=source_of(one.item_id))
    if "better" not in one.payload:
        return None
    chosen, rejected = (first, second) if one.payload["better"] == first.id else (second, first)
    margin = margins.get(one.payload["grade"], 0.0)
    return Pair(one.prompt, chosen.text, rejected.text, margin, labeler=one.labeler, source=source_of(one.item_id))


def _likert(one: Said, _: Mapping[str, float]) -> Row:
    scores = {name: float(score) for name, score in one.payload["scores"].items() if score is not None}
    return Rating(one.prompt, one.completions[0].text, scores, one.labeler, source_of(one.item_id))


def _thumb(one: Said, _: Mapping[str, float]) -> Row:
    return Thumb(one.prompt, one.completions[0].text, one.payload["up"], one.labeler, source_of(one.item_id))


def _demonstration(one: Said, _: Mapping[str, float]) -> Row:
    return Chat(one.prompt, one.payload["text"], source_of(one.item_id))


def _red_team(one: Said, _: Mapping[str, float]) -> Row:
    return Prompt(one.payload["text"], source_of(one.item_id))


def _vet(one: Said, _: Mapping[str, float]) -> Row | None:  # noqa: ARG001  (rows of any shape: `vetted` gives them)
    return None


_Maker: TypeAlias = "Callable[[Said, Mapping[str, float]], Row | None]"
_ROWS: dict[str, _Maker] = {
    "rank": _rank,
    "pair": _pair,
    "likert": _likert,
    "thumb": _thumb,
    "demonstration": _demonstration,
    "red_team": _red_team,
    "vet": _vet,
}
