"""From a named source to row files, split by prompt."""

from __future__ import annotations

from types import ModuleType
from typing import Any

from accordant.config import REQUIRED, Config, knob
from accordant.data import sources
from accordant.data.rows import write_jsonl
from accordant.data.split import duplicates, split
from accordant.stages.folder import StageFolder


class PrepareConfig(Config):
    """One source, some splits."""

    source: str = knob("file", "named source: file, text, text-prompts, sentence-polarity")
    path: str = knob(REQUIRED, "file of the source, or hub:owner/name:split", min_length=1)
    options: dict[str, Any] = knob({}, "the source's own options")
    splits: dict[str, int | float] = knob({}, "name -> number of distinct prompts or share of them; the rest is train")
    seed: int = knob(0, "another seed, another split")


def run(cfg: PrepareConfig, folder: StageFolder, algo: ModuleType | None, name: str) -> dict[str, Any]:  # noqa: ARG001
    """Write `<split>.jsonl` for each split; the result names them with their counts."""
    rows = sources.load(cfg.source, cfg.path, **cfg.options)
    parts = split(rows, cfg.splits, cfg.seed) if cfg.splits else {"train": rows}
    twice = duplicates(rows)
    result: dict[str, Any] = {"rows": len(rows), "duplicates": len(twice)}
    for part, some in parts.items():
        place = folder.path / f"{part}.jsonl"
        write_jsonl(place, some)
        result |= {part: str(place), f"{part}_rows": len(some)}
    counts = ", ".join(f"{part} {len(some)}" for part, some in parts.items())
    folder.note(f"{len(rows)} rows of {cfg.path}: {counts}" + (f"; {len(twice)} duplicated" if twice else ""))
    return result
