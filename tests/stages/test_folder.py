"""What a stage leaves on disk: whole files, metrics that can be rewound, numbers that JSON can hold."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from rich.console import Console

from accordant.stages.folder import StageFolder, plain


@pytest.fixture
def folder(tmp_path: Path) -> StageFolder:
    return StageFolder(tmp_path / "stage", Console(file=io.StringIO()))


def test_rewinding_forgets_steps_that_a_kill_undid(folder: StageFolder) -> None:
    for step in range(5):
        folder.metric({"step": step, "nll": step / 2})
    folder.rewind_metrics(3)
    folder.metric({"step": 3, "nll": 9.0})
    assert [row["nll"] for row in folder.metrics()] == [0, 0.5, 1, 9]


@pytest.mark.parametrize("cut", [1, 2, 12, 30])
def test_a_line_that_was_cut_is_no_line(folder: StageFolder, cut: int) -> None:
    """Also where the cut falls behind an inner brace, so that the line looks like a whole one."""
    for step in range(3):
        folder.metric({"step": step, "times": {"rollout": 0.5, "update": 0.25}})
    path = folder.path / "metrics.jsonl"
    path.write_bytes(path.read_bytes()[:-cut])
    assert [row["step"] for row in folder.metrics()] == [0, 1]
    folder.rewind_metrics(2)
    folder.metric({"step": 2})
    assert [json.loads(line)["step"] for line in path.read_text().splitlines()] == [0, 1, 2]


def test_a_file_is_whole_or_not_there(folder: StageFolder) -> None:
    folder.write("a.txt", "old")
    with pytest.raises(UnicodeEncodeError):
        folder.write("a.txt", "new \ud800")
    assert (folder.path / "a.txt").read_text() == "old"


def test_numbers_that_are_none_become_null() -> None:
    values = {"a": float("nan"), "b": (1, float("inf")), 3: Path("x"), "c": {"d": 0.5}}
    assert plain(values) == {"a": None, "b": [1, None], "3": "x", "c": {"d": 0.5}}


def test_notes_are_kept_with_their_time(folder: StageFolder) -> None:
    folder.note("12 rows [bold]as they are[/bold]")
    assert (folder.path / "log.txt").read_text().endswith(" 12 rows [bold]as they are[/bold]\n")
    assert "[bold]as they are[/bold]" in folder.console.file.getvalue()  # type: ignore[attr-defined]
