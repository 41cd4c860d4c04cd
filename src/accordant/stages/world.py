"""Write the embedded world's text: what a base model reads, what SFT shows, and prompts for each later stage."""

from __future__ import annotations

from types import ModuleType
from typing import Any

from accordant.config import Config, knob
from accordant.data.rows import write_jsonl
from accordant.stages.folder import StageFolder
from accordant.world import text


class WorldConfig(Config):
    """How much text of each kind. No record is shared between two kinds."""

    documents: int = knob(14_000, "documents for pretraining, in good and bad styles", "rows", gt=0)
    demonstrations: int = knob(300, "good answers for SFT", "rows", gt=0)
    preference_prompts: int = knob(800, "prompts whose answers are labelled", "rows", gt=0)
    rl_prompts: int = knob(2_000, "prompts for the online stage", "rows", gt=0)
    evaluation_prompts: int = knob(512, "prompts for evaluation", "rows", gt=0)
    seed: int = knob(0, "another seed, another world")


def run(cfg: WorldConfig, folder: StageFolder, algo: ModuleType | None, name: str) -> dict[str, Any]:  # noqa: ARG001
    """Write one file per kind; the result names them."""
    kinds = {
        "documents": text.documents(cfg.seed, cfg.documents),
        "demonstrations": text.demonstrations(cfg.seed, cfg.demonstrations),
        "preference_prompts": text.prompts(cfg.seed, cfg.preference_prompts, "preference"),
        "rl_prompts": text.prompts(cfg.seed, cfg.rl_prompts, "rl"),
        "evaluation_prompts": text.prompts(cfg.seed, cfg.evaluation_prompts, "evaluation"),
    }
    result: dict[str, Any] = {}
    for kind, rows in kinds.items():
        place = folder.path / f"{kind}.jsonl"
        write_jsonl(place, rows)
        result[kind] = str(place)
    folder.note(", ".join(f"{len(rows)} {kind.replace('_', ' ')}" for kind, rows in kinds.items()))
    return result
