"""Rules on the surface of an answer, against counts by hand."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accordant.rewards import ContainsReward, LengthReward, RepetitionReward, RewardConfig, load
from accordant.types import Answer, UserError
from builders import byte_level_tokenizer


def value(cfg: RewardConfig, text: str, prompt: str = "sorry, sorry") -> float:
    return float(load(cfg)([Answer(prompt, text, True)])[0])


@pytest.mark.parametrize(
    ("text", "expected"), [("", -3), (" one", -2), ("a b c", 0), (" a  b\nc d e", 0), ("a b c d e f g", -2)]
)
def test_the_distance_from_a_range_of_words(text: str, expected: float) -> None:
    assert value(LengthReward(at_least=3, at_most=5), text) == expected


def test_one_limit_is_enough() -> None:
    assert value(LengthReward(at_least=4), "a b") == -2
    assert value(LengthReward(at_least=4), "a " * 90) == 0
    assert value(LengthReward(at_most=0), "a b c") == -3
    assert value(LengthReward(unit="characters", at_most=2), " né") == -1


def test_tokens_are_those_of_the_tokenizer_that_is_named(tmp_path: Path) -> None:
    """A text that spells a control token is as long as its letters."""
    tokenizer = byte_level_tokenizer(bos=True)
    tokenizer.save_pretrained(tmp_path)
    (tmp_path / "config.json").write_text("{}")
    cfg = LengthReward(unit="tokens", at_most=0, tokenizer=str(tmp_path))
    ids = tokenizer(" the red kite", add_special_tokens=False).input_ids
    assert value(cfg, " the red kite") == -len(ids)
    assert value(cfg, "</s>") < -1
    assert value(cfg, "") == 0


@pytest.mark.parametrize(
    ("text", "n", "expected"),
    [
        ("", 1, 0), ("one two", 3, 0), ("a b c d", 2, 0),
        ("a a a a", 1, -3 / 4), ("a b a b a b", 2, -3 / 5), ("a b c a b c", 3, -1 / 4),
    ],
)  # fmt: skip
def test_the_share_of_repeated_n_grams(text: str, n: int, expected: float) -> None:
    assert value(RepetitionReward(n=n), text) == pytest.approx(expected)


@given(st.lists(st.sampled_from("abc"), max_size=12), st.integers(1, 4))
def test_repetition_counts_the_n_grams_that_were_there_before(words: list[str], n: int) -> None:
    """By brute force: each n-gram against all before it."""
    grams = [words[i : i + n] for i in range(len(words) - n + 1)]
    again = sum(any(gram == earlier for earlier in grams[:i]) for i, gram in enumerate(grams))
    assert value(RepetitionReward(n=n), " ".join(words)) == pytest.approx(-again / max(1, len(grams)))


def test_matches_are_counted_in_the_answer_alone() -> None:
    cfg = ContainsReward(texts=("sorry", "a.c"), patterns=(r"\bno+\b",))
    assert value(cfg, "") == 0
    assert value(cfg, "sorry sorrysorry") == 3
    assert value(cfg, "abc a.c") == 1, "a text is no pattern"
    assert value(cfg, "no, nooo and not") == 2
    assert value(cfg, "Sorry NO") == 0
    assert value(cfg.model_copy(update={"ignore_case": True}), "Sorry NO") == 2
    assert value(cfg.model_copy(update={"at_most": 2}), "sorry sorry sorry") == 2


def test_a_tokenizer_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no checkpoint folder"):
        load(LengthReward(unit="tokens", at_most=1, tokenizer=str(tmp_path / "nothing")))
