"""From a source to split files, and the world's text."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from accordant.types import UserError
from tasks import COLOURS, chats, run_stage, write_rows


def rows_of(path: str) -> list[dict]:
    return [json.loads(line) for line in Path(path).read_text().splitlines()]


def test_splits_are_whole_disjoint_and_counted(tmp_path: Path) -> None:
    result = run_stage("prepare", tmp_path / "run", path=str(chats(tmp_path / "rows.jsonl")), splits={"held": 2, "test": 0.2})
    parts = {name: {row["prompt"] for row in rows_of(result[name])} for name in ("train", "held", "test")}
    assert {name: len(some) for name, some in parts.items()} == {"train": 3, "held": 2, "test": 1}
    assert {name: result[f"{name}_rows"] for name in parts} == {"train": 3, "held": 2, "test": 1}
    assert set().union(*parts.values()) == {f"what colour is {thing}?" for thing in COLOURS}


def test_duplicates_are_counted_and_stay_on_one_side(tmp_path: Path) -> None:
    rows = [{"prompt": f"q{i % 6}", "completion": f" a{i // 6}"} for i in range(18)]
    path = write_rows(tmp_path / "rows.jsonl", [*rows, rows[0]])
    result = run_stage("prepare", tmp_path / "run", path=str(path), splits={"held": 2})
    assert (result["rows"], result["duplicates"]) == (19, 1)
    train, held = ({row["prompt"] for row in rows_of(result[name])} for name in ("train", "held"))
    assert not train & held
    assert len(held) == 2
    assert "1 duplicated" in (tmp_path / "run" / "log.txt").read_text()


def test_another_seed_is_another_split(tmp_path: Path) -> None:
    path = str(write_rows(tmp_path / "rows.jsonl", [{"prompt": f"q{i}", "completion": " a"} for i in range(30)]))
    held = [rows_of(run_stage("prepare", tmp_path / str(s), path=path, splits={"held": 9}, seed=s)["held"]) for s in (0, 0, 1)]
    assert held[0] == held[1] != held[2]


def test_an_unknown_source_names_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="text-prompts"):
        run_stage("prepare", tmp_path / "run", source="text-promts", path=str(chats(tmp_path / "rows.jsonl")))


def test_the_world_writes_every_kind_of_text(tmp_path: Path) -> None:
    sizes = {"documents": 30, "demonstrations": 8, "preference_prompts": 7, "rl_prompts": 6, "evaluation_prompts": 5}
    result = run_stage("world", tmp_path / "run", **sizes)
    assert {kind: len(rows_of(result[kind])) for kind in sizes} == sizes
    prompts = [row["prompt"] for kind in list(sizes)[1:] for row in rows_of(result[kind])]
    assert len(set(prompts)) == len(prompts)  # no prompt serves two purposes
