"""Where the rows of a file came from: the source, the file and its hash, the licence. They travel into checkpoints.

A rows file that Accordant writes has `<file>.origin.json` beside it, with the hash of the rows file too, so that a later edit
shows. Only names of files are kept, never the folders that they lie in.

Left out: hashes of hub data sets, which are not files.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from accordant.data.files import HUB, Record, existing, records
from accordant.types import UserError

SCHEMA = 1
UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Origin:
    """`Origin("dolly", "dolly.jsonl", "9f86d081...", 15011, "CC-BY-SA-3.0")`: that many rows are from there.

    `file` is a name without folders, or a hub address; `sha256` is hexadecimal, "" where there is no file to hash.
    """

    source: str
    file: str
    sha256: str
    rows: int
    licence: str = UNKNOWN


def origins(path: str | Path, rows: int | None = None) -> list[Origin]:
    """What is known of the rows of a file, or of "hub:owner/name:split".

    That is what `<path>.origin.json` says; one entry with an unknown licence for a file without it; and both where the file has
    been changed since.

    Args:
        path: the rows file.
        rows: how many rows it has, where that is known; counted otherwise.

    Raises:
        UserError: the file is not there, or what lies beside it is damaged or of a newer schema.
    """
    name = str(path)
    if name.startswith(HUB):
        return [Origin("hub", name, "", _count(path) if rows is None else rows)]
    file = existing(path)
    digest = file_hash(file)
    beside = origin_path(file)
    said, of = _read(beside) if beside.is_file() else ([], "")
    if of == digest:
        return said
    changed = "changed by hand" if said else "file"
    # A name may hold bytes that are no text, and neither this file's origins nor a model card could be written with them.
    plain = file.name.encode("utf-8", "backslashreplace").decode("utf-8")
    return [*said, Origin(changed, plain, digest, _count(path) if rows is None else rows)]


def about_data(data: str | Path, validation: str | Path | None = None) -> dict[str, list[dict[str, object]]]:
    """What a checkpoint's `accordant.json` says of its rows: `data`, and `validation` where there is any."""
    files = {"data": data} | ({"validation": validation} if validation else {})
    return {name: [asdict(origin) for origin in origins(path)] for name, path in files.items()}


def write_origins(path: str | Path, origins: Sequence[Origin]) -> Path:
    """Write `<path>.origin.json` for a rows file that is there; it appears whole or not at all. Returns its path."""
    target = origin_path(Path(path))
    value = {"schema": SCHEMA, "sha256": file_hash(Path(path)), "origins": [asdict(origin) for origin in origins]}
    temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    try:
        temporary.write_text(json.dumps(value, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        os.replace(temporary, target)
    finally:
        temporary.unlink(missing_ok=True)
    return target


def origin_path(path: Path) -> Path:
    """Where the origins of a rows file are kept: `train.jsonl.origin.json`."""
    return path.with_name(path.name + ".origin.json")


def file_hash(path: Path) -> str:
    """SHA-256 of a file's bytes, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _count(path: str | Path) -> int:
    return sum(isinstance(found, Record) for found in records(path))


def _read(beside: Path) -> tuple[list[Origin], str]:
    """The origins, and the hash that the rows file had when they were written."""
    damaged = UserError(f"{beside} is damaged; delete it (the licence is then unknown), or write the rows again")
    try:
        value = json.loads(beside.read_bytes())
    except (ValueError, RecursionError) as error:
        raise damaged from error
    if not isinstance(value, dict) or not isinstance(value.get("schema"), int) or not isinstance(value.get("origins"), list):
        raise damaged
    if value["schema"] > SCHEMA:
        raise UserError(f"{beside} has schema {value['schema']}, this version reads up to {SCHEMA}: update accordant")
    types = {field.name: int if field.name == "rows" else str for field in fields(Origin)}
    entries = value["origins"]
    for entry in entries:
        if not isinstance(entry, dict) or {name: type(of) for name, of in entry.items()} != types:
            raise damaged
    return [Origin(**entry) for entry in entries], str(value.get("sha256"))
