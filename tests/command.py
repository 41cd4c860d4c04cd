"""The command line in processes of its own, which start at once: they are forked from one that has imported all.

`accordant("sft", "data=rows.jsonl")` is the real entry point with real arguments, exit code and output. `die` names a moment
at which the process gets a real SIGKILL: no handler runs, nothing is flushed.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

_forks = multiprocessing.get_context("forkserver")
_forks.set_forkserver_preload([
    "accordant.cli", "accordant.stages.offline", "accordant.stages.online", "accordant.pipeline.run", "accordant.data.convert",
    "accordant.stages.annotate", "accordant.stages.feedback_files", "accordant.apps.studio.app", "alembic.command",
    "sqlalchemy.dialects.sqlite", "mako.template",
])  # fmt: skip


@dataclass(frozen=True)
class Ended:
    """How a command ended; `code` is minus the signal for a killed one."""

    code: int
    output: str
    error: str


@dataclass(frozen=True)
class Death:
    """SIGKILL at the `nth` call of `function` (a dotted path below `module`), before it or after it."""

    module: str
    function: str
    nth: int = 1
    after: bool = False


def accordant(*words: str | Path, die: Death | None = None) -> Ended:
    """Run a command to its end."""
    with tempfile.TemporaryDirectory() as place:
        start(Path(place), *words, die=die).join()
        code = (Path(place) / "code").read_text() if (Path(place) / "code").exists() else f"{-signal.SIGKILL}"
        return Ended(int(code), (Path(place) / "out").read_text(), (Path(place) / "err").read_text())


def start(place: Path, *words: str | Path, die: Death | None = None) -> BaseProcess:
    """Begin a command; its output goes to files `out` and `err` in `place`."""
    process = _forks.Process(target=_child, args=(str(place), [str(word) for word in words], os.getcwd(), die))
    process.start()
    return process


def _child(place: str, words: list[str], folder: str, die: Death | None) -> None:
    from accordant import cli

    os.chdir(folder)
    for name, stream in (("out", 1), ("err", 2)):
        os.dup2(os.open(f"{place}/{name}", os.O_WRONLY | os.O_CREAT), stream)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if die is not None:
        _arm(die)
    sys.argv = ["accordant", *words]
    code: Any = 0
    try:
        cli.main()
    except SystemExit as end:
        code = end.code or 0
    sys.stdout.flush()
    sys.stderr.flush()
    Path(place, "code").write_text(str(code))


def _arm(die: Death) -> None:
    """Wrap the function so that the process dies at its nth call."""
    import importlib

    owner: Any = importlib.import_module(die.module)
    *path, name = die.function.split(".")
    for part in path:
        owner = getattr(owner, part)
    real: Callable[..., Any] = getattr(owner, name)
    calls = 0

    def fatal(*args: Any, **named: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == die.nth and not die.after:
            os.kill(os.getpid(), signal.SIGKILL)
        result = real(*args, **named)
        if calls == die.nth:
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    setattr(owner, name, fatal)
