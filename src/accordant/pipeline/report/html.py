"""The page: puts a checked report, its summary and its charts into the template.

Model text is data: the template escapes everything that is not a chart of ours. What a run did not produce is said to
be missing where a reader would look for it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from accordant.pipeline.report import charts, format, inference
from accordant.pipeline.report import reward_model as reward
from accordant.pipeline.report.axes import Labels
from accordant.pipeline.report.schema import CurvePoint, Policy, RewardModel, check, check_reward_model
from accordant.pipeline.report.summary import summarise

TABLE_ROWS = 40
"""A learning curve's table shows at most this many steps, evenly spaced, the last one always."""

CURVES: tuple[tuple[str, str, str, str, float], ...] = (
    # key, title, unit on the axis, colour class, factor
    ("reward", "Reward", "reward (reward-model units)", "reward", 1),
    ("gold", "Exact judge", "utility (judge's units)", "gold", 1),
    ("kl", "KL from the frozen model", "KL (nats per answer)", "plain", 1),
    ("entropy", "Entropy", "entropy (nats per token)", "plain", 1),
    ("length", "Answer length", "tokens", "plain", 1),
    ("toxicity", "Toxicity", "toxicity (%)", "bad", 100),
)
FROM_ZERO = {"kl", "toxicity"}


@dataclass(frozen=True, slots=True)
class Chart:
    """A drawing and its heading; `key` finds its explanation in the template."""

    key: str
    title: str
    svg: Markup


def render(report: Any) -> str:
    """The whole page as one HTML document that needs nothing else, neither a network nor a script.

    `report` is the JSON value of a `report.json` (`schema.Report`, every key in `docs/metrics.md`). Raises `UserError`
    that names the keys that do not fit.
    """
    checked = check(report)
    policy, model, curve = checked["policy"], checked["reward_model"], checked["curve"]
    return _environment().get_template("report.html").render(
        report=checked,
        created=_created(checked["created"]),
        summary=summarise(checked),
        rows=_before_after(policy) if policy else [],
        histogram=policy and _histogram(policy),
        curves=_curves(curve),
        curve_window=charts.smoothing_window(len(curve)),
        steps=_thinned(curve),
        divergence=_divergence(curve),
        over_optimised=policy and inference.over_optimised(policy, curve),
        **_reward_model(model),
        longest_stage=max((s["seconds"] for s in checked["stages"] if format.is_finite(s["seconds"])), default=0.0),
    )  # fmt: skip


def render_reward_model(model: Any, name: str) -> str:
    """A page of its own for one reward model, as self-contained as a run's.

    `model` is the JSON value of a `reward_model.json`, `name` the title. Raises `UserError` that names the keys that do not
    fit.
    """
    checked = check_reward_model(model)
    return _environment().get_template("reward_model_page.html").render(name=name, **_reward_model(checked))


def _reward_model(model: RewardModel | None) -> dict[str, Any]:
    """What the template of a reward model reads."""
    if model is None:
        return {"model": None}
    return {
        "model": model,
        "noun": reward.noun(model),
        "guess": reward.guess(model),
        "reward_model_tables": reward.tables(model),
        "reward_model_charts": _reward_model_charts(model),
        "suspicions": model.get("suspicions"),
        "ties": reward.ties(model),
        "left_out": model.get("left_out", {"n": 0, "rows": ""}),
    }


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("accordant.pipeline.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    names = ("number", "count", "sample", "percent", "interval", "percent_interval", "duration", "is_finite")
    environment.globals.update({name: getattr(format, name) for name in names})
    environment.globals.update(direction=inference.direction)
    return environment


def _created(moment: str) -> str:
    """An ISO moment as "2026-03-01 14:05 UTC"; anything else as it stands."""
    try:
        parsed = datetime.fromisoformat(moment)
    except ValueError:
        return moment
    return f"{parsed:%Y-%m-%d %H:%M} {parsed.tzname() or ''}".rstrip()


@dataclass(frozen=True, slots=True)
class Row:
    """A line of the before-and-after table, as text; `change` is None where the report has no interval to judge by.

    `better` is the direction that is good, "" where neither is.
    """

    measure: str
    unit: str
    before: str
    before_ci: str
    after: str
    after_ci: str
    change: str | None
    change_ci: str
    direction: inference.Direction
    better: str

    @property
    def tone(self) -> str:
        """The style class of a clear change: "good" or "bad", else ""."""
        if self.direction not in ("up", "down"):
            return ""
        return "good" if self.direction == self.better else "bad"

    @property
    def verdict(self) -> str:
        """The change in words, for those who do not see the colour."""
        return {"good": "better", "bad": "worse"}.get(self.tone, "no clear change" if self.direction == "unclear" else "")


def _before_after(policy: Policy) -> list[Row]:
    rows = []
    for measure, unit, key, gain in (
        ("Exact judge", "mean utility, judge's units", "gold", policy["gold_gain"]),
        ("Reward", "mean score, reward-model units", "reward", policy["reward_gain"]),
    ):
        if gain is not None:
            rows.append(_mean_row(policy, measure, unit, key, gain))
    rows.append(_share_row(policy, "Toxicity", "mean probability of being toxic", "toxicity_mean", "down"))
    rows.append(_share_row(policy, "Finished answers", "share that end by themselves", "finished_share", "up"))
    lengths = policy["before"]["length_mean"], policy["after"]["length_mean"]
    texts = format.number(*lengths), "", format.number(*reversed(lengths)), ""
    rows.append(Row("Answer length", "mean, tokens", *texts, None, "", "unknown", ""))
    return rows


def _mean_row(policy: Policy, measure: str, unit: str, key: str, gain: Any) -> Row:
    texts = []
    for answers in (policy["before"], policy["after"]):
        mean, ci95 = answers[f"{key}_mean"], answers[f"{key}_ci95"]
        texts += [format.number(mean, *(ci95 or ())), format.interval(ci95, mean)]
    change = format.number(gain["mean"], *gain["ci95"], signed=True)
    change_ci = format.interval(gain["ci95"], gain["mean"], signed=True)
    return Row(measure, unit, *texts, change, change_ci, inference.direction(gain["ci95"]), "up")


def _share_row(policy: Policy, measure: str, unit: str, key: str, better: str) -> Row:
    """Shares carry no interval in the report, so Wilson's is shown."""
    before, after = policy["before"], policy["after"]
    texts = []
    for answers in (before, after):
        texts += [
            format.percent(answers[key]),
            format.percent_interval(inference.share_interval(answers[key], answers["n"])),
        ]
    span = inference.share_difference(before[key], before["n"], after[key], after["n"])
    if span is None:
        return Row(measure, unit, *texts, format.MISSING, format.MISSING, "unknown", better)
    change = format.points(after[key] - before[key])
    change_ci = f"{format.points(span[0]).removesuffix(' points')} to {format.points(span[1])}"
    return Row(measure, unit, *texts, change, change_ci, inference.direction(span), better)


def _histogram(policy: Policy) -> Markup | None:
    return charts.histogram(policy["histogram"], policy["before"]["reward_mean"], policy["after"]["reward_mean"])


def _curves(curve: list[CurvePoint]) -> list[Chart]:
    found = []
    for key, title, unit, style, factor in CURVES:
        points = [(point["step"], point[key] * factor if format.is_finite(point[key]) else None) for point in curve]
        svg = charts.curve(points, Labels(title, "step", unit), style, key in FROM_ZERO)
        if svg is not None:
            found.append(Chart(key, title, svg))
    return found


def _thinned(curve: list[CurvePoint]) -> list[CurvePoint]:
    if len(curve) <= TABLE_ROWS:
        return curve
    return [curve[round(i * (len(curve) - 1) / (TABLE_ROWS - 1))] for i in range(TABLE_ROWS)]


def _divergence(curve: list[CurvePoint]) -> list[Chart]:
    """Reward and judge over KL, one above the other; empty where no step was judged."""
    points = inference.judged_steps(curve)
    if not points:
        return []
    gold = inference.means_over_kl(points, "gold")
    best = max(gold, key=lambda point: point[1])[0]
    if best == gold[-1][0]:
        best = None
    found = []
    for key, title, unit, style, _ in CURVES[:2]:
        raw = [(point["kl"], point[key]) for point in points]
        labels = Labels(f"{title} over KL", "KL (nats per answer)", unit)
        trend = inference.means_over_kl(points, key)
        found.append(Chart(key, title, charts.scatter(raw, trend, labels, style, best)))
    return found


def _reward_model_charts(model: RewardModel) -> list[Chart]:
    drawn = (
        ("reliability", "Calibration", charts.reliability(model["reliability"])),
        ("margins", "Accuracy by margin", charts.margins(model["by_margin"])),
    )
    return [Chart(key, title, svg) for key, title, svg in drawn if svg is not None]
