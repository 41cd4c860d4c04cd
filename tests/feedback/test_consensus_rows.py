"""One row an item: what is certain comes out with its weight, what is not stays in, and a ruling is the last word."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations
from typing import Any

import numpy as np
import pytest
from scipy.stats import kendalltau

from accordant.feedback.answers import Said
from accordant.feedback.consensus import ADJUDICATED, consensus_rows, fit, vetted
from accordant.stats.consensus import CONSENSUS
from accordant.stats.dawid_skene import dawid_skene
from accordant.stats.intervals import Undefined
from accordant.stats.rankings import levels
from accordant.stats.weighted_consensus import weighted_consensus
from accordant.types import Chat, Pair, Prompt, Ranking, Rating, Row, Thumb
from panel import simulate
from sayings import likert, pair, rank, say, thumb, vet

PEOPLE = ("ana", "ben", "cleo", "dan", "eve")
METHODS = ("weighted", "borda")


def together(maker: Any, *said: Any, item: int = 1) -> list[Said]:
    """What each of the people says of one item, in their order."""
    return [maker(one, who, item) for who, one in zip(PEOPLE, said, strict=False)]


def texts(rows: Sequence[Row]) -> set[tuple[str, str]]:
    return {(row.chosen, row.rejected) for row in rows if isinstance(row, Pair)}


# --- rankings ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", METHODS)
def test_what_all_say_is_the_consensus(method: Any) -> None:
    rows = consensus_rows(together(rank, "c a b", "c a b", "c a b"), {}, method=method)
    (ranking,) = rows["rank"]
    assert isinstance(ranking, Ranking)
    assert (ranking.groups, ranking.labeler, str(ranking.source)) == (((2,), (0,), (1,)), CONSENSUS, "item 1")
    assert texts(rows["pairs"]) == {("c", "a"), ("c", "b"), ("a", "b")}
    for row in rows["pairs"]:
        assert isinstance(row, Pair)
        assert (row.margin, row.labeler) == (0.0, CONSENSUS)
        assert row.weight == 1.0 if method == "borda" else 0.6 < row.weight < 1
    assert set(rows) == {"rank", "pairs"}


def test_weights_and_rankings_are_those_of_the_weighted_consensus() -> None:
    said = [*together(rank, "a b c", "a c b", "b a c"), *together(rank, "c b a", "c b a", "a b c", item=2)]
    items, found = fit(said)
    again = weighted_consensus(list(items.values()))
    rows = consensus_rows(said, {})
    assert [row for row in rows["rank"]] == [item.ranking for item in again.items] == [item.ranking for item in found.items]
    for row in rows["pairs"]:
        assert isinstance(row, Pair)
        (item,) = [one for one in again.items if one.ranking.prompt == row.prompt]
        i, j = (item.ranking.completions.index(text) for text in (row.chosen, row.rejected))
        assert row.weight == item.confidence[i, j]


@pytest.mark.parametrize("method", METHODS)
def test_an_order_that_is_not_certain_makes_no_pair(method: Any) -> None:
    said = together(rank, "a b", "a b", "b a", "b a")
    assert "pairs" not in consensus_rows(said, {}, method=method)
    said = together(rank, "a b c", "a b c", "b a c")
    assert texts(consensus_rows(said, {}, method=method, min_confidence=0.6)["pairs"]) >= {("a", "c"), ("b", "c")}
    bold, careful = (consensus_rows(said, {}, method=method, min_confidence=least) for least in (0.5, 0.85))
    assert ("a", "b") in texts(bold["pairs"])
    assert ("a", "b") not in texts(careful["pairs"])
    if method == "weighted":
        groups = [row.groups for rows in (bold, careful) for row in rows["rank"] if isinstance(row, Ranking)]
        assert groups == [((0,), (1,), (2,)), ((0, 1), (2,))], "such an order is none in the ranking, too"


@pytest.mark.parametrize("method", METHODS)
def test_the_rejected_lose_or_are_left_out(method: Any) -> None:
    said = [rank("a b", who, rejected="cd") for who in PEOPLE]
    lose = consensus_rows(said, {}, method=method)
    assert texts(lose["pairs"]) == {(x, y) for x, y in combinations("abcd", 2)} - {("c", "d")}
    exclude = consensus_rows(said, {}, method=method, rejects="exclude")
    assert texts(exclude["pairs"]) == {("a", "b")}
    assert lose["rank"] == exclude["rank"]
    ruling = {1: said[0].payload}
    assert texts(consensus_rows(said, ruling, rejects="exclude")["pairs"]) == {("a", "b")}


def test_two_equal_texts_make_no_pair() -> None:
    said = together(rank, "a b c", "a b c", "a b c")
    same = tuple(replace(one, text="same" if place < 2 else "c") for place, one in enumerate(said[0].completions))
    for method in METHODS:
        assert texts(consensus_rows([replace(one, completions=same) for one in said], {}, method=method)["pairs"]) == {
            ("same", "c")
        }  # type: ignore[arg-type]
        for verdict in ("tie", "a better"):
            votes = [replace(one, completions=same[:1] * 2) for one in together(pair, verdict, verdict, verdict)]
            assert consensus_rows(votes, {}, method=method) == {}  # type: ignore[arg-type]


@pytest.mark.parametrize("method", METHODS)
def test_who_cannot_judge_has_no_vote(method: Any) -> None:
    judged = together(rank, "a b c", "a b c")
    helpless = say("rank", {"cannot_judge": "no"}, "cleo")
    assert consensus_rows([*judged, helpless], {}, method=method) == consensus_rows(judged, {}, method=method)
    assert consensus_rows([helpless, pair("cannot_judge", item=2)], {}, method=method) == {}


def test_reliable_people_outweigh_careless_ones() -> None:
    """The panel of the statistics' own test: the weighted ranking is nearer to the truth than Borda's."""
    quality, items = simulate(5, 150)
    said = []
    for number, rankings in enumerate(items, 1):
        for row in rankings:
            groups, last = ["".join("abcd"[k] for k in group) for group in row.groups], "".join("abcd"[k] for k in row.rejected)
            said.append(rank(" ".join(groups), row.labeler, number, rejected=last))
    taus = {}
    for method in METHODS:
        rows = consensus_rows(said, {}, method=method)["rank"]  # type: ignore[arg-type]
        found = [levels(row) for row in rows if isinstance(row, Ranking)]
        taus[method] = np.mean(
            [kendalltau(-level, truth).statistic for level, truth in zip(found, quality, strict=True) if np.ptp(level)]
        )
    assert taus["weighted"] > taus["borda"] + 0.05


# --- pairs -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(("margins", "margin"), [(None, 0.0), ("small", (2 / 3 + 1 / 3) / 2), ("large", (2 + 1) / 2)])
def test_the_margin_of_a_pair_is_the_mean_grade_of_those_who_say_so(method: Any, margins: str | None, margin: float) -> None:
    said = together(pair, "b better", "b slightly", "a significantly")
    # Everybody as reliable as the others: on the next items all agree.
    said += [one for item in range(2, 12) for one in together(pair, "a better", "a better", "a better", item=item)]
    row = consensus_rows(said, {}, margins=margins, method=method)["pair"][0]
    assert isinstance(row, Pair)
    assert (row.chosen, row.rejected, row.tie, row.labeler) == ("b", "a", False, CONSENSUS)
    assert row.margin == pytest.approx(margin)
    assert row.weight == pytest.approx(2 / 3) if method == "borda" else 0.6 < row.weight < 1


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (("tie", "tie", "a better"), "tie"),
        (("tie", "tie", "tie"), "tie"),
        (("both_bad", "both_bad", "both_bad"), None),
        (("both_bad", "both_bad", "a better"), None),
        (("a better", "b better"), None),
        (("cannot_judge", "cannot_judge"), None),
    ],
)
def test_ties_are_told_from_not_knowing(method: Any, said: Sequence[str], expected: str | None) -> None:
    answers = together(pair, *said)
    answers += [one for item in range(2, 12) for one in together(pair, "a better", "a better", "a better", item=item)]
    rows = [row for row in consensus_rows(answers, {}, method=method)["pair"] if row.prompt == "q1"]  # type: ignore[union-attr]
    if expected is None:
        assert rows == []
        return
    (row,) = rows
    assert isinstance(row, Pair)
    assert (row.tie, row.margin, row.labeler) == (True, 0.0, CONSENSUS)
    assert row.weight == pytest.approx(said.count("tie") / 3, abs=0.1)


@pytest.mark.parametrize("method", METHODS)
def test_a_tie_by_a_bare_majority_is_neither_a_tie_nor_an_order(method: Any) -> None:
    answers = together(pair, "tie", "tie", "tie", "a better", "a better")
    answers += [one for item in range(2, 12) for one in together(pair, *["a better"] * 5, item=item)]
    found = {least: consensus_rows(answers, {}, method=method, min_confidence=least)["pair"] for least in (0.5, 0.7)}
    assert next((row.tie, row.prompt) for row in found[0.5] if isinstance(row, Pair)) == (True, "q1")
    assert found[0.7][0].prompt == "q2"  # type: ignore[union-attr]


@pytest.mark.parametrize("method", METHODS)
def test_half_a_tie_is_none(method: Any) -> None:
    said = [one for item in (1, 2) for one in together(pair, "tie", "tie", "a better", "b better", item=item)]
    assert consensus_rows(said, {}, method=method) == {}


def test_somebody_who_always_errs_is_believed_the_contrary() -> None:
    said = []
    for item in range(1, 31):
        good, bad = ("a", "b") if item % 2 else ("b", "a")
        said += together(pair, f"{good} better", f"{good} better", f"{good} slightly", f"{bad} significantly", item=item)
    only_contrary = pair("b significantly", "dan", 99)
    rows = consensus_rows([*said, only_contrary], {}, margins="large")["pair"]
    last = rows[-1]
    assert isinstance(last, Pair)
    assert (last.chosen, last.rejected, last.margin, last.prompt) == ("a", "b", 0.0, "q99")


def test_a_tie_is_by_those_who_are_reliable() -> None:
    said = []
    for item in range(1, 31):
        good, bad = ("a", "b") if item % 2 else ("b", "a")
        said += together(pair, f"{good} better", f"{good} better", f"{good} slightly", f"{bad} better", item=item)
    split = [pair("tie", "ana", 99), pair("a better", "dan", 99)]
    (last,) = [row for row in consensus_rows([*said, *split], {})["pair"] if row.prompt == "q99"]  # type: ignore[union-attr]
    assert isinstance(last, Pair)
    assert (last.tie, last.weight) == (True, 1.0)
    assert all(row.prompt != "q99" for row in consensus_rows([*said, *split], {}, method="borda")["pair"])  # type: ignore[union-attr]


@pytest.mark.parametrize("method", METHODS)
def test_one_labeler_alone_makes_a_consensus_too(method: Any) -> None:
    rows = consensus_rows([rank("b a"), pair("b better", item=2)], {}, method=method)
    assert [row.labeler for some in rows.values() for row in some if isinstance(row, Pair | Ranking)] == [CONSENSUS] * 3


# --- ratings, thumbs, texts --------------------------------------------------------------------------------------------


def test_ratings_are_means_of_what_was_rated() -> None:
    said = [likert("ana", 1, wit=1, tact=None), likert("ben", 1, wit=4, tact=2), likert("cleo", 2, wit=5, tact=None)]
    rows = consensus_rows(said, {})["likert"]
    assert [replace(row, source=rows[0].source) for row in rows] == [
        Rating("q1", "a", {"wit": 2.5, "tact": 2.0}, CONSENSUS, rows[0].source),
        Rating("q2", "a", {"wit": 5.0}, CONSENSUS, rows[0].source),
    ]
    assert str(rows[1].source) == "item 2"
    weighted = consensus_rows(said, {}, weights={"ana": 3.0, "cleo": 0.0})["likert"]
    assert [row.scores for row in weighted if isinstance(row, Rating)] == [{"wit": (3 * 1 + 4) / 4, "tact": 2.0}]
    with pytest.raises(ValueError, match="at least 0"):
        consensus_rows(said, {}, weights={"ana": -1.0})


def test_a_thumb_is_what_is_probable_by_everybodys_skill() -> None:
    rng = np.random.default_rng(4)
    said = []
    for item in range(1, 201):
        truth = bool(item % 2)
        for who, error in (("ana", 0.02), ("ben", 0.02), ("cleo", 0.45), ("dan", 0.45), ("eve", 0.45)):
            said.append(thumb(truth if rng.random() >= error else not truth, who, item))
    items, who = [one.item_id - 1 for one in said], [PEOPLE.index(one.labeler) for one in said]
    skill = dawid_skene(items, who, [int(one.payload["up"]) for one in said], 2)
    assert not isinstance(skill, Undefined)
    rows = {str(row.prompt): row.up for row in consensus_rows(said, {})["thumb"] if isinstance(row, Thumb)}
    assert rows == {f"q{i + 1}": bool(up > 0.5) for i, up in enumerate(skill.truth[:, 1]) if max(up, 1 - up) > 0.6}
    majority = {str(row.prompt): row.up for row in consensus_rows(said, {}, method="borda")["thumb"] if isinstance(row, Thumb)}
    right = {name: sum(up == (int(prompt[1:]) % 2 == 1) for prompt, up in found.items()) for name, found in
             (("skill", rows), ("majority", majority))}  # fmt: skip
    assert right["skill"] > right["majority"]


@pytest.mark.parametrize("method", METHODS)
def test_thumbs_where_skill_is_unknown_go_by_majority(method: Any) -> None:
    alone = consensus_rows([thumb(True, "ana", 1), thumb(False, "ben", 2)], {}, method=method)["thumb"]
    assert [(row.prompt, row.up, row.labeler, str(row.source)) for row in alone if isinstance(row, Thumb)] == [
        ("q1", True, CONSENSUS, "item 1"), ("q2", False, CONSENSUS, "item 2"),
    ]  # fmt: skip
    assert consensus_rows(together(thumb, True, False), {}, method="borda") == {}


def test_texts_that_people_wrote_are_all_kept() -> None:
    said = [say(task, {"text": f"{task} by {who}"}, who, item) for item, task in enumerate(("demonstration", "red_team"), 1)
            for who in ("ana", "ben")]  # fmt: skip
    rows = consensus_rows(said, {})
    assert [row.completion for row in rows["demonstration"] if isinstance(row, Chat)] == [
        "demonstration by ana", "demonstration by ben",
    ]  # fmt: skip
    assert [row.prompt for row in rows["red_team"] if isinstance(row, Prompt)] == ["red_team by ana", "red_team by ben"]


def test_gold_is_never_a_row() -> None:
    said = [
        replace(one, gold=one.payload)
        for one in (rank("a b"), pair("a better", item=2), likert(item=3, wit=1), thumb(True, item=4), vet("accept", item=5))
    ]
    assert consensus_rows(said, {one.item_id: one.payload for one in said}) == {}
    assert vetted([replace(said[-1], row={"x": 1})], {}) == []


# --- rulings -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", METHODS)
def test_a_ruling_replaces_what_was_said_with_weight_one(method: Any) -> None:
    said = [
        *together(rank, "a b c", "a b c", "a b c", item=1), *together(pair, "a better", "a better", item=2),
        likert("ana", 3, wit=1, tact=1), likert("ben", 3, wit=2, tact=1), *together(thumb, True, True, item=4),
        say("demonstration", {"text": "hers"}, "ana", 5), say("demonstration", {"text": "his"}, "ben", 5),
        *together(rank, "a b", "b a", item=6),
    ]  # fmt: skip
    rulings = {
        1: rank("c b", rejected="a").payload, 2: pair("b slightly", item=2).payload, 3: {"scores": {"wit": 5, "tact": None}},
        4: {"up": False}, 5: {"text": "the admin's"}, 6: {"cannot_judge": "neither"}, 77: {"up": True},
    }  # fmt: skip
    rows = consensus_rows(said, rulings, margins="large", method=method)
    (ranking,) = rows["rank"]
    assert isinstance(ranking, Ranking)
    assert (ranking.groups, ranking.rejected, ranking.labeler) == (((2,), (1,)), (0,), ADJUDICATED)
    assert texts(rows["pairs"]) == {("c", "b"), ("c", "a"), ("b", "a")}
    assert {(row.weight, row.labeler) for row in rows["pairs"] if isinstance(row, Pair)} == {(1.0, ADJUDICATED)}
    assert not any(row.tie for row in rows["pairs"] if isinstance(row, Pair))
    assert rows["pair"] == [Pair("q2", "b", "a", 1.0, 1.0, labeler=ADJUDICATED, source=rows["pair"][0].source)]
    assert rows["likert"] == [Rating("q3", "a", {"wit": 5.0}, ADJUDICATED, rows["likert"][0].source)]
    assert rows["thumb"] == [Thumb("q4", "a", False, ADJUDICATED, rows["thumb"][0].source)]
    assert [row.completion for row in rows["demonstration"] if isinstance(row, Chat)] == ["the admin's"]


def test_a_ruling_that_both_are_bad_leaves_no_row() -> None:
    said = together(pair, "a better", "a better", "a better")
    assert len(consensus_rows(said, {})["pair"]) == 1
    assert consensus_rows(said, {1: {"both_bad": True}}) == {}


def test_rows_are_kept_by_most_of_their_vetters_or_by_a_ruling() -> None:
    def of(item: int, *payloads: dict[str, Any]) -> list[Said]:
        return [say("vet", payload, who, item, row={"n": item}) for who, payload in zip(PEOPLE, payloads, strict=False)]

    keep, drop = {"verdict": "accept"}, {"verdict": "reject", "reason": "spam"}
    edit, edit_too = ({"verdict": "edit", "row": {"n": n}} for n in ("new", "newer"))
    said = [
        *of(1, keep, keep, drop), *of(2, keep, drop), *of(3, edit, keep, edit), *of(4, edit, edit_too, edit_too),
        *of(5, drop, drop), *of(6, keep, keep), *of(7, edit, edit_too, drop),
    ]  # fmt: skip
    assert vetted(said, {}) == [{"n": 1}, {"n": "new"}, {"n": "newer"}, {"n": 6}, {"n": "new"}]
    assert vetted(said, {5: edit, 6: drop, 2: keep})[1] == {"n": 2}
    assert [row["n"] for row in vetted(said, {5: edit, 6: drop, 2: keep})] == [1, 2, "new", "newer", "new", "new"]
    assert consensus_rows(said, {5: edit}) == {}
