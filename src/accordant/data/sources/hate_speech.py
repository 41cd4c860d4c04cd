"""Tweets judged hateful, offensive or neither."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, cast

from accordant.data import fields as want
from accordant.data import rows
from accordant.data.fields import Bad, Fields
from accordant.data.files import shown
from accordant.data.loaded import Loaded
from accordant.data.sources.loaded import Map, passed_over
from accordant.types import Labelled

_CLASSES = {"0": 1, "1": 1, "2": 0}
_RETWEETED = re.compile(r"^[\s!\"“”:]*(?:(?:RT)?\s*@\w+\s*:?[\s\"“:]*)+", re.IGNORECASE)
_LINK = re.compile(r"https?://\S+")


def hate_speech(path: str | Path, *, repeats: bool = False, map: Map = None) -> Loaded:
    """Tweets of Davidson et al. (2017, arXiv 1703.04009): 1 = hate speech or offensive (class 0, 1), 0 = neither (class 2).

    Tweets that differ only in whom they retweet or address first, in links, case and punctuation count as one: the first is
    kept, none where their classes differ. What is left out is counted.

    Args:
        path: labeled_data.csv, with the columns `class` and `tweet`.
        repeats: keep all tweets.
        map: {theirs: ours} renames fields first.

    Example row: `Labelled("What a day!", 0, Source("labeled_data.csv", 2))`. Licence: MIT.
    """

    def convert(fields: Fields) -> Iterator[dict[str, Any]]:
        found = str(fields.get("class"))
        if found not in _CLASSES:
            raise Bad(f"`class` is {shown(fields.get('class'))}; it must be 0 (hate), 1 (offensive) or 2 (neither)")
        yield {"text": want.text(fields, "tweet"), "label": _CLASSES[found]}

    read = rows.convert(path, convert, Labelled, map, needs=("class", "tweet"))
    if repeats:
        return read
    same: dict[str, list[int]] = {}
    tweets = cast("Sequence[Labelled]", read.rows)
    for i, row in enumerate(tweets):
        same.setdefault(_words(row.text) or row.text, []).append(i)
    sure = [group for group in same.values() if len({tweets[i].label for i in group}) == 1]
    left = [group[0] for group in sure]
    unsure = len(tweets) - sum(len(group) for group in sure)
    notes = passed_over("tweets that repeat an earlier one, left out", len(tweets) - len(left) - unsure)
    notes += passed_over("equal tweets of different classes, left out", unsure)
    return Loaded([tweets[i] for i in left], read.complaints, notes, [read.kept[i] for i in left])


def _words(tweet: str) -> str:
    """What is left of a tweet when all that repeats vary in is taken away."""
    said = _LINK.sub("", _RETWEETED.sub("", html.unescape(tweet)))
    return " ".join(re.sub(r"[^\w@#']+", " ", said.casefold()).split())
