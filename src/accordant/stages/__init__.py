"""The only place where models, data, algorithms and rewards meet. One module per kind of stage, each with its configuration
type and `run(cfg, folder) -> result`."""

from __future__ import annotations

import importlib
from types import ModuleType
from typing import Any

from accordant.algos import ALGOS, loop_of
from accordant.algos import load as load_algorithm

OTHERS: dict[str, tuple[str, str]] = {
    "world": ("accordant.stages.world", "WorldConfig"),
    "prepare": ("accordant.stages.prepare", "PrepareConfig"),
    "annotate": ("accordant.stages.annotate", "AnnotateConfig"),
    "evaluate_reward": ("accordant.stages.evaluate_reward", "EvaluateRewardConfig"),
    "evaluate": ("accordant.stages.evaluate", "EvaluateConfig"),
}
"""Stages that train nothing. Every algorithm is a stage too, run by its loop."""

KINDS: tuple[str, ...] = (*OTHERS, *ALGOS)


def load(kind: str) -> tuple[ModuleType, type[Any], ModuleType | None]:
    """The stage's module, its configuration type, and the algorithm's module if it trains."""
    if kind in OTHERS:
        place, config = OTHERS[kind]
        module = importlib.import_module(place)
        return module, getattr(module, config), None
    from pydantic import create_model

    from accordant.config import knob

    algo, loop = load_algorithm(kind), loop_of(kind)
    module = importlib.import_module(f"accordant.stages.{loop}")
    base = module.OnlineConfig if loop == "online" else module.config_of(algo)
    own: Any = (algo.Config, knob(algo.Config(), "the algorithm's knobs"))
    return module, create_model(f"{kind}_config", __base__=base, __doc__=base.__doc__, algo=own), algo
