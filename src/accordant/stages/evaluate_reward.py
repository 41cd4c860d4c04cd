"""Measure a reward model on rows that nothing trained on."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any, Literal, TypeAlias

from accordant.config import REQUIRED, Config, knob
from accordant.data.rows import read
from accordant.data.template import LongRows
from accordant.evaluation.probes import PROBES, probe_entry, sample
from accordant.evaluation.surface import feature_table
from accordant.evaluation.suspicions import suspicions
from accordant.models.load import ModelConfig
from accordant.stages.folder import StageFolder
from accordant.stages.measured import Measured, lay_out, measured, report_of
from accordant.stages.reader import Reader
from accordant.types import Labelled, Pair, Ranking, Rating, Row, Thumb, Tokens, UserError

Watch: TypeAlias = "Callable[[str, int], AbstractContextManager[Callable[[int], None]]]"
"""A progress bar: what is done and how much of it -> a function that hears how much more is done."""
KINDS: tuple[type[Row], ...] = (Pair, Ranking, Rating, Labelled, Thumb)


class EvaluateRewardConfig(Config):
    """Which reward model, on which held-out rows."""

    model: ModelConfig = knob(REQUIRED, "the reward model")
    data: str | dict[str, str] = knob(
        REQUIRED, "held-out pairs, rankings, ratings, thumbs or labelled texts; several files as {NAME: FILE}", min_length=1
    )
    output: str | None = knob(
        None, "of several outputs the one that is the score; none = the mean of all attributes, or the log-odds of two classes"
    )
    reads: Literal["prompt and answer", "answer"] | None = knob(None, "what is scored of a row; none = as in training")
    eos: bool | None = knob(None, "texts end with EOS; none = as in training, no where that is unknown")
    on_long: Literal["error", "drop"] = knob("error", "an over-long row stops the stage, or is left out and named")
    probes: int = knob(128, "answers that the trigger probes rewrite; 0 = no probes", "answers", ge=0)
    tokens_per_microbatch: int = knob(32_768, "padded tokens scored at once", "tokens", gt=0)


def run(cfg: EvaluateRewardConfig, folder: StageFolder, algo: ModuleType | None, name: str) -> dict[str, Any]:  # noqa: ARG001
    """Write reward_model.json."""

    @contextmanager
    def watch(label: str, total: int) -> Iterator[Callable[[int], None]]:
        with folder.progress(label, total) as bar:

            def done(more: int) -> None:
                for _ in range(more):
                    bar.advance()

            yield done

    report = measure(cfg, watch)
    folder.write_json("reward_model.json", report)
    if report["left_out"]["n"]:
        folder.note(f"left out: {report['left_out']['rows']}")
    folder.note(headline(report))
    for said in report["suspicions"]:
        folder.note(f"suspicious: {said}")
    return {key: report[key] for key in ("heldout_accuracy", "n", "ci95", "ece")} | {
        "attributes": {one["attribute"]: one["spearman"]["value"] for one in report["attributes"]},
        "suspicions": len(report["suspicions"]),
    }


def headline(report: dict[str, Any]) -> str:
    """The most important number in a line."""
    if report["kind"] == "Rating":
        numbers = [f"{one['attribute']} {_or_none(one['spearman']['value'])}" for one in report["attributes"]]
        return f"Spearman's correlation with the ratings of {report['n']} answers: " + ", ".join(numbers)
    accuracy, ece = report["heldout_accuracy"], report["ece"]
    return f"held-out accuracy {accuracy:.3f} on {report['n']} (calibration error {ece:.3f})"


def _or_none(value: float | None) -> str:
    return "not defined" if value is None else f"{value:.3f}"


def measure(cfg: EvaluateRewardConfig, watch: Watch) -> dict[str, Any]:
    """The whole report; docs/metrics.md explains every key.

    Raises:
        UserError: the checkpoint has no trained head; the rows are of a kind that says nothing about scores, or of several; a
            row is too long for the model; no row compares anything.
    """
    rows, sources = _rows(cfg.data)
    reader = Reader.load(cfg.model, eos=cfg.eos, reads=cfg.reads)
    reader.check_output(cfg.output)
    tokens = [reader.encode(row) for row in rows]
    kept, long = _kept(cfg, reader, rows, tokens)
    if not kept:
        raise UserError(f"{long}; no row is left that this model can read: shorten them, or use a model with a longer context")
    rows, sources = [rows[i] for i in kept], [sources[i] for i in kept]
    flat = [text for i in kept for text in tokens[i]]
    with watch("scoring", len(flat)) as done:
        logits = reader.logits(flat, cfg.tokens_per_microbatch, done)
    found = measured(lay_out(rows, sources, flat), reader, logits, cfg.output)
    left_out = {"n": long.count, "rows": str(long) if long.count else ""}
    report: dict[str, Any] = {"kind": type(rows[0]).__name__, "left_out": left_out}
    report |= report_of(found)
    report["features"] = feature_table(found.answers)
    report["probes"] = _probes(cfg, reader, found, watch)
    report["suspicions"] = suspicions(report)
    return report


def _rows(data: str | dict[str, str]) -> tuple[list[Any], list[str]]:
    """The rows of all files, and the name of each one's source."""
    files = {Path(data).name: data} if isinstance(data, str) else data
    rows: list[Row] = []
    sources: list[str] = []
    for name, file in files.items():
        some: list[Row] = read(file)
        for row in some:
            if not isinstance(row, KINDS):
                wanted = "pairs, rankings, ratings, thumbs or labelled texts"
                raise UserError(f"{row.source}: a reward model is measured on {wanted}, found {type(row).__name__} rows")
            if rows and type(row) is not type(rows[0]):
                raise UserError(
                    f"{row.source}: a {type(row).__name__} row after {type(rows[0]).__name__} rows of {rows[0].source}; "
                    "measure files of one kind together, and others in a run of their own"
                )
        rows += some
        sources += [name] * len(some)
    return rows, sources


def _kept(
    cfg: EvaluateRewardConfig, reader: Reader, rows: Sequence[Row], tokens: Sequence[Sequence[Tokens]]
) -> tuple[list[int], LongRows]:
    """The places of the rows that the model can read, and the others."""
    longest = [max(len(text.ids) for text in texts) for texts in tokens]
    long = [i for i, texts in enumerate(tokens) if not all(map(reader.fits, texts))]
    named = LongRows(reader.template.max_length, tuple((rows[i].source, longest[i]) for i in long))
    if long and cfg.on_long == "error":
        raise UserError(f"{named}; shorten them, use a model with a longer context, or set on_long=drop to leave them out")
    return sorted(set(range(len(rows))) - set(long)), named


def _probes(cfg: EvaluateRewardConfig, reader: Reader, found: Measured, watch: Watch) -> list[dict[str, Any]]:
    """Every probe on the same sample of answers."""
    if not cfg.probes:
        return []
    places = sample(found.answers.prompt, cfg.probes)
    owners = [found.layout.owner(place) for place in places]
    entries: dict[str, list[Tokens | None]] = {}
    for name, probe in PROBES.items():
        entries[name] = []
        for place, row in zip(places, owners, strict=True):
            text = found.answers.texts[place]
            changed = probe.rewrite(text)
            tokens = reader.replaced(row, changed) if changed not in (text, "") else None
            entries[name].append(tokens if tokens is not None and reader.fits(tokens) else None)
    flat = [tokens for several in entries.values() for tokens in several if tokens is not None]
    if not flat:
        return []
    with watch("probing", len(flat)) as done:
        scores = iter(reader.score(reader.logits(flat, cfg.tokens_per_microbatch, done), cfg.output).double().tolist())
    before, prompts = found.raw[places], found.answers.prompt[places]
    return [
        probe_entry(name, before, [None if tokens is None else next(scores) for tokens in several], found.answers.sd, prompts)
        for name, several in entries.items()
    ]
