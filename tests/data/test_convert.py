"""Conversions against their definitions, and nothing that disappears without being counted."""

from __future__ import annotations

import json
from fractions import Fraction
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accordant.data.convert import Rules, convert
from accordant.data.grades import graded
from accordant.data.output import write
from accordant.data.rows import read
from accordant.types import (
    Chat,
    Document,
    Labelled,
    Message,
    Pair,
    Prompt,
    Ranking,
    Rating,
    Row,
    Source,
    Thumb,
    UserError,
)

ABC = ("a", "b", "c")


@st.composite
def rankings(draw: st.DrawFn) -> Ranking:
    """A weak order with rejects over distinct answers: each gets a place from 0 to 3, 3 = rejected."""
    places = draw(st.lists(st.integers(0, 3), min_size=2, max_size=6))
    groups = tuple(tuple(i for i, p in enumerate(places) if p == place) for place in range(3))
    rejected = tuple(i for i, p in enumerate(places) if p == 3)
    return Ranking("q", tuple(f"t{i}" for i in range(len(places))), tuple(g for g in groups if g), rejected)


def place(ranking: Ranking, answer: int) -> int:
    return next((i for i, group in enumerate(ranking.groups) if answer in group), 99)


@given(rankings(), st.sampled_from(["keep", "drop"]), st.sampled_from(["lose", "exclude"]))
def test_every_two_answers_of_a_ranking_are_a_pair_or_counted(ranking: Ranking, ties: Any, rejects: Any) -> None:
    better, equal, dropped = set(), set(), 0
    for a, b in combinations(range(len(ranking.completions)), 2):
        pa, pb = place(ranking, a), place(ranking, b)
        if (99 in (pa, pb) and rejects == "exclude") or (pa == pb == 99) or (pa == pb and ties == "drop"):
            dropped += 1
        elif pa == pb:
            equal.add(frozenset((f"t{a}", f"t{b}")))
        else:
            better.add((f"t{a}", f"t{b}") if pa < pb else (f"t{b}", f"t{a}"))
    if not better | equal:
        with pytest.raises(UserError, match="none gives pairs"):
            convert([ranking], "pairs", Rules(ties=ties, rejects=rejects))
        return
    made = convert([ranking], "pairs", Rules(ties=ties, rejects=rejects))
    assert {(row.chosen, row.rejected) for row in made.rows if not row.tie} == better
    assert {frozenset((row.chosen, row.rejected)) for row in made.rows if row.tie} == equal
    assert len(made.rows) == len(better) + len(equal)
    assert sum(made.dropped.values()) == dropped


def test_strict_rankings_of_k_give_k_choose_2_pairs_best_first() -> None:
    made = convert([Ranking("q", ABC, ((2,), (0,), (1,)), source=Source("r", 4))], "pairs")
    assert [(row.chosen, row.rejected, row.source.line) for row in made.rows] == [("c", "a", 4), ("c", "b", 4), ("a", "b", 4)]
    assert made.dropped == {}


def test_equal_texts_make_no_pair() -> None:
    made = convert([Ranking("q", ("a", "a", "b"), ((0,), (1,), (2,)))], "pairs")
    assert made.dropped == {"of two equal texts": 1}
    assert len(made.rows) == 2


# --- ratings ----------------------------------------------------------------------------------------------------------

USR = [
    Rating("q", "good", {"fun": 5.0, "sense": 3.0}, "ana"),
    Rating("q", "good", {"fun": 4.0, "sense": 3.0}, "bo"),
    Rating("q", "fair", {"fun": 3.0, "sense": 3.0}, "ana"),
    Rating("q", "poor", {"sense": 1.0}, "ana"),
    Rating("other", "alone", {"fun": 1.0}, "ana"),
]


def outcome(rows: list[Rating], **rules: Any) -> tuple[dict[tuple[str, str], float], dict[str, int]]:
    made = convert(rows, "pairs", Rules(**rules))
    return {(row.chosen, row.rejected): row.margin for row in made.rows if isinstance(row, Pair)}, dict(made.dropped)


def test_margins_are_differences_of_mean_ratings_over_what_both_answers_are_rated_for() -> None:
    pairs, dropped = outcome(USR)
    # good: fun 4.5, sense 3; fair: fun 3, sense 3; poor: sense 1.
    assert pairs == {("good", "fair"): 0.75, ("good", "poor"): 2.0, ("fair", "poor"): 2.0}
    assert dropped == {}


def test_one_attribute_and_a_least_gap() -> None:
    pairs, dropped = outcome(USR, attribute="fun")
    assert pairs == {("good", "fair"): 1.5}
    assert dropped == {"rows that do not rate fun": 1}
    pairs, dropped = outcome(USR, attribute="sense")
    assert pairs == {("good", "poor"): 2.0, ("fair", "poor"): 2.0}
    assert dropped == {"tied": 1, "rows that do not rate sense": 1}
    pairs, dropped = outcome(USR, min_gap=1.0)
    assert len(pairs) == 2
    assert dropped == {"less than 1 apart": 1}
    (tie,) = (row for row in convert(USR, "pairs", Rules(attribute="sense", ties="keep")).rows if row.tie)
    assert {tie.chosen, tie.rejected} == {"good", "fair"}
    with pytest.raises(UserError, match="no row rates 'funn'; the attributes are fun, sense"):
        outcome(USR, attribute="funn")


def test_answers_without_a_rating_in_common_are_not_compared() -> None:
    rows = [Rating("q", "a", {"fun": 1.0}), Rating("q", "b", {"sense": 2.0}), Rating("q", "c", {"fun": 2.0})]
    assert outcome(rows) == ({("c", "a"): 1.0}, {"without a rating in common": 2})
    with pytest.raises(UserError, match="prompts whose answers have no rating in common: 1"):
        convert(rows, "kwise")


def test_kwise_and_rankings_of_ratings() -> None:
    rows = [Rating("q", t, {"x": x}, who) for t, x, who in [("a", 1, "ana"), ("b", 3, "ana"), ("a", 5, "bo"), ("b", 3, "bo")]]
    assert convert(rows, "kwise").rows == (Ranking("q", ("a", "b"), ((0, 1),), labeler="consensus"),)
    assert convert(rows, "rankings").rows == (
        Ranking("q", ("a", "b"), ((1,), (0,)), labeler="ana"),
        Ranking("q", ("a", "b"), ((0,), (1,)), labeler="bo"),
    )
    assert convert(USR, "kwise").dropped == {"prompts with one answer": 1}


def test_a_labeler_who_does_not_rate_the_attribute_is_passed_over() -> None:
    rows = [Rating("q", t, {"x": x}, "ana") for t, x in [("a", 1.0), ("b", 3.0)]] + [Rating("q", "a", {"y": 1.0}, "bo")]
    for some in (rows, rows[::-1]):
        made = convert(some, "rankings", Rules(attribute="x"))
        assert [(row.labeler, [row.completions[i] for group in row.groups for i in group]) for row in made.rows] == [
            ("ana", ["b", "a"])
        ]
        assert made.dropped == {"rows that do not rate x": 1}


def test_equal_means_tie_whatever_their_last_bit() -> None:
    """Means of thirds, of 1 and 5/3 as of 4/3 and 4/3: as floats they differ by 2e-16."""
    marks = {"a": {"x": (1, 1, 1), "y": (1, 2, 2)}, "b": {"x": (1, 1, 2), "y": (1, 1, 2)}}
    rows = [
        Rating("q", text, {name: float(scores[i]) for name, scores in own.items()}, f"labeler {i}")
        for text, own in marks.items()
        for i in range(3)
    ]
    (pair,) = convert(rows, "pairs", Rules(ties="keep")).rows
    assert isinstance(pair, Pair)
    assert pair.tie
    assert pair.margin == 0
    assert convert(rows, "kwise").rows == (Ranking("q", ("a", "b"), ((0, 1),), labeler="consensus"),)


# --- pairs, thumbs, chats, prompts ------------------------------------------------------------------------------------


@given(rankings(), st.randoms())
def test_the_pairs_of_a_ranking_give_the_ranking_back(ranking: Ranking, random: Any) -> None:
    ranking = Ranking("q", ranking.completions, ranking.groups + ((ranking.rejected,) if ranking.rejected else ()))
    pairs = list(convert([ranking], "pairs", Rules(ties="keep")).rows)
    random.shuffle(pairs)
    (again,) = convert(pairs, "kwise").rows
    assert isinstance(again, Ranking)
    order = [{again.completions[i] for i in group} for group in again.groups]
    assert order == [{ranking.completions[i] for i in group} for group in ranking.groups]


@pytest.mark.parametrize(
    ("pairs", "reason"),
    [
        ([("a", "b"), ("b", "c")], "not all compared"),
        ([("a", "b"), ("b", "c"), ("c", "a")], "contradict"),
        ([("a", "b"), ("b", "a")], "contradict"),
        ([("a", "b"), ("a", "b", True)], "contradict"),
    ],
)
def test_pairs_that_are_no_ranking_stay_pairs(pairs: list[tuple[Any, ...]], reason: str) -> None:
    rows = [Pair("q", p[0], p[1], tie=len(p) > 2) for p in pairs]
    with pytest.raises(UserError, match=f"prompts whose .*{reason}.*: 1"):
        convert(rows, "kwise")


@pytest.mark.parametrize("tie", [True, False])
def test_one_text_is_no_ranking(tie: bool) -> None:
    made = convert([Pair("q", "a", "a", tie=tie), Pair("r", "a", "b")], "kwise")
    assert [row.prompt for row in made.rows] == ["r"]
    assert made.dropped == {"prompts whose answers are one text": 1}


def test_thumbs_give_pairs_where_a_prompt_has_both() -> None:
    rows = [
        *[Thumb("q", text, up) for text, up in [("g", True), ("h", True), ("b", False)]],
        Thumb("q", "s", True), Thumb("q", "s", False),  # labelers who disagree
        Thumb("q", "m", False, "ana"), Thumb("q", "m", False, "bo"), Thumb("q", "m", True, "cy"),  # most say no
        Thumb("r", "x", True), Thumb("r", "y", True),
    ]  # fmt: skip
    made = convert(rows, "pairs")
    assert {(row.chosen, row.rejected) for row in made.rows} == {("g", "b"), ("h", "b"), ("g", "m"), ("h", "m")}
    assert made.dropped == {
        "answers with as many thumbs up as down": 1,
        "answers with none of the other thumb under their prompt": 2,
    }


def test_pairs_give_a_thumb_for_each_answer_that_is_always_on_one_side() -> None:
    rows = [Pair("q", "a", "b"), Pair("q", "b", "c"), Pair("q", "a", "c"), Pair("q", "x", "y", tie=True)]
    made = convert(rows, "thumbs")
    assert [(row.completion, row.up) for row in made.rows] == [("a", True), ("c", False)]
    assert made.dropped == {
        "answers that win one pair and lose another": 1,
        "tied pairs": 1,
        "answers that are there already": 2,
    }


def test_what_is_worth_learning_and_prompts() -> None:
    pairs = [Pair("q", "a", "b"), Pair("Q ", "a", "c"), Pair("q", "a", "d"), Pair("q", "x", "y", tie=True)]
    made = convert(pairs, "chats")
    assert [(row.prompt, row.completion) for row in made.rows] == [("q", "a"), ("Q ", "a")]
    assert made.dropped == {"answers that are there already": 1, "tied pairs": 1}
    made = convert(pairs, "prompts")
    assert [row.prompt for row in made.rows] == ["q"]
    assert made.dropped == {"rows of a prompt that is there already": 3}
    assert convert([Thumb("q", "a", True), Thumb("q", "b", False)], "chats").rows == (Chat("q", "a"),)
    assert convert([Ranking("q", ABC, ((1, 2), (0,)))], "chats").rows == (Chat("q", "b"), Chat("q", "c"))
    assert convert([Rating("q", "a", {"x": 1}), Rating("q", "b", {"x": 2})], "chats").rows == (Chat("q", "b"),)


def test_pairs_stay_pairs_without_ties_and_small_margins() -> None:
    rows = [Pair("q", "a", "b", margin=2.0), Pair("q", "a", "c", margin=0.5), Pair("q", "a", "d", tie=True)]
    made = convert(rows, "pairs", Rules(min_gap=1.0))
    assert made.rows == (rows[0],)
    assert made.dropped == {"with a margin below 1": 1, "tied": 1}
    assert convert(rows, "pairs", Rules(ties="keep")).rows == tuple(rows)


def test_what_cannot_be() -> None:
    with pytest.raises(UserError, match="Document rows cannot become pairs; they become nothing else"):
        convert([Document("text")], "pairs")
    with pytest.raises(UserError, match="Chat rows cannot become thumbs; they can become chats, prompts"):
        convert([Chat("q", "a")], "thumbs")
    with pytest.raises(UserError, match="2 kinds"):
        convert([Chat("q", "a"), Prompt("q")], "prompts")
    with pytest.raises(UserError, match="no rows to convert"):
        convert([], "pairs")
    with pytest.raises(UserError, match="choose from pairs"):
        convert([Chat("q", "a")], "pear")
    with pytest.raises(UserError, match=r"min-share is 0\.4"):
        Rules(min_share=0.4)
    with pytest.raises(UserError, match="min-gap is nan"):
        Rules(min_gap=float("nan"))


WITHOUT_EFFECT = [
    ([Thumb("q", "a", up=True), Thumb("q", "b", up=False)], "pairs", {"ties": "keep"}),
    ([Pair("q", "a", "b")], "thumbs", {"ties": "keep"}),
    ([Pair("q", "a", "b")], "pairs", {"rejects": "exclude"}),
    ([Pair("q", "a", "b")], "pairs", {"attribute": "wit"}),
    ([Rating("q", "a", {"wit": 1})], "prompts", {"attribute": "wit"}),
    ([Ranking("q", ("a", "b"), ((0,), (1,)))], "pairs", {"min_gap": 0.1}),
    ([Ranking("q", ("a", "b"), ((0,), (1,)))], "kwise", {"consensus": True}),
    ([Rating("q", "a", {"wit": 1})], "kwise", {"consensus": True}),
    ([Pair("q", "a", "b")], "pairs", {"min_share": 0.6}),
]


@pytest.mark.parametrize(("rows", "to", "rules"), WITHOUT_EFFECT, ids=[f"{to} {rules}" for _, to, rules in WITHOUT_EFFECT])
def test_a_rule_that_would_change_nothing_is_refused(rows: list[Any], to: str, rules: dict[str, Any]) -> None:
    (name,) = rules
    with pytest.raises(UserError, match=f"^{name.replace('_', '-')} .*leave it out"):
        convert(rows, to, Rules(**rules))


def test_the_least_share_counts_where_labelers_are_to_agree() -> None:
    rows = [Pair("q", "a", "b", labeler=who) for who in "xy"] + [Pair("q", "b", "a", labeler="z")]
    assert len(convert(rows, "pairs", Rules(consensus=True, min_share=0.6)).rows) == 1
    with pytest.raises(UserError, match="without a majority"):
        convert(rows, "pairs", Rules(consensus=True, min_share=0.7))


# --- grades -----------------------------------------------------------------------------------------------------------

TABLE_27 = {
    "small": {"Significantly Better": Fraction(1), "better": Fraction(2, 3), "slightly_better": Fraction(1, 3),
              "Negligibly Better / Unsure": Fraction(0)},
    "large": {"significantly": Fraction(3), "Better": Fraction(2), "slightly": Fraction(1), "unsure": Fraction(0)},
}  # fmt: skip


@pytest.mark.parametrize("scale", ["small", "large"])
def test_grades_are_the_margins_of_llama_2s_table_27(scale: Any, tmp_path: Path) -> None:
    path = tmp_path / "pairs.jsonl"
    lines = [{"prompt": "q", "chosen": "a", "rejected": "b", "grade": grade} for grade in TABLE_27[scale]]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    found = list(graded(read(path), list(TABLE_27[scale]), scale))
    assert [row.margin for row in found] == pytest.approx([float(margin) for margin in TABLE_27[scale].values()])


def test_unknown_and_missing_grades_are_all_named(tmp_path: Path) -> None:
    path = tmp_path / "pairs.jsonl"
    grades: list[Any] = ["better", "slihgtly better", None, 3]
    lines = [{"prompt": "q", "chosen": "a", "rejected": "b"} | ({"grade": g} if g else {}) for g in grades]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    with pytest.raises(UserError) as error:
        list(graded(read(path), grades, "small"))
    head, second, third, fourth = str(error.value).splitlines()
    assert head == "3 of 4 rows have no known grade"
    assert second.endswith("pairs.jsonl:2: `grade` is \"slihgtly better\"; did you mean 'slightly'?")
    assert "pairs.jsonl:3: `grade` is missing" in third
    assert "pairs.jsonl:4: `grade` is 3" in fourth
    with pytest.raises(UserError, match="only pairs have a grade"):
        list(graded([Prompt("q")], ["better"], "small"))


# --- files ------------------------------------------------------------------------------------------------------------

TURNS = (Message("system", "be brief"), Message("user", "q"))
KINDS: dict[str, list[Row]] = {
    "prompts": [Prompt(TURNS), Prompt(TURNS[1:])],
    "text prompts": [Prompt("q"), Prompt("r\u2028s")],
    "chats": [Chat(TURNS, "a"), Chat(TURNS[1:], "b")],
    "documents": [Document("one\ntwo"), Document("three")],
    "labelled": [Labelled("x", 1), Labelled("y", 0)],
    "pairs": [Pair("q", "a", "b", 0.1, 0.7), Pair("q", "c", "d", tie=True)],
    "rankings": [Ranking("q", ABC, ((2,), (0, 1))), Ranking("q", ABC, ((0,),), (1, 2), "ana")],
    "rankings without rejects": [Ranking("q", ABC, ((2,), (0, 1)))],
    "rankings of rejects": [Ranking("q", ABC, (), (0, 1, 2))],
    "ratings": [Rating("q", "a", {"x": 1.0, "y z": 2.5}), Rating("q", "b", {"x": 3.0}, "bo")],
    "thumbs": [Thumb("q", "a", True), Thumb("q", "b", False, "ana")],
}


@pytest.mark.parametrize("suffix", [".jsonl", ".parquet"])
@pytest.mark.parametrize("kind", KINDS)
def test_what_is_written_is_read_again(kind: str, suffix: str, tmp_path: Path) -> None:
    rows, path = KINDS[kind], tmp_path / "new" / f"rows{suffix}"
    write(path, rows)
    again = read(path)
    assert [(type(row), _values(row)) for row in again] == [(type(row), _values(row)) for row in rows]
    write(path, rows, [{"note": str(i)} for i in range(len(rows))])
    assert [_values(row) for row in read(path)] == [_values(row) for row in rows]
    assert [entry.name for entry in path.parent.iterdir()] == [path.name], "nothing is left beside it"


def _values(row: Row) -> list[Any]:
    return [getattr(row, name) for name in type(row).__slots__ if name != "source"]


def test_places_that_cannot_be_written_to(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"\.jsonl or \.parquet files, not to \.csv"):
        write(tmp_path / "rows.csv", [Prompt("q")])
    (tmp_path / "folder.jsonl").mkdir()
    with pytest.raises(UserError, match="is a folder"):
        write(tmp_path / "folder.jsonl", [Prompt("q")])
    (tmp_path / "a file").touch()
    for place in ("a file/rows.jsonl", "a file/deeper/rows.parquet"):
        with pytest.raises(UserError, match="a file is a file and no folder"):
            write(tmp_path / place, [Prompt("q")])
    with pytest.raises(UserError, match=r"Parquet's columns .*write \.jsonl"):
        write(tmp_path / "rows.parquet", [Prompt("q"), Prompt(TURNS)])
