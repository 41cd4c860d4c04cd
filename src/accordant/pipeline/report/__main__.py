"""`python -m accordant.pipeline.report report.json report.html` writes the page of a finished run again."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from accordant.pipeline.report.html import render
from accordant.types import UserError

FIX = "name the report.json of a finished run"
USAGE = "usage: python -m accordant.pipeline.report report.json report.html"


def read(path: Path) -> Any:
    """The JSON value in `path`. Raises `UserError`, with the line, where there is none."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); {FIX}") from error
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: not UTF-8 text (byte {error.start}); {FIX}") from error
    except json.JSONDecodeError as error:
        raise UserError(f"{path}:{error.lineno}: not JSON ({error.msg}); {FIX}") from error


def write(path: Path, page: str) -> None:
    """Writes the page, UTF-8. Raises `UserError` where the file cannot be written."""
    try:
        path.write_text(page, encoding="utf-8")
    except OSError as error:
        raise UserError(f"{path}: cannot be written ({error.strerror}); choose a folder that exists") from error


def main(arguments: list[str]) -> int:
    """Exit status: 0 written, 2 something the user can put right (told on stderr)."""
    if len(arguments) != 2:
        print(USAGE, file=sys.stderr)
        return 2
    source, target = map(Path, arguments)
    try:
        write(target, render(read(source)))
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
