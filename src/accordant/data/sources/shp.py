"""Replies of Reddit that readers preferred."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from accordant.data import fields as want
from accordant.data import rows
from accordant.data.fields import Bad, Fields
from accordant.data.files import shown
from accordant.data.loaded import Loaded
from accordant.data.sources.loaded import Map, passed_over, user
from accordant.types import Pair, UserError


def shp(path: str | Path, *, min_ratio: float = 1.0, map: Map = None) -> Loaded:
    """Stanford Human Preferences (arXiv 2110.08420): `history`, `human_ref_A`, `human_ref_B`, `labels` (1 = A), `score_ratio`.

    The margin of a pair is the natural logarithm of `score_ratio`, the preferred reply's votes over the other's.

    Args:
        path: the JSON or JSONL file, or "hub:stanfordnlp/SHP:train".
        min_ratio: pairs below this ratio are left out and counted; its authors advise 2 or more for training.
        map: {theirs: ours} renames fields first.

    Example row: `Pair((Message("user", "How do I boil an egg?"),), "Seven minutes.", "No idea.", margin=0.69)`.
    Licence: Reddit's API terms of use; see the data set's card.
    """
    if min_ratio < 1:
        raise UserError(f"shp.min_ratio is {min_ratio}; a score ratio is never below 1")
    low = 0

    def convert(fields: Fields) -> Iterator[dict[str, Any]]:
        nonlocal low
        names = ["human_ref_A", "human_ref_B"]
        if str(fields.get("labels")) not in ("0", "1"):
            raise Bad(f"`labels` is {shown(fields.get('labels'))}; it must be 1 (A is preferred) or 0 (B is)")
        better, worse = names if str(fields["labels"]) == "1" else names[::-1]
        ratio = _ratio(fields)
        if ratio < min_ratio:
            low += 1
            return
        prompt = user(want.text(fields, "history"))
        yield {
            "prompt": prompt,
            "chosen": want.answer_text(fields, better),
            "rejected": want.answer_text(fields, worse),
            "margin": math.log(ratio),
        }

    found = rows.convert(path, convert, Pair, map, needs=("history", "human_ref_A", "human_ref_B", "labels", "score_ratio"))
    return replace(found, notes=passed_over(f"pairs with a score ratio below {min_ratio:g}, left out", low))


def _ratio(fields: Fields) -> float:
    given = fields.get("score_ratio")
    if isinstance(given, str):  # as CSV spells it
        try:
            given = float(given)
        except ValueError as error:
            raise Bad(f"`score_ratio` must be a number, found {shown(given)}") from error
    ratio = want.number({"score_ratio": given}, "score_ratio", 1.0)
    if ratio < 1:
        raise Bad(f"`score_ratio` is {ratio:g}; the preferred reply's votes over the other's are never below 1")
    return ratio
