"""38: a run killed by SIGKILL, at whatever moment and however often, ends in the bytes of one that was never interrupted."""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path

import pytest

from command import Death, accordant, start
from tasks import chats, contents, metrics, prompts

DISK = "accordant.models.checkpoint"
FOLDER = "accordant.stages.folder"
MOMENTS = {
    "before the first saved state": Death("accordant.stages.gradient", "Meter.add", 2),
    "right after a line of metrics": Death(FOLDER, "StageFolder.metric", 3, after=True),
    "in the middle of an optimiser step": Death("accordant.models.optim", "Optimiser.clear", 3),
    "with a state file written and not yet flushed": Death(DISK, "os.fsync", 2),
    "right after a state took its place": Death("pathlib", "Path.replace", 3, after=True),
    "while the metrics are rewound": Death(FOLDER, "StageFolder.write", 2),
    "with the final checkpoint half flushed": Death(DISK, "_flush", 3),
    "between the checkpoint's files and its name": Death("pathlib", "Path.rename", 1),
    "with a finished checkpoint and no result": Death(FOLDER, "StageFolder.write_json", 1),
}


def command(kind: str, model: Path, rows: Path, classifier: Path) -> list[str]:
    """Ten to twelve optimiser steps of a tiny model that save their state after each or every second one."""
    own = {
        "sft": (f"data={rows}", "rows_per_step=2", "epochs=4", "save_every=2", f"validation={rows}", "optim.weight_decay=0.1"),
        "ppo": (
            f"prompts={rows}", "reward.kind=classifier", f"reward.path={classifier}", "steps=6",
            "prompts_per_step=4", "minibatches_per_step=2", "epochs_per_step=1", "max_new_tokens=6", "save_every=1",
            "algo.kl_target=2", "stop.kl=1e6",
        ),
    }[kind]  # fmt: skip
    return [kind, f"model.path={model}", "threads=1", "optim.lr=1e-3", *own]


@pytest.mark.parametrize("kind", ["sft", "ppo"])
def test_killed_again_and_again(kind: str, llama_folder: Path, classifier_folder: Path, tmp_path: Path) -> None:
    rows = chats(tmp_path / "rows.jsonl") if kind == "sft" else prompts(tmp_path / "rows.jsonl")
    words = command(kind, llama_folder, rows, classifier_folder)
    assert accordant(*words, "--out", tmp_path / "whole").code == 0
    for moment, death in MOMENTS.items():
        ended = accordant(*words, "--out", tmp_path / "killed", die=death)
        assert ended.code == -signal.SIGKILL, f"did not die {moment}: {ended}"
        assert not (tmp_path / "killed" / kind / "result.json").exists()
    last = accordant(*words, "--out", tmp_path / "killed")
    assert last.code == 0, last.error
    assert "going on from step" in last.error
    same_run(tmp_path / "whole" / kind, tmp_path / "killed" / kind)


def test_killed_from_outside_at_any_time(llama_folder: Path, classifier_folder: Path, tmp_path: Path) -> None:
    """No moment of ours: whenever the metrics have grown by a line, after a pause that differs from kill to kill."""
    words = command("ppo", llama_folder, prompts(tmp_path / "rows.jsonl"), classifier_folder)
    assert accordant(*words, "--out", tmp_path / "whole").code == 0
    out = tmp_path / "killed"
    for number in range(4):
        kill_after_lines(out, words, number + 1, 0.003 * number, tmp_path)
    assert accordant(*words, "--out", out).code == 0
    same_run(tmp_path / "whole" / "ppo", out / "ppo")


def kill_after_lines(out: Path, words: list[str], lines: int, pause: float, place: Path) -> None:
    process = start(place, *words, "--out", out)
    file = out / "ppo" / "metrics.jsonl"
    while process.is_alive() and (not file.exists() or file.read_text().count("\n") < lines):
        time.sleep(0.001)
    time.sleep(pause)
    assert process.pid is not None
    if process.is_alive():
        os.kill(process.pid, signal.SIGKILL)
    process.join()


def same_run(first: Path, second: Path) -> None:
    assert contents(first / "checkpoint") == contents(second / "checkpoint")
    assert metrics(first) == metrics(second)
    results = [json.loads((folder / "result.json").read_text()) for folder in (first, second)]
    for result in results:
        del result["seconds"], result["train_seconds"], result["checkpoint"]
    assert results[0] == results[1]
    assert {p.name for p in first.iterdir()} | {"log.txt"} == {p.name for p in second.iterdir()} | {"log.txt"}
