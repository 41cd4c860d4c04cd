"""A pipeline as YAML: named stages whose inputs name earlier outputs.

::

    name: stories
    seed: 0
    vars:
      data:                          # null: must be given, as data=PATH
    stages:
      prompts: {run: prepare, source: text-prompts, path: "${data}/stories.txt"}
      policy:  {run: ppo, model: {path: "${data}/model"}, prompts: "${prompts.train}"}

`${name}` is a variable; `${stage.key}` is a value of that stage's result. Overrides on the command line set variables
(`data=...`), `seed`, `name`, or a stage's knobs (`policy.optim.lr=1e-4`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from accordant.config import merge, nearest, parse_overrides
from accordant.stages import KINDS
from accordant.types import UserError

_REFERENCE = re.compile(r"\$\{([^}]*)\}")
_TOP = ("name", "seed", "threads", "vars", "stages")


@dataclass(frozen=True)
class StageSpec:
    """One stage: its name in the run, its kind, and its configuration with references still in it."""

    name: str
    kind: str
    values: Mapping[str, Any]


@dataclass(frozen=True)
class Spec:
    """A whole pipeline, overrides applied and variables filled in; references to stages remain."""

    name: str
    seed: int
    threads: int | None
    stages: tuple[StageSpec, ...]


def parse(tree: Mapping[str, Any], overrides: Sequence[str], where: str) -> Spec:
    """Read a pipeline.

    Raises:
        UserError: an unknown key, kind, variable or stage (with the nearest name), a variable without value, a reference to a
            stage that does not come before.
    """
    _known_keys(tree, _TOP, where)
    stages = tree.get("stages")
    if not isinstance(stages, Mapping) or not stages:
        raise UserError(f"{where}: 'stages' must be a mapping of at least one name to a stage")
    top = {key: tree.get(key) for key in ("name", "seed", "threads")}
    variables: dict[str, Any] = dict(tree.get("vars") or {})
    given: dict[str, Any] = {}
    for key, value in parse_overrides(overrides).items():
        if key in stages:
            given[key] = value
        elif key in top:
            top[key] = value
        elif key in variables:
            variables[key] = merge(variables[key], value) if isinstance(variables[key], Mapping) else value
        else:
            raise UserError(f"{where} has no stage or variable '{key}'{nearest(key, [*stages, *variables, *top])}")
    seed = top["seed"] if top["seed"] is not None else 0
    if not isinstance(seed, int) or isinstance(seed, bool):
        raise UserError(f"{where}: seed must be a whole number, found {seed!r}")
    threads = top["threads"]
    if threads is not None and (not isinstance(threads, int) or isinstance(threads, bool) or threads < 1):
        raise UserError(f"{where}: threads must be a whole number from 1 up, or left out, found {threads!r}")
    for name, stage in stages.items():
        if not isinstance(stage, Mapping) or not isinstance(given.get(name, {}), Mapping):
            raise UserError(f"{where}: stage '{name}' must be a mapping of settings, as {{run: sft, data: rows.jsonl}}")
    out = tuple(
        _stage(str(name), merge(stage, given.get(name, {})), variables, list(stages), where) for name, stage in stages.items()
    )
    return Spec(str(top["name"] or "run"), seed, threads, out)


def _stage(name: str, stage: Any, variables: Mapping[str, Any], order: Sequence[str], where: str) -> StageSpec:
    if not re.fullmatch(r"[A-Za-z0-9_-]+", name):
        raise UserError(f"{where}: the stage name '{name}' becomes a folder: use letters, digits, _ and -")
    if name in variables:
        raise UserError(f"{where}: '{name}' is both a stage and a variable: rename one")
    kind = stage.get("run")
    if kind not in KINDS:
        raise UserError(f"{where}: stage '{name}' has run: {kind}{nearest(str(kind), KINDS)}")
    earlier = set(order[: order.index(name)])

    def look_up(reference: str) -> Any:
        head, _, key = reference.partition(".")
        if head in variables:
            return _variable(variables, head, key, where)
        if head in earlier and key:
            return "${" + reference + "}"
        if head in order:
            why = "name one of its results, as ${" + head + ".checkpoint}" if head in earlier else "it does not come before"
            raise UserError(f"{where}: stage '{name}' refers to ${{{reference}}}: {why}")
        raise UserError(f"{where}: stage '{name}' refers to ${{{reference}}}{nearest(head, [*variables, *earlier])}")

    values = {key: fill(value, look_up) for key, value in stage.items() if key != "run"}
    return StageSpec(name, kind, values)


def _variable(variables: Mapping[str, Any], head: str, key: str, where: str) -> Any:
    """`head`, or `head.key`, of the variables; a variable that is null has to be given on the command line."""
    value = variables[head]
    if key:
        value = value.get(key) if isinstance(value, Mapping) else None
    if value is None:
        name = f"{head}.{key}" if key else head
        raise UserError(f"{where}: '{name}' has no value: add {name}=... to the command")
    return value


def fill(value: Any, look_up: Callable[[str], Any]) -> Any:
    """Replace each `${reference}` by what `look_up` says; a string that is one reference takes the value's type."""
    if isinstance(value, Mapping):
        return {key: fill(inner, look_up) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [fill(inner, look_up) for inner in value]
    if not isinstance(value, str):
        return value
    whole = _REFERENCE.fullmatch(value)
    if whole:
        return look_up(whole[1])
    return _REFERENCE.sub(lambda match: str(look_up(match[1])), value)


def is_reference(value: object) -> bool:
    """Whether a value is, as a whole, the result of an earlier stage, so that its type is not known yet."""
    return isinstance(value, str) and _REFERENCE.fullmatch(value) is not None


def _known_keys(tree: Mapping[str, Any], known: Sequence[str], where: str) -> None:
    for key in tree:
        if key not in known:
            raise UserError(f"{where}: unknown key '{key}'{nearest(str(key), known)}")
