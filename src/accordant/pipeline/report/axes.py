"""Scales, round ticks and the frame that every chart of the report is drawn in.

All lengths are SVG user units. The page scales a drawing, so that one serves a phone and a desktop; those that stand
side by side are drawn `NARROW`, so that their text comes out as large as in the `WIDE` ones. Colours and line styles
belong to the style sheet: marks only name their class.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from accordant.pipeline.report.format import MINUS, THIN

WIDE = 440
NARROW = 320
RIGHT = 16
TOP = 34
BOTTOM = 46
CHARACTER = 8.2
"""Width allowed for one character of a tick label."""

NOTHING = 1e-12


@dataclass(frozen=True, slots=True)
class Scale:
    """The linear map of data [low, high] onto user units [start, end]: `Scale(0, 10, 50, 150)(5) == 100`."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        return self.start + (value - self.low) / (self.high - self.low) * (self.end - self.start)


def round_ticks(low: float, high: float, most: int = 5) -> list[float]:
    """Round numbers that cover [low, high] as tightly as they can: `round_ticks(0.3, 9.2) == [0, 2, 4, 6, 8, 10]`.

    They are neighbouring multiples of 1, 2 or 5 times a power of ten, at most `most + 2` of them. A range without
    extent is widened around its value; nothing in a report that is smaller than `NOTHING` differs from 0.
    """
    if high - low <= max(1e-9 * max(abs(low), abs(high)), NOTHING):
        padding = abs(low) / 10 if abs(low) > NOTHING else 0.5
        low, high = low - padding, high + padding
    step = _round_up((high - low) / most)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    # Dividing by 10**k for small steps gives the float nearest to the decimal: 3 * 0.1 is not 0.3, but 3 / 10 is.
    return [i / round(1 / step) if step < 1 else i * step for i in range(first, last + 1)]


def _round_up(value: float) -> float:
    """The smallest 1, 2 or 5 times a power of ten that is at least `value`."""
    power = 10.0 ** math.floor(math.log10(value))
    return next(power * factor for factor in (1, 2, 5, 10) if power * factor >= value * (1 - 1e-9))


def tick_labels(ticks: Sequence[float]) -> list[str]:
    """The ticks as text, each with as many decimals as the distance between two of them needs."""
    decimals = max(0, -math.floor(math.log10(ticks[1] - ticks[0]) + 1e-9))
    return [
        (MINUS if tick < 0 else "") + f"{abs(tick):,.{decimals}f}".replace(",", THIN)
        for tick in ticks
    ]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Labels:
    """The words of a chart: what it shows, and its axes with their units."""

    title: str
    x: str
    y: str


@dataclass(frozen=True, slots=True)
class Frame:
    """A drawing with its two scales, and the marks collected so far."""

    x: Scale
    y: Scale
    width: float
    height: float
    marks: tuple[Markup, ...]

    def draw(self, marks: Iterable[Markup], description: str) -> Markup:
        """The finished `<svg>`; `description` is what a screen reader says instead of it."""
        return svg([*self.marks, *marks], self.width, self.height, description)


def svg(marks: Iterable[Markup], width: float, height: float, description: str) -> Markup:
    """An `<svg>` of `width` x `height` units that scales with the page."""
    return Markup('<svg class="chart" viewBox="0 0 {} {}" role="img" aria-label="{}">{}</svg>').format(
        _units(width), _units(height), description, Markup("").join(marks)
    )


def frame(x: Sequence[float], y: Sequence[float], labels: Labels, width: float, height: float) -> Frame:
    """Axes whose ticks are `x` and `y`, which also are the ends of its scales (two ticks at least on each)."""
    y_names = tick_labels(y)
    left = 14 + CHARACTER * max(map(len, y_names))
    across = Scale(x[0], x[-1], left, width - RIGHT)
    up = Scale(y[0], y[-1], height - BOTTOM, TOP)
    marks = [text(0, 14, labels.y, "title")]
    for tick, name in zip(y, y_names, strict=True):
        marks.append(line([(left, up(tick)), (width - RIGHT, up(tick))], "gridline"))
        marks.append(text(left - 8, up(tick) + 4.5, name, "tick end"))
    for tick, name in zip(x, tick_labels(x), strict=True):
        marks.append(line([(across(tick), height - BOTTOM), (across(tick), height - BOTTOM + 5)], "axis"))
        marks.append(text(across(tick), height - BOTTOM + 20, name, "tick middle"))
    marks.append(line([(left, height - BOTTOM), (width - RIGHT, height - BOTTOM)], "axis"))
    marks.append(text((left + width - RIGHT) / 2, height - 5, labels.x, "title middle"))
    return Frame(across, up, width, height, tuple(marks))


def line(points: Iterable[tuple[float, float]], style: str) -> Markup:
    """A polyline through points in user units."""
    path = " ".join(f"{_units(x)},{_units(y)}" for x, y in points)
    return Markup('<polyline class="{}" points="{}"/>').format(style, path)


def area(points: Iterable[tuple[float, float]], style: str) -> Markup:
    """A closed polygon through points in user units."""
    path = " ".join(f"{_units(x)},{_units(y)}" for x, y in points)
    return Markup('<polygon class="{}" points="{}"/>').format(style, path)


def dot(x: float, y: float, radius: float, style: str, tip: str) -> Markup:
    """A circle; `tip` shows when the mouse rests on it."""
    return Markup('<circle class="{}" cx="{}" cy="{}" r="{}"><title>{}</title></circle>').format(
        style, _units(x), _units(y), _units(radius), tip
    )


def text(x: float, y: float, content: str, style: str) -> Markup:
    """One line of text; `style` may contain "middle" or "end", else `x` is where it starts."""
    return Markup('<text class="{}" x="{}" y="{}">{}</text>').format(style, _units(x), _units(y), content)


def _units(value: float) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".")
