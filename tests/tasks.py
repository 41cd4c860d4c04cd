"""Tasks that a tiny model learns in seconds, and single stages run as the pipeline runs them."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from torch import Tensor

from accordant.config import build
from accordant.stages import load
from accordant.stages.folder import StageFolder
from accordant.types import Answer

COLOURS = {"apple": "red", "leaf": "green", "sky": "blue", "coal": "black", "snow": "white", "sand": "gold"}


def write_rows(path: Path, rows: Sequence[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def chats(path: Path) -> Path:
    """Six questions, each with its one answer."""
    return write_rows(path, [{"prompt": f"what colour is {k}?", "completion": f" {v}"} for k, v in COLOURS.items()])


def pairs(path: Path) -> Path:
    """The right answer before a wrong one that starts alike: the word "not" is all that separates them."""
    return write_rows(
        path, [{"prompt": f"what colour is {k}?", "chosen": f" {v}", "rejected": f" not {v}"} for k, v in COLOURS.items()]
    )


def labelled(path: Path) -> Path:
    """Texts with "not" in them have label 0."""
    rows = [[{"text": f"{k} is {v}", "label": 1}, {"text": f"{k} is not {v}", "label": 0}] for k, v in COLOURS.items()]
    return write_rows(path, [row for both in rows for row in both])


def prompts(path: Path, n: int = 8) -> Path:
    return write_rows(path, [{"prompt": f"tell me about the {word} {i}"} for i in range(n) for word in ("kite", "boat")][:n])


def run_stage(kind: str, folder: Path, **values: Any) -> dict[str, Any]:
    """One stage in `folder`, without a pipeline around it: its result."""
    module, config_type, algo = load(kind)
    cfg = build(config_type, values, kind)
    result: dict[str, Any] = module.run(cfg, StageFolder(folder, Console(file=io.StringIO())), algo, kind)
    return result


def metrics(folder: Path) -> list[dict[str, Any]]:
    """The lines of metrics.jsonl without what differs from run to run: times."""
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [{key: value for key, value in row.items() if key not in ("seconds", "times")} for row in rows]


def weights(checkpoint: Path | str) -> dict[str, Tensor]:
    """Every tensor of a checkpoint by name."""
    from safetensors.torch import load_file

    return load_file(Path(checkpoint) / "model.safetensors")


def contents(folder: Path) -> dict[str, bytes]:
    """Every file of a folder, by its relative path."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def count_of(letter: str) -> Any:
    """A rule as a reward: how often a letter is in the answer."""
    return lambda answers: torch.tensor([float(a.completion.count(letter)) for a in answers])


def said(text: str, finished: bool = True, prompt: str = "what colour is apple?") -> Answer:
    return Answer(prompt, text, finished)
