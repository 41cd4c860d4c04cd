"""What is judged, what is dropped, and that nothing is cut or lost on the way."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accordant.data.filter import Dropped, filter_rows, judged, shares, windows
from accordant.types import (
    Chat,
    Document,
    Labelled,
    Message,
    Pair,
    Prompt,
    Ranking,
    Rating,
    Source,
    Thumb,
    UserError,
)


def rude(texts: Sequence[str]) -> list[float]:
    """The share of rude words."""
    return [text.split().count("rude") / len(text.split()) for text in texts]


@given(st.lists(st.integers(0, 4), min_size=1, max_size=600), st.sampled_from([0.0, 0.25, 0.5]))
def test_rows_above_the_threshold_go_and_all_others_stay_in_order(counts: list[int], above: float) -> None:
    rows = [Document(" ".join(["rude"] * n + ["fine"] * (4 - n)), Source("d", i)) for i, n in enumerate(counts)]
    done: list[int] = []
    found = filter_rows(rows, rude, above, progress=done.append)
    assert [row.source.line for row in found.kept] == [i for i, n in enumerate(counts) if n / 4 <= above]
    assert found.dropped == tuple(Dropped(rows[i], n / 4) for i, n in enumerate(counts) if n / 4 > above)
    assert found.scores == tuple(n / 4 for n in counts)
    assert done[-1] == len(rows)


def test_what_would_be_learnt_is_judged() -> None:
    assert judged(Document("text")) == judged(Labelled("text", 1)) == ("text",)
    assert judged(Chat("q", "a")) == judged(Thumb("q", "a", True)) == judged(Rating("q", "a", {"x": 1})) == ("a",)
    assert judged(Pair("q", "good", "bad")) == ("good",)
    assert judged(Pair("q", "one", "two", tie=True)) == ("one", "two")
    assert judged(Ranking("q", ("a", "b", "c"), ((1, 2), (0,)))) == ("b", "c")
    assert judged(Ranking("q", ("a", "b"), (), (0, 1))) == ("a", "b")
    assert judged(Prompt((Message("system", "be kind"), Message("user", "q")))) == ("be kind\nq",)


@given(st.integers(1, 60), st.integers(2, 12))
def test_windows_overlap_by_half_and_leave_nothing_out(total: int, size: int) -> None:
    words = [str(i) for i in range(total)]
    parts = [part.split() for part in windows(" ".join(words), size)]
    assert max(map(len, parts)) <= max(size, 0)
    assert list(dict.fromkeys(word for part in parts for word in part)) == words
    assert all(later[0] == earlier[size // 2] for earlier, later in pairwise(parts))
    assert all(part not in [other[: len(part)] for other in parts[:i]] for i, part in enumerate(parts))


def test_the_worst_window_decides() -> None:
    row = Document(" ".join(["fine"] * 20 + ["rude"] * 2 + ["fine"] * 20))
    assert filter_rows([row], rude, 0.3).kept == (row,)
    found = filter_rows([row], rude, 0.3, window=4)
    assert found.kept == ()
    assert found.scores == (0.5,)


def test_drops_are_counted_by_file_and_label() -> None:
    rows = [
        Labelled("rude", 1, Source("a", 1)), Labelled("fine", 1, Source("a", 2)), Labelled("fine", 0, Source("a", 3)),
        Labelled("rude", 1, Source("b", 1)), Thumb("q", "rude", True, source=Source("c", 1)), Document("rude", Source("d", 1)),
    ]  # fmt: skip
    assert shares(rows, filter_rows(rows, rude, 0.5)) == {
        "a, label 1": (1, 2), "a, label 0": (0, 1), "b, label 1": (1, 1), "c, thumb up": (1, 1), "d": (1, 1),
    }  # fmt: skip


def test_rows_that_cannot_be_scored_are_all_named() -> None:
    def narrow(texts: Sequence[str]) -> list[float]:
        longest = max(len(text.split()) for text in texts)
        if longest > 3:
            raise UserError(f"a text has {longest} words: advice for others")
        return rude(texts)

    rows = [Document("fine " * (9 if i % 50 == 7 else 2), Source("d", i)) for i in range(1, 301)]
    with pytest.raises(UserError) as error:
        filter_rows(rows, narrow, 0.5)
    head, *named = str(error.value).splitlines()
    assert head.startswith("6 of 300 rows cannot be scored")
    assert named == [f"  d:{i}: a text has 9 words" for i in (7, 57, 107, 157, 207, 257)]
    assert len(filter_rows(rows, narrow, 0.5, window=3).kept) == 300


def test_faults() -> None:
    with pytest.raises(UserError, match="d:2: the score is not a number"):
        filter_rows([Document("a", Source("d", 1)), Document("b", Source("d", 2))], lambda _: [0.0, float("nan")], 0.5)
    for window in (-1, 1):
        with pytest.raises(UserError, match=f"window is {window}"):
            filter_rows([Document("a")], rude, 0.5, window)
