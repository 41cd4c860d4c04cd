"""The architecture as a test: imports go downward only, and the folders of one level never import each other."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import accordant

ROOT = Path(accordant.__file__).parent
LEVELS: tuple[tuple[str, ...], ...] = (
    ("types",),
    ("config", "seeds"),  # both are L0; `types` is the one file that they share
    ("ops", "stats"),
    ("models", "data", "algos", "feedback", "world"),
    ("rewards", "evaluation"),
    ("stages",),
    ("pipeline",),
    ("apps",),
    ("cli_chat", "cli_data", "cli_reward", "cli_studio"),
    ("cli", "__main__"),
)
LEVEL = {unit: level for level, units in enumerate(LEVELS) for unit in units}
PURE = {
    "types": {"torch"},
    "config": {"pydantic", "yaml"},
    "seeds": {"torch"},
    "ops": {"torch"},
    "algos": {"torch"},
    "stats": {"numpy", "scipy"},
}
"""What the pure layers may take from outside the package and the standard library."""
FILES = sorted(path for path in ROOT.rglob("*.py") if path.parent != ROOT or path.stem != "__init__")


def unit_of(path: Path) -> str:
    """The folder or file directly under the package that `path` belongs to."""
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


def imported(path: Path, source: str) -> Iterator[tuple[int, str]]:
    """Line and absolute dotted name of every import in a file, those inside functions included."""
    package = ("accordant", *path.relative_to(ROOT).parent.parts)
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parents = package[: len(package) - node.level + 1] if node.level else ()
            stem = ".".join([*parents, *([node.module] if node.module else [])])
            # `from accordant import config` imports a unit, `from accordant.config import knob` a name in it.
            yield from ((node.lineno, f"{stem}.{alias.name}" if stem == "accordant" else stem) for alias in node.names)


def faults(path: Path, source: str) -> list[str]:
    """Every import of `path` that goes sideways or upwards, or that a pure layer may not have."""
    own = unit_of(path)
    found = []
    for line, name in imported(path, source):
        top, *rest = name.split(".")
        here = f"{path.relative_to(ROOT)}:{line} imports {name}"
        if top != "accordant":
            if own in PURE and top not in PURE[own] | set(sys.stdlib_module_names):
                found.append(f"{here}: {own} may use {', '.join(sorted(PURE[own]))} alone")
        elif rest and rest[0] in LEVEL and rest[0] != own and LEVEL[rest[0]] >= LEVEL[own]:
            found.append(f"{here}: {own} is on level {LEVEL[own]}, {rest[0]} on level {LEVEL[rest[0]]}")
    return found


def test_every_file_has_a_place_in_the_layers() -> None:
    assert {unit_of(path) for path in FILES} <= set(LEVEL)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_go_downward_only(path: Path) -> None:
    assert faults(path, path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    ("unit", "source", "fault"),
    [
        ("ops/x.py", "from accordant.models.load import device", "models on level"),
        ("ops/x.py", "def f():\n    from ..stats import rankings", "stats on level"),
        ("algos/x.py", "from accordant.data import template", "data on level"),
        ("data/x.py", "from accordant import world", "world on level"),
        ("ops/x.py", "import numpy", "torch alone"),
        ("stats/x.py", "import torch.nn", "numpy, scipy alone"),
        ("types.py", "from accordant import seeds", "seeds on level"),
    ],
)
def test_a_forbidden_import_is_found(unit: str, source: str, fault: str) -> None:
    (found,) = faults(ROOT / unit, source)
    assert fault in found


def test_importing_the_package_loads_nothing_heavy() -> None:
    heavy = ("torch", "transformers", "pydantic", "numpy", "scipy", "datasets", "matplotlib")
    program = f"import sys, accordant; print([name for name in {heavy} if name in sys.modules])"
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
