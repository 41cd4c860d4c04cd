"""Near-duplicates against brute force over sets of word tuples."""

from __future__ import annotations

import random
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from accordant.data import near as module
from accordant.data.near import Near, jaccard, near_duplicates, shingles

WORDS = [f"word{i}" for i in range(300)]


def runs(text: str) -> set[tuple[str, ...]]:
    """The definition: all runs of five words; a shorter text is one run."""
    words = re.findall(r"\w+", text.casefold())
    return {tuple(words[i : i + 5]) for i in range(max(len(words) - 4, 1))} if words else set()


def similarity(a: str, b: str) -> float:
    return len(runs(a) & runs(b)) / len(runs(a) | runs(b))


def brute(texts: list[str], threshold: float) -> list[tuple[int, int, float]]:
    found = []
    for j, text in enumerate(texts):
        alike = [(similarity(text, texts[i]), -i) for i in range(j) if runs(text) and runs(texts[i])]
        if alike and max(alike)[0] >= threshold:
            best, i = max(alike)
            found.append((j, -i, best))
    return found


def changed(text: str, times: int, rng: random.Random) -> str:
    words = text.split()
    for _ in range(times):
        words[rng.randrange(len(words))] = rng.choice(WORDS)
    return " ".join(words)


def family(rng: random.Random, count: int = 40) -> list[str]:
    """Texts of 60 words, each new or an earlier one with a few words replaced."""
    texts: list[str] = []
    for _ in range(count):
        new = " ".join(rng.choices(WORDS, k=60))
        texts.append(changed(rng.choice(texts), rng.randrange(4), rng) if texts and rng.random() < 0.7 else new)
    return texts


@pytest.mark.parametrize("seed", range(5))
def test_what_is_found_is_what_brute_force_finds(seed: int) -> None:
    texts = family(random.Random(seed))
    expected = brute(texts, 0.7)
    assert len(expected) > 10
    found = [(near.index, near.other, near.similarity) for near in near_duplicates(texts)]
    assert found == [(i, j, pytest.approx(s)) for i, j, s in expected]


@given(st.lists(st.sampled_from("abcdefg"), max_size=30), st.lists(st.sampled_from("abcdefg"), max_size=30))
def test_the_similarity_is_jaccards(first: list[str], second: list[str]) -> None:
    a, b = " ".join(first), " ".join(second)
    assert len(shingles(a)) == len(runs(a))
    if first or second:
        assert jaccard(shingles(a), shingles(b)) == pytest.approx(similarity(a, b) if runs(a) | runs(b) else 0.0)


def test_case_punctuation_and_spacing_do_not_count() -> None:
    texts = ["The red kite flew over the old mill.", "the RED kite -- flew over\nthe old mill!"]
    assert near_duplicates(texts) == [Near(1, 0, 1.0)]


def test_order_counts() -> None:
    assert near_duplicates(["one two three four five six seven", "seven six five four three two one"]) == []


def test_short_texts_are_alike_only_if_equal_and_texts_without_words_never() -> None:
    assert near_duplicates(["hi there", "hi here", "Hi there!", "", "...", "?!"]) == [Near(2, 0, 1.0)]


def test_the_threshold_decides_and_is_included() -> None:
    # 8 words give 4 runs, 9 words 5 runs of which 4 are shared: Jaccard 4/5.
    texts = ["a b c d e f g h", "a b c d e f g h i"]
    assert near_duplicates(texts, 0.8) == [Near(1, 0, 0.8)]
    assert near_duplicates(texts, 0.81) == []


def test_texts_from_the_first_on_are_compared_with_those_before_it_alone() -> None:
    texts = ["a b c d e f g h", "a b c d e f g h", "x y", "a b c d e f g h i", "a b c d e f g h i"]
    assert near_duplicates(texts, first=3) == [Near(3, 0, 0.8), Near(4, 0, 0.8)]
    assert near_duplicates(texts)[-1] == Near(4, 3, 1.0)


def test_a_long_document_is_hashed_in_chunks_with_the_same_result() -> None:
    words = [f"w{i}" for i in range(10_000)]
    texts = [" ".join(words), " ".join(words[:9_000]), " ".join(words[:5_000])]
    ((found),) = near_duplicates(texts)
    assert (found.index, found.other) == (1, 0)
    assert found.similarity == pytest.approx(8_996 / 9_996)


def test_the_signature_of_a_union_is_the_least_of_both() -> None:
    """MinHash's defining identity, on sets larger than what is hashed at once."""
    a, b = (np.unique(np.random.default_rng(seed).integers(0, 1 << 60, size=6_000, dtype=np.uint64)) for seed in (0, 1))
    least = np.minimum(module._signature(a), module._signature(b))
    assert np.array_equal(module._signature(np.union1d(a, b)), least)


def test_half_a_surrogate_pair_is_text() -> None:
    assert len(shingles("a \ud800b c")) == 1


def test_a_threshold_out_of_range() -> None:
    for threshold in (0.0, 1.1):
        with pytest.raises(ValueError, match="threshold"):
            near_duplicates(["a"], threshold)


def test_shingles_are_sorted_and_distinct() -> None:
    found = shingles("a b c d e a b c d e a b c d e")
    assert np.all(np.diff(found.astype(object)) > 0)
    assert len(found) == 5
