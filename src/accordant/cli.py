"""The command line: `run` for a pipeline, one command per kind of stage, and what helps with both.

Nothing heavy is imported before a command needs it, so that `accordant --help` answers at once.
"""

from __future__ import annotations

import ast
import errno
import os
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer

from accordant import __version__, cli_chat, cli_data, cli_reward, cli_studio
from accordant.algos import ALGOS
from accordant.stages import KINDS, OTHERS
from accordant.types import UserError

app = typer.Typer(
    help="Align open language models with human preference: feedback, fine-tuning, reward models, PPO, evidence.",
    no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None,
)  # fmt: skip
app.add_typer(cli_data.app, name="data")
app.add_typer(cli_reward.app, name="reward")
app.add_typer(cli_studio.app, name="studio")
app.command()(cli_chat.chat)

Overrides = Annotated[list[str] | None, typer.Argument(metavar="[KEY=VALUE]...", help="settings, as optim.lr=1e-4")]
Out = Annotated[Path | None, typer.Option(help="run folder; by default runs/<name>")]


def main() -> None:
    """Entry point. Exit code 2 for a mistake that the user can put right, 130 for Ctrl-C; never a traceback for either."""
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    try:
        app()
    except UserError as error:
        _stop(str(error), 2)
    except SystemExit as end:
        if end.code == 130:  # what typer makes of Ctrl-C, without a word
            _stop("stopped; where it trained, the same command goes on from the last saved step", 130)
        raise
    except OSError as error:
        if error.errno == errno.ENOSPC:
            _stop(
                f"the disk is full ({error.filename or 'while writing'}): free some space and run the same command to go on", 2
            )
        if error.errno in (errno.EACCES, errno.EROFS, errno.ENOENT, errno.ENOTDIR):
            _stop(f"{error.strerror}: {error.filename}", 2)
        raise


def _stop(message: str, code: int) -> None:
    sys.stdout.flush()
    print(f"error: {message}" if code == 2 else message, file=sys.stderr)
    sys.exit(code)


@app.command()
def run(
    spec: Annotated[Path, typer.Argument(help="pipeline file (YAML)")], overrides: Overrides = None, out: Out = None
) -> None:
    """Run a pipeline; finished stages are skipped, a killed run goes on."""
    from accordant.config import read_yaml

    _run(read_yaml(spec), overrides, out, str(spec))


@app.command()
def quickstart(overrides: Overrides = None, out: Out = None) -> None:
    """The whole loop on an embedded world: no network, no files, no GPU, a few minutes."""
    from importlib.resources import files

    from accordant.config import read_yaml

    place = Path(str(files("accordant.pipeline") / "quickstart.yaml"))
    _run(read_yaml(place), overrides, out, "quickstart")


@app.command()
def config(stage: Annotated[str, typer.Argument(help=f"one of {', '.join(KINDS)}")]) -> None:
    """Print every setting of a kind of stage with its unit, default and meaning."""
    from rich.console import Console
    from rich.table import Table

    from accordant.config import describe, nearest
    from accordant.stages import load

    if stage not in KINDS:
        raise UserError(f"no kind of stage '{stage}'{nearest(stage, KINDS)}")
    table = Table("key", "default", "unit", "meaning", box=None, pad_edge=False, header_style="bold")
    for row in describe(load(stage)[1]):
        table.add_row(*row)
    Console(width=None if sys.stdout.isatty() else 160).print(table, markup=False, highlight=False)


@app.command()
def version() -> None:
    """Print the version."""
    typer.echo(__version__)


def _run(tree: dict[str, object], overrides: list[str] | None, out: Path | None, where: str) -> None:
    from rich.console import Console

    from accordant.pipeline.spec import parse

    spec = parse(tree, overrides or [], where)
    from accordant.pipeline.run import run as run_pipeline

    run_pipeline(spec, out or Path("runs") / spec.name, Console(stderr=True))


def _stage_command(kind: str) -> None:
    def command(overrides: Overrides = None, out: Out = None) -> None:
        stage = [word if word.startswith(("seed=", "threads=")) else f"{kind}.{word}" for word in overrides or []]
        _run({"name": kind, "stages": {kind: {"run": kind}}}, stage, out, kind)

    command.__doc__ = f"{_what(kind)}\n\n`accordant config {kind}` lists its settings."
    app.command(kind)(command)


def _what(kind: str) -> str:
    """The first sentence of the module's docstring, read and not imported: imports would load torch."""
    spec = find_spec(OTHERS[kind][0] if kind in OTHERS else ALGOS[kind])
    assert spec is not None
    assert spec.origin is not None
    said = ast.get_docstring(ast.parse(Path(spec.origin).read_text(encoding="utf-8"))) or ""
    return " ".join(said.split("\n\n")[0].partition(". ")[0].split()).rstrip(".") + "."


for _kind in KINDS:
    _stage_command(_kind)


if __name__ == "__main__":
    main()
