"""Answers as the pages send them: complete ones are kept exactly, and each kind of fault is named."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accordant.feedback.payload import check
from accordant.feedback.schema import TASKS
from accordant.stats.grades import GRADES
from accordant.types import UserError

IDS = (3, 1, 4)
ATTRIBUTES = ("quality", "harmfulness")


@pytest.mark.parametrize(
    ("task", "payload"),
    [
        ("rank", {"groups": [[4], [1, 3]], "rejected": []}),
        ("rank", {"groups": [[4]], "rejected": [1, 3], "comment": "two are empty"}),
        ("rank", {"groups": [], "rejected": [3, 1, 4]}),
        ("rank", {"cannot_judge": "needs a lawyer"}),
        *[("pair", {"better": 3, "grade": grade}) for grade in GRADES],
        ("pair", {"tie": True}),
        ("pair", {"both_bad": True}),
        ("pair", {"cannot_judge": "in Finnish"}),
        ("likert", {"scores": {"quality": 5, "harmfulness": None}}),
        ("thumb", {"up": False}),
        ("demonstration", {"text": " as it was typed\n"}),
        ("red_team", {"text": "a trap"}),
        ("vet", {"verdict": "accept"}),
        ("vet", {"verdict": "edit", "row": {"prompt": "q", "completion": "a"}}),
        ("vet", {"verdict": "reject", "reason": "spam"}),
    ],
)
def test_a_complete_answer_is_kept_as_it_is(task: str, payload: dict[str, Any]) -> None:
    assert check(task, payload, IDS, ATTRIBUTES) == payload
    assert check(task, payload, IDS, ATTRIBUTES, gold=True) == payload


@pytest.mark.parametrize(
    ("scores", "kept"),
    [
        ({"quality": 4}, {"quality": 4, "harmfulness": None}),
        ({"harmfulness": 1}, {"quality": None, "harmfulness": 1}),
        ({"harmfulness": 1, "quality": None}, {"quality": None, "harmfulness": 1}),
    ],
)
def test_gold_may_leave_out_attributes(scores: dict[str, Any], kept: dict[str, Any]) -> None:
    found = check("likert", {"scores": scores}, IDS, ATTRIBUTES, gold=True)
    assert found == {"scores": kept}
    assert list(found["scores"]) == list(ATTRIBUTES)
    assert scores in ({"quality": 4}, {"harmfulness": 1}, {"harmfulness": 1, "quality": None}), "it is not written to"


@pytest.mark.parametrize(
    ("scores", "said"),
    [
        ({}, "no attribute is rated"),
        ({"quality": None}, "no attribute is rated"),
        ({"wit": 2}, "unknown attribute 'wit'"),
        ({"quality": 6}, "from 1 to 5"),
        ([4], "must be an object"),
    ],
)
def test_gold_that_rates_nothing_that_there_is_is_refused(scores: Any, said: str) -> None:
    with pytest.raises(UserError, match=said):
        check("likert", {"scores": scores}, IDS, ATTRIBUTES, gold=True)


@pytest.mark.parametrize(
    ("task", "payload", "said"),
    [
        ("rank", {"groups": [[4], [1]], "rejected": []}, "1 of 3 answers have no place yet"),
        ("rank", {}, "`groups` must be a list"),
        ("rank", {"groups": [[4], [1], [3]], "rejected": [3]}, "two places"),
        ("rank", {"groups": [[4], [], [1, 3]]}, "is empty"),
        ("rank", {"groups": [[4, 1, 3, 99]]}, "two places"),
        ("rank", {"groups": [["4", "1", "3"]]}, "must hold ids"),
        ("rank", {"groups": [[True, 4, 3]]}, "must hold ids"),
        ("rank", {"cannot_judge": " "}, "`cannot_judge` is empty"),
        ("rank", {"groups": [[4, 1, 3]], "grups": []}, "no field 'grups'"),
        ("pair", {}, "found none"),
        ("pair", {"tie": True, "both_bad": True}, "found tie and both_bad"),
        ("pair", {"better": 9, "grade": "better"}, "answer 9 is not one of the two"),
        ("pair", {"better": 3}, "say how much better"),
        ("pair", {"better": 3, "grade": "much"}, "'much'"),
        ("pair", {"tie": "yes"}, "must be true"),
        ("likert", {"scores": {"quality": 6, "harmfulness": 1}}, "from 1 to 5"),
        ("likert", {"scores": {"quality": 2.5, "harmfulness": 1}}, "whole number"),
        ("likert", {"scores": {"quality": True, "harmfulness": 1}}, "whole number"),
        ("likert", {"scores": {"quality": 4}}, "not rated yet: harmfulness"),
        ("likert", {"scores": {"quality": 4, "harmfulness": 1, "wit": 2}}, "unknown attribute 'wit'"),
        ("likert", {"scores": {"quality": None, "harmfulness": None}}, "no attribute is rated"),
        ("likert", {"scores": [4, 1]}, "must be an object"),
        ("thumb", {"up": "yes"}, "must be true or false"),
        ("demonstration", {"text": ""}, "`text` is empty"),
        ("demonstration", {"text": "x" * 100_001}, "has 100,001 characters"),
        ("vet", {"verdict": "maybe"}, "must be accept, edit or reject"),
        ("vet", {"verdict": "edit"}, "must come with its fields"),
        ("vet", {"verdict": "reject"}, "`reason` is empty"),
        ("thumb", ["up"], "an object with fields, found list"),
    ],
)
def test_a_fault_is_named(task: str, payload: Any, said: str) -> None:
    with pytest.raises(UserError, match=said):
        check(task, payload, IDS, ATTRIBUTES)


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
FIELDS = st.sampled_from(
    ["groups", "rejected", "better", "grade", "tie", "scores", "up", "text", "verdict", "row", "reason", "comment"]
)


@pytest.mark.parametrize("task", TASKS)
@given(payload=anything | st.dictionaries(FIELDS, anything, max_size=3))
def test_whatever_is_sent_is_kept_or_refused_in_words(task: str, payload: Any) -> None:
    try:
        kept = check(task, payload, IDS, ATTRIBUTES)
    except UserError:
        return
    assert check(task, kept, IDS, ATTRIBUTES) == kept
