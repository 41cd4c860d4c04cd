"""Carrying out a pipeline: what is skipped, what runs again, what is kept."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from accordant.pipeline.run import run
from accordant.pipeline.spec import parse
from accordant.pipeline.store import locked
from accordant.types import UserError
from tasks import COLOURS, chats, write_rows

STAGES = {
    "rows": {"run": "prepare", "path": "${data}", "splits": {"held": 2}},
    "policy": {
        "run": "sft", "model": {"path": "${model}"}, "data": "${rows.train}", "max_steps": 1, "rows_per_step": 2,
        "optim": {"lr": 1e-3},
    },
}  # fmt: skip


class Runner:
    """A two-stage pipeline: rows are split, a model is trained on them."""

    def __init__(self, place: Path, model: Path) -> None:
        self.out, self.data, self.model = place / "run", chats(place / "rows.jsonl"), model

    def __call__(self, *words: str, stages: dict[str, Any] = STAGES) -> str:
        """Run it; returns what was said."""
        tree = {"name": "two", "vars": {"data": str(self.data), "model": str(self.model)}, "stages": stages, "threads": 1}
        said = io.StringIO()
        self.results = run(parse(tree, words, "two.yaml"), self.out, Console(file=said, width=200))
        return said.getvalue()

    def folders(self) -> set[str]:
        return {path.name for path in self.out.iterdir() if path.is_dir()}


@pytest.fixture
def two(tmp_path: Path, llama_folder: Path) -> Runner:
    return Runner(tmp_path, llama_folder)


def test_results_reach_the_next_stage_and_the_report(two: Runner) -> None:
    two()
    assert two.results["rows"]["train_rows"] == two.results["policy"]["rows"] == len(COLOURS) - 2
    assert json.loads((two.out / "policy" / "result.json").read_text()) == two.results["policy"]
    report = json.loads((two.out / "report.json").read_text())
    assert [stage["name"] for stage in report["stages"]] == ["rows", "policy"]
    assert report["policy"] is None  # nothing was evaluated


def test_finished_stages_are_skipped(two: Runner) -> None:
    two()
    first = two.results
    said = two()
    assert said.count("finished, skipped") == 2
    assert "nothing to do: all 2 stages are finished" in said
    assert two.results == first


def test_a_changed_setting_runs_that_stage_again_and_keeps_the_old_one(two: Runner) -> None:
    two()
    first = (two.out / "policy" / "result.json").read_text()
    said = two("policy.optim.lr=2e-3")
    assert "[1/2] rows: finished, skipped" in said
    assert "policy: configuration or inputs changed; what was there is now in policy.old1" in said
    assert (two.out / "policy.old1" / "result.json").read_text() == first
    two("policy.optim.lr=3e-3")
    assert two.folders() == {"rows", "policy", "policy.old1", "policy.old2"}


def test_a_change_upstream_runs_what_is_downstream(two: Runner) -> None:
    two()
    two("rows.seed=1")
    assert two.folders() == {"rows", "rows.old1", "policy", "policy.old1"}


def test_changed_contents_of_an_input_file_are_noticed(two: Runner) -> None:
    two()
    write_rows(two.data, [{"prompt": f"what colour is {k}?", "completion": f" {v}!"} for k, v in COLOURS.items()])
    two()
    assert two.folders() == {"rows", "rows.old1", "policy", "policy.old1"}


def test_another_thread_count_is_another_run(two: Runner) -> None:
    two()
    said = two("threads=2")
    assert said.count("configuration or inputs changed") == 2
    two("threads=1")


def test_a_result_that_a_stage_does_not_give(two: Runner) -> None:
    stages = STAGES | {"policy": STAGES["policy"] | {"data": "${rows.trian}"}}
    with pytest.raises(UserError, match=r"stage 'policy' wants \$\{rows.trian\}, but rows gives only: .*held.*train"):
        two(stages=stages)


def test_a_wrong_setting_of_a_stage_is_found_before_anything_runs(two: Runner) -> None:
    with pytest.raises(UserError, match=r"policy.*\n.*unknown key 'optm'; did you mean 'optim'"):
        two("policy.optm.lr=1")
    assert not (two.out / "rows" / "result.json").exists()


def test_a_setting_that_is_a_result_is_checked_when_it_is_known(two: Runner) -> None:
    two(stages=STAGES | {"policy": STAGES["policy"] | {"rows_per_step": "${rows.train_rows}"}})
    assert "rows_per_step: 4" in (two.out / "policy" / "config.yaml").read_text()
    with pytest.raises(UserError, match=r"'rows_per_step' = '/.*held\.jsonl'"):
        two(stages=STAGES | {"policy": STAGES["policy"] | {"rows_per_step": "${rows.held}"}})


def test_one_process_at_a_time(two: Runner) -> None:
    with locked(two.out), pytest.raises(UserError, match="in use by another accordant process"):
        two()
    two()  # the lock is gone with its holder


def test_a_damaged_result_is_named(two: Runner) -> None:
    two()
    (two.out / "rows" / "result.json").write_text('{"stage": ')
    with pytest.raises(UserError, match=r"result\.json:1: not valid JSON .*: delete the stage's folder"):
        two()


def test_a_run_is_the_same_from_another_folder(two: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(two.out.parent)
    absolute, two.out = two.out, Path("run")
    two()
    monkeypatch.chdir("/")
    two.out = absolute
    assert "nothing to do" in two()
