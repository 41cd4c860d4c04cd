"""All answers as columns: who said what to which question, so that counting thousands of them is a matter of milliseconds.

What an answer says is as `votes` has it. The questions of an item are, of a ranking and a pair, every two completions; of a
Likert task each attribute; of the others the one that there is. Votes are one after another and not a table of answers by
questions, for an item of 26 completions has 325 questions, and would make every answer that wide. Left out: texts that labelers
write, which are no votes.
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
_OF_VOTES = ("row", "question", "vote", "flipped")


@dataclass(frozen=True)
class Tally:
    """A answers with V votes. K: the most completions of a ranking or pair."""

    answers: NDArray[np.object_]  # (A,) of Said
    item: NDArray[np.int64]  # (A,) items numbered from 0, as they come
    labeler: NDArray[np.int64]  # (A,) ids
    task: NDArray[np.str_]  # (A,)
    is_gold: NDArray[np.bool_]  # (A,) attention checks included
    is_attention: NDArray[np.bool_]  # (A,)
    is_human: NDArray[np.bool_]  # (A,)
    is_surplus: NDArray[np.bool_]  # (A,)
    level: NDArray[np.float64]  # (A, K) of each completion, 0 the best, the rejected last; nan: none, or not judged
    rejected: NDArray[np.bool_]  # (A, K)
    place: NDArray[np.int64]  # (A, K) where each completion was shown
    row: NDArray[np.int64]  # (V,) the answer of each vote, ascending
    question: NDArray[np.int64]  # (V,) of the item, from 0
    vote: NDArray[np.int64]  # (V,)
    flipped: NDArray[np.bool_]  # (V,) on two completions: whether the second was shown before the first
    attributes: tuple[str, ...]  # of Likert tasks: the names of the questions

    def only(self, chosen: NDArray[np.bool_]) -> Tally:
        """These answers, their items numbered anew in the same order."""
        kept = {one.name: getattr(self, one.name) for one in fields(self)}
        rows = {name: value[chosen] for name, value in kept.items() if name not in (*_OF_VOTES, "attributes")}
        votes = {name: kept[name][chosen[self.row]] for name in _OF_VOTES}
        votes["row"] = (np.cumsum(chosen) - 1)[votes["row"]]
        return Tally(**kept | rows | votes | {"item": np.unique(rows["item"], return_inverse=True)[1]})

    @property
    def counts(self) -> NDArray[np.bool_]:
        """(A,) whether the answer counts for agreement: in time, and not to a gold item."""
        return ~self.is_gold & ~self.is_surplus

    @property
    def asked(self) -> NDArray[np.int64]:
        """(V,) the item of each vote."""
        return self.item[self.row]

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
    others: list[tuple[int, int, int]] = []
    for i, one in enumerate(said):
        if one.task in ("rank", "pair"):
            count = len(one.completions)
            shown = {completion: at for at, completion in enumerate(one.display)}
            place[i, :count] = [shown[completion.id] for completion in one.completions]
            level[i, :count], rejected[i, :count] = levels(one)
        else:
            others.extend((i, question, given) for question, given in _others(one, attributes))
    task = np.array([one.task for one in said], dtype=np.str_)
    return Tally(
        np.array(said, dtype=object),
        np.array([numbers[one.item_id] for one in said], dtype=np.int64),
        np.array([one.labeler_id for one in said], dtype=np.int64), task,
        np.array([one.gold is not None for one in said], dtype=bool),
        np.array([one.attention for one in said], dtype=bool), np.array([one.kind == "human" for one in said], dtype=bool),
        np.array([one.surplus for one in said], dtype=bool), level, rejected, place,
        *_votes(level, place, (task == "pair") & rejected[:, 0], others), tuple(attributes),
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


def starts(item: NDArray[np.int64], question: NDArray[np.int64], items: int) -> NDArray[np.int64]:
    """(items + 1,) the number of each item's first question where those with votes (V,) are numbered through."""
    questions = np.zeros(items + 1, dtype=np.int64)
    np.maximum.at(questions, item + 1, question + 1)
    return np.cumsum(questions)


def counts(
    item: NDArray[np.int64], question: NDArray[np.int64], vote: NDArray[np.int64], values: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """How often each vote, from 0, was given (questions, values), and the item of each question, ascending; of votes (V,)."""
    start = starts(item, question, int(item.max(initial=-1)) + 1)
    table = np.bincount((start[item] + question) * values + vote, minlength=int(start[-1]) * values)
    return table.reshape(-1, values), np.repeat(np.arange(len(start) - 1), np.diff(start))


def compared(of: Tally) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """Every two answers to one item that can be compared, by rows: the row of each, and their share of equal votes."""
    mine, theirs = pairs_within(starts(of.asked, of.question, of.items)[of.asked] + of.question)
    pair, which = np.unique(of.row[mine] * len(of.answers) + of.row[theirs], return_inverse=True)
    equal = np.bincount(which, of.vote[mine] == of.vote[theirs], len(pair))
    return pair // len(of.answers), pair % len(of.answers), equal / np.bincount(which, minlength=len(pair))


def _votes(
    level: NDArray[np.float64], place: NDArray[np.int64], both_bad: NDArray[np.bool_], others: list[tuple[int, int, int]]
) -> tuple[NDArray[Any], ...]:
    """Row, question, vote and whether it was flipped: of every two completions with a level, and of the others."""
    answer, at = np.nonzero(~np.isnan(level))
    first, second = pairs_within(answer)
    ordered, seen = level[answer, at], place[answer, at]
    row = answer[first]
    vote = np.select([ordered[first] < ordered[second], ordered[first] > ordered[second]], [FIRST, SECOND], TIE)
    vote[both_bad[row]] = BOTH_BAD
    question = np.arange(len(row)) - np.searchsorted(row, row)
    more = np.array(others, dtype=np.int64).reshape(-1, 3)
    order = np.argsort(np.concatenate([row, more[:, 0]]), kind="stable")
    flipped = seen[first] > seen[second], np.zeros(len(more), dtype=bool)
    columns = (row, more[:, 0]), (question, more[:, 1]), (vote, more[:, 2]), flipped
    return tuple(np.concatenate(parts)[order] for parts in columns)


def _others(one: Said, attributes: Sequence[str]) -> Iterable[tuple[int, int]]:
    """Question and vote of what is no order."""
    if one.task == "likert":
        scores: Mapping[str, Any] = one.payload["scores"]
        return [(k, scores[name]) for k, name in enumerate(attributes) if scores.get(name) is not None]
    if one.task == "thumb":
        return [(0, int(one.payload["up"]))]
    return [(0, VERDICTS.index(one.payload["verdict"]))] if one.task == "vet" else []
