"""The parts of an export hold every prompt once, whatever its rows are; and rows that a form cannot hold are named."""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Callable, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
from exported import ABC, Payload, judge, lines, person, plainly, project
from sqlalchemy import func, select

from accordant.feedback import schema
from accordant.feedback.assignment import next_task, submit
from accordant.feedback.store import Store
from accordant.feedback.tasks import Work
from accordant.stages.feedback_files import How, write
from accordant.types import Message, UserError


def test_no_prompt_is_in_two_parts_whatever_its_rows_are(store: Store, tmp_path: Path) -> None:
    """Each of twelve prompts has an item of every kind, spelled in other cases, and is found in one folder only."""
    names = [f"Question number {i}" for i in range(12)]
    work = [
        work
        for name in names
        for work in (
            Work("rank", name, ABC), Work("pair", name.upper(), ABC[:2]), Work("thumb", f"  {name}", ABC[:1]),
            Work("likert", name, ABC[:1]), Work("demonstration", name), Work("red_team", "attack"),
            Work("vet", "", row={"instruction": name, "input": "", "output": "x"}),
            Work("vet", "", row={"messages": [{"role": "user", "content": name}, {"role": "assistant", "content": "x"}]}),
            Work("vet", "", row={"nothing": name}),
        )
    ]  # fmt: skip
    number = project(store, *work, overlap=2)

    def say(kind: str, prompt: str, at: dict[str, int]) -> Payload:
        return plainly(kind, prompt, at)

    for who in ("Ana", "Bo"):
        judge(store, number, person(store, who), say)
    counts = write(store, number, tmp_path / "out", How(splits={"test": 5, "validation": 0.2}, seed=1))
    home: dict[str, set[str]] = {}
    total = 0
    for name in counts:
        part, kind = name.split("/")
        for row in lines(tmp_path / f"out/{name}.jsonl"):
            total += 1
            if kind in ("prompts", "vetted"):
                asked = row.get("instruction") or (row["messages"][0]["content"] if "messages" in row else None)
                asked = asked or row.get("nothing", "a trap") + "!"
            else:
                asked = row["prompt"]
            home.setdefault(" ".join(asked.casefold().split()), set()).add(part)
    assert total == sum(counts.values())
    assert {name for name, parts in home.items() if len(parts) > 1} == set()
    # 12 questions, as text and as a user's message, 12 rows of nothing known, and one prompt of the red team.
    assert len(home) == 25
    sizes = {part: sum(part in parts for parts in home.values()) for part in ("test", "validation", "train")}
    assert sizes == {"test": 5, "validation": 5, "train": 15}
    other = write(store, number, tmp_path / "other", How(splits={"test": 5, "validation": 0.2}, seed=2))
    again = write(store, number, tmp_path / "again", How(splits={"test": 5, "validation": 0.2}, seed=1))
    assert again == counts
    assert (tmp_path / "again/train/pairs.jsonl").read_bytes() == (tmp_path / "out/train/pairs.jsonl").read_bytes()
    assert (tmp_path / "other/train/pairs.jsonl").read_bytes() != (tmp_path / "out/train/pairs.jsonl").read_bytes()
    assert sum(other.values()) == total
    with pytest.raises(UserError, match="leave none"):
        write(store, number, tmp_path / "none", How(splits={"test": 25}))
    assert not (tmp_path / "none").exists()


def sets_of(named: Sequence[set[str]]) -> list[set[str]]:
    """By brute force: what shares a word is joined, until nothing changes."""
    sets = [set(words) for words in named]
    while True:
        for x, y in combinations(range(len(sets)), 2):
            if sets[x] & sets[y]:
                sets[x] |= sets.pop(y)
                break
        else:
            return sets


SHAPES: tuple[Callable[[str], dict[str, Any]], ...] = (
    lambda text: {"prompt": text, "completion": "x"},
    lambda text: {"instruction": text, "input": "", "output": "x"},
    lambda text: {"messages": [{"role": "user", "content": text}, {"role": "assistant", "content": "x"}]},
    lambda text: {"nothing": text},
)


def vet_all(store: Store, number: int, who: int, mended: Callable[[int], str | None]) -> None:
    """Accept each row, or take `mended(i)` for question i."""
    while (task := next_task(store, number, who)) is not None:
        with store.read() as connection:
            row, kind = connection.execute(
                select(schema.item.c.row, schema.item.c.task).where(schema.item.c.id == task.item_id)
            ).one()
        if kind == "pair":
            said: Payload = {"better": min(task.display), "grade": "better"}
        else:
            (place,) = [int(word) for word in re.findall(r"Question (\d+)", json.dumps(row))]
            text = mended(place)
            said = {"verdict": "accept"} if text is None else {"verdict": "edit", "row": SHAPES[place % 4](text)}
        submit(store, task.assignment_id, who, said, str(uuid.uuid4()), 1000)


@pytest.mark.parametrize("which", ["each", "consensus"])
def test_a_corrected_prompt_is_in_the_part_of_the_prompt_that_it_was(store: Store, tmp_path: Path, which: Any) -> None:
    """Rows to vet of four shapes, which are pairs, too; Bo mends all, Ana half of them, three into a neighbour's prompt."""
    names = [f"Question {i}" for i in range(16)]
    new = [f"Mended {i}" for i in range(16)]
    new[5], new[6], new[9] = " QUESTION 6", "Question 7", "Question 10"
    by_both = {6, *range(1, 16, 2)}
    # Of the shape that is no known row the prompt is stored beside it; elsewhere the row itself says what it asks.
    vets = [Work("vet", name if i % 4 == 3 else "", row=SHAPES[i % 4](name)) for i, name in enumerate(names)]
    number = project(store, *(Work("pair", name, ABC[:2]) for name in names), *vets, overlap=2)
    vet_all(store, number, person(store, "Ana"), lambda i: new[i] if i in by_both else None)
    vet_all(store, number, person(store, "Bo"), lambda i: new[i])

    def word(row: dict[str, Any]) -> str:
        if "nothing" in row:
            return json.dumps(row)
        text = row.get("instruction") or row.get("prompt") or row["messages"][0]["content"]
        return " ".join(str(text).casefold().split())

    versions = {i: [new[i]] if i in by_both else [names[i]] if which == "consensus" else [names[i], new[i]] for i in range(16)}
    joined = sets_of([
        *({word({"prompt": name})} for name in names),
        *({word(SHAPES[i % 4](text)), word({"prompt": names[i]})} for i in range(16) for text in versions[i]),
    ])  # fmt: skip
    assert len(joined) == 13
    for seed in range(6):
        counts = write(store, number, tmp_path / f"{seed}", How(which=which, splits={"test": 5}, seed=seed))
        home: dict[str, str] = {}
        for name in counts:
            for row in lines(tmp_path / f"{seed}/{name}.jsonl"):
                assert home.setdefault(word(row), name.split("/")[0]) == name.split("/")[0]
        parts = [{home[one] for one in some if one in home} for some in joined]
        assert [len(some) for some in parts] == [1] * 13
        assert parts.count({"test"}) == 5


def test_a_question_and_the_same_as_one_turn_are_one_prompt(store: Store, tmp_path: Path) -> None:
    talk = [Message("user", " WHAT is it? ")]
    both = [Work("rank", tuple(talk), ABC), Work("pair", "What is  it?", ABC[:2]), Work("thumb", "what is it?", ABC[:1])]
    longer = (*talk, Message("assistant", "What?"), *talk)
    system = (Message("system", "What is it?"),)
    number = project(store, *both, Work("pair", longer, ABC[:2]), Work("pair", system, ABC[:2]), Work("pair", "else", ABC[:2]))
    judge(store, number, person(store, "Ana"), plainly)
    ids: dict[str, set[int]] = {}
    for seed in range(8):
        counts = write(store, number, tmp_path / f"{seed}", How(splits={"test": 2}, seed=seed))
        home: dict[int, set[str]] = {}
        for name in counts:
            for row in lines(tmp_path / f"{seed}/{name}.jsonl"):
                home.setdefault(row["prompt_id"], set()).add(name.split("/")[0])
                ids.setdefault(json.dumps(row["prompt"]).casefold().replace(" ", ""), set()).add(row["prompt_id"])
        assert [len(parts) for parts in home.values()] == [1] * 4
        assert sum(parts == {"test"} for parts in home.values()) == 2
    with store.read() as connection:
        least = connection.scalar(select(func.min(schema.prompt.c.id)))
    assert sorted(map(sorted, ids.values())) == [[least]] * 2 + [[least + n] for n in (3, 4, 5)]


@pytest.mark.parametrize(
    ("rows", "field", "found"),
    [
        ([{"x": 1}, {"y": 2}, {"x": "one"}], "x", 'row 3 has "one"'),
        ([{"d": {"a": 1}}, {"d": [1]}], "d", "row 2 has [1]"),
        ([{"n": 1}, {"n": 2**63}], "n", f"row 2 has {2**63}"),
        ([{"n": 1.5}, {"n": 2**60 + 1}], "n", f"row 2 has {2**60 + 1}"),
        ([{"x": 1}, {"z": {}}], "z", "row 2 has {}"),
    ],
)
def test_rows_that_no_parquet_column_holds_are_named(
    store: Store, tmp_path: Path, rows: list[dict[str, Any]], field: str, found: str
) -> None:
    number = project(store, *(Work("vet", "", row=row) for row in rows), overlap=1)
    judge(store, number, person(store, "Ana"), plainly)
    with pytest.raises(UserError) as error:
        write(store, number, tmp_path / "out", How(form="parquet"))
    message = str(error.value)
    start = f"{tmp_path / 'out/vetted.parquet'}: the rows do not fit into Parquet's columns ({field!r}: "
    assert message.startswith(start)
    assert message.endswith(f"; {found}); write .jsonl")
    assert not [path for path in tmp_path.iterdir() if "out" in path.name]
    assert write(store, number, tmp_path / "out") == {"vetted": len(rows)}
    assert lines(tmp_path / "out/vetted.jsonl") == rows
