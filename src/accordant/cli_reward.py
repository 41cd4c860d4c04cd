"""`accordant reward`: how far a reward model can be trusted, and its scores for any rows.

Nothing heavy is imported before a command needs it.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from accordant.types import UserError

if TYPE_CHECKING:
    from rich.console import Console

app = typer.Typer(
    help="Reward models and classifiers: a report on rows with labels, and scores for any rows.",
    no_args_is_help=True, add_completion=False, rich_markup_mode=None,
)  # fmt: skip

Model = Annotated[str, typer.Argument(help="checkpoint folder or hub name of a reward model or classifier")]
Output = Annotated[
    str | None,
    typer.Option("--attribute", "--label", metavar="NAME", help="of several outputs the one that is the score"),
]
Eos = Annotated[bool | None, typer.Option("--eos/--no-eos", help="texts end with EOS; by default as in training")]
Reads = Annotated[str | None, typer.Option(help="'prompt and answer' or 'answer'; by default as in training")]
Tokens = Annotated[int, typer.Option(min=1, help="padded tokens scored at once")]
Code = Annotated[bool, typer.Option("--trust-remote-code", help="run Python code that comes with the checkpoint")]


@app.command()
def report(
    model: Model,
    files: Annotated[
        list[str],
        typer.Argument(metavar="[NAME=]FILE...", help="pairs, rankings, ratings, thumbs or labelled texts"),
    ],
    out: Annotated[Path | None, typer.Option(help="folder for reward_model.json and reward_model.html")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="one JSON object on stdout instead of tables")] = False,
    output: Output = None,
    reads: Reads = None,
    eos: Eos = None,
    on_long: Annotated[
        Literal["error", "drop"], typer.Option(help="what happens to rows longer than the model reads")
    ] = "error",
    probes: Annotated[int, typer.Option(min=0, help="answers that the trigger probes rewrite; 0 = no probes")] = 128,
    tokens_per_microbatch: Tokens = 32_768,
    trust_remote_code: Code = False,
) -> None:
    """Accuracy, calibration, and what the model may be reading instead of quality."""
    from rich.console import Console

    from accordant.config import build
    from accordant.data.output import as_line
    from accordant.stages.evaluate_reward import EvaluateRewardConfig, measure
    from accordant.stages.folder import StageFolder, plain

    values = {
        "model": {"path": model, "trust_remote_code": trust_remote_code}, "data": _named(files), "output": output,
        "reads": reads, "eos": eos, "on_long": on_long, "probes": probes, "tokens_per_microbatch": tokens_per_microbatch,
    }  # fmt: skip
    cfg = build(EvaluateRewardConfig, values, "reward report")
    console = Console(stderr=True)
    found = plain(measure(cfg, _watch(console)))
    if out is not None:
        from accordant.pipeline.report.html import render_reward_model

        folder = StageFolder(out, console)
        folder.write_json("reward_model.json", found)
        folder.write("reward_model.html", render_reward_model(found, Path(model).name))
    if as_json:
        typer.echo(as_line(found))
    else:
        _show(found, Console(width=None if sys.stdout.isatty() else 140))


@app.command()
def score(
    model: Model,
    file: Annotated[str, typer.Argument(help="rows of any shape: answers, pairs, rankings, ratings, labelled or bare texts")],
    out: Annotated[Path | None, typer.Option(help=".jsonl, .parquet or .csv; by default JSONL on stdout")] = None,
    output: Output = None,
    raw: Annotated[
        bool, typer.Option("--raw", help="the model's own number, not (score - mean) / sd of its training answers")
    ] = False,
    name: Annotated[str, typer.Option("--as", help="name of the new field")] = "score",
    reads: Reads = None,
    eos: Eos = None,
    on_long: Annotated[Literal["null", "error"], typer.Option(help="the score of a row longer than the model reads")] = "null",
    tokens_per_microbatch: Tokens = 32_768,
    trust_remote_code: Code = False,
) -> None:
    """Score rows: their own fields with the scores beside them, in order."""
    from rich.console import Console

    from accordant.config import build
    from accordant.data.findings import nulls, number
    from accordant.data.origin import origins, write_origins
    from accordant.data.output import TABLES, as_line, check_output, write_values
    from accordant.models.load import ModelConfig
    from accordant.stages.reader import Reader
    from accordant.stages.score_rows import Scorer, score_file

    if out is not None:
        check_output(out, Path(file), suffixes=TABLES)
    if reads not in (None, "prompt and answer", "answer"):
        raise UserError(f"--reads is {reads!r}; choose 'prompt and answer' or 'answer'")
    console = Console(stderr=True)
    cfg = build(ModelConfig, {"path": model, "trust_remote_code": trust_remote_code}, "model")
    scorer = Scorer(Reader.load(cfg, eos=eos, reads=reads), output, raw)  # type: ignore[arg-type]
    rows, long = score_file(
        file, scorer, name, on_long=on_long, tokens_per_microbatch=tokens_per_microbatch, watch=_watch(console)
    )
    if out is None:
        for row in rows:
            typer.echo(as_line(row))
    else:
        changed = write_values(out, rows, TABLES)
        write_origins(out, origins(file, len(rows)))
    if long.count:
        console.print(f"no score: {long}", markup=False, highlight=False, soft_wrap=True)
    if out is not None:
        for line in (f"{number(len(rows), 'row')} -> {out}", *nulls(changed)):
            console.print(line, markup=False, highlight=False, soft_wrap=True)


def _named(files: list[str]) -> dict[str, str]:
    """NAME=FILE, or FILE by its own name; a file that has an equals sign in its name is itself."""
    named: dict[str, str] = {}
    for word in files:
        name, sign, file = word.partition("=")
        if not sign or Path(word).exists():
            name, file = Path(word).name, word
        if name in named:
            raise UserError(f"two files are called {name!r}: tell them apart as NAME=FILE")
        named[name] = file
    return named


def _watch(console: Console) -> Any:
    """Progress on stderr, gone when it is done."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    @contextmanager
    def watch(label: str, total: int) -> Iterator[Callable[[int], None]]:
        columns = TextColumn("  {task.description}"), BarColumn(30), MofNCompleteColumn(), TimeRemainingColumn()
        with Progress(*columns, console=console, transient=True) as progress:
            task = progress.add_task(label, total=total)
            yield lambda more: progress.update(task, advance=more)

    return watch


def _show(found: dict[str, Any], console: Console) -> None:
    """The report as text: the numbers, then what is suspicious."""
    from rich.table import Table

    from accordant.pipeline.report import reward_model
    from accordant.pipeline.report.format import number, percent, percent_interval, sample
    from accordant.pipeline.report.schema import check_reward_model

    def say(text: str, style: str | None = None) -> None:
        console.print(text, style=style, markup=False, highlight=False, soft_wrap=True)

    model = check_reward_model(found)
    if model["heldout_accuracy"] is not None:
        about = (
            f"{percent_interval(model['ci95'])}, {sample(model['n'])} {reward_model.noun(model)}; {reward_model.guess(model)}"
        )
        say(f"held-out accuracy   {percent(model['heldout_accuracy'])} ({about})")
        say(f"calibration error   {percent(model['ece'])}")
    say(f"length correlation  {number(model['length_correlation'], reward_model.TWO, signed=True)}")
    for words in filter(
        None, (found["left_out"]["rows"] and f"left out: {found['left_out']['rows']}", reward_model.ties(model))
    ):
        say(words)
    for part in reward_model.tables(model):
        table = Table(box=None, pad_edge=False, header_style="bold")
        for i, column in enumerate(part.columns):
            table.add_column(column, justify="left" if i == 0 else "right")
        for row in part.rows:
            table.add_row(*row)
        say(f"\n{part.title}", "bold")
        console.print(table, markup=False, highlight=False)
        say(part.note, "dim")
    say("\nWhat is suspicious" if found["suspicions"] else "\nNothing suspicious was found.", "bold")
    for words in found["suspicions"]:
        say(f"- {words}")
