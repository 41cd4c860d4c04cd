"""Every two answers of a ranking are an order, a tie or counted as neither: by counting the votes, with both methods."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import combinations
from typing import Any

import numpy as np
import pytest

from accordant.feedback.answers import Said
from accordant.feedback.consensus import ADJUDICATED, consensus_rows, fit
from accordant.stats.consensus import CONSENSUS
from accordant.stats.rankings import levels
from accordant.types import Pair, Ranking
from sayings import pair, rank

PEOPLE = ("ana", "ben", "cleo", "dan", "eve")
METHODS = ("weighted", "borda")


def together(maker: Any, *said: Any, item: int = 1) -> list[Said]:
    """What each of the people says of one item, in their order."""
    return [maker(one, who, item) for who, one in zip(PEOPLE, said, strict=False)]


def weak_orders(rng: np.random.Generator, items: int, k: int = 4) -> list[Said]:
    """Of each item a weak order by each of the five, with many ties and some answers marked F."""
    said = []
    for item in range(1, items + 1):
        common = rng.integers(0, 4, k)  # what most see; 3: bad
        for who, sloppy in zip(PEOPLE, (0.1, 0.1, 0.2, 0.4, 1.0), strict=True):
            own = np.where(rng.random(k) < sloppy, rng.integers(0, 4, k), common)
            groups = ["".join("abcd"[i] for i in range(k) if own[i] == level) for level in range(3)]
            bad = "".join("abcd"[i] for i in np.flatnonzero(own == 3))
            said.append(rank(" ".join(filter(None, groups)), who, item, rejected=bad))
    return said


def level_of(one: Said, number: int) -> int:
    """0 the best group; 9 for F."""
    return next((n for n, group in enumerate(one.payload["groups"]) if number in group), 9)


def share_of_ties(said: Sequence[Said], x: int, y: int, voices: Mapping[str, float]) -> float:
    """By counting: what the votes of those count who put both into one group, of what all count."""
    equal = [voices[one.labeler] for one in said if level_of(one, x) == level_of(one, y) != 9]
    return sum(equal) / sum(voices[one.labeler] for one in said)


def wanted_pairs(
    item: Sequence[Said], ranking: Ranking, orders: Mapping[tuple[str, str], float], voices: Mapping[str, float], rejects: str
) -> tuple[dict[tuple[str, str, bool], float], Counter[str]]:
    """(one, other, tie) -> weight, the two of a tie in the order of the alphabet; and what the others are left out for."""
    kept, out = {}, Counter[str]()
    for x, y in combinations(range(4), 2):
        one, other, bad = "abcd"[x], "abcd"[y], {x, y} & set(ranking.rejected)
        tied = share_of_ties(item, 10 * item[0].item_id + x, 10 * item[0].item_id + y, voices)
        if len(bad) == 2:
            out["of two rejected answers"] += 1
        elif bad and rejects == "exclude":
            out["with a rejected answer"] += 1
        elif tied > 0.6:
            kept[one, other, True] = tied
        elif tied <= 0.5 and ((one, other) in orders or (other, one) in orders):
            winner = (one, other) if (one, other) in orders else (other, one)
            kept[*winner, False] = orders[winner]
        else:
            out["of two answers in no certain order"] += 1
    return kept, out


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("rejects", ["lose", "exclude"])
def test_every_two_answers_are_an_order_or_a_tie_or_are_counted(method: Any, rejects: Any) -> None:
    said = weak_orders(np.random.default_rng(7), 60)
    left_out: Counter[str] = Counter()
    rows = consensus_rows(said, {}, method=method, rejects=rejects, left_out=left_out)
    items, found = fit(said)
    seen: dict[str, dict[tuple[str, str, bool], float]] = {f"q{item}": {} for item in items}
    for row in rows["pairs"]:
        assert isinstance(row, Pair)
        assert (row.margin, row.labeler, str(row.source)) == (0.0, CONSENSUS, f"item {str(row.prompt)[1:]}")
        names = sorted((row.chosen, row.rejected)) if row.tie else (row.chosen, row.rejected)
        seen[str(row.prompt)][names[0], names[1], row.tie] = row.weight
    dropped: Counter[str] = Counter()
    kinds: Counter[bool] = Counter()
    for ranking, model, (number, votes) in zip(rows["rank"], found.items, items.items(), strict=True):
        assert isinstance(ranking, Ranking)
        own = [one for one in said if one.item_id == number]
        places = {(x, y): ("abcd"[x], "abcd"[y]) for x in range(4) for y in range(4) if x != y}
        if method == "weighted":
            voices = {name: max(one.discrimination, 0.0) for name, one in found.labelers.items()}
            level = levels(model.ranking)
            orders = {
                names: model.confidence[at] for at, names in places.items()
                if level[at[0]] < level[at[1]] and model.confidence[at] > 0.6
            }  # fmt: skip
        else:
            voices = dict.fromkeys(PEOPLE, 1.0)
            shares = {names: np.mean([levels(vote)[x] < levels(vote)[y] for vote in votes]) for (x, y), names in places.items()}
            orders = {names: share for names, share in shares.items() if share > 0.6}
        kept, out = wanted_pairs(own, ranking, orders, voices, rejects)
        assert seen[f"q{number}"] == pytest.approx(kept)
        kinds.update(tie for *_, tie in kept)
        dropped += out
    assert left_out == dropped
    assert min(kinds[True], kinds[False], *dropped.values()) >= 3, "each rule has had its say"
    assert sum(kinds.values()) + sum(dropped.values()) == 60 * 6


@pytest.mark.parametrize("method", METHODS)
def test_two_answers_that_all_tie_are_a_tie_and_two_that_nobody_knows_are_none(method: Any) -> None:
    said = together(rank, "bc a", "bc a", "bc a")
    (tie,) = [row for row in consensus_rows(said, {}, method=method)["pairs"] if isinstance(row, Pair) and row.tie]
    assert ({tie.chosen, tie.rejected}, tie.weight, tie.labeler) == ({"b", "c"}, 1.0, CONSENSUS)
    torn = together(rank, "b c a", "c b a", "b c a", "c b a")
    assert not any(row.tie for row in consensus_rows(torn, {}, method=method)["pairs"] if isinstance(row, Pair))


@pytest.mark.parametrize("method", METHODS)
def test_a_ranking_of_two_makes_the_pair_that_the_pair_makes(method: Any) -> None:
    """The same votes as a ranking and as a pair; by a majority of ties that is not enough, neither is anything."""
    words = {"tie": "ab", "a better": "a b", "b better": "b a"}
    for votes in (["tie"] * 3, ["tie", "tie", "a better"], ["a better"] * 3, ["tie", "tie", "tie", "a better", "a better"]):
        others = [
            one for item in range(3, 23) for one in together(rank, *["a b", "b a"][item % 2 : item % 2 + 1] * 5, item=item)
        ]
        said = [*together(pair, *votes, item=1), *together(rank, *(words[vote] for vote in votes), item=2), *others]
        rows = consensus_rows(said, {}, method=method, min_confidence=0.65)
        (one,) = rows.get("pair") or [None]  # type: ignore[list-item]
        (other,) = [row for row in rows["pairs"] if isinstance(row, Pair) and row.prompt == "q2"] or [None]  # type: ignore[list-item]
        if one is None or other is None:
            assert (one, other, votes.count("tie")) == (None, None, 3)
        else:
            assert isinstance(one, Pair)
            same = replace(other, prompt=one.prompt, source=one.source, weight=one.weight)
            assert same == one
            assert other.weight == pytest.approx(one.weight, abs=1e-6)


@pytest.mark.parametrize("rejects", ["lose", "exclude"])
def test_a_ruling_has_ties_and_rejects_as_an_answer_has(rejects: Any) -> None:
    said = together(rank, "a b c d", "a b c d", "a b c d") + together(rank, "a b c d", "a b c d", item=2)
    left_out: Counter[str] = Counter()
    rulings = {1: rank("cb", rejected="ad").payload, 2: rank("ab c d").payload}
    same = tuple(replace(one, text="same" if place > 1 else one.text) for place, one in enumerate(said[-1].completions))
    said = [replace(one, completions=same) if one.item_id == 2 else one for one in said]
    rulings[2] = {"groups": [[20, 21], [22], [23]], "rejected": []}
    rows = consensus_rows(said, rulings, rejects=rejects, left_out=left_out)["pairs"]
    assert {(row.weight, row.margin, row.labeler) for row in rows if isinstance(row, Pair)} == {(1.0, 0.0, ADJUDICATED)}
    found = [(row.prompt, "".join(sorted((row.chosen, row.rejected))) if row.tie else (row.chosen, row.rejected))
             for row in rows if isinstance(row, Pair)]  # fmt: skip
    losing = [("q1", (x, y)) for x in "cb" for y in "ad"] if rejects == "lose" else []
    second = [("q2", "ab"), *[("q2", (x, "same")) for x in "aabb"]]
    assert Counter(found) == Counter([("q1", "bc"), *losing, *second])
    excluded = {"with a rejected answer": 4} if rejects == "exclude" else {}
    assert left_out == {"of two rejected answers": 1, "of two equal texts": 1} | excluded
