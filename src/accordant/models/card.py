"""The README.md of a checkpoint: a short model card that says what is known, and nothing else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

_LOADERS = (
    ("ForSequenceClassification", "AutoModelForSequenceClassification"),
    ("ForConditionalGeneration", "AutoModelForSeq2SeqLM"),
    ("", "AutoModelForCausalLM"),
)


def card(meta: Mapping[str, Any], architecture: str) -> str:
    """Markdown: base model, algorithm, data with licences and hashes, how to load it.

    Args:
        meta: what `accordant.json` holds; of it `algo`, `base`, `data` (entries as of `accordant.data.origin.Origin`) and
            `earlier` (the same of each training before this one) are told.
        architecture: the class of the model, which decides what loads it.
    """
    algo = meta.get("algo")
    head = ["---", "library_name: transformers", "tags:", "- accordant", *([f"- {algo}"] if algo else [])]
    if "/" in str(meta.get("base", "")):  # only names of the hub mean anything to its readers
        head.append(f"base_model: {meta['base']}")
    lines = [*head, "---", "", "# Model card", ""]
    lines += [f"- Base model: {meta['base']}"] if meta.get("base") else []
    lines += [f"- Algorithm: {algo}, trained with Accordant"] if algo else ["- Written by Accordant"]
    lines += [f"- Architecture: {architecture}"]
    if meta.get("data"):
        lines += ["", "## Data", "", *_table(meta["data"])]
    for number, stage in enumerate(meta.get("earlier", ()), start=1):
        lines += ["", f"## Before that, training {number}: {stage.get('algo', 'unknown')}", ""]
        lines += _table(stage["data"]) if stage.get("data") else ["Its data are not known."]
    loader = next(loader for end, loader in _LOADERS if end in architecture)
    load = [f"model = {loader}.from_pretrained(FOLDER)", "tokenizer = AutoTokenizer.from_pretrained(FOLDER)"]
    lines += ["", "## Loading", "", "```python", f"from transformers import {loader}, AutoTokenizer", "", *load, "```", ""]
    return "\n".join(lines)


def _table(data: Sequence[Mapping[str, Any]]) -> list[str]:
    rows = ["| source | file | rows | licence | SHA-256 |", "|---|---|---|---|---|"]
    for entry in data:
        cells = [entry.get(name) or "unknown" for name in ("source", "file", "rows", "licence", "sha256")]
        # A file's name may hold anything; a bar or a line end in it must not break the table.
        rows.append("| " + " | ".join(" ".join(str(cell).replace("|", "\\|").split()) for cell in cells) + " |")
    return rows
