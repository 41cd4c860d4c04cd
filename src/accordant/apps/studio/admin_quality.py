"""How good the answers of a project are: agreement, labelers, groups of labelers, and what the order did to it.

Each number comes with its interval and a sentence that says what it means, or why there is none.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from fastapi import APIRouter, Request, Response

from accordant.apps.studio.admin_fields import one_of, text
from accordant.apps.studio.body import Id
from accordant.apps.studio.pages import go, page
from accordant.apps.studio.session import Admin
from accordant.feedback import answers, overview, priority, quality
from accordant.feedback.quality import STATISTICS, Agreement, LabelerQuality
from accordant.feedback.tally import Tally, tally
from accordant.stats.intervals import Estimate, Undefined, Value

router = APIRouter()
FLAGS = {
    "attention": "misses attention checks",
    "too_fast": "too fast", "same_position": "same position", "ties": "nearly always a tie", "rejects": "nearly always F",
    "cannot_judge": "often cannot judge",
}  # fmt: skip
RULES = {"random": "at random", "priority": "by priority", "least_answered": "fewest answers first"}
"""Gold and attention checks are left out: how far people agree on them is not a matter of the order."""
SCALES = {"raw": 0.0, "w": 0.0}
"""Where the axis of a statistic begins; the others begin at -1. All end at 1."""


@dataclass(frozen=True)
class Measured:
    """A statistic as a row of the page. `value` is None where it is undefined; then `words` say why."""

    name: str
    value: float | None
    low: float | None
    high: float | None
    least: float
    shown: str
    interval: str
    words: str


@router.get("/admin/projects/{project_id}/quality")
def quality_page(request: Request, _: Admin, project_id: Id) -> Response:
    store, query = request.app.state.store, request.query_params
    project = overview.one_project(store, project_id)
    ai = text(query, "ai") == "yes"
    everything = tally(answers.said(store, project_id, gold=True, surplus=True, ai=True))
    wanted = everything if ai else everything.only(everything.is_human)
    said = wanted.only(wanted.counts)
    strata = sorted({name for one in said.answers for name in one.strata})
    stratum = one_of(query, "stratum", strata) or next(iter(strata), "")
    return page(
        request, "admin_quality.html", project=project, tab="quality", ai=ai, answered=len(said.answers),
        agreement=[_agreement(one) for one in quality.agreement(said)],
        labelers=[_labeler(one) for one in quality.labelers(store, project_id, wanted, ai=ai)],
        strata=strata, stratum=stratum, groups=_groups(said, stratum) if stratum else [],
        chosen=[
            {"rule": RULES[one.rule], "tasks": one.tasks, "answers": one.answers, "share": measured("raw", one.agreement)}
            for one in priority.chosen(store, project_id, everything) if one.rule in RULES
        ],
    )  # fmt: skip


@router.post("/admin/projects/{project_id}/priorities")
def priorities(request: Request, person: Admin, project_id: Id) -> Response:
    """Set priorities by how far the answers so far are apart."""
    store = request.app.state.store
    overview.one_project(store, project_id)
    count = priority.by_disagreement(store, project_id, person.id)
    note = f"{count:,} items have a new priority: the further their answers are apart, the higher."
    return go(
        request, f"/admin/projects/{project_id}/quality", note if count else "No item has two answers yet: nothing was set."
    )


def measured(name: str, found: Estimate) -> Measured:
    """An estimate as a row."""
    least = SCALES.get(name, -1.0)
    if found.value is None:
        return Measured(STATISTICS[name], None, None, None, least, "undefined", "", f"Undefined: {found.note}.")
    form = _percent if name == "raw" else _two
    shown = form(found.value)
    interval = _interval(found, form)
    meaning = _MEANING[name](found.value)
    if name in _FROM_CHANCE and found.low is not None and found.high is not None and found.low <= 0 <= found.high:
        meaning = "Cannot be told from chance: its interval holds 0."
    why = "" if interval else f" No interval: {found.note}."
    return Measured(STATISTICS[name], found.value, found.low, found.high, least, shown, interval, f"{meaning}{why}")


def _raw(value: float) -> str:
    return f"Two labelers say the same {100 * value:.0f} times in 100, some of them by chance."


def _beyond_chance(value: float) -> str:
    if value >= 0.8:
        return "Reliable: at least 0.8, as Krippendorff asks."
    if value >= 0.667:
        return "Enough for tentative conclusions: Krippendorff asks 0.667 for these, 0.8 for firm ones."
    if value > 0:
        return "Better than chance, but below 0.667, the least that Krippendorff asks."
    return "No better than chance."


def _together(value: float) -> str:
    return f"{_strength(value)} accord; 1 if all rank alike, 0 if the rankings have nothing in common."


def _correlation(value: float) -> str:
    return f"{_strength(value)} accord; 1 if two labelers rank alike, 0 if unrelated, -1 if in reverse."


def _strength(value: float) -> str:
    words = ((0.7, "Close"), (0.4, "Fair"), (0.1, "Weak"), (-0.1, "No"))
    return next((word for least, word in words if value >= least), "Reversed")


_MEANING = {
    "raw": _raw,
    "fleiss": _beyond_chance,
    "alpha_nominal": _beyond_chance,
    "alpha_ordinal": _beyond_chance,
    "alpha_interval": _beyond_chance,
    "w": _together,
    "tau_b": _correlation,
}
_FROM_CHANCE = ("fleiss", "alpha_nominal", "alpha_ordinal", "alpha_interval", "tau_b")  # 0 is what chance gives


def _agreement(one: Agreement) -> dict[str, Any]:
    return {
        "task": one.task, "attribute": one.attribute, "items": one.items, "labelers": one.labelers, "answers": one.answers,
        "rows": [measured(name, found) for name, found in one.estimates.items()],
    }  # fmt: skip


def _labeler(one: LabelerQuality) -> dict[str, Any]:
    if isinstance(one.side, Undefined):
        side = {"weight": "undefined", "bias": "", "why": one.side.reason}
    else:
        side = {"weight": _two(one.side.weight), "bias": f"{one.side.bias:+.2f}", "why": ""}
    return {
        "name": one.name, "kind": one.kind, "answers": one.answers, "skips": one.skips,
        "seconds": "none" if one.seconds is None else f"{one.seconds:,.0f} s" if one.seconds >= 10 else f"{one.seconds:.1f} s",
        "gold": f"{one.gold_right} of {one.gold.n}" if one.gold.n else "none",
        "accuracy": f"{_percent(one.gold.mean)} ({_percent(one.gold.low)} to {_percent(one.gold.high)})" if one.gold.n else "",
        "attention": f"{one.attention.right} of {one.attention.n}" if one.attention.n else "none", **side,
        "discrimination": "" if one.discrimination.value is None else _two(one.discrimination.value),
        "interval": _interval(one.discrimination, _two),
        "undefined": one.discrimination.note if one.discrimination.value is None else "",
        "agrees": None if isinstance(one.agrees, Undefined) else one.agrees, "agrees_words": _or_why(one.agrees),
        "flags": [(FLAGS[name], flag.words) for name, flag in one.flags.items() if flag.raised],
    }  # fmt: skip


def _groups(said: Tally, stratum: str) -> list[dict[str, Any]]:
    return [
        {"task": one.task, "first": one.first, "second": one.second, "share": measured("raw", one.share)}
        for one in quality.by_stratum(said, stratum)
    ]


def _interval(found: Estimate, form: Callable[[float], str]) -> str:
    return "" if found.low is None or found.high is None else f"{form(found.low)} to {form(found.high)}"


def _or_why(value: Value) -> str:
    return value.reason if isinstance(value, Undefined) else _percent(value)


def _percent(value: float) -> str:
    return f"{100 * value:.0f} %"


def _two(value: float) -> str:
    return f"{round(value, 2) + 0.0:.2f}"  # never -0.00
