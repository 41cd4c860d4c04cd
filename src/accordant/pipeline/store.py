"""Run folders: a lock, the identity of each stage, and what is finished.

A stage's identity is the hash of all that its result depends on: kind, configuration, the contents of its input files, the
identities of the stages that it reads from, the versions of accordant and torch, and the number of threads. Same identity and
finished: skipped. Same identity and not finished: goes on. Another identity: the old folder is kept
aside and the stage runs anew.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import platform
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from accordant.types import UserError

PACKAGES = ("accordant", "torch", "transformers", "tokenizers", "peft", "numpy")
_FUNCTION = re.compile(r"(.+\.py|[A-Za-z_][\w.]*):[A-Za-z_]\w*")
LARGE = 256 << 20
"""Files above this many bytes are known by size and time of change instead of by content."""


@contextmanager
def locked(run: Path) -> Iterator[None]:
    """One process at a time in a run folder. Raises UserError where another one is at work."""
    run.mkdir(parents=True, exist_ok=True)
    with (run / ".lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UserError(f"{run} is in use by another accordant process: wait for it, or choose another --out") from None
        yield


def identity(kind: str, config: Mapping[str, Any], upstream: Mapping[str, str], threads: int) -> str:
    """Hash of what a stage's result depends on; `upstream` maps result paths of earlier stages to their identities."""
    known = {
        "kind": kind, "config": _fingerprint(config, upstream), "threads": threads,
        "versions": {name: version(name) for name in ("accordant", "torch")},
    }  # fmt: skip
    return hashlib.sha256(json.dumps(known, sort_keys=True, default=str).encode()).hexdigest()


def _fingerprint(value: Any, upstream: Mapping[str, str]) -> Any:
    if isinstance(value, Mapping):
        return {key: _fingerprint(inner, upstream) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_fingerprint(inner, upstream) for inner in value]
    if isinstance(value, str):
        if value in upstream:
            return upstream[value]
        if "\n" not in value and len(value) < 4096 and Path(value).exists() and not _is_database(Path(value)):
            return content_hash(Path(value))
        if (source := _source_of(value)) is not None:
            return [value, content_hash(source)]
    return value


def _is_database(path: Path) -> bool:
    """A feedback store changes while people work, and by what a stage puts into it: it is known by its name."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(16) == b"SQLite format 3\0"


def _source_of(value: str) -> Path | None:
    """The file of a function written as `rules.py:name` or `package.module:name`; nothing is imported to find it."""
    if not _FUNCTION.fullmatch(value):
        return None
    place = value.rpartition(":")[0]
    if place.endswith(".py"):
        return Path(place) if Path(place).is_file() else None
    top, *rest = place.split(".")
    try:
        found = find_spec(top)
    except ValueError:  # a module that was made by a program has none
        return None
    if found is None:
        return None
    if not rest:
        files = [Path(found.origin)] if found.has_location and found.origin else []
    else:
        folders = [Path(folder, *rest) for folder in found.submodule_search_locations or ()]
        files = [file for folder in folders for file in (folder.with_suffix(".py"), folder / "__init__.py")]
    return next((file for file in files if file.is_file()), None)


def content_hash(path: Path) -> str:
    """Hash of a file, or of a folder's files and their names."""
    digest = hashlib.sha256()
    files = [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.is_file())
    for file in files:
        stat = file.stat()
        digest.update(str(file.relative_to(path) if path.is_dir() else "").encode() + b"\0")
        if stat.st_size > LARGE:
            digest.update(f"{stat.st_size} {stat.st_mtime_ns}".encode())
            continue
        with file.open("rb") as opened:
            digest.update(hashlib.file_digest(opened, "sha256").digest())
    return digest.hexdigest()


def is_output(value: object, run: Path) -> bool:
    """Whether a value of a result is the path of something that the stage wrote."""
    return isinstance(value, str) and Path(value).is_relative_to(run)


def result_of(folder: Path) -> dict[str, Any] | None:
    """The stage's result if it is finished."""
    path = folder / "result.json"
    if not path.is_file():
        return None
    try:
        result: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except json.JSONDecodeError as error:
        raise UserError(
            f"{path}:{error.lineno}: not valid JSON ({error.msg}): delete the stage's folder to run it again"
        ) from None
    return result


def set_aside(folder: Path) -> Path:
    """Move a stage folder of another identity out of the way; nothing is deleted."""
    number = 1
    while (aside := folder.with_name(f"{folder.name}.old{number}")).exists():
        number += 1
    folder.rename(aside)
    return aside


def machine(threads: int) -> dict[str, Any]:
    """The machine, as the report names it."""
    cpu = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.is_file():
        names = [line.partition(":")[2].strip() for line in info.read_text().splitlines() if line.startswith("model name")]
        cpu = names[0] if names else cpu
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    import torch

    accelerator = torch.cuda.get_device_name() if torch.cuda.is_available() else None
    return {
        "cpu": cpu, "cores": os.cpu_count() or 1, "threads": threads, "memory_gib": round(memory, 1), "accelerator": accelerator
    }  # fmt: skip


def versions() -> dict[str, str]:
    return {"python": platform.python_version()} | {name: version(name) for name in PACKAGES}
