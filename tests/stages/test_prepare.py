"""From a source to split files, and the world's text."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from accordant.data.origin import Origin, origins
from accordant.models.checkpoint import read_meta
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


def test_names_that_mean_something_else_are_refused(tmp_path: Path) -> None:
    path = str(chats(tmp_path / "rows.jsonl"))
    for name in ("map", "style"):
        with pytest.raises(UserError, match=rf"options\.{name} is no option of a source"):
            run_stage("prepare", tmp_path / "run", path=path, options={name: "x"})
    with pytest.raises(UserError, match="no option 'path'"):
        run_stage("prepare", tmp_path / "run", path=path, options={"path": "x"})
    with pytest.raises(UserError, match=r"splits\.rows"):
        run_stage("prepare", tmp_path / "run", path=path, splits={"rows": 1})
    with pytest.raises(UserError, match="a split becomes a file"):
        run_stage("prepare", tmp_path / "run", path=path, splits={"../held": 1})
    assert not list(tmp_path.rglob("held.jsonl"))


def test_origins_lie_beside_each_split_and_reach_the_checkpoint(tmp_path: Path) -> None:
    rows = [{"instruction": f"colour {i}?", "context": "", "response": "red", "category": "qa"} for i in range(10)]
    path = write_rows(tmp_path / "dolly.jsonl", rows)
    result = run_stage("prepare", tmp_path / "run", source="dolly", path=str(path), style="transcript", splits={"held": 3})
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    for part, count in (("train", 7), ("held", 3)):
        assert origins(result[part]) == [Origin("dolly", "dolly.jsonl", digest, count, "CC-BY-SA-3.0")]
    again = run_stage("prepare", tmp_path / "again", path=result["train"])
    assert origins(again["train"]) == origins(result["train"])
    shape = {"vocabulary": 300, "hidden": 16, "layers": 1, "heads": 2, "context": 128}
    trained = run_stage(
        "sft", tmp_path / "sft", scratch=shape, data=result["train"], validation=result["held"], rows_per_step=4, max_steps=1
    )
    meta = read_meta(trained["checkpoint"])
    assert [(o["source"], o["rows"], o["licence"]) for o in meta["data"]] == [("dolly", 7, "CC-BY-SA-3.0")]
    assert meta["validation"][0]["rows"] == 3
    card = (Path(trained["checkpoint"]) / "README.md").read_text()
    assert f"| dolly | dolly.jsonl | 7 | CC-BY-SA-3.0 | {digest} |" in card
    assert str(tmp_path) not in card + json.dumps(meta)


def test_a_licence_may_be_given_where_the_source_knows_none(tmp_path: Path) -> None:
    path = str(chats(tmp_path / "rows.jsonl"))
    result = run_stage("prepare", tmp_path / "run", path=path, licence="CC0-1.0")
    assert [origin.licence for origin in origins(result["train"])] == ["CC0-1.0"]
    with pytest.raises(UserError, match="licence=MIT changes nothing"):
        run_stage("prepare", tmp_path / "more", path=result["train"], licence="MIT")


def test_bad_rows_stop_the_stage_or_are_left_out_and_named(tmp_path: Path) -> None:
    path = write_rows(tmp_path / "rows.jsonl", [{"question": f"q{i}", "completion": " a" if i % 3 else ""} for i in range(9)])
    with pytest.raises(UserError, match="3 of 9 rows are bad"):
        run_stage("prepare", tmp_path / "run", path=str(path), map={"question": "prompt"})
    result = run_stage("prepare", tmp_path / "run", path=str(path), map={"question": "prompt"}, on_bad="drop")
    assert (result["rows"], result["bad_rows"]) == (6, 3)
    said = (tmp_path / "run" / "log.txt").read_text()
    assert "left out: 3 bad rows" in said
    assert [f"rows.jsonl:{line}: `completion` is empty" in said for line in (1, 4, 7)] == [True] * 3
    write_rows(path, [{"prompt": "q", "completion": ""}] * 2)
    with pytest.raises(UserError, match="all 2 rows"):
        run_stage("prepare", tmp_path / "run", path=str(path), on_bad="drop")


def test_what_a_source_passes_over_is_in_the_log_and_the_result(tmp_path: Path) -> None:
    rows = [{"instruction": f"q{i}", "response": "a", "category": "qa" if i else "other"} for i in range(4)]
    path = write_rows(tmp_path / "rows.jsonl", rows)
    result = run_stage("prepare", tmp_path / "run", source="dolly", path=str(path), options={"category": "qa"})
    assert result["passed_over"] == ["rows of another category than 'qa', left out: 1"]
    assert result["passed_over"][0] in (tmp_path / "run" / "log.txt").read_text()


def test_the_world_writes_every_kind_of_text(tmp_path: Path) -> None:
    sizes = {"documents": 30, "demonstrations": 8, "preference_prompts": 7, "rl_prompts": 6, "evaluation_prompts": 5}
    result = run_stage("world", tmp_path / "run", **sizes)
    assert {kind: len(rows_of(result[kind])) for kind in sizes} == sizes
    prompts = [row["prompt"] for kind in list(sizes)[1:] for row in rows_of(result[kind])]
    assert len(set(prompts)) == len(prompts)  # no prompt serves two purposes
