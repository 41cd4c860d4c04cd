"""What reward models are unsure of: the entropy of their preferences, by hand, and the priorities that come of it."""

from __future__ import annotations

import json
import math
from itertools import combinations
from pathlib import Path

import pytest
from sqlalchemy import select

from accordant.feedback import people, priority, tasks
from accordant.feedback.assignment import next_task
from accordant.feedback.schema import item
from accordant.feedback.store import Store
from accordant.feedback.tasks import Text, Work
from accordant.stages.uncertainty import uncertainty
from accordant.types import UserError
from builders import byte_level_tokenizer
from command import accordant
from tasks import COLOURS, run_stage, write_rows
from tiny import tiny_llama

PAIRS = [{"prompt": f"what is {k}?", "chosen": f" {v}", "rejected": f" not {v}"} for k, v in COLOURS.items()]


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Two reward models of other seeds; their contexts hold 60 tokens."""
    folder = tmp_path_factory.mktemp("models")
    start = str(tiny_llama(folder / "llama", byte_level_tokenizer()))
    data = str(write_rows(folder / "pairs.jsonl", PAIRS))
    return [
        run_stage("reward_pairwise", folder / str(seed), model={"path": start}, data=data, max_steps=8, seed=seed,
                  optim={"lr": 1e-2})["checkpoint"]
        for seed in (1, 2)
    ]  # fmt: skip


def fill(store: Store, **options: object) -> int:
    number = tasks.make_project(store, "colours", "", overlap=1, gold_share=0, **options)  # type: ignore[arg-type]
    texts = [tuple(map(Text, answers)) for answers in ((" red", " not red", " blue"), (" green", " no"), (" grey",))]
    work = [Work("rank" if len(one) > 1 else "thumb", f"what is {k}?", one) for k, one in enumerate(texts)]
    tasks.add(store, number, work)
    return number


def by_hand(models: list[str], folder: Path, prompt: str, answers: list[str]) -> float:
    """From `accordant reward score` of every answer: the mean over pairs of the entropy of the mean probability."""
    rows = write_rows(folder / "by_hand.jsonl", [{"prompt": prompt, "completion": text} for text in answers])
    each = []
    for model in models:
        ended = accordant("reward", "score", model, rows, "--raw")
        each.append([json.loads(line)["score"] for line in ended.output.splitlines()])
    bits = []
    for a, b in combinations(range(len(answers)), 2):
        p = sum(1 / (1 + math.exp(scores[b] - scores[a])) for scores in each) / len(each)
        bits.append(-p * math.log2(p) - (1 - p) * math.log2(1 - p))
    return sum(bits) / len(bits)


@pytest.mark.parametrize("count", [1, 2])
def test_it_is_the_entropy_of_the_mean_preference(store: Store, models: list[str], tmp_path: Path, count: int) -> None:
    project = fill(store)
    found, long = uncertainty(store, project, models[:count])
    assert long.count == 0
    with store.read() as connection:
        ids = connection.scalars(select(item.c.id).order_by(item.c.id)).all()
    assert list(found) == ids[:2], "an item with one answer has no order"
    for number, prompt, answers in zip(
        ids, ("what is 0?", "what is 1?"), ([" red", " not red", " blue"], [" green", " no"]), strict=False
    ):
        assert found[number] == pytest.approx(by_hand(models[:count], tmp_path, prompt, answers), abs=1e-5)


def test_what_models_are_unsure_of_comes_first(tmp_path: Path, models: list[str]) -> None:
    place = tmp_path / "store.db"
    with Store.open(place) as store:
        project = fill(store, order_by="priority", random_share=0.0)
        found, _ = uncertainty(store, project, models)
        least = min(found, key=lambda number: found[number])
        priority.by_uncertainty(store, {least: 9.0})  # what was set before is set anew
    ended = accordant(
        "studio", "prioritise", "--store", place, "--project", "colours", "--model", models[0], "--model", models[1]
    )
    assert ended.code == 0, ended
    assert "2 items" in ended.output
    with Store.open(place) as store:
        with store.read() as connection:
            rows = connection.execute(select(item.c.id, item.c.priority).order_by(item.c.id)).all()
        assert {row.id: row.priority for row in rows if row.id in found} == pytest.approx(found)
        person = people.join(store, people.invite(store), "Ben", "a long password")
        task = next_task(store, project, person.id)
        assert task is not None
        assert task.item_id == max(found, key=lambda number: found[number])


def test_what_cannot_be_compared_is_said(store: Store, models: list[str]) -> None:
    project = tasks.make_project(store, "p", "")
    with pytest.raises(UserError, match="no open item of this project has two answers"):
        uncertainty(store, project, models)
    tasks.add(store, project, [Work("pair", "short?", (Text(" yes"), Text(" no")))])
    (long,) = tasks.add(store, project, [Work("pair", "long? " * 400, (Text(" yes"), Text(" no")))])
    with pytest.raises(UserError, match="no reward model is given"):
        uncertainty(store, project, [])
    found, left = uncertainty(store, project, models)
    assert long not in found
    assert left.count == 1
    assert f"item {long}" in str(left)


def test_disagreement_by_command(tmp_path: Path) -> None:
    place = tmp_path / "store.db"
    with Store.open(place) as store:
        fill(store)
    ended = accordant("studio", "prioritise", "--store", place, "--project", "colours")
    assert ended.code == 0, ended
    assert "0 items" in ended.output
