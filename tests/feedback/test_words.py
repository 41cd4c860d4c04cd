"""Answers in words: the letters are the labeler's own, and every kind of answer has a sentence."""

from __future__ import annotations

from typing import Any

import pytest

from accordant.feedback.words import excerpt, words

DISPLAY = (7, 3, 9, 5)  # A is completion 7, B is 3, C is 9, D is 5


@pytest.mark.parametrize(
    ("task", "payload", "said"),
    [
        ("rank", {"groups": [[3], [5, 7]], "rejected": [9]}, "B > A = D, F: C"),
        ("rank", {"groups": [[7], [3], [9], [5]], "rejected": []}, "A > B > C > D"),
        ("rank", {"groups": [[5, 9, 3, 7]], "rejected": []}, "A = B = C = D"),
        ("rank", {"groups": [], "rejected": [9, 5, 7, 3]}, "F: A B C D"),
        ("rank", {"cannot_judge": "in Finnish"}, "cannot judge: in Finnish"),
        ("pair", {"better": 3, "grade": "better"}, "B better"),
        ("pair", {"better": 7, "grade": "slightly"}, "A slightly better"),
        ("pair", {"tie": True}, "A = B"),
        ("pair", {"both_bad": True}, "both bad"),
        ("likert", {"scores": {"quality": 4, "realism": None}}, "quality 4, realism -"),
        ("thumb", {"up": True}, "thumb up"),
        ("thumb", {"up": False}, "thumb down"),
        ("demonstration", {"text": "one\n  two"}, "one two"),
        ("red_team", {"text": "x" * 81}, "x" * 77 + "..."),
        ("vet", {"verdict": "accept"}, "accepted"),
        ("vet", {"verdict": "edit", "row": {"a": 1}}, "edited"),
        ("vet", {"verdict": "reject", "reason": "spam"}, "rejected: spam"),
    ],
)
def test_an_answer_in_words(task: str, payload: dict[str, Any], said: str) -> None:
    assert words(task, payload, DISPLAY) == said


def test_a_text_that_fits_is_not_cut() -> None:
    assert excerpt("x" * 80) == "x" * 80
