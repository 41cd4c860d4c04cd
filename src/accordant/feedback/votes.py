"""Answers in a form that can be compared: what is equal, how far two are apart, and whether one is right.

::

    task    votes of an answer                                      distance of two answers, 0 to 1
    rank    for every two completions: first, second or tie         mean over them: 1 if opposite, 1/2 if one is a tie
    pair    first, second, tie or both bad; the grade is no part    difference of the signed grades (-4 to 4) over 8; 1/2 if one
                                                                    of them is "both bad"
    likert  the score of each attribute                             mean difference over 4, of the attributes that both rate
    thumb   up or down                                              0 or 1
    vet     accept, edit or reject                                  0 or 1

First and second are by the item's own order of completions, which nobody sees. Rejected answers are below all that is ranked,
and tied among themselves. "Cannot judge" is no vote; from an answer that does judge it is 1/2 apart. Left out: texts that
labelers write, which are neither equal nor different, and what an edited row says.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterable, Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from accordant.feedback.answers import Said, source_of
from accordant.feedback.export import rows
from accordant.feedback.payload import SCALE
from accordant.stats.dawid_skene import FIRST, SECOND, TIE
from accordant.stats.grades import GRADES
from accordant.stats.rankings import levels
from accordant.types import Ranking

BOTH_BAD = 3
VERDICTS = ("accept", "edit", "reject")
_WIDEST = 2 * len(GRADES)  # between the best grade for the one and for the other
_STEPS = SCALE.stop - 1 - SCALE.start
_NEAR = 1  # steps of a Likert scale that two careful people differ by


def ranking(one: Said) -> Ranking | None:
    """The answer to a rank or pair task as a weak order of the item's completions, both bad being both rejected."""
    if "cannot_judge" in one.payload:
        return None
    if one.task == "rank":
        row = rows([one])["rank"][0]
        assert isinstance(row, Ranking)
        return row
    if one.task != "pair":
        return None
    groups: dict[int, tuple[tuple[int, ...], ...]] = {FIRST: ((0,), (1,)), SECOND: ((1,), (0,)), TIE: ((0, 1),), BOTH_BAD: ()}
    said = side(one)
    assert said is not None
    texts = tuple(completion.text for completion in one.completions)
    return Ranking(one.prompt, texts, groups[said], (0, 1) if said == BOTH_BAD else (), one.labeler, source_of(one.item_id))


def level(one: Said) -> NDArray[np.int64] | None:
    """The level (K,) of each completion of a ranked item, 0 the best; None where there is no ranking."""
    found = ranking(one)
    return None if found is None else levels(found)


def side(one: Said) -> int | None:
    """What the answer to a pair says: `FIRST`, `SECOND`, `TIE`, `BOTH_BAD`; None: it could not be judged."""
    if "better" in one.payload:
        return FIRST if one.payload["better"] == one.completions[0].id else SECOND
    if one.payload.get("tie"):
        return TIE
    return BOTH_BAD if one.payload.get("both_bad") else None


def signed_grade(one: Said) -> int | None:
    """How much better the first of a pair is, 4 (significantly) to 1 (negligibly), 0 for a tie, negative for the second.

    None where both are bad or it could not be judged.
    """
    said = side(one)
    if said in (FIRST, SECOND):
        steps = len(GRADES) - GRADES.index(one.payload["grade"])
        return steps if said == FIRST else -steps
    return 0 if said == TIE else None


def votes(one: Said) -> dict[Hashable, Hashable]:
    """What an answer says, question by question, so that equal values are equal votes; empty where nothing can be compared."""
    if one.task == "rank":
        place = level(one)
        return {} if place is None else {(a, b): _order(place, a, b) for a, b in combinations(range(len(place)), 2)}
    if one.task == "pair":
        said = side(one)
        return {} if said is None else {"pair": said}
    if one.task == "likert":
        return {name: score for name, score in one.payload["scores"].items() if score is not None}
    field = {"thumb": "up", "vet": "verdict"}.get(one.task)
    return {field: one.payload[field]} if field else {}


def distance(one: Said, other: Said) -> float | None:
    """How far two answers to one item are apart, 0 (equal) to 1 (opposite); None where they cannot be compared."""
    if ("cannot_judge" in one.payload) != ("cannot_judge" in other.payload):
        return 0.5
    if "cannot_judge" in one.payload:
        return 0.0
    if one.task == "pair":
        a, b = signed_grade(one), signed_grade(other)
        if a is None or b is None:
            return 0.0 if a == b else 0.5
        return abs(a - b) / _WIDEST
    mine, theirs = votes(one), votes(other)
    shared = [(mine[name], theirs[name]) for name in mine if name in theirs]
    return sum(_apart(one.task, a, b) for a, b in shared) / len(shared) if shared else None


def by_item(answers: Iterable[Said]) -> dict[int, list[Said]]:
    """The answers of each item, in the order given."""
    found: defaultdict[int, list[Said]] = defaultdict(list)
    for one in answers:
        found[one.item_id].append(one)
    return dict(found)


def right(one: Said, gold: Mapping[str, Any]) -> bool | None:
    """Whether an answer says what the gold answer says; None where texts would have to be compared.

    A ranking must be the same weak order with the same rejected; of a pair the side counts and not the grade; each attribute
    that gold rates must be rated within one step; a verdict must be the same, whatever an edit makes of the row.
    """
    if one.task in ("demonstration", "red_team"):
        return None
    if "cannot_judge" in gold or "cannot_judge" in one.payload:
        return ("cannot_judge" in gold) == ("cannot_judge" in one.payload)
    if one.task == "rank":
        return _weak_order(one.payload) == _weak_order(gold)
    if one.task == "likert":
        scores = one.payload["scores"]
        wanted = {name: score for name, score in gold["scores"].items() if score is not None}
        return all(scores.get(name) is not None and abs(scores[name] - score) <= _NEAR for name, score in wanted.items())
    field = {"pair": ("better", "tie", "both_bad"), "thumb": ("up",), "vet": ("verdict",)}[one.task]
    return all(one.payload.get(name) == gold.get(name) for name in field)


def _order(place: NDArray[np.int64], a: int, b: int) -> int:
    return TIE if place[a] == place[b] else FIRST if place[a] < place[b] else SECOND


def _apart(task: str, a: Any, b: Any) -> float:
    if task == "rank":
        return 0.0 if a == b else 0.5 if TIE in (a, b) else 1.0
    return abs(a - b) / _STEPS if task == "likert" else float(a != b)


def _weak_order(payload: Mapping[str, Sequence[Any]]) -> tuple[list[set[int]], set[int]]:
    return [set(group) for group in payload["groups"]], set(payload["rejected"])
