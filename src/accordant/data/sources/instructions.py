"""Instructions with answers: Dolly, Alpaca, Self-Instruct."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from accordant.data import fields as want
from accordant.data import rows
from accordant.data.fields import Bad, Fields
from accordant.data.files import shown
from accordant.data.loaded import Loaded
from accordant.data.shapes import instruction
from accordant.data.sources.loaded import Map, passed_over
from accordant.types import Chat


def dolly(path: str | Path, *, category: str = "", map: Map = None) -> Loaded:
    """databricks-dolly-15k: `instruction`, `context`, `response`, `category`; the context follows the instruction.

    Args:
        path: the JSONL file, or "hub:databricks/databricks-dolly-15k:train".
        category: keep only these rows, such as closed_qa; "": all.
        map: {theirs: ours} renames fields first.

    Example row: `Chat((Message("user", "Who wrote it?\\n\\nThe book is by Ana."),), "Ana.")`. Licence: CC-BY-SA-3.0.
    """
    others = 0

    def convert(fields: Fields) -> Iterator[dict[str, Any]]:
        nonlocal others
        if category and fields.get("category") != category:
            others += 1
            return
        yield {"prompt": instruction(fields, "context"), "completion": want.answer_text(fields, "response")}

    found = rows.convert(path, convert, Chat, map, needs=("instruction", "response"), reads="context|system|history")
    return replace(found, notes=passed_over(f"rows of another category than {category!r}, left out", others))


def alpaca(path: str | Path, *, map: Map = None) -> Loaded:
    """Stanford Alpaca: `instruction`, `input`, `output`; the input follows the instruction.

    Example row: `Chat((Message("user", "Translate.\\n\\nGuten Tag"),), "Good day")`. Licence: CC-BY-NC-4.0.
    """

    def convert(fields: Fields) -> Iterator[dict[str, Any]]:
        yield {"prompt": instruction(fields, "input"), "completion": want.answer_text(fields, "output")}

    return rows.convert(path, convert, Chat, map, needs=("instruction", "output"), reads="input|system|history")


def self_instruct(path: str | Path, *, map: Map = None) -> Loaded:
    """Self-Instruct's seed tasks (arXiv 2212.10560): `instruction`, and `instances` of `input` and `output`; a row for each.

    Example row: `Chat((Message("user", "Give the opposite.\\n\\nnight"),), "day")`. Licence: Apache-2.0.
    """

    def convert(fields: Fields) -> Iterator[dict[str, Any]]:
        instances = want.sequence(fields, "instances")
        if not instances:
            raise Bad("`instances` is empty; give at least one input and output")
        for i, case in enumerate(instances):
            if not isinstance(case, dict):
                raise Bad(f'`instances[{i}]` must be {{"input": ..., "output": ...}}, found {shown(case)}')
            prompt = instruction({**fields, "input": case.get("input")}, "input")
            yield {"prompt": prompt, "completion": want.answer_text(case, "output")}

    return rows.convert(path, convert, Chat, map, needs=("instruction", "instances"), reads="system|history")
