"""What a stage writes: `config.yaml`, `metrics.jsonl`, `log.txt`, `state.pt` while it runs, `checkpoint/` if it trains, and
`result.json` when, and only when, it is finished."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from accordant.config import Config, to_yaml


class StageFolder:
    """The folder of one stage of one run."""

    def __init__(self, path: Path, console: Console | None = None) -> None:
        self.path = path
        self.console = console or Console(stderr=True)
        path.mkdir(parents=True, exist_ok=True)

    @property
    def checkpoint(self) -> Path:
        return self.path / "checkpoint"

    @property
    def state(self) -> Path:
        return self.path / "state.pt"

    def write_config(self, cfg: Config) -> None:
        self.write("config.yaml", to_yaml(cfg))

    def write(self, name: str, text: str) -> Path:
        """A whole file or none."""
        place = self.path / name
        temporary = place.with_name(f".{name}.new")
        temporary.write_text(text, encoding="utf-8")
        temporary.replace(place)
        return place

    def write_json(self, name: str, value: Any) -> Path:
        return self.write(name, json.dumps(plain(value), indent=1, ensure_ascii=False) + "\n")

    def note(self, text: str) -> None:
        """A line for people: on the console and, with the time, in log.txt."""
        self.console.print(f"  {text}", highlight=False, markup=False, soft_wrap=True)
        with (self.path / "log.txt").open("a", encoding="utf-8") as file:
            file.write(f"{time.strftime('%Y-%m-%d %H:%M:%S')} {text}\n")

    def metric(self, row: Mapping[str, Any]) -> None:
        """One line of metrics.jsonl."""
        with (self.path / "metrics.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps(plain(row)) + "\n")

    def metrics(self) -> list[dict[str, Any]]:
        path = self.path / "metrics.jsonl"
        if not path.is_file():
            return []
        # A last line without its end was cut by a kill or a full disk; the step it tells of is done again.
        return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines(keepends=True) if line.endswith("\n")]

    def rewind_metrics(self, step: int) -> None:
        """Forget lines of steps that a kill undid: what the resumed run does again, it writes again."""
        kept = [row for row in self.metrics() if row["step"] < step]
        self.write("metrics.jsonl", "".join(json.dumps(row) + "\n" for row in kept))

    @contextmanager
    def progress(self, label: str, total: int, done: int = 0) -> Iterator[Bar]:
        """A bar with the time left, and a word on how it goes."""
        columns = [TextColumn("  {task.description}"), BarColumn(30), MofNCompleteColumn(), TimeRemainingColumn(),
                   TextColumn("{task.fields[word]}")]  # fmt: skip
        with Progress(*columns, console=self.console, transient=True) as progress:
            task = progress.add_task(label, total=total, completed=done, word="")
            yield Bar(progress, task)


class Bar:
    """Moves on by one, with a short word."""

    def __init__(self, progress: Progress, task: Any) -> None:
        self._progress, self._task = progress, task

    def advance(self, word: str = "") -> None:
        self._progress.update(self._task, advance=1, word=word)


def plain(value: Any) -> Any:
    """What JSON can hold: numbers that are none become null, tuples lists, paths text."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [plain(inner) for inner in value]
    if isinstance(value, Path):
        return str(value)
    return value
