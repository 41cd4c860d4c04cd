"""All answers as columns: who said what to which question, so that counting thousands of them is a matter of milliseconds.

What an answer says is as `votes` has it. The questions of an item are, of a ranking and a pair, every two completions; of a
Likert task each attribute; of the others the one that there is. Left out: texts that labelers write, which are no votes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from accordant.feedback.answers import Said
from accordant.feedback.votes import BOTH_BAD, VERDICTS, side
from accordant.stats.dawid_skene import FIRST, SECOND, TIE
from accordant.stats.kendall import pairs_within

NONE = -1
"""No vote."""


@dataclass(frozen=True)
class Tally:
    """A answers. K: the most completions of a ranking or pair; Q: the most questions of an item."""

    answers: NDArray[np.object_]  # (A,) of Said
    item: NDArray[np.int64]  # (A,) items numbered from 0, as they come
    labeler: NDArray[np.int64]  # (A,) ids
    task: NDArray[np.str_]  # (A,)
    is_gold: NDArray[np.bool_]  # (A,) attention checks included
    is_attention: NDArray[np.bool_]  # (A,)
    is_human: NDArray[np.bool_]  # (A,)
    is_surplus: NDArray[np.bool_]  # (A,)
    vote: NDArray[np.int64]  # (A, Q) NONE: no vote
    level: NDArray[np.float64]  # (A, K) of each completion, 0 the best, the rejected last; nan: none, or not judged
    rejected: NDArray[np.bool_]  # (A, K)
    place: NDArray[np.int64]  # (A, K) where each completion was shown
    attributes: tuple[str, ...]  # of Likert tasks: the names of the first questions

    def only(self, chosen: NDArray[np.bool_]) -> Tally:
        """These answers, their items numbered anew in the same order."""
        kept = {one.name: getattr(self, one.name) for one in fields(self)}
        rows = {name: value[chosen] for name, value in kept.items() if name != "attributes"}
        return Tally(**kept | rows | {"item": np.unique(rows["item"], return_inverse=True)[1]})

    @property
    def counts(self) -> NDArray[np.bool_]:
        """(A,) whether the answer counts for agreement: in time, and not to a gold item."""
        return ~self.is_gold & ~self.is_surplus

    @property
    def items(self) -> int:
        return int(self.item.max(initial=-1)) + 1

    @property
    def is_ranking(self) -> NDArray[np.bool_]:
        """(A,) whether the answer orders completions."""
        return ~np.isnan(self.level).all(axis=1)


def tally(answers: Iterable[Said]) -> Tally:
    """The columns of these answers, in their order."""
    said = list(answers)
    numbers = {item: i for i, item in enumerate(dict.fromkeys(one.item_id for one in said))}
    attributes = list(dict.fromkeys(name for one in said if one.task == "likert" for name in one.payload["scores"]))
    most = max((len(one.completions) for one in said if one.task in ("rank", "pair")), default=2)
    level, rejected = np.full((len(said), most), np.nan), np.zeros((len(said), most), dtype=bool)
    place = np.full((len(said), most), -1)
    other = np.full((len(said), max(len(attributes), 1)), NONE)
    for i, one in enumerate(said):
        if one.task in ("rank", "pair"):
            count = len(one.completions)
            shown = {completion: at for at, completion in enumerate(one.display)}
            place[i, :count] = [shown[completion.id] for completion in one.completions]
            level[i, :count], rejected[i, :count] = levels(one)
        else:
            for question, given in _others(one, attributes):
                other[i, question] = given
    a, b = np.triu_indices(most, 1)
    ahead = np.sign(level[:, b] - level[:, a])
    pairwise = np.select([ahead > 0, ahead < 0, ahead == 0], [FIRST, SECOND, TIE], NONE)
    task = np.array([one.task for one in said], dtype=np.str_)
    pairwise[(task == "pair") & rejected[:, 0], 0] = BOTH_BAD
    width = max(pairwise.shape[1], other.shape[1])
    vote = np.maximum(_wide(pairwise, width), _wide(other, width))
    return Tally(
        np.array(said, dtype=object),
        np.array([numbers[one.item_id] for one in said], dtype=np.int64),
        np.array([one.labeler_id for one in said], dtype=np.int64), task,
        np.array([one.gold is not None for one in said], dtype=bool),
        np.array([one.attention for one in said], dtype=bool), np.array([one.kind == "human" for one in said], dtype=bool),
        np.array([one.surplus for one in said], dtype=bool), vote, level, rejected, place, tuple(attributes),
    )  # fmt: skip


def levels(one: Said) -> tuple[list[float], list[bool]]:
    """The level of each completion of a ranking or pair, in the item's own order, and whether it is rejected."""
    count = len(one.completions)
    if "cannot_judge" in one.payload:
        return [np.nan] * count, [False] * count
    if one.task == "pair":
        by_side: Mapping[int | None, list[float]] = {FIRST: [0, 1], SECOND: [1, 0]}
        said = side(one)
        return by_side.get(said, [0, 0]), [said == BOTH_BAD] * 2
    rejected = set(one.payload["rejected"])
    at = {completion: level for level, group in enumerate([*one.payload["groups"], rejected]) for completion in group}
    return [at[completion.id] for completion in one.completions], [completion.id in rejected for completion in one.completions]


def counts(of: Tally, vote: NDArray[np.int64], values: int) -> NDArray[np.int64]:
    """(items, Q, values): how many of an item's labelers gave each vote of `vote` (A, Q), from 0; NONE is not counted."""
    items, questions = of.items, vote.shape[1]
    cell = (of.item[:, None] * questions + np.arange(questions)) * values + vote
    return np.bincount(cell[vote != NONE], minlength=items * questions * values).reshape(items, questions, values)


def compared(of: Tally) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """Every two answers to one item that can be compared: the row of each, and their share of equal votes."""
    first, second = pairs_within(of.item)
    mine, theirs = of.vote[first], of.vote[second]
    both = (mine != NONE) & (theirs != NONE)
    shared = both.sum(axis=1)
    kept = shared > 0
    return first[kept], second[kept], ((mine == theirs) & both).sum(axis=1)[kept] / shared[kept]


def _others(one: Said, attributes: Sequence[str]) -> Iterable[tuple[int, int]]:
    """Question and vote of what is no order."""
    if one.task == "likert":
        scores: Mapping[str, Any] = one.payload["scores"]
        return [(k, scores[name]) for k, name in enumerate(attributes) if scores.get(name) is not None]
    if one.task == "thumb":
        return [(0, int(one.payload["up"]))]
    return [(0, VERDICTS.index(one.payload["verdict"]))] if one.task == "vet" else []


def _wide(table: NDArray[np.int64], width: int) -> NDArray[np.int64]:
    return np.pad(table, ((0, 0), (0, width - table.shape[1])), constant_values=NONE)
