"""Weighted sums and their constants, by arithmetic on rules whose numbers are known."""

from __future__ import annotations

import statistics
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accordant.rewards import CombineReward, ContainsReward, LengthReward, Part, Whitening, load
from accordant.rewards.whiten import reference_answers
from accordant.types import Answer, UserError
from tasks import metrics, prompts, run_stage, write_rows

TEXTS = ["", " an apple", " banana and bread", " a b a b a b a b"]
ANSWERS = [Answer("what?", text, True) for text in TEXTS]
LETTERS = ContainsReward(texts=("a",))
WORDS = LengthReward(at_most=0)


def a(text: str) -> int:
    return text.count("a")


def minus_words(text: str) -> int:
    return -len(text.split())


@given(st.floats(-5, 5).filter(bool), st.floats(-5, 5).filter(bool))
def test_a_combination_is_the_weighted_sum(first: float, second: float) -> None:
    parts = {"letters": Part(reward=LETTERS, weight=first), "words": Part(reward=WORDS, weight=second)}
    expected = [first * a(t) + second * minus_words(t) for t in TEXTS]
    assert load(CombineReward(parts=parts))(ANSWERS).tolist() == pytest.approx(expected, rel=1e-6, abs=1e-6)


def test_each_part_is_standardised_on_the_reference_answers_before_it_is_weighted(tmp_path: Path) -> None:
    rows = [" a", " a a a", " banana split and a cherry", " no"]
    path = str(write_rows(tmp_path / "rows.jsonl", [{"prompt": "q", "completion": row} for row in rows]))
    parts = {
        "letters": Part(reward=LETTERS, weight=2.0),
        "words": Part(reward=WORDS, weight=-0.5, whiten=Whitening(mean=1.5, sd=4.0)),
    }
    counts = [a(row) for row in rows]
    mean, sd = statistics.mean(counts), statistics.stdev(counts)
    expected = [2.0 * (a(t) - mean) / sd - 0.5 * (minus_words(t) - 1.5) / 4.0 for t in TEXTS]
    reward = load(CombineReward(parts=parts, whiten=Whitening(reference=path)))
    assert reward(ANSWERS).tolist() == pytest.approx(expected, abs=1e-5)
    assert reward(ANSWERS[1:2]).tolist() == pytest.approx(expected[1:2], abs=1e-5)


def test_a_combination_on_its_own_reference_answers_has_the_size_of_its_parts(tmp_path: Path) -> None:
    path = str(write_rows(tmp_path / "rows.jsonl", [{"prompt": "q", "completion": text} for text in TEXTS[1:]]))
    reward = load(CombineReward(parts={"letters": Part(reward=LETTERS)}, whiten=Whitening(reference=path)))
    scores = reward([Answer("q", text, True) for text in TEXTS[1:]])
    assert float(scores.mean()) == pytest.approx(0, abs=1e-6)
    assert float(scores.std()) == pytest.approx(1, abs=1e-6)


def test_a_combination_may_be_a_part() -> None:
    inner = CombineReward(parts={"letters": Part(reward=LETTERS, weight=3.0), "words": Part(reward=WORDS)})
    outer = CombineReward(parts={"both": Part(reward=inner, weight=-1.0), "words": Part(reward=WORDS, weight=0.25)})
    expected = [-3 * a(t) - 0.75 * minus_words(t) for t in TEXTS]
    assert load(outer)(ANSWERS).tolist() == pytest.approx(expected)


@pytest.mark.parametrize(
    ("row", "answers"),
    [
        ({"prompt": "q", "chosen": "x", "rejected": "y"}, ["x", "y"]),
        ({"prompt": "q", "completions": ["x", "y", "z"], "ranks": [2, 1, None]}, ["x", "y", "z"]),
        ({"prompt": "q", "completion": "x", "scores": {"quality": 3}}, ["x"]),
        ({"prompt": "q", "completion": "x", "up": True}, ["x"]),
    ],
)
def test_every_answer_of_a_row_is_a_reference(row: dict[str, object], answers: list[str], tmp_path: Path) -> None:
    path = str(write_rows(tmp_path / "rows.jsonl", [row, row]))
    assert reference_answers(path) == [Answer("q", text, True) for text in [*answers, *answers]]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([{"prompt": "q", "completion": " b"}] * 3, r"all 3 reference answers have the same reward 0 from part 'letters'"),
        ([{"prompt": "q", "completion": " a"}], "holds 1 answer: a standard deviation needs at least 2"),
        ([{"prompt": "q"}, {"prompt": "r"}], "found Prompt rows"),
    ],
)
def test_reference_answers_that_measure_nothing(rows: list[dict[str, object]], message: str, tmp_path: Path) -> None:
    path = str(write_rows(tmp_path / "rows.jsonl", rows))
    with pytest.raises(UserError, match=message):
        load(CombineReward(parts={"letters": Part(reward=LETTERS)}, whiten=Whitening(reference=path)))


def test_ppo_optimises_the_combination_of_what_it_monitors(llama_folder: Path, tmp_path: Path) -> None:
    """The logged reward is the weighted sum of the logged parts, and the gate's monitor is a share."""
    letters, words = {"kind": "contains", "texts": ["e"]}, {"kind": "length", "at_most": 0}
    gate = {"kind": "safety_gate", "safety": words, "helpfulness": letters, "risky_patterns": ["boat"], "measure": "gated"}
    run_stage(
        "ppo", tmp_path / "run", model={"path": str(llama_folder), "precision": "float32"}, steps=2, prompts_per_step=8,
        prompts=str(prompts(tmp_path / "prompts.jsonl")), max_new_tokens=6, optim={"lr": 1e-3},
        reward={
            "kind": "combine",
            "parts": {
                "letters": {"reward": letters, "weight": 2.0, "whiten": {"mean": 0.5, "sd": 4.0}},
                "words": {"reward": words, "weight": 0.5},
            },
        },
        monitor={"letters": letters, "words": words, "gated": gate},
    )  # fmt: skip
    rows = metrics(tmp_path / "run")
    assert len(rows) == 2
    for row in rows:
        assert row["reward"] == pytest.approx(2.0 * (row["letters"] - 0.5) / 4.0 + 0.5 * row["words"], abs=1e-5)
        assert 0.5 <= row["gated"] <= 1  # half of the prompts are risky
