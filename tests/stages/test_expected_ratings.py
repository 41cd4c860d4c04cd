"""Gold of ratings that names some attributes: put in as the documentation writes it, answered, and held to what it names."""

from __future__ import annotations

import json
import re
import uuid
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from exported import person, project

from accordant.feedback import quality, tasks
from accordant.feedback.answers import said
from accordant.feedback.assignment import next_task, submit
from accordant.feedback.store import Store
from accordant.feedback.tally import tally
from accordant.feedback.votes import right
from accordant.stages.intake import put_in
from accordant.types import UserError
from tasks import write_rows

DOCS = Path(__file__).parents[2] / "docs/studio.md"
ROWS: dict[str, dict[str, Any]] = {
    "groups": {"prompt": "q", "completions": ["a", "b", "c"]},
    "better": {"prompt": "q", "chosen": "a", "rejected": "b"},
    "up": {"prompt": "q", "completion": "a", "task": "thumb"},
    "scores": {"prompt": "q", "completion": "a", "task": "likert"},
}


def test_every_example_of_gold_in_the_documentation_is_put_in(store: Store, tmp_path: Path) -> None:
    (line,) = (one for one in DOCS.read_text(encoding="utf-8").splitlines() if one.startswith("| `gold` |"))
    examples = [json.loads(text) for text in re.findall(r"`(\{.*?\})`", line)]
    assert {next(iter(one)) for one in examples} == set(ROWS)
    number = tasks.make_project(store, "p", "")
    for one in examples:
        put_in(store, number, write_rows(tmp_path / "rows.jsonl", [ROWS[next(iter(one))] | {"gold": one}]))


def test_an_answer_is_right_by_the_attributes_that_gold_names(store: Store, tmp_path: Path) -> None:
    number = project(store, gold_share=1.0, overlap=30)
    row = ROWS["scores"] | {"gold": {"scores": {"quality": 4}}}
    put_in(store, number, write_rows(tmp_path / "rows.jsonl", [row]))
    given = list(product([1, 2, 3, 4, 5, None], [1, 5, None]))[:-1]
    for place, (score, other) in enumerate(given):
        who = person(store, f"Labeler {place}")
        task = next_task(store, number, who)
        assert task is not None
        with pytest.raises(UserError, match="not rated yet: wit"):  # of a labeler, all are asked
            submit(store, task.assignment_id, who, {"scores": {"quality": 4}}, "half", 1000)
        scores = {"quality": score, "wit": other}
        submit(store, task.assignment_id, who, {"scores": scores}, str(uuid.uuid4()), 1000)
    found = said(store, number, gold=True)
    assert [one.gold for one in found] == [{"scores": {"quality": 4, "wit": None}}] * len(given)
    wanted = [score in (3, 4, 5) for score, _ in given]
    assert [right(one, one.gold or {}) for one in found] == wanted
    table = quality.labelers(store, number, tally(said(store, number, gold=True, surplus=True)))
    assert [one.gold_right for one in sorted(table, key=lambda one: int(one.name.split()[1]))] == [int(one) for one in wanted]
