"""What was said becomes files: every row by its rule, every prompt in one part, and gold in none."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from typing import Any

import datasets
import pytest
from exported import ABC, EVERYTHING, TURNS, Payload, bare, judge, lines, person, plainly, project, ranked
from sqlalchemy import func, select

from accordant.data.rows import read
from accordant.feedback import adjudication, people, schema, tasks
from accordant.feedback.answers import said
from accordant.feedback.assignment import next_task, submit
from accordant.feedback.store import Store
from accordant.feedback.tasks import Text, Work
from accordant.stages.feedback_files import How, write
from accordant.types import Chat, Pair, Prompt, Ranking, Rating, Thumb, UserError
from clock import Clock


def test_each_task_in_our_own_rows(store: Store, tmp_path: Path) -> None:
    number = project(store, *EVERYTHING)
    judge(store, number, person(store, "Ana"), plainly)
    counts = write(store, number, tmp_path / "out", How(margins="large", rejects="lose"))
    assert counts == dict.fromkeys(["rankings", "ratings", "thumbs", "demonstrations", "prompts", "vetted"], 1) | {"pairs": 4}
    found = {name: bare(read(tmp_path / f"out/{name}.jsonl")) for name in counts}
    assert found == {
        "rankings": [Ranking("rank me", ("a", "b", "c"), ((1,), (0,)), (2,), "Ana")],
        "pairs": [
            Pair("rank me", "b", "a", labeler="Ana"), Pair("rank me", "b", "c", labeler="Ana"),
            Pair("rank me", "a", "c", labeler="Ana"), Pair("pair me", "b", "a", 2.0, labeler="Ana"),
        ],
        "ratings": [Rating("rate me", "a", {"quality": 4.0}, "Ana")],
        "thumbs": [Thumb("thumb me", "a", True, "Ana")],
        "demonstrations": [Chat("show me", "like this")],
        "prompts": [Prompt("a trap")],
        "vetted": [Chat("vet me", "first")],
    }  # fmt: skip
    told = json.loads((tmp_path / "out/export.json").read_text())
    assert (told["rows"], told["answers"], told["left_out"]) == (counts, 7, {})
    assert told["settings"]["margins"] == "large"


def test_the_shapes_of_trl(store: Store, tmp_path: Path) -> None:
    work = [replace(one, prompt=TURNS) for one in EVERYTHING if one.task not in ("red_team", "vet")]
    number = project(store, *EVERYTHING, *work)
    judge(store, number, person(store, "Ana"), plainly)
    counts = write(store, number, tmp_path / "out", How(shape="trl", margins="small"))
    by_item = {one.item_id: one.task for one in said(store, number)}
    assert lines(tmp_path / "out/pairs.jsonl") == [
        {"prompt": "rank me", "chosen": "b", "rejected": "a", "margin": 0.0, "prompt_id": 1, "group_id": 1},
        {"prompt": "pair me", "chosen": "b", "rejected": "a", "margin": pytest.approx(2 / 3), "prompt_id": 2, "group_id": 2},
    ]
    turn = [{"role": "user", "content": "talk"}]
    (rank, pair) = lines(tmp_path / "out/pairs-messages.jsonl")
    assert (by_item[rank.pop("group_id")], by_item[pair.pop("group_id")]) == ("rank", "pair")
    assert rank == {
        "prompt": turn, "chosen": [{"role": "assistant", "content": "b"}], "rejected": [{"role": "assistant", "content": "a"}],
        "margin": 0.0, "prompt_id": 8,
    }  # fmt: skip
    assert pair == rank | {"margin": pytest.approx(2 / 3)}  # one prompt, one id
    (thumb,) = lines(tmp_path / "out/thumbs.jsonl")
    assert {"prompt": "thumb me", "completion": "a", "label": True}.items() <= thumb.items()
    (thumb,) = lines(tmp_path / "out/thumbs-messages.jsonl")
    assert thumb["completion"] == [{"role": "assistant", "content": "a"}]
    (text,), (talk,) = lines(tmp_path / "out/demonstrations.jsonl"), lines(tmp_path / "out/demonstrations-messages.jsonl")
    assert {"prompt": "show me", "completion": "like this"}.items() <= text.items()
    assert talk["messages"] == [*turn, {"role": "assistant", "content": "like this"}]
    assert lines(tmp_path / "out/prompts.jsonl") == [{"prompt": "a trap", "group_id": 6}]
    assert lines(tmp_path / "out/vetted.jsonl") == [{"prompt": "vet me", "completion": "first"}]
    assert set(counts) == {path.stem for path in (tmp_path / "out").glob("*.jsonl")}
    left_out = json.loads((tmp_path / "out/export.json").read_text())["left_out"]
    assert left_out == {
        "with a rejected answer": 4, "rankings, for which TRL has no shape": 2, "ratings, for which TRL has no shape": 2,
    }  # fmt: skip


def test_pairs_of_rankings_are_those_of_brute_force(store: Store, tmp_path: Path) -> None:
    """Twenty random weak orders with rejects; what beats what is read from the stored payloads, pair by pair."""
    texts = tuple(Text(name) for name in "abcdef")
    number = project(store, *(Work("rank", f"q{i}", texts[: 2 + i % 5]) for i in range(20)))
    rng = random.Random(4)

    def say(_: str, __: str, at: dict[str, int]) -> Payload:
        places = {one: rng.randrange(4) for one in at.values()}
        groups = [[one for one, place in places.items() if place == level] for level in range(3)]
        return {"groups": [g for g in groups if g], "rejected": [one for one, place in places.items() if place == 3]}

    judge(store, number, person(store, "Ana"), say)
    text_of: dict[int, str] = {}
    expected: dict[tuple[str, str], set[tuple[str, str, str, bool]]] = {}
    for one in said(store, number):
        text_of |= {completion.id: completion.text for completion in one.completions}
        level = {i: n for n, group in enumerate(one.payload["groups"]) for i in group} | dict.fromkeys(
            one.payload["rejected"], 9
        )
        for x, y in combinations(level, 2):
            low, high = sorted((x, y), key=lambda i: level[i])
            tie, rejects = level[x] == level[y], (level[x] == 9) + (level[y] == 9)
            for ties in ("keep", "drop"):
                for rule in ("lose", "exclude"):
                    if rejects == 2 or (rejects == 1 and rule == "exclude") or (tie and ties == "drop"):
                        continue
                    first, second = sorted((text_of[x], text_of[y])) if tie else (text_of[low], text_of[high])
                    expected.setdefault((ties, rule), set()).add((str(one.prompt), first, second, tie))
    for (ties, rule), wanted in expected.items():
        folder = tmp_path / f"{ties}-{rule}"
        counts = write(store, number, folder, How(ties=ties, rejects=rule))  # type: ignore[arg-type]
        found = [row for row in read(folder / "pairs.jsonl") if isinstance(row, Pair)]
        seen = [
            (row.prompt, *(sorted((row.chosen, row.rejected)) if row.tie else (row.chosen, row.rejected)), row.tie)
            for row in found
        ]
        assert len(seen) == len(set(seen)) == counts["pairs"]
        assert set(seen) == wanted
        dropped = json.loads((folder / "export.json").read_text())["left_out"]
        assert sum(dropped.values()) + len(found) == sum(
            len(one.completions) * (len(one.completions) - 1) // 2 for one in said(store, number)
        )
    assert len({frozenset(wanted) for wanted in expected.values()}) == 4


def test_ties_and_answers_without_an_order(store: Store, tmp_path: Path) -> None:
    number = project(
        store, *(Work("pair", name, ABC[:2]) for name in ("tie", "bad", "none", "good")), Work("rank", "hard", ABC)
    )
    verdicts: dict[str, Payload] = {"tie": {"tie": True}, "bad": {"both_bad": True}, "none": {"cannot_judge": "in Finnish"}}
    hard: Payload = {"cannot_judge": "in Finnish"}
    judge(store, number, person(store, "Ana"), lambda kind, prompt, at: hard if kind == "rank" else (
        verdicts.get(prompt) or {"better": at["a"], "grade": "slightly"}
    ))  # fmt: skip
    assert write(store, number, tmp_path / "drop") == {"pairs": 1}
    told = json.loads((tmp_path / "drop/export.json").read_text())
    assert told["left_out"] == {"tied": 1, "answers that say no order: both bad, or cannot judge": 3}
    write(store, number, tmp_path / "keep", How(ties="keep"))
    assert {(row.prompt, row.tie) for row in read(tmp_path / "keep/pairs.jsonl", Pair)} == {("tie", True), ("good", False)}
    with pytest.raises(UserError, match="TRL's trainers have no pairs of equally good answers"):
        write(store, number, tmp_path / "trl", How(shape="trl", ties="keep"))
    (row,) = lines(tmp_path / "drop/pairs.jsonl")
    assert write(store, number, tmp_path / "trl", How(shape="trl")) == {"pairs": 1}
    (plain,) = lines(tmp_path / "trl/pairs.jsonl")
    assert "margin" not in plain  # in all rows or in none
    assert (plain["prompt_id"], plain["group_id"]) == (row["prompt_id"], row["group_id"])


@pytest.mark.parametrize("form", ["jsonl", "parquet"])
@pytest.mark.parametrize("shape", ["accordant", "trl"])
def test_every_file_loads_as_a_data_set(store: Store, tmp_path: Path, form: Any, shape: Any) -> None:
    work = [replace(one, prompt=TURNS) for one in EVERYTHING if one.task != "vet"]
    more = Work("vet", "", row={"completion": "second", "colour": "red"})
    number = project(store, *EVERYTHING, *work, more)
    judge(store, number, person(store, "Ana"), plainly)
    counts = write(store, number, tmp_path / "out", How(shape=shape, form=form, margins="small"))
    assert {path.name for path in (tmp_path / "out").iterdir()} == {f"{name}.{form}" for name in counts} | {"export.json"}
    loader = "json" if form == "jsonl" else form
    for name, count in counts.items():
        table = datasets.load_dataset(
            loader, data_files=str(tmp_path / f"out/{name}.{form}"), split="train", cache_dir=str(tmp_path / "cache")
        )
        assert len(table) == count
        assert "group_id" in table.column_names or name == "vetted"
        if name == "vetted":
            assert table["colour"] == [None, "red"]
        if shape == "accordant" and name != "vetted":
            assert len(read(tmp_path / f"out/{name}.{form}")) == count
    if shape == "accordant" and form == "parquet":
        (row,) = bare(read(tmp_path / "out/rankings.parquet"))
        assert row == Ranking("rank me", ("a", "b", "c"), ((1,), (0,)), (2,), "Ana")


def test_gold_and_ai_are_left_out_unless_asked(store: Store, tmp_path: Path) -> None:
    number = project(
        store, Work("thumb", "q", ABC[:1]), Work("thumb", "gold", ABC[1:2], gold={"up": False}), gold_share=1.0, overlap=1
    )
    judge(store, number, person(store, "Ana"), plainly)
    assert len(said(store, number, gold=True)) == 2
    with pytest.raises(UserError, match="nothing has been said"):
        write(store, tasks.make_project(store, "empty", ""), tmp_path / "empty")
    for which in ("each", "consensus"):
        for form in ("jsonl", "parquet"):
            counts = write(store, number, tmp_path / f"{which}{form}", How(which=which, form=form))  # type: ignore[arg-type]
            assert counts == {"thumbs": 1}
    everywhere = b"".join(
        path.read_bytes() for path in tmp_path.rglob("*") if path.is_file() and path.parent.parent == tmp_path
    )
    assert b"gold" not in everywhere
    robot = people.add_ai(store, "robot")
    judge(store, number, robot.id, lambda *_: {"up": False})
    assert {row.labeler for row in read(tmp_path / "eachjsonl/thumbs.jsonl", Thumb)} == {"Ana"}
    assert write(store, number, tmp_path / "ai", How(ai=True))["thumbs"] >= 1
    assert write(store, number, tmp_path / "people") == {"thumbs": 1}


def test_answers_that_came_too_late_are_left_out_unless_asked(store: Store, clock: Clock, tmp_path: Path) -> None:
    number = project(store, Work("thumb", "q", ABC[:1]), overlap=1)
    late, ana = person(store, "Late"), person(store, "Ana")
    task = next_task(store, number, late)
    assert task is not None
    clock.minutes(60)
    judge(store, number, ana, plainly)
    submit(store, task.assignment_id, late, {"up": False}, "late", 1)
    assert write(store, number, tmp_path / "out") == {"thumbs": 1}
    assert write(store, number, tmp_path / "all", How(surplus=True)) == {"thumbs": 2}


def test_vetted_rows_of_each_labeler(store: Store, tmp_path: Path) -> None:
    number = project(store, Work("vet", "", row={"text": "one"}), Work("vet", "", row={"text": "two"}))
    judge(store, number, person(store, "Ana"), plainly)
    judge(store, number, person(store, "Bo"), lambda *_: {"verdict": "reject", "reason": "spam"})
    assert write(store, number, tmp_path / "out") == {"vetted": 2}
    assert json.loads((tmp_path / "out/export.json").read_text())["left_out"] == {"rows that were rejected in vetting": 2}


def test_nothing_is_overwritten_and_nothing_half_written(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    number = project(store, *EVERYTHING)
    judge(store, number, person(store, "Ana"), plainly)
    (tmp_path / "empty").mkdir()
    write(store, number, tmp_path / "empty")
    before = (tmp_path / "empty/pairs.jsonl").read_bytes()
    with pytest.raises(UserError, match="no empty folder"):
        write(store, number, tmp_path / "empty", How(ties="keep"))
    assert (tmp_path / "empty/pairs.jsonl").read_bytes() == before
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="no empty folder"):
        write(store, number, tmp_path / "file")
    monkeypatch.setattr("accordant.stages.feedback_files.json.dumps", lambda *_, **__: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        write(store, number, tmp_path / "deep/new")
    assert sorted(path.name for path in tmp_path.iterdir() if path.suffix != ".db" and ".db" not in path.name) == [
        "deep", "empty", "file",
    ]  # fmt: skip
    assert list((tmp_path / "deep").iterdir()) == []


def test_rulings_are_counted_apart_from_answers(store: Store, tmp_path: Path) -> None:
    number = project(store, Work("thumb", "q", ABC[:1]), Work("thumb", "r", ABC[:1]), Work("thumb", "s", ABC[:1]))
    ana = person(store, "Ana")
    judge(store, number, ana, plainly)
    by = people.join(store, people.invite(store, "admin"), "Root", "long enough").id
    with store.read() as connection:
        first = connection.scalar(select(func.min(schema.item.c.id)))
    adjudication.rule(store, first, by, {"up": False}, "no")
    adjudication.rule(store, first, by, {"up": True}, "yes, after all")
    for which, rulings in (("each", 0), ("consensus", 1)):
        write(store, number, tmp_path / which, How(which=which))  # type: ignore[arg-type]
        told = json.loads((tmp_path / which / "export.json").read_text())
        assert (told["answers"], told["rulings"], told["left_out"]) == (3, rulings, {})


def test_the_weight_of_a_pair_is_written_for_trl_where_labelers_speak_together(store: Store, tmp_path: Path) -> None:
    number = project(store, Work("pair", "q", ABC[:2]))
    for name in ("Ana", "Bo"):
        judge(store, number, person(store, name), plainly)
    for which in ("each", "consensus"):
        write(store, number, tmp_path / which, How(which=which, shape="trl"))  # type: ignore[arg-type]
    assert ["weight" in row for row in lines(tmp_path / "each/pairs.jsonl")] == [False, False]
    (row,) = lines(tmp_path / "consensus/pairs.jsonl")
    assert 0.6 < row["weight"] < 1


def test_a_consensus_goes_by_the_rules_that_were_asked_for(store: Store, tmp_path: Path) -> None:
    """Three say A > B and C is F; of a second item one says B > A. What is not sure enough is no pair."""
    number = project(store, Work("rank", "q", ABC), Work("rank", "r", ABC), overlap=3)
    for name in ("Ana", "Bo", "Cleo"):
        contrary = name == "Cleo"
        judge(store, number, person(store, name), lambda _, prompt, at, contrary=contrary: (  # type: ignore[misc]
            ranked(at, "b", "a", f="c") if contrary and prompt == "r" else ranked(at, "a", "b", f="c")
        ))  # fmt: skip

    def pairs(folder: str, **options: Any) -> list[dict[str, Any]]:
        write(store, number, tmp_path / folder, How(which="consensus", **options))
        path = tmp_path / folder / "pairs.jsonl"
        return lines(path) if path.exists() else []

    losing = pairs("lose", rejects="lose")
    kept = pairs("exclude", rejects="exclude")
    assert len(kept) == 2
    assert len(losing) == 6
    assert len(pairs("strict", rejects="exclude", min_confidence=0.7, method="borda")) == 1
