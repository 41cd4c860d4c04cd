"""The reward model's part of a report as tables of text, which the page and the terminal both show."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from accordant.pipeline.report.format import (
    MINUS,
    MISSING,
    count,
    interval,
    is_finite,
    number,
    percent,
    percent_interval,
    points,
)
from accordant.pipeline.report.schema import RewardModel, Value

TWO = 0.1
"""A peer that gives correlations and changes two decimals, however near to 0 they are."""
NOUNS = {"Pair": "pairs", "Ranking": "pairs of answers", "Rating": "ratings", "Labelled": "texts", "Thumb": "answers"}


@dataclass(frozen=True, slots=True)
class Table:
    """A table of text; the first column names the row, the others hold numbers. `note` says how to read it."""

    key: str
    title: str
    note: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def noun(model: RewardModel) -> str:
    """What the accuracy was counted on."""
    return NOUNS[model.get("kind", "Pair")]


def guess(model: RewardModel) -> str:
    """What a rule without a model reaches, in words."""
    baselines = model.get("baselines", [])
    if model.get("classes") and baselines:
        return f"{baselines[0]['name']} is right {percent(baselines[0]['accuracy'])} of the time"
    return f"50{percent(0.5)[-2:]} is guessing"


def tables(model: RewardModel) -> list[Table]:
    """Those that the model's rows allow, in the order of the page."""
    made = (
        _attributes(model), _classes(model), _ranking(model), _baselines(model), _slices(model, "source", "by_source"),
        _slices(model, "turns", "by_turns"), _labelers(model), _probes(model), _features(model),
    )  # fmt: skip
    return [table for table in made if table is not None and table.rows]


def ties(model: RewardModel) -> str:
    """A sentence on ties; "" without any."""
    found = model.get("ties")
    if not found or not found["n"]:
        return ""
    gaps = (
        f"{number(found['gap'], found['gap_others'])} sd apart, those of the others {number(found['gap_others'], found['gap'])}"
    )
    return f"{count(found['n'])} pairs are ties, which accuracy leaves out; their scores are {gaps}."


def _slices(model: RewardModel, name: str, key: str) -> Table | None:
    parts: Sequence[Any] = model.get(key, [])  # type: ignore[assignment]
    if len(parts) < 2:
        return None
    title, head, note = {
        "source": ("Accuracy by source", "source", "A source that is far below the others needs labels of its own."),
        "turns": (
            "Accuracy by length of the conversation",
            "turns of the user",
            "Models trained on single questions weaken in long talks.",
        ),
    }[name]
    rows = tuple((part[name], count(part["n"]), percent(part["accuracy"]), percent_interval(part["ci95"])) for part in parts)
    return Table(key, title, note, (head, "n", "accuracy", "95 % interval"), rows)


def _baselines(model: RewardModel) -> Table | None:
    rows = tuple(
        (one["name"], percent(one["accuracy"]), points(one["gain"]), _points_interval(one["gain_ci95"]))
        for one in model.get("baselines", [])
    )
    note = "A model that does not clearly beat a rule without any understanding has learnt little else."
    return Table("baselines", "Beside rules that read nothing", note, ("rule", "right", "gain", "95 % interval"), rows)


def _points_interval(ci95: Sequence[float | None]) -> str:
    low, high = ci95
    if not (is_finite(low) and is_finite(high)):
        return MISSING
    return f"{points(low).removesuffix(' points')} to {points(high)}"


def _ranking(model: RewardModel) -> Table | None:
    found = model.get("ranking")
    if not found:
        return None
    best, tau = found["best_of_k"], found["tau_b"]
    low, high = found["answers"]
    k = str(low) if low == high else f"{low} to {high}"
    rows = (
        ("Kendall's tau-b", number(tau["value"], signed=True), _interval(tau), "0 by chance"),
        (
            "its best answer is one of the best",
            percent(best["accuracy"]),
            percent_interval(best["ci95"]),
            f"{percent(best['chance'])} by chance",
        ),
    )
    note = (
        f"{count(found['rankings'])} rankings of {k} answers. Tau-b is {MINUS}1 to 1; the second row is what best-of-K "
        "sampling would get."
    )
    return Table("ranking", "Whole rankings", note, ("measure", "value", "95 % interval", "compare"), rows)


def _labelers(model: RewardModel) -> Table | None:
    rows = tuple(
        (
            one["labeler"], count(one["rows"]), count(one["n"]), percent(one["accuracy"]), percent_interval(one["ci95"]),
            number(one["tau_b"]["value"], signed=True) if "tau_b" in one else MISSING,
        )
        for one in model.get("labelers", [])
    )  # fmt: skip
    note = "Far more with some than with others: the model has taken their side. Below 50 %: their scale may be upside down."
    columns = ("labeler", "rows", "decisions", "alike", "95 % interval", "tau-b")
    return Table("labelers", "Agreement with each labeler", note, columns, rows)


def _attributes(model: RewardModel) -> Table | None:
    rows = []
    for one in model.get("attributes", []):
        errors = [one["rmse"], one["mae"]]
        cells = [text for error in errors for text in _error(error)]
        pairs = one["pairs"]
        rows.append((
            one["attribute"], count(one["n"]), number(one["spearman"]["value"], signed=True), _interval(one["spearman"]),
            number(one["pearson"]["value"], signed=True), *cells, percent(pairs["accuracy"]) if pairs else MISSING,
        ))  # fmt: skip
    note = (
        "RMSE and MAE are on the rating's own scale; “beside the mean” is what remains after the error of always saying the "
        "training's mean rating is taken off: below zero is better. They need a model that was trained on ratings."
    )
    columns = (
        "attribute", "n", "Spearman", "95 % interval", "Pearson", "RMSE", "beside the mean", "MAE", "beside the mean",
        "pairs right",
    )  # fmt: skip
    return Table("attributes", "Ratings by attribute", note, columns, tuple(rows))


def _error(error: Any) -> tuple[str, str]:
    if error is None:
        return MISSING, MISSING
    span = interval(error["ci95"], error["difference"], signed=True)
    return number(error["value"], error["baseline"]), f"{number(error['difference'], *error['ci95'], signed=True)} ({span})"


def _classes(model: RewardModel) -> Table | None:
    found = model.get("classes")
    if not found:
        return None
    f1, rank = found["macro_f1"], found["auroc"]
    rows = [
        (
            "macro-F1",
            number(f1["value"]),
            _interval(f1, signed=False),
            f"{number(found['macro_f1_baseline'])} baseline",
        )
    ]
    if rank is not None:
        rows.append(("AUROC", number(rank["value"]), _interval(rank, signed=False), "0.50 by chance"))
    counts = ", ".join(f"{count(n)} of class {name}" for name, n in found["counts"].items())
    note = (
        f"{counts}. Both are 0 to 1. Macro-F1 weighs a rare class like a common one; AUROC asks whether the score separates, "
        "whatever the threshold."
    )
    return Table("classes", "Classes", note, ("measure", "value", "95 % interval", "compare"), tuple(rows))


def _features(model: RewardModel) -> Table | None:
    rows = tuple(
        (one["feature"], number(one["rho"], TWO, signed=True), interval(one["ci95"], TWO, signed=True), percent(one["share"]))
        for one in model.get("features", [])
    )
    note = (
        f"Spearman's correlation over all answers, {MINUS}1 to 1. Near 0 is good; n/a: no answer has any of it, or all have "
        "as much."
    )
    return Table(
        "features", "What the score goes along with", note, ("surface", "correlation", "95 % interval", "present in"), rows
    )


def _probes(model: RewardModel) -> Table | None:
    rows = tuple(
        (one["words"], number(one["change"], TWO, signed=True), interval(one["ci95"], TWO, signed=True),
         percent(one["rises"]), count(one["n"]))
        for one in model.get("probes", [])
    )  # fmt: skip
    note = (
        "The mean change on the same answers, in standard deviations (sd) of the score. No such change makes an answer better."
    )
    return Table(
        "probes", "What moves the score", note, ("change to the answer", "score, sd", "95 % interval", "rises in", "n"), rows
    )


def _interval(found: Value, signed: bool = True) -> str:
    return interval(found["ci95"], found["value"], TWO, signed=signed)
