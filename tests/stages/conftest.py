"""A world small enough for each test, a policy that has read it once, and stores of both kinds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from stores import clock, database_of_tables, dialect, file_of_tables, place, postgres, store
from tasks import run_stage

__all__ = ["clock", "database_of_tables", "dialect", "file_of_tables", "place", "postgres", "store", "world"]


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Files of the embedded world, and `policy`: a model of its text, trained for a moment."""
    place: Path = tmp_path_factory.mktemp("world")
    files = run_stage(
        "world", place / "text", documents=300, demonstrations=64, preference_prompts=24, rl_prompts=16, evaluation_prompts=40
    )
    shape = {"vocabulary": 384, "hidden": 32, "layers": 1, "heads": 2, "context": 192}
    trained = run_stage(
        "sft", place / "base", scratch=shape, data=files["demonstrations"], rows_per_step=8, epochs=6, optim={"lr": 1e-2}
    )
    return files | {"policy": trained["checkpoint"]}
