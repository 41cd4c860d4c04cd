"""What several labelers say together: one row for each item, with the weight that it deserves.

Rankings and pairs go through one model of all items and labelers (`stats.weighted_consensus`), or through Borda and majorities,
which count everybody alike. A ruling of an admin is the last word on its item. Left out: `vet`, whose rows are of any shape
(`vetted`), and texts that labelers write, of which all are kept.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean
from typing import Any, Literal, TypeAlias

from accordant.feedback import export
from accordant.feedback.answers import Said, source_of
from accordant.feedback.votes import by_item, ranking, side
from accordant.stats.consensus import borda_ranking, consensus_pairs
from accordant.stats.dawid_skene import FIRST, SECOND, TIE, dawid_skene
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
    """What the labelers of one ranked item say together."""

    ranking: Ranking
    pairs: list[Pair]  # in a certain enough order; weight is the confidence
    voices: Mapping[str, float]  # what each labeler's vote counts


@dataclass(frozen=True)
class _Rules:
    """What `consensus_rows` was asked for, and what has been found over all items."""

    margins: str | None
    min_confidence: float
    rejects: Literal["lose", "exclude"]
    weights: Mapping[str, float]
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
) -> dict[str, list[Row]]:
    """One row for each item, by task and in the order of the items; a task that gives none is absent. Gold is left out.

    ==============  ================================================================================================
    rank            the consensus `Ranking`
    pairs           of the rankings: the `Pair`s whose order is certain enough, `weight` the confidence, margin 0 (a
                    ranking has no grades)
    pair            `Pair`: weight as above, margin the mean of the grades' of those who say the same. `tie`, with their
                    share as the weight, where enough votes are ties, each counted as far as its labeler is reliable
    likert          `Rating`: the mean of each attribute
    thumb           `Thumb`: what is probable by Dawid and Skene, or the majority where that is undefined
    demonstration   all of them
    red_team        all of them
    ==============  ================================================================================================

    Items on which nothing is certain enough, both answers are bad, or nobody could judge give no row.

    Args:
        answers: `answers.said`, or a part of it. A ruling on an item without an answer here gives a row only where
            `adjudication.ruled` is among them.
        rulings: payloads by item, `adjudication.rulings`. They replace what was said, with weight 1.
        margins: "small" or "large": the grades of a pair become its margin; None: margin 0.
        min_confidence: an order, a tie or a thumb that is not more certain is none; with Borda, a share of votes.
        method: "borda" counts everybody alike: majorities, and Borda's rankings.
        rejects: "lose": what is ranked is better than what is rejected; "exclude": the rejected are in none of `pairs`.
        weights: by labeler's name, at least 0, of ratings; None: all alike. Those without a weight have 1.

    Raises `ValueError` unless 0.5 <= min_confidence < 1, and for a negative weight.
    """
    items = dict(sorted(by_item(one for one in answers if one.gold is None).items()))
    if weights and min(weights.values()) < 0:
        raise ValueError(f"weights must be at least 0, found {min(weights.values())}")
    everything = [one for item in items.values() for one in item]
    together = (_by_reliability if method == "weighted" else _by_majority)(everything, min_confidence)
    rules = _Rules(margins, min_confidence, rejects, weights or {}, together, _thumbs_up(items, method))
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
        together[number] = _Together(item.ranking, confident_pairs(item, min_confidence), voices)
    return together


def _by_majority(answers: Sequence[Said], min_confidence: float) -> dict[int, _Together]:
    together = {}
    for number, item in by_item(answers).items():
        rankings = [row for one in item if (row := ranking(one)) is not None]
        if rankings:
            combined = replace(borda_ranking(rankings), labeler=CONSENSUS)
            voices = {row.labeler: 1.0 for row in rankings}
            together[number] = _Together(combined, consensus_pairs(rankings, min_confidence), voices)
    return together


def _rank(item: list[Said], rules: _Rules, out: dict[str, list[Row]]) -> None:
    found = rules.together.get(item[0].item_id)
    if found is None:
        return
    out["rank"].append(found.ranking)
    rejected = {found.ranking.completions[k] for k in found.ranking.rejected} if rules.rejects == "exclude" else set()
    out["pairs"].extend(
        replace(pair, margin=0.0, labeler=CONSENSUS)
        for pair in found.pairs
        if pair.chosen != pair.rejected and not rejected & {pair.chosen, pair.rejected}
    )


def _pair(item: list[Said], rules: _Rules, out: dict[str, list[Row]]) -> None:
    found = rules.together.get(item[0].item_id)
    if found is None:
        return
    first, second = found.ranking.completions
    judged = [one for one in item if one.labeler in found.voices]
    tied = sum(found.voices[one.labeler] for one in judged if side(one) == TIE) / sum(found.voices.values())
    if tied > rules.min_confidence:
        source = found.ranking.source
        out["pair"].append(Pair(found.ranking.prompt, first, second, weight=tied, tie=True, labeler=CONSENSUS, source=source))
    elif tied <= 0.5 and found.pairs and first != second:
        (row,) = found.pairs
        agreeing = [one for one in judged if side(one) == (FIRST if row.chosen == first else SECOND)]
        scale = MARGINS[rules.margins] if rules.margins else {}
        # Nobody says so where it is concluded from a labeler who says the contrary.
        margin = fmean(scale.get(one.payload["grade"], 0.0) for one in agreeing) if agreeing else 0.0
        out["pair"].append(replace(row, margin=margin, labeler=CONSENSUS))


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
            out["pairs"].extend(replace(pair, labeler=ADJUDICATED) for pair in to_pairs(row, rules.rejects))


_ROWS: dict[str, Callable[[list[Said], _Rules, dict[str, list[Row]]], None]] = {
    "rank": _rank,
    "pair": _pair,
    "likert": _likert,
    "thumb": _thumb,
    "demonstration": _written,
    "red_team": _written,
}
