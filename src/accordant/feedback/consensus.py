"""What several labelers say together: one row for each item, with the weight that it deserves.

Rankings and pairs go through one model of all items and labelers (`stats.weighted_consensus`), or through Borda and majorities,
which count everybody alike. A ruling of an admin is the last word on its item. Left out: `vet`, whose rows are of any shape
(`vetted`), and texts that labelers write, of which all are kept.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from statistics import fmean
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from accordant.feedback import export
from accordant.feedback.answers import Said, source_of
from accordant.feedback.votes import by_item, ranking, side
from accordant.stats.consensus import borda_ranking, consensus_pairs, levels_of
from accordant.stats.dawid_skene import FIRST, SECOND, dawid_skene
from accordant.stats.grades import MARGINS
from accordant.stats.intervals import Undefined
from accordant.stats.rankings import CONSENSUS, to_pairs
from accordant.stats.weighted_consensus import Consensus, confident_pairs, weighted_consensus
from accordant.types import Pair, Ranking, Rating, Row, Thumb

ADJUDICATED = "(adjudicated)"
"""The labeler of a ruling: a name that no account can have."""

Method: TypeAlias = Literal["weighted", "borda"]
Payload: TypeAlias = "Mapping[str, Any]"


@dataclass(frozen=True)
class _Together:
    """What the labelers of one ranked item say together, or a ruling by itself."""

    ranking: Ranking  # its labeler is whose word this is
    orders: Mapping[tuple[str, str], Pair]  # by (chosen, rejected), those that are certain enough; weight is the confidence
    tied: NDArray[np.float64]  # (K, K) the share of the votes that say so


@dataclass(frozen=True)
class _Rules:
    """What `consensus_rows` was asked for, and what has been found over all items."""

    margins: str | None
    min_confidence: float
    rejects: Literal["lose", "exclude"]
    weights: Mapping[str, float]
    left_out: Counter[str]
    together: Mapping[int, _Together]
    up: Mapping[int, float]  # chance that a completion is good, by item


def consensus_rows(
    answers: Iterable[Said],
    rulings: Mapping[int, Payload],
    *,
    margins: str | None = None,
    min_confidence: float = 0.6,
    method: Method = "weighted",
    rejects: Literal["lose", "exclude"] = "lose",
    weights: Mapping[str, float] | None = None,
    left_out: Counter[str] | None = None,
) -> dict[str, list[Row]]:
    """One row for each item, by task and in the order of the items; a task that gives none is absent. Gold is left out.

    ==============  ================================================================================================
    rank            the consensus `Ranking`
    pairs           of the rankings: a `Pair` for every two answers whose order is certain enough, `weight` the confidence,
                    margin 0 (a ranking has no grades). `tie`, with their share as the weight, where enough votes are ties,
                    each counted as far as its labeler is reliable; neither where more than half are, but not enough
    pair            `Pair`: the same of the two, margin the mean of the grades' of those who say the same
    likert          `Rating`: the mean of each attribute
    thumb           `Thumb`: what is probable by Dawid and Skene, or the majority where that is undefined
    demonstration   all of them
    red_team        all of them
    ==============  ================================================================================================

    Items on which nothing is certain enough, both answers are bad, or nobody could judge give no row. Of two answers of a
    ranking, those that are both rejected or of equal texts make no pair.

    Args:
        answers: `answers.said`, or a part of it. A ruling on an item without an answer here gives a row only where
            `adjudication.ruled` is among them.
        rulings: payloads by item, `adjudication.rulings`. They replace what was said, with weight 1.
        margins: "small" or "large": the grades of a pair become its margin; None: margin 0.
        min_confidence: an order, a tie or a thumb that is not more certain is none; with Borda, a share of votes.
        method: "borda" counts everybody alike: majorities, and Borda's rankings.
        rejects: "lose": what is ranked is better than what is rejected; "exclude": the rejected are in none of `pairs`.
        weights: by labeler's name, at least 0, of ratings; None: all alike. Those without a weight have 1.
        left_out: counts, by reason, every two answers of a ranking that are none of `pairs`.

    Raises `ValueError` unless 0.5 <= min_confidence < 1, and for a negative weight.
    """
    items = dict(sorted(by_item(one for one in answers if one.gold is None).items()))
    if weights and min(weights.values()) < 0:
        raise ValueError(f"weights must be at least 0, found {min(weights.values())}")
    everything = [one for item in items.values() for one in item]
    together = (_by_reliability if method == "weighted" else _by_majority)(everything, min_confidence)
    counts = Counter() if left_out is None else left_out
    rules = _Rules(margins, min_confidence, rejects, weights or {}, counts, together, _thumbs_up(items, method))
    out: dict[str, list[Row]] = {name: [] for name in ("rank", "pairs", *_ROWS)}
    for number, item in items.items():
        task = item[0].task
        if number in rulings:
            _rule(replace(item[0], payload=rulings[number], labeler=ADJUDICATED), rules, out)
        elif task in _ROWS:
            _ROWS[task](item, rules, out)
    return {name: rows for name, rows in out.items() if rows}


def vetted(answers: Iterable[Said], rulings: Mapping[int, Payload]) -> list[dict[str, Any]]:
    """The imported rows that more than half of their vetters, or a ruling, keep; edited as most of those say, or the first."""
    kept = []
    for number, item in by_item(one for one in answers if one.task == "vet" and one.gold is None).items():
        if number in rulings:
            kept.extend(export.vetted([replace(item[0], payload=rulings[number])]))
            continue
        versions = export.vetted(item)
        if 2 * len(versions) > len(item):
            texts = [json.dumps(version, sort_keys=True) for version in versions]
            kept.append(versions[texts.index(Counter(texts).most_common(1)[0][0])])
    return kept


def fit(answers: Iterable[Said], sure: float = 0.6) -> tuple[dict[int, list[Ranking]], Consensus]:
    """The rankings of each item, pairs being rankings of two, and what they say together.

    Raises `ValueError` where there are none.
    """
    found = {number: [row for one in item if (row := ranking(one)) is not None] for number, item in by_item(answers).items()}
    items = {number: rows for number, rows in found.items() if rows}
    return items, weighted_consensus(list(items.values()), sure=sure)


# --- rankings and pairs ------------------------------------------------------------------------------------------------


def _by_reliability(answers: Sequence[Said], min_confidence: float) -> dict[int, _Together]:
    if not any(ranking(one) for one in answers):
        return {}
    items, found = fit(answers, min_confidence)
    together = {}
    for (number, rankings), item in zip(items.items(), found.items, strict=True):
        voices = {row.labeler: max(found.labelers[row.labeler].discrimination, 0.0) for row in rankings}
        if not any(voices.values()):
            voices = dict.fromkeys(voices, 1.0)
        together[number] = _combined(item.ranking, confident_pairs(item, min_confidence), rankings, voices)
    return together


def _by_majority(answers: Sequence[Said], min_confidence: float) -> dict[int, _Together]:
    together = {}
    for number, item in by_item(answers).items():
        rankings = [row for one in item if (row := ranking(one)) is not None]
        if rankings:
            combined = replace(borda_ranking(rankings), labeler=CONSENSUS)
            voices = {row.labeler: 1.0 for row in rankings}
            together[number] = _combined(combined, consensus_pairs(rankings, min_confidence), rankings, voices)
    return together


def _combined(ranking: Ranking, pairs: Iterable[Pair], votes: Sequence[Ranking], voices: Mapping[str, float]) -> _Together:
    """`voices` is what each labeler's vote for a tie counts; two answers that a labeler rejects are no tie of theirs."""
    level = levels_of(votes)
    rejected = np.array([[k in vote.rejected for k in range(level.shape[1])] for vote in votes])
    equal = (level[:, :, None] == level[:, None, :]) & ~(rejected[:, :, None] & rejected[:, None, :])
    weight = np.array([voices[vote.labeler] for vote in votes])
    orders = {(pair.chosen, pair.rejected): pair for pair in pairs}
    return _Together(ranking, orders, np.tensordot(weight, equal, axes=1) / weight.sum())


def _of_two(found: _Together, i: int, j: int, min_confidence: float) -> Pair | None:
    """The pair that two answers of different texts make, margin 0; None: neither an order nor a tie is certain enough."""
    row, tied = found.ranking, float(found.tied[i, j])
    one, other = row.completions[i], row.completions[j]
    if tied > min_confidence:
        return Pair(row.prompt, one, other, weight=tied, tie=True, labeler=row.labeler, source=row.source)
    order = found.orders.get((one, other)) or found.orders.get((other, one))
    return replace(order, margin=0.0, labeler=row.labeler) if order is not None and tied <= 0.5 else None


def _pairs(found: _Together, rules: _Rules) -> Iterator[Pair]:
    """What every two answers of a ranking make, the best first; two that make none are counted."""
    row = found.ranking
    for i, j in combinations([k for group in (*row.groups, row.rejected) for k in group], 2):
        marked = (i in row.rejected) + (j in row.rejected)
        if marked == 2:
            rules.left_out["of two rejected answers"] += 1
        elif marked and rules.rejects == "exclude":
            rules.left_out["with a rejected answer"] += 1
        elif row.completions[i] == row.completions[j]:
            rules.left_out["of two equal texts"] += 1
        elif pair := _of_two(found, i, j, rules.min_confidence):
            yield pair
        else:
            rules.left_out["of two answers in no certain order"] += 1


def _rank(item: list[Said], rules: _Rules, out: dict[str, list[Row]]) -> None:
    found = rules.together.get(item[0].item_id)
    if found is not None:
        out["rank"].append(found.ranking)
        out["pairs"].extend(_pairs(found, rules))


def _pair(item: list[Said], rules: _Rules, out: dict[str, list[Row]]) -> None:
    found = rules.together.get(item[0].item_id)
    row = _of_two(found, 0, 1, rules.min_confidence) if found is not None else None
    if found is None or row is None or row.chosen == row.rejected:
        return
    if not row.tie:
        winner = FIRST if row.chosen == found.ranking.completions[0] else SECOND
        agreeing = [one for one in item if side(one) == winner]
        scale = MARGINS[rules.margins] if rules.margins else {}
        # Nobody says so where it is concluded from a labeler who says the contrary.
        margin = fmean(scale.get(one.payload["grade"], 0.0) for one in agreeing) if agreeing else 0.0
        row = replace(row, margin=margin)
    out["pair"].append(row)


# --- other tasks -------------------------------------------------------------------------------------------------------


def _likert(item: list[Said], rules: _Rules, out: dict[str, list[Row]]) -> None:
    sums: defaultdict[str, list[float]] = defaultdict(lambda: [0.0, 0.0])
    for one in item:
        weight = rules.weights.get(one.labeler, 1.0)
        for name, score in one.payload["scores"].items():
            if score is not None:
                sums[name][0] += weight * score
                sums[name][1] += weight
    scores = {name: total / weight for name, (total, weight) in sums.items() if weight > 0}
    if scores:
        first = item[0]
        out["likert"].append(Rating(first.prompt, first.completions[0].text, scores, CONSENSUS, source_of(first.item_id)))


def _thumb(item: list[Said], rules: _Rules, out: dict[str, list[Row]]) -> None:
    first, up = item[0], rules.up[item[0].item_id]
    if max(up, 1 - up) > rules.min_confidence:
        out["thumb"].append(Thumb(first.prompt, first.completions[0].text, up > 0.5, CONSENSUS, source_of(first.item_id)))


def _thumbs_up(items: Mapping[int, list[Said]], method: Method) -> dict[int, float]:
    """The chance that each completion deserves a thumb up; with Borda, or where nothing else is known, the share of them."""
    rated = {number: item for number, item in items.items() if item[0].task == "thumb"}
    share = {number: fmean(one.payload["up"] for one in item) for number, item in rated.items()}
    if method == "borda" or not rated:
        return share
    flat = [(i, one) for i, item in enumerate(rated.values()) for one in item]
    people = {person: r for r, person in enumerate(sorted({one.labeler_id for _, one in flat}))}
    found = dawid_skene(
        [i for i, _ in flat], [people[one.labeler_id] for _, one in flat], [int(one.payload["up"]) for _, one in flat], 2
    )
    return share if isinstance(found, Undefined) else dict(zip(rated, found.truth[:, 1].tolist(), strict=True))


def _written(item: list[Said], _: _Rules, out: dict[str, list[Row]]) -> None:
    out[item[0].task].extend(export.rows(item)[item[0].task])


def _rule(ruling: Said, rules: _Rules, out: dict[str, list[Row]]) -> None:
    for row in export.rows([ruling], rules.margins).get(ruling.task, []):
        out[ruling.task].append(row)
        if isinstance(row, Ranking):
            out["pairs"].extend(_pairs(_combined(row, to_pairs(row), [row], {row.labeler: 1.0}), rules))


_ROWS: dict[str, Callable[[list[Said], _Rules, dict[str, list[Row]]], None]] = {
    "rank": _rank,
    "pair": _pair,
    "likert": _likert,
    "thumb": _thumb,
    "demonstration": _written,
    "red_team": _written,
}
