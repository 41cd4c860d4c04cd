"""`accordant studio`: serve the labeling studio, and what is done to its store from outside.

Everything but `restore` works while a server holds the store. Nothing heavy is imported before a command needs it.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from accordant.apps.studio.settings import Settings
from accordant.types import UserError

if TYPE_CHECKING:
    from accordant.feedback.store import Store

app = typer.Typer(
    name="studio", help="The labeling studio: without a command, serve it.", add_completion=False, rich_markup_mode=None,
)  # fmt: skip

PLACE = "feedback.db"
HOST, PORT, PACE = Settings.host, Settings.port, Settings.requests_per_minute

Place = Annotated[
    str | None, typer.Option("--store", metavar="PLACE", help=f"feedback store: a file ({PLACE}), or a database URL")
]
Url = Annotated[str, typer.Option("--public-url", metavar="URL", help="address under which others reach the studio")]
Project = Annotated[str, typer.Option(help="name of the project")]


@app.callback(invoke_without_command=True)
def studio(
    context: typer.Context,
    store: Place = None,
    host: Annotated[str, typer.Option(help="address to listen on; others than this machine need accounts first")] = HOST,
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 = a free one")] = PORT,
    public_url: Url = "",
    requests_per_minute: Annotated[int, typer.Option(min=1, help="most of one person; more are asked to wait")] = PACE,
) -> None:
    """The labeling studio: without a command, serve it until Ctrl-C."""
    context.obj = store
    if context.invoked_subcommand is not None:
        if (host, port, public_url, requests_per_minute) != (HOST, PORT, "", PACE):
            raise UserError(
                "--host, --port, --public-url and --requests-per-minute before a command belong to serving: leave them out"
            )
        return
    from accordant.apps.studio.serve import serve

    serve(
        store=PLACE if store is None else store,
        host=host,
        port=port,
        public_url=public_url,
        requests_per_minute=requests_per_minute,
    )


def _open(context: typer.Context, store: str | None, *, new: bool = False, alone: bool = False) -> Store:
    """The store that `--store` names, before the command or after it. `new`: it may be made."""
    from accordant.feedback.store import Store

    place = next(one for one in (store, context.obj, PLACE) if one is not None)
    if place and not new and "://" not in place and not Path(place).is_file():
        raise UserError(f"there is no store {place}: name another with --store, or start one with `accordant studio`")
    return Store.open(place, alone=alone)


@app.command("import")
def import_(
    context: typer.Context,
    file: Annotated[str, typer.Argument(metavar="FILE", help="rows: .jsonl, .json, .csv, .parquet, or hub:owner/name:split")],
    project: Project,
    task: Annotated[str | None, typer.Option(help="task of rows that name none; by default what their shape suggests")] = None,
    criterion: Annotated[str, typer.Option(help="what to judge by, in rows that do not say")] = "",
    warning: Annotated[str | None, typer.Option(help="what to warn of, in rows that do not say")] = None,
    map: Annotated[list[str] | None, typer.Option("--map", metavar="THEIRS=OURS", help="rename a field; repeat")] = None,
    again: Annotated[bool, typer.Option("--again", help="also what is in the project already, or twice in the file")] = False,
    new: Annotated[bool, typer.Option("--new", help="make the project first")] = False,
    guidelines: Annotated[Path | None, typer.Option(help="text file with the new project's guidelines")] = None,
    overlap: Annotated[int | None, typer.Option(min=1, help="answers to each item that the new project wants (3)")] = None,
    store: Place = None,
) -> None:
    """Put the rows of a file into a project as tasks, all or none."""
    from accordant.data.reading import new_names
    from accordant.feedback.tasks import drawn_seed, find_project, make_project
    from accordant.stages.intake import put_in, work

    if not new and (guidelines is not None or overlap is not None):
        raise UserError("--guidelines and --overlap are for a project that --new makes; change others in the studio")
    names = dict(new_names(map))
    with _open(context, store, new=new) as opened:
        if new:
            text = "" if guidelines is None else _text(guidelines)
            work(
                file, task, criterion=criterion, warning=warning, map=names, again=again
            )  # no project is made for rows that are bad
            number = make_project(opened, project, text, overlap=3 if overlap is None else overlap, seed=drawn_seed())
        else:
            number = find_project(opened, project)
        count = put_in(opened, number, file, task, criterion=criterion, warning=warning, map=names, again=again)
    print(f"{count:,} tasks in project {project}")


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise UserError(f"{file} is no text in UTF-8 ({error.reason}); save it as such") from error


@app.command()
def export(
    context: typer.Context,
    project: Project,
    out: Annotated[Path, typer.Option(help="folder for the files; it must be new or empty")],
    shape: Annotated[Literal["accordant", "trl"], typer.Option(help="rows of our own, or of TRL's trainers")] = "accordant",
    form: Annotated[Literal["jsonl", "parquet"], typer.Option(help="format of the files")] = "jsonl",
    which: Annotated[Literal["each", "consensus"], typer.Option(help="what each labeler says, or all together")] = "each",
    method: Annotated[
        Literal["weighted", "borda"], typer.Option(help="of a consensus: by reliability, or all alike")
    ] = "weighted",
    min_confidence: Annotated[float, typer.Option(help="of a consensus: an order less certain makes no pair")] = 0.6,
    margins: Annotated[Literal["small", "large"] | None, typer.Option(help="margins from grades: Llama 2's scales")] = None,
    ties: Annotated[Literal["drop", "keep"], typer.Option(help="equally good answers: no pair, or one with tie")] = "drop",
    rejects: Annotated[Literal["exclude", "lose"], typer.Option(help="answers marked F: in no pair, or losing")] = "exclude",
    part: Annotated[list[str] | None, typer.Option(metavar="NAME=SIZE", help="split off prompts, as test=0.1; repeat")] = None,
    seed: Annotated[int, typer.Option(help="another seed, another split")] = 0,
    ai: Annotated[bool, typer.Option("--ai", help="with what AI labelers said")] = False,
    surplus: Annotated[bool, typer.Option("--surplus", help="with answers that came after their place was given away")] = False,
    store: Place = None,
) -> None:
    """Write what was said as files that train; whatever gives no row is counted."""
    import json

    from accordant.data.split import size_of
    from accordant.feedback.tasks import find_project
    from accordant.stages.feedback_files import How, write

    sizes = dict(size_of(word) for word in part or ())
    if len(sizes) < len(part or ()):
        raise UserError(f"two parts have one name; give each of {', '.join(sizes)} once")
    with _open(context, store) as opened:
        counts = write(opened, find_project(opened, project), out, How(
            shape=shape, form=form, which=which, method=method, margins=margins,
            min_confidence=min_confidence, ties=ties, rejects=rejects, splits=sizes, seed=seed, ai=ai, surplus=surplus,
        ))  # fmt: skip
    for name, count in counts.items():
        print(f"{count:,} in {out / name}.{form}")
    for reason, count in json.loads((out / "export.json").read_text(encoding="utf-8"))["left_out"].items():
        print(f"  {count:,} {reason}: left out")


@app.command()
def backup(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="zip file to write")],
    store: Place = None,
) -> None:
    """Write the whole store into one file, while people go on working."""
    from accordant.feedback import backup as backups

    with _open(context, store) as opened:
        counts = backups.backup(opened, file)
    print(f"{counts['answer']:,} answers, {counts['item']:,} items and {counts['labeler']:,} accounts in {file}")


@app.command()
def restore(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="zip file that `backup` wrote")],
    store: Place = None,
) -> None:
    """Fill a new store from a backup."""
    from accordant.feedback import backup as backups

    backups.check(file)  # first, so that no store is made for a file that is none
    with _open(context, store, new=True, alone=True) as opened:
        counts = backups.restore(opened, file)
    print(f"{counts['answer']:,} answers, {counts['item']:,} items and {counts['labeler']:,} accounts restored")


@app.command()
def invite(
    context: typer.Context,
    role: Annotated[Literal["labeler", "admin"], typer.Option(help="what the new account may do")] = "labeler",
    days: Annotated[float, typer.Option(help="how long the link is good")] = 7.0,
    public_url: Url = f"http://{HOST}:{PORT}",
    store: Place = None,
) -> None:
    """Print a link that lets one person make an account."""
    from accordant.feedback import people

    settings = Settings(public_url=public_url)
    settings.check(has_accounts=True)
    with _open(context, store) as opened:
        token = people.invite(opened, role, days)
    print(f"{settings.url}/join/{token}")


@app.command()
def admin(
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="name to sign in with")],
    store: Place = None,
) -> None:
    """Make the first account of a store, an admin's; the password is asked for, or is the first line of stdin."""
    from accordant.feedback import people

    if sys.stdin.isatty():
        password = str(typer.prompt("password", hide_input=True, confirmation_prompt=True))
    else:
        password = sys.stdin.readline().rstrip("\r\n")
    with _open(context, store, new=True) as opened:
        person = people.make_admin(opened, name, password)
    print(f"{person.name} is an admin")


@app.command()
def password(
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="whose password was forgotten")],
    store: Place = None,
) -> None:
    """Print a new password for an account; the old one, and its sessions, end."""
    from accordant.feedback import people

    with _open(context, store) as opened:
        print(people.reset_password(opened, people.named(opened, name).id))


@app.command()
def ai(
    context: typer.Context,
    project: Project,
    name: Annotated[str, typer.Option(help="name of the AI labeler; made where there is none of that name")],
    endpoint: Annotated[str | None, typer.Option(metavar="URL", help="OpenAI-compatible endpoint, up to and with /v1")] = None,
    model: Annotated[str | None, typer.Option(help="the model's name there")] = None,
    key_env: Annotated[str | None, typer.Option(metavar="VARIABLE", help="environment variable that holds the key")] = None,
    checkpoint: Annotated[str | None, typer.Option(help="folder or hub name of a model, instead of an endpoint")] = None,
    limit: Annotated[int, typer.Option(min=0, help="most tasks; 0 = all")] = 0,
    guidelines: Annotated[bool, typer.Option(help="the project's guidelines are part of each question")] = True,
    store: Place = None,
) -> None:
    """Let a model label pairs, rankings and thumbs, each comparison in both orders."""
    from accordant.config import build
    from accordant.stages import ai_labels

    if (endpoint is None) != (model is None):
        raise UserError("an endpoint has an address and a model: give --endpoint URL and --model NAME together")
    if key_env is not None and endpoint is None:
        raise UserError("--key-env is for an endpoint: leave it out, or give --endpoint and --model")
    values: dict[str, Any] = {"project": project, "name": name, "limit": limit, "guidelines": guidelines}
    if endpoint is not None:
        values["endpoint"] = {"url": endpoint, "model": model, "key_env": key_env}
    if checkpoint is not None:
        values["model"] = {"path": checkpoint}
    cfg = build(ai_labels.AiLabelsConfig, values, "studio ai")
    with _open(context, store) as opened:
        tally = ai_labels.run(cfg, opened)
    answers = ", ".join(f"{count:,} {task}" for task, count in tally.answers.items()) or "none"
    print(f"answers of {name}: {answers}" + (f"; {tally.skipped:,} skipped" if tally.skipped else ""))
    if tally.consistency is not None:
        readable = tally.comparisons - tally.unreadable
        print(f"consistency: {tally.consistency:.1%} of {readable:,} comparisons came out alike in both orders")
    if tally.unreadable:
        print(f"{tally.unreadable:,} of {tally.comparisons:,} comparisons had a reply that could not be read")


@app.command()
def prioritise(
    context: typer.Context,
    project: Project,
    model: Annotated[list[str] | None, typer.Option(help="reward model, folder or hub name; repeat for several")] = None,
    attribute: Annotated[str | None, typer.Option("--attribute", help="of several outputs the one that is the score")] = None,
    store: Place = None,
) -> None:
    """Put first what people disagree on so far, or with --model what reward models are unsure of."""
    from accordant.feedback import overview, priority
    from accordant.feedback.tasks import find_project

    if attribute is not None and not model:
        raise UserError("--attribute is of a reward model: give --model, too, or leave it out")
    with _open(context, store) as opened:
        number = find_project(opened, project)
        if model:
            from accordant.stages.uncertainty import uncertainty

            values, long = uncertainty(opened, number, model, output=attribute)
            priority.by_uncertainty(opened, values)
            count, why = len(values), "what the models are unsure of"
        else:
            count, why = priority.by_disagreement(opened, number), "what people disagree on"
        order = overview.one_project(opened, number).order_by
    print(f"{count:,} items have a priority by {why}")
    if model and long.count:
        print(f"left as they were: {long}")
    if order != "priority":
        print(f"the project goes by {order.replace('_', ' ')}: choose priority in its settings for this to have an effect")
