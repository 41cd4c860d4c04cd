"""The parts of a reward-model report, against numbers worked out by hand and scores whose habit is known."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accordant.evaluation.answers import Answers, Origin, beside, by_name, slices
from accordant.evaluation.attributes import attribute_report
from accordant.evaluation.labelers import hit_rate, labeler_table, ranking_report, taus
from accordant.evaluation.probes import PROBES, probe_entry, sample
from accordant.evaluation.reward_report import Comparisons, class_report, comparison_report, pair_report
from accordant.evaluation.surface import FEATURES, feature_table
from accordant.evaluation.suspicions import suspicions


def answers(score: list[float], tokens: list[float] | None = None, texts: list[str] | None = None) -> Answers:
    n = len(score)
    return Answers(tuple(texts or ["a"] * n), np.array(score), np.array(tokens or [1.0] * n), np.arange(n))


# --- accuracy by part -------------------------------------------------------------------------------------------------


def test_every_row_is_in_one_source_and_one_number_of_turns() -> None:
    right = np.array([1.0, 0, 1, 1, 0.5])
    origin = Origin(("b", "a", "b", "a", "b"), np.array([10, 2, 2, 2, 10]))
    found = slices(right, origin, np.arange(5))
    assert [(one["source"], one["n"], one["accuracy"]) for one in found["by_source"]] == [
        ("a", 2, 0.5),
        ("b", 3, pytest.approx(2.5 / 3)),
    ]
    assert [(one["turns"], one["n"], one["accuracy"]) for one in found["by_turns"]] == [
        ("2", 3, pytest.approx(2 / 3)),
        ("10", 2, 0.75),
    ]


def test_a_text_has_no_turns_and_one_prompt_has_no_interval() -> None:
    found = slices(np.array([1.0, 0]), Origin(("a", "a"), np.zeros(2, dtype=np.int64)), np.zeros(2, dtype=np.int64))
    assert found["by_turns"] == []
    assert found["by_source"][0]["ci95"] == [None, None]


def test_a_rule_is_compared_on_the_same_rows() -> None:
    """The model and the rule are right on the same rows: the gain is nothing, and its interval has no width."""
    right = np.array([1.0, 0, 1, 1, 0])
    same = beside("rule", right, right, np.arange(5))
    assert (same["accuracy"], same["gain"], same["gain_ci95"]) == (0.6, 0, [0, 0])
    other = beside("rule", right, 1 - right, np.arange(5))
    assert other["gain"] == pytest.approx(0.2)
    assert other["gain_ci95"][0] < 0 < other["gain_ci95"][1]


def test_the_interval_is_over_prompts() -> None:
    right = np.repeat([1.0, 0, 1, 1, 0, 0, 1, 0], 25)
    (alone,), (whole,) = (
        by_name(right, ["s"] * 200, groups, "source") for groups in (np.arange(200), np.repeat(np.arange(8), 25))
    )
    assert np.ptp(whole["ci95"]) > 3 * np.ptp(alone["ci95"])


@settings(max_examples=12)  # each makes 2000 resamples
@given(st.lists(st.tuples(st.floats(0, 5), st.booleans()), min_size=1, max_size=40))
def test_every_pair_is_in_one_margin(rows: list[tuple[float, bool]]) -> None:
    margin, right = np.array([m for m, _ in rows]), np.array([float(r) for _, r in rows])
    ones, scores = np.ones(len(rows)), np.zeros(2 * len(rows))
    report = pair_report(right, 1 - right, ones, np.arange(len(rows)), scores, scores, margin)
    assert sum(one["n"] for one in report["by_margin"]) == len(rows)
    assert sum(one["n"] * one["accuracy"] for one in report["by_margin"]) == pytest.approx(right.sum())


def test_weights_over_one_are_not_lost() -> None:
    report = pair_report(np.ones(3), np.zeros(3), np.array([0.5, 2.0, 3.0]), np.arange(3), np.ones(3), np.ones(3))
    assert sum(one["n"] for one in report["by_margin"]) == 3


def test_ties_are_counted_and_not_judged() -> None:
    """Two pairs, one right, and a tie whose scores differ by 3: the tie changes neither accuracy nor n."""
    table = answers([2.0, 0, 0, 1, 5, 2], tokens=[1, 2, 2, 1, 9, 9])
    origin = Origin(("s", "s"), np.ones(2, dtype=np.int64))
    pairs = Comparisons(np.array([0, 2]), np.array([1, 3]), np.ones(2), np.zeros(2), origin)
    report = comparison_report(table, pairs, np.array([[4, 5]]))
    assert (report["heldout_accuracy"], report["n"]) == (0.5, 2)
    assert report["ties"]["n"] == 1
    assert report["ties"]["gap"] == pytest.approx(3 / table.score.std())
    assert report["ties"]["gap_others"] == pytest.approx(1.5 / table.score.std())
    assert [one["accuracy"] for one in report["baselines"]] == [0.5, 0.5]  # the shorter is chosen once


def test_length_rules_are_each_others_opposite() -> None:
    table = answers([1.0, 0, 1, 0, 1, 0], tokens=[1, 2, 1, 3, 4, 4])
    pairs = Comparisons(
        np.array([0, 2, 4]), np.array([1, 3, 5]), np.ones(3), np.zeros(3), Origin(("s",) * 3, np.ones(3, dtype=np.int64))
    )
    shorter, longer = comparison_report(table, pairs, np.empty((0, 2), dtype=np.int64))["baselines"]
    assert shorter["accuracy"] == pytest.approx(2.5 / 3)  # equal lengths are half right
    assert longer["accuracy"] == pytest.approx(0.5 / 3)
    assert shorter["gain"] == pytest.approx(0.5 / 3)


def test_classes_by_hand() -> None:
    """Eight of class 1 and two of class 0; the model says 1 always, and its scores separate all but one pair."""
    labels = np.array([1] * 8 + [0] * 2)
    score = np.array([3.0, 4, 5, 6, 7, 8, 9, 1, 2, 0.5])
    table = answers(score.tolist())
    said = np.ones(10, dtype=np.int64)
    report = class_report(
        table, labels, said, 1 / (1 + np.exp(-score)), labels == 1, Origin(("s",) * 10, np.zeros(10, dtype=np.int64))
    )
    assert report["heldout_accuracy"] == 0.8
    assert report["classes"]["macro_f1"]["value"] == report["classes"]["macro_f1_baseline"] == pytest.approx(0.5 * 16 / 18)
    assert report["classes"]["auroc"]["value"] == pytest.approx(15 / 16)
    assert report["baselines"][0]["name"] == "always class 1"
    assert report["baselines"][0]["gain"] == 0


# --- the surface ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("feature", "text", "count"),
    [
        ("list items", "First:\n- one\n* two\n  3. three\nnot - four\n5 five", 3),
        ("question marks", "why? how?", 2),
        ("exclamation marks", "Yes!!", 2),
        ("digits", "in 2024, 7 of", 5),
        ("capital letters", "An Oslo ABC", 5),
        ("refusal words", "I can't, I cannot, I can\u2019t; this canteen is unable", 4),
        ("first person", "I told my island me", 3),
        ("politeness words", "Please, thank you and thanks; pleased", 3),
    ],
)
def test_what_is_counted(feature: str, text: str, count: float) -> None:
    assert FEATURES[feature](text) == count


def test_a_score_that_counts_question_marks_is_seen_through() -> None:
    texts = [f"text {'?' * (i % 5)}" for i in range(40)]
    table = answers([float(i % 5) for i in range(40)], tokens=[float(i * 7 % 11) for i in range(40)], texts=texts)
    found = {one["feature"]: one for one in feature_table(table)}
    assert found["question marks"]["rho"] == pytest.approx(1)
    assert found["question marks"]["share"] == 0.8
    assert found["digits"]["rho"] is None
    assert "never varies" in found["digits"]["note"]
    said = suspicions({"features": list(found.values())})
    assert len(said) == 1
    assert "rises with question marks" in said[0]


# --- probes -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("probe", "text", "changed"),
    [
        ("thanks", " It is red. ", " It is red. Thanks!"),
        ("refusal", " It is red.", " I'm sorry, but I can't help with that. It is red."),
        ("list", " It is red. It is wet.\nIt runs.", " - It is red.\n- It is wet.\n- It runs."),
        ("capitals", " It is red.", " IT IS RED."),
        ("whitespace", " It is red.", " It is red.   \n"),
        ("twice", " It is red.", " It is red. It is red."),
        ("half", " It is red today.", " It is"),
        ("half", " It is red.", " It is red."),
    ],
)
def test_what_a_probe_writes(probe: str, text: str, changed: str) -> None:
    assert PROBES[probe].rewrite(text) == changed


@given(st.text(min_size=1, max_size=30).filter(str.strip))
def test_a_probe_leaves_words_and_never_nothing(text: str) -> None:
    for probe in PROBES.values():
        assert probe.rewrite(text).strip()


def test_a_change_is_in_standard_deviations_and_only_of_what_changed() -> None:
    found = probe_entry("thanks", np.array([1.0, 2, 3, 4]), [3.0, None, 5.0, 3.0], sd=2.0, prompts=np.arange(4))
    assert (found["n"], found["change"]) == (3, pytest.approx((1 + 1 - 0.5) / 3))
    assert (found["rises"], found["falls"]) == (pytest.approx(2 / 3), pytest.approx(1 / 3))
    assert found["ci95"][0] <= found["change"] <= found["ci95"][1]
    nothing = probe_entry("thanks", np.array([1.0]), [None], sd=2.0, prompts=np.arange(1))
    assert (nothing["n"], nothing["change"], nothing["ci95"]) == (0, None, [None, None])


@given(st.lists(st.integers(0, 5), min_size=1, max_size=30), st.integers(1, 40))
def test_the_sample_takes_each_prompt_before_a_second_answer_of_one(prompts: list[int], count: int) -> None:
    places = sample(np.array(prompts), count)
    assert len(set(places.tolist())) == len(places) == min(count, len(prompts))
    taken = [prompts.count(p) and [prompts[i] for i in places].count(p) for p in set(prompts)]
    left = [prompts.count(p) - [prompts[i] for i in places].count(p) for p in set(prompts)]
    assert all(a <= b + 1 for a in taken for b, more in zip(taken, left, strict=True) if more)


# --- rankings and ratings ---------------------------------------------------------------------------------------------


def test_a_ranking_by_hand() -> None:
    """The first ranking is ordered alike but for one of three pairs; the second ties its two best."""
    table = Answers(("a",) * 6, np.array([3.0, 1, 2, 5, 4, 6]), np.ones(6), np.array([0, 0, 0, 1, 1, 1]))
    places, levels = [np.arange(3), np.arange(3, 6)], [np.array([0, 1, 2]), np.array([0, 1, 0])]
    report = ranking_report(table, places, levels)
    assert [*map(float, taus(table, places, levels))] == [pytest.approx(1 / 3), pytest.approx(2 / np.sqrt(6))]
    assert report["tau_b"]["value"] == pytest.approx((1 / 3 + 2 / np.sqrt(6)) / 2)
    assert report["best_of_k"]["accuracy"] == 1
    assert report["best_of_k"]["chance"] == pytest.approx((1 / 3 + 2 / 3) / 2)


def test_of_several_highest_answers_the_share_that_is_best_counts() -> None:
    assert hit_rate(np.array([1.0, 1, 0]), np.array([0, 1, 0])) == 0.5
    assert hit_rate(np.array([1.0, 0]), np.array([1, 0])) == 0


def test_a_contrary_labeler_is_named() -> None:
    right = [np.ones(3)] * 20 + [np.zeros(3)] * 20 + [np.array([])]
    table = labeler_table(["ana"] * 20 + ["ben"] * 20 + ["cy"], right, np.arange(41))
    assert [(one["labeler"], one["rows"], one["n"], one["accuracy"]) for one in table] == [
        ("ana", 20, 60, 1),
        ("ben", 20, 60, 0),
    ]
    (said,) = suspicions({"labelers": table})
    assert "“ben”" in said
    assert labeler_table(["?", "?"], right[:2], np.arange(2)) == []


def test_errors_are_beside_those_of_the_mean() -> None:
    rated = np.array([1.0, 2, 3, 4, 5])
    better = attribute_report("quality", rated + np.array([0.3, -0.3, 0.3, -0.3, 0.3]), rated, np.arange(5), 3.0, True)
    assert better["rmse"]["value"] == pytest.approx(0.3)
    assert better["rmse"]["baseline"] == pytest.approx(np.sqrt(2))
    assert better["rmse"]["difference"] == pytest.approx(0.3 - np.sqrt(2))
    assert better["mae"]["baseline"] == pytest.approx(1.2)
    assert better["spearman"]["value"] == pytest.approx(1)
    same = attribute_report("quality", np.full(5, 3.0), rated, np.arange(5), 3.0, True)
    assert (same["rmse"]["difference"], same["rmse"]["ci95"], same["spearman"]["value"]) == (0, [0, 0], None)
    assert "does not clearly beat the mean rating" in suspicions({"attributes": [same]})[0]
    assert attribute_report("quality", rated, rated, np.arange(5), None, False)["rmse"] is None


# --- suspicions -------------------------------------------------------------------------------------------------------


def probe(change: float, low: float, high: float, harmless: bool) -> dict:
    return {
        "words": "adding “Thanks!”",
        "harmless": harmless,
        "n": 50,
        "change": change,
        "ci95": [low, high],
        "rises": 0.9,
        "falls": 0.1,
    }


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (probe(0.8, 0.6, 1.0, False), "Adding “Thanks!” moves the score up by 0.8 sd on average, and in 90% of 50 answers"),
        (probe(-0.8, -1.0, -0.6, True), "moves the score down by 0.8 sd on average, and in 10% of 50 answers"),
        (probe(-0.8, -1.0, -0.6, False), ""),  # a worse answer may score lower
        (probe(0.8, -0.1, 1.7, True), ""),  # chance
        (probe(0.2, 0.1, 0.3, True), ""),  # clear, but little
    ],
)
def test_what_a_probe_is_suspected_of(found: dict, words: str) -> None:
    said = suspicions({"probes": [found]})
    assert (words in said[0]) if words else said == []


def test_a_weak_source_and_a_rule_that_is_as_good_are_named() -> None:
    part = {"n": 100, "accuracy": 0.55, "ci95": [0.45, 0.65]}
    report = {
        "heldout_accuracy": 0.7,
        "by_source": [{"source": "forum", **part}, {"source": "books", "n": 9, "accuracy": 0.5, "ci95": [0.2, 0.8]}],
        "by_turns": [{"turns": "1", **part}],
        "baselines": [{"name": "the shorter answer wins", "accuracy": 0.69, "gain": 0.01, "gain_ci95": [-0.02, 0.04]},
                      {"name": "the longer answer wins", "accuracy": 0.31, "gain": 0.39, "gain_ci95": [0.3, 0.5]}],
    }  # fmt: skip
    said = suspicions(report)
    assert len(said) == 3
    assert "the shorter answer wins" in said[0]
    assert "in forum" in said[1]
    assert "1 turn of the user" in said[2]


def test_half_of_the_pairs_ask_of_the_other_outcome() -> None:
    """By definition, from every pair: the reliability table has as many sure noes as sure yeses."""
    chosen = np.linspace(1, 3, 20)
    report = pair_report(chosen, np.zeros(20), np.ones(20), np.arange(20), chosen, chosen)
    low = sum(b["n"] for b in report["reliability"] if b["high"] <= 0.5)
    assert low == 10
    assert all(a["low"] < b["low"] for a, b in combinations(report["reliability"], 2))
