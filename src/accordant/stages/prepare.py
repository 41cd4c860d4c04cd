"""From a named source to row files, split by prompt, with their origins beside them.

Left out: a user's own fields, which no stage reads; `accordant data convert` and `split` keep them.
"""

from __future__ import annotations

from dataclasses import replace
from types import ModuleType
from typing import Any, Literal

from accordant.config import REQUIRED, Config, knob
from accordant.data import sources
from accordant.data.files import first_few
from accordant.data.origin import UNKNOWN, write_origins
from accordant.data.rows import all_good, write_jsonl
from accordant.data.split import duplicates, split
from accordant.stages.folder import StageFolder
from accordant.types import UserError

_COUNTED = ("rows", "duplicates", "bad_rows", "passed_over")  # the result's names beside those of splits


class PrepareConfig(Config):
    """One source, some splits."""

    source: str = knob("file", "named source, such as file, oasst, hh-rlhf, text-prompts")
    path: str = knob(REQUIRED, "file of the source, or hub:owner/name:split", min_length=1)
    options: dict[str, Any] = knob({}, "the source's own options")
    map: dict[str, str] = knob({}, "theirs: ours; renames fields before they are recognised")
    style: Literal["messages", "transcript"] = knob(
        "messages", "messages go through a chat template; transcript = plain text for models without one"
    )
    on_bad: Literal["error", "drop"] = knob("error", "a bad row stops the stage, or is left out and named")
    licence: str | None = knob(None, "the data's licence, where the source does not know it")
    splits: dict[str, int | float] = knob({}, "name -> number of distinct prompts or share of them; the rest is train")
    seed: int = knob(0, "another seed, another split")


def run(cfg: PrepareConfig, folder: StageFolder, algo: ModuleType | None, name: str) -> dict[str, Any]:  # noqa: ARG001
    """Write `<split>.jsonl` for each split, its origins beside it; the result names them with their counts."""
    for name in ("map", "style"):
        if name in cfg.options:
            raise UserError(f"options.{name} is no option of a source, but a setting of prepare; write {name}=...")
    if taken := [name for name in _COUNTED if name in cfg.splits]:
        raise UserError(f"splits.{taken[0]}: the result of prepare says something else under this name; choose another")
    found = sources.check(cfg.source, cfg.path, map=cfg.map, style=cfg.style, **cfg.options)
    dropped = found.complaints if cfg.on_bad == "drop" and found.rows else ()
    rows = all_good(cfg.path, list(found.rows), () if dropped else found.complaints, found.records)
    if cfg.licence and all(origin.licence != UNKNOWN for origin in sources.origins(cfg.source, cfg.path, len(rows))):
        raise UserError(f"licence={cfg.licence} changes nothing: that of {cfg.path} is known; leave it out")
    parts = split(rows, cfg.splits, cfg.seed) if cfg.splits else {"train": rows}
    twice = duplicates(rows)
    bad = sum(complaint.rows for complaint in dropped)
    result: dict[str, Any] = {"rows": len(rows), "duplicates": len(twice), "bad_rows": bad, "passed_over": list(found.notes)}
    for part, some in parts.items():
        place = folder.path / f"{part}.jsonl"
        write_jsonl(place, some)
        origins = sources.origins(cfg.source, cfg.path, len(some))
        known = [replace(o, licence=cfg.licence) if cfg.licence and o.licence == UNKNOWN else o for o in origins]
        write_origins(place, known)
        result |= {part: str(place), f"{part}_rows": len(some)}
    counts = ", ".join(f"{part} {len(some)}" for part, some in parts.items())
    folder.note(f"{len(rows)} rows of {cfg.path}: {counts}" + (f"; {len(twice)} duplicated" if twice else ""))
    for note in found.notes:
        folder.note(note)
    if dropped:
        folder.note("\n    ".join([f"left out: {bad} bad rows", *first_few([str(complaint) for complaint in dropped])]))
    return result
