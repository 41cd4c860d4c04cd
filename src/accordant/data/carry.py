"""A user's own fields, from the rows that had them into the rows that are made of those.

Where one row makes one or several, each gets what it had. Where several rows make one, a field comes along if all of them say
the same; the others are counted, so that what gets lost can be told. Of one prompt's rows, those count as made into a new one
whose answers are all in it, or hold all of its.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from accordant.data.kinds import own_names
from accordant.data.loaded import Kept
from accordant.data.split import key
from accordant.types import Chat, Document, Labelled, Pair, Ranking, Rating, Row, Thumb


@dataclass(frozen=True, slots=True)
class Carried:
    """`fields`: of each new row. `names`: what each field is called there. `lost`: how many new rows do not have it."""

    fields: Sequence[Mapping[str, Any]]
    names: Mapping[str, str]
    lost: Mapping[str, int]


def parents(rows: Sequence[Row], made: Sequence[Row], to: str, consensus: bool) -> list[tuple[int, ...]]:
    """For each row that `convert` made, the old rows that it was made of, as indices.

    Args:
        rows: as they were read: rows of one record share its `source` object.
        made: of them.
        to: what they were converted to.
        consensus: whether several labelers were to agree.
    """
    if type(rows[0]) in _ONE_EACH.get(to, ()) and not consensus:
        place = {id(row.source): index for index, row in enumerate(rows)}
        return [(place[id(row.source)],) for row in made]
    said = [_answers(row, to) for row in rows]
    speak: defaultdict[object, list[int]] = defaultdict(list)
    for index, row in enumerate(rows):
        for text in said[index]:
            speak[_item(row, to), text].append(index)
    found = []
    for new in made:
        own = _answers(new, to)
        heard = sorted({index for text in own for index in speak[_item(new, to), text]})
        found.append(tuple(index for index in heard if own <= said[index] or said[index] <= own))
    return found


_ONE_EACH: Mapping[str, tuple[type[Row], ...]] = {
    "pairs": (Pair, Ranking), "rankings": (Ranking,), "ratings": (Rating,), "thumbs": (Thumb,), "chats": (Chat,),
}  # fmt: skip
"""Where each new row is made of one old row alone, unless labelers are to agree."""


def _item(row: Row, to: str) -> object:
    """What rows that become one have in common, beside answers."""
    if to == "prompts":
        return key(row)
    assert not isinstance(row, Document | Labelled)
    return row.prompt, row.labeler if to == "rankings" and isinstance(row, Rating | Ranking) else ""


def _answers(row: Row, to: str) -> frozenset[str]:
    """The answers by which rows that become one know each other; of rows that become chats, those worth learning."""
    match row:
        case _ if to == "prompts":
            return frozenset({""})
        case Pair():
            return frozenset({row.chosen} if to == "chats" else {row.chosen, row.rejected})
        case Ranking():
            best = row.groups[0] if row.groups else ()
            return frozenset([row.completions[i] for i in best] if to == "chats" else row.completions)
        case Chat() | Rating() | Thumb():
            return frozenset({row.completion})
        case _:
            return frozenset()


def carried(kept: Sequence[Kept], parents: Sequence[Sequence[int]]) -> Carried:
    """The own fields of rows that are made of others.

    Args:
        kept: the record of each old row.
        parents: for each new row the old ones that it is made of, as indices; one at least.
    """
    lost: Counter[str] = Counter()
    found = [_common(list({id(kept[i]): kept[i].own for i in own}.values()), lost) for own in parents]
    names = own_names(name for fields in found for name in fields)
    return Carried([{names[name]: value for name, value in fields.items()} for fields in found], names, lost)


def _common(records: Sequence[Mapping[str, Any]], lost: Counter[str]) -> Mapping[str, Any]:
    """The fields that all have with one value."""
    first, *others = records
    if not others:
        return first
    held = dict.fromkeys(name for record in records for name in record)
    same = [name for name in held if len({_spelt(record[name]) if name in record else None for record in records}) == 1]
    lost.update(name for name in held if name not in same)
    return {name: first[name] for name in same}


def _spelt(value: object) -> str:
    """Equal for equal values alone: to Python, 1, 1.0 and true are one."""
    return json.dumps(value, sort_keys=True, default=repr)
