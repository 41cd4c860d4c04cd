"""One file per algorithm, and the literal table that the command line, the docs and the conformance suite read.

An **offline** algorithm (rows -> loss) is a module with::

    ROWS      names of the row types that it learns from
    HEAD      "language" or "scalar"; the stage of the former also knows `turns`, `pack` and `new_tokens`
    Config    its knobs
    check(items, cfg) -> str                 what to know about these rows, or ""; UserError: they teach nothing
    collate(items, pad_id) -> Batch          N rows padded together; extra["prompt_length"], (N,), for answers that share one
    counts(batch) -> {term: count}           what each term is divided by, added up over the whole optimiser step
    loss(out, batch, cfg) -> ({term: sum}, metrics)

An **online** algorithm (prompts -> rollouts -> loss) is a module with::

    NEEDS_VALUE, MIN_SAMPLES_PER_PROMPT
    Config, Targets
    init(cfg) -> state                       plain numbers; part of every checkpoint
    prepare(step, state, cfg) -> (targets, state, metrics)      once per step, over all its samples, no gradient
    counts(targets) -> {term: count}
    loss(out, targets, cfg) -> ({term: sum}, metrics)           per micro-batch, with gradient

The loop divides every sum by its count over the whole optimiser step, so how a step is cut into micro-batches changes nothing.
"""

from __future__ import annotations

import importlib
from types import ModuleType
from typing import Literal

OFFLINE: dict[str, str] = {
    "sft": "accordant.algos.sft",
    "reward_classifier": "accordant.algos.reward_classifier",
    "reward_pairwise": "accordant.algos.reward_pairwise",
    "reward_kwise": "accordant.algos.reward_kwise",
    "reward_plackett_luce": "accordant.algos.reward_plackett_luce",
    "reward_regression": "accordant.algos.reward_regression",
}

ONLINE: dict[str, str] = {
    "ppo": "accordant.algos.ppo",
}

ALGOS: dict[str, str] = {**OFFLINE, **ONLINE}


def loop_of(name: str) -> Literal["offline", "online"]:
    """Which of the two loops serves the algorithm."""
    return "online" if name in ONLINE else "offline"


def load(name: str) -> ModuleType:
    """The algorithm's module."""
    return importlib.import_module(ALGOS[name])
