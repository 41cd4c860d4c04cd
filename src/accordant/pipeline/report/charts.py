"""The report's charts, each an inline SVG.

Points without a finite number are left out and counted in the description. Two measures in different units never share
a plot with two y axes: where the slopes cross there depends on the axes chosen. They are drawn one above the other.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from statistics import fmean

from markupsafe import Markup

from accordant.pipeline.report.axes import (
    CHARACTER,
    NARROW,
    RIGHT,
    TOP,
    WIDE,
    Frame,
    Labels,
    Scale,
    area,
    dot,
    frame,
    line,
    round_ticks,
    svg,
    text,
    tick_labels,
)
from accordant.pipeline.report.format import is_finite, number, percent, sample
from accordant.pipeline.report.inference import share_interval
from accordant.pipeline.report.schema import Histogram, MarginBin, Number, ReliabilityBin

Point = tuple[float, float]
SMOOTH_FROM = 30
"""Fewer points than this are read one by one; from here on a moving mean helps the eye."""
ROW = 34


def moving_mean(values: Sequence[float], window: int) -> list[float]:
    """Centred mean over `window` (odd) neighbours, over those there are at the ends."""
    half = window // 2
    return [fmean(values[max(0, i - half) : i + half + 1]) for i in range(len(values))]


def smoothing_window(points: int) -> int:
    """Steps that the bold line of a learning curve averages over: an odd tenth of them; 1 = no averaging."""
    return points // 20 * 2 + 1 if points >= SMOOTH_FROM else 1


def curve(points: Sequence[tuple[float, Number]], labels: Labels, style: str, zero: bool = False) -> Markup | None:
    """A measure by step; many points are drawn faint under their moving mean. None if no point is finite.

    `style` names the line's colour class; `zero` makes the y axis begin at 0 or below.
    """
    drawn = [(x, y) for x, y in points if is_finite(y)]
    if not drawn:
        return None
    window = smoothing_window(len(drawn))
    plot = _fitted(drawn, labels, NARROW, [0.0] if zero else [])
    at = [(plot.x(x), plot.y(y)) for x, y in drawn]
    marks = [line(at, f"line {style} faint")] if window > 1 else []
    if len(drawn) == 1:
        marks.append(dot(*at[0], 4, f"dot {style}", _tip(drawn[0], labels)))
    else:
        smooth = moving_mean([y for _, y in drawn], window)
        marks.append(line([(x, plot.y(y)) for (x, _), y in zip(at, smooth, strict=True)], f"line {style}"))
    return plot.draw(marks, _describe(drawn, labels, len(points) - len(drawn)))


def scatter(points: Sequence[Point], trend: Sequence[Point], labels: Labels, style: str, best: float | None) -> Markup:
    """Points with a line through `trend`, and a marked place on the x axis (`best`, or None). All numbers finite."""
    plot = _fitted([*points, *trend], labels, WIDE)
    marks = []
    if best is not None:
        x = plot.x(best)
        marks.append(line([(x, TOP - 8), (x, plot.y(plot.y.low))], "mark"))
        left = x > WIDE / 2
        marks.append(text(x - 5 if left else x + 5, TOP - 1, "the judge's best", f"tick halo {'end' if left else ''}"))
    marks += [dot(plot.x(x), plot.y(y), 2.5, f"dot {style} faint", _tip((x, y), labels)) for x, y in points]
    marks.append(line([(plot.x(x), plot.y(y)) for x, y in trend], f"line {style}"))
    return plot.draw(marks, _describe(trend, labels, 0))


def _fitted(points: Sequence[Point], labels: Labels, width: float, cover: Sequence[float] = ()) -> Frame:
    """A frame around the points, and around the y values in `cover`."""
    xs = [x for x, _ in points]
    ys = [*(y for _, y in points), *cover]
    return frame(round_ticks(min(xs), max(xs)), round_ticks(min(ys), max(ys)), labels, width, 220)


def _tip(point: Point, labels: Labels) -> str:
    return f"{labels.x} {number(point[0])}: {labels.y} {number(point[1])}"


def _describe(points: Sequence[Point], labels: Labels, left_out: int) -> str:
    (x0, y0), (x1, y1) = points[0], points[-1]
    ys = [y for _, y in points]
    words = (
        f"{labels.title}. {labels.y} from {number(y0)} at {labels.x} {number(x0)} to {number(y1)} at {labels.x} "
        f"{number(x1)}; lowest {number(min(ys))}, highest {number(max(ys))}."
    )
    note = f" {left_out} of {len(points) + left_out} points have no number and are left out."
    return words + note if left_out else words


def histogram(bins: Histogram, before: Number, after: Number) -> Markup | None:
    """The two reward distributions over the same bins, in per cent of the answers, with their means.

    None if a side has no answers.
    """
    edges, totals = bins["edges"], {key: sum(bins[key]) for key in ("before", "after")}
    if not all(totals.values()) or not all(map(math.isfinite, edges)):
        return None
    shares = {key: [100 * count / totals[key] for count in bins[key]] for key in totals}
    top = max(shares["before"] + shares["after"])
    labels = Labels("Reward distribution", "reward (reward-model units)", "answers (%)")
    plot = frame(round_ticks(edges[0], edges[-1], 6), round_ticks(0, top), labels, WIDE, 280)
    marks = []
    for key in ("before", "after"):
        outline = [(plot.x(edges[0]), plot.y(0))]
        for (low, high), share in zip(pairwise(edges), shares[key], strict=True):
            outline += [(plot.x(low), plot.y(share)), (plot.x(high), plot.y(share))]
        marks.append(area([*outline, (plot.x(edges[-1]), plot.y(0))], f"area {key}"))
    for row, (key, mean) in enumerate((("before", before), ("after", after))):
        if is_finite(mean) and plot.x.low <= mean <= plot.x.high:
            leftmost = is_finite(before) and is_finite(after) and mean == min(before, after)
            marks += _mean_mark(plot, mean, key, row, leftmost)
    words = (
        f"{labels.title} of {totals['before']} answers before and {totals['after']} after training. "
        f"Mean before {number(before, after)}, after {number(after, before)}."
    )
    return plot.draw(marks, words)


def _mean_mark(plot: Frame, mean: float, key: str, row: int, leftmost: bool) -> list[Markup]:
    """A mean's vertical line, labelled on the side away from the other mean's where there is room for it.

    The labels stand in two rows, so that they cannot overlap each other.
    """
    x, y, words = plot.x(mean), TOP - 6 + 15 * row, f"{key}: mean {number(mean)}"
    room = CHARACTER * len(words) + 5
    to_the_left = x - room > plot.x.start and (leftmost or x + room > plot.width)
    label = text(x - 5 if to_the_left else x + 5, y, words, f"tick halo {'end' if to_the_left else ''}")
    return [line([(x, y - 10), (x, plot.y(0))], f"mean {key}"), label]


def reliability(bins: Sequence[ReliabilityBin]) -> Markup | None:
    """Accuracy against confidence, with Wilson's 95 % intervals and the diagonal of perfect calibration.

    None if every bin is empty.
    """
    known = [b for b in bins if b["n"] and is_finite(b["confidence"]) and is_finite(b["accuracy"])]
    if not known:
        return None
    spans = [share_interval(b["accuracy"], b["n"]) or (b["accuracy"], b["accuracy"]) for b in known]
    low = min([0.5, *(b["low"] for b in known), *(b["confidence"] for b in known), *(span[0] for span in spans)])
    ticks = round_ticks(0.5 if low >= 0.5 else 0.0, 1.0)
    labels = Labels(
        "Reliability diagram", "confidence: the chance the model gives its choice", "accuracy: how often it is right"
    )
    plot = frame(ticks, ticks, labels, WIDE, 330)
    marks = [line([(plot.x(ticks[0]), plot.y(ticks[0])), (plot.x(1), plot.y(1))], "mark")]
    most = max(b["n"] for b in known)
    for item, span in zip(known, spans, strict=True):
        x = plot.x(item["confidence"])
        tip = f"confidence {percent(item['confidence'])}, accuracy {percent(item['accuracy'])}, {sample(item['n'])}"
        marks.append(line([(x, plot.y(span[0])), (x, plot.y(span[1]))], "whisker"))
        marks.append(dot(x, plot.y(item["accuracy"]), 3 + 5 * math.sqrt(item["n"] / most), "dot reward", tip))
    words = "; ".join(f"at {percent(b['confidence'])} it is right {percent(b['accuracy'])}, n {b['n']}" for b in known)
    return plot.draw(marks, f"{labels.title}, confidence against accuracy: {words}.")


def margins(rows: Sequence[MarginBin]) -> Markup | None:
    """Accuracy per margin with Wilson's 95 % interval, one row each, and the line of guessing.

    None if no margin has pairs.
    """
    known = [row for row in rows if row["n"] and is_finite(row["accuracy"])]
    if not known:
        return None
    spans = [share_interval(row["accuracy"], row["n"]) or (row["accuracy"], row["accuracy"]) for row in known]
    ticks = round_ticks(0.5 if min(low for low, _ in spans) >= 0.5 else 0.0, 1.0)
    left = 14 + CHARACTER * max(len("margin"), *(len(row["margin"]) for row in known))
    right = WIDE - RIGHT - CHARACTER * max(len(sample(row["n"])) for row in known)
    across, bottom = Scale(ticks[0], 1.0, min(left, WIDE / 2), right), TOP + ROW * len(known)
    marks = [text(0, 14, "margin", "title")]
    for tick, name in zip(ticks, tick_labels(ticks), strict=True):
        style = "mark" if tick == 0.5 else "gridline"
        marks.append(line([(across(tick), TOP - 8), (across(tick), bottom)], style))
        marks.append(text(across(tick), bottom + 18, name, "tick middle"))
    for i, (row, (low, high)) in enumerate(zip(known, spans, strict=True)):
        y = TOP + ROW * (i + 0.5)
        marks.append(text(0, y + 4.5, row["margin"], "tick"))
        marks.append(line([(across(low), y), (across(high), y)], "whisker"))
        tip = f"{row['margin']}: {percent(row['accuracy'])}, {sample(row['n'])}"
        marks.append(dot(across(row["accuracy"]), y, 5.5, "dot reward", tip))
        marks.append(text(WIDE, y + 4.5, sample(row["n"]), "tick end"))
    marks.append(text((across.start + right) / 2, bottom + 41, "accuracy", "title middle"))
    words = "; ".join(f"{row['margin']} {percent(row['accuracy'])}, n {row['n']}" for row in known)
    return svg(marks, WIDE, bottom + 46, f"Accuracy by margin: {words}.")
