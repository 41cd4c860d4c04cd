"""The report's charts, colours and numbers: drawn to scale, legible, and few digits."""

from __future__ import annotations

import math
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import accordant.pipeline.report as package
from accordant.pipeline.report import axes, charts
from accordant.pipeline.report import format as fmt

CSS = Path(package.__file__).parent / "templates" / "report.css"


def plain(text: str) -> str:
    """The text with ordinary spaces and minus signs."""
    return text.replace(fmt.THIN, " ").replace(fmt.MINUS, "-")


# --- charts ----------------------------------------------------------------------------------------------------------


@given(low=st.floats(-1e9, 1e9), span=st.floats(0, 1e9), most=st.integers(2, 8))
def test_ticks_are_round_and_cover(low, span, most):
    high = low + span
    ticks = axes.round_ticks(low, high, most)
    step = ticks[1] - ticks[0]
    assert ticks[0] <= low + 1e-6 * step
    assert ticks[-1] >= high - 1e-6 * step
    assert 2 <= len(ticks) <= most + 2
    mantissa = step / 10.0 ** math.floor(math.log10(step) + 1e-6)
    assert min(abs(mantissa - nice) for nice in (1, 2, 5)) < 1e-3
    for tick in ticks:
        assert abs(tick / step - round(tick / step)) < 1e-3
    labels = axes.tick_labels(ticks)
    assert len(set(labels)) == len(ticks)


def test_ticks_known_answers():
    assert axes.round_ticks(0.3, 9.2) == [0, 2, 4, 6, 8, 10]
    assert axes.round_ticks(0, 0.5) == [0, 0.1, 0.2, 0.3, 0.4, 0.5]
    assert axes.tick_labels([-0.5, 0.0, 0.5]) == [f"{fmt.MINUS}0.5", "0.0", "0.5"]
    assert axes.tick_labels([0, 1000, 2000]) == ["0", f"1{fmt.THIN}000", f"2{fmt.THIN}000"]


def coordinates(svg: str, style: str) -> list[tuple[float, float]]:
    """The points of the first polyline or polygon of that class."""
    found = re.search(rf'class="{style}" points="([^"]*)"', svg)
    assert found, style
    return [tuple(map(float, pair.split(","))) for pair in found[1].split()]


def test_curve_maps_points_linearly():
    labels = axes.Labels("Reward", "step", "reward")
    svg = charts.curve([(0, 0.0), (5, 1.0), (10, 4.0)], labels, "reward")
    (x0, y0), (x1, y1), (x2, y2) = coordinates(svg, "line reward")
    left = 14 + axes.CHARACTER  # tick labels 0..4 are one character wide
    assert (x0, x1, x2) == pytest.approx((left, (left + 304) / 2, 304), abs=0.01)
    assert (y0, y2) == (220 - axes.BOTTOM, axes.TOP)
    assert y1 == pytest.approx(y0 + (y2 - y0) / 4, abs=0.01)
    assert charts.curve([(0, math.nan)], labels, "reward") is None


def test_histogram_heights_are_shares_of_each_side():
    bins = {"edges": [0.0, 1.0, 2.0], "before": [1, 3], "after": [100, 100]}
    svg = charts.histogram(bins, 1.25, 1.0)
    before, after = coordinates(svg, "area before"), coordinates(svg, "area after")
    ground = before[0][1]
    heights = [ground - y for _, y in before[1:-1]], [ground - y for _, y in after[1:-1]]
    assert heights[0][2] == pytest.approx(3 * heights[0][0], abs=0.05)
    assert heights[1][0] == pytest.approx(2 * heights[0][0], abs=0.05)  # 50 % against 25 %
    assert heights[1][0] == pytest.approx(heights[1][2], abs=0.01)
    assert charts.histogram({"edges": [0.0, 1.0], "before": [0], "after": [4]}, None, 0.5) is None


def test_perfect_calibration_lies_on_the_diagonal():
    bins = [{"low": p - 0.05, "high": p + 0.05, "n": 50, "confidence": p, "accuracy": p} for p in (0.1, 0.4, 0.9)]
    svg = charts.reliability(bins)
    (x0, y0), (x1, y1) = coordinates(svg, "mark")
    for cx, cy in re.findall(r'cx="([\d.]+)" cy="([\d.]+)"', svg):
        along = (float(cx) - x0) / (x1 - x0)
        assert float(cy) == pytest.approx(y0 + along * (y1 - y0), abs=0.02)
    assert charts.reliability([]) is None


def test_moving_mean():
    assert charts.moving_mean([1, 2, 6, 3], 3) == pytest.approx([1.5, 3, 11 / 3, 4.5])
    assert charts.smoothing_window(29) == 1
    assert charts.smoothing_window(60) == 7


def contrast(one: str, two: str) -> float:
    """WCAG 2.2 contrast ratio of two "#rrggbb" colours."""

    def luminance(colour: str) -> float:
        channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    light, dark = sorted((luminance(one), luminance(two)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def test_text_contrast_in_light_and_dark():
    css = CSS.read_text(encoding="utf-8")
    themes = [dict(re.findall(r"--(\w+): (#\w{6})", block)) for block in re.findall(r":root \{(.*?)\}", css, re.S)]
    light, dark, printed = themes
    for theme in (light, dark, light | printed):
        for text in ("ink", "muted", "accent", "gold", "good", "bad", "mixed", "unclear", "before"):
            for ground in ("ground", "card"):
                assert contrast(theme[text], theme[ground]) >= 4.5, (text, ground)
    for needed in ("prefers-color-scheme: dark", "prefers-reduced-motion", "@media print", ":focus-visible"):
        assert needed in css


# --- numbers as text -------------------------------------------------------------------------------------------------


def test_number_formats():
    assert [plain(fmt.number(v)) for v in (0.0, -0.001, 0.5, 3.14159, 42.123, -123.4, 12345.6)] == [
        "0.00", "-0.0010", "0.50", "3.14", "42.1", "-123", "12 346",
    ]  # fmt: skip
    assert fmt.number(-0.001, 5.0) == "0.00"
    assert fmt.number(0.5, signed=True) == "+0.50"
    assert [fmt.number(v) for v in (None, math.nan, -math.inf)] == ["n/a"] * 3
    assert fmt.percent(0.034) == f"3.4{fmt.THIN}%"
    assert plain(fmt.points(-0.125)) == "-12.5 points"
    assert fmt.interval([0.5, None]) == "n/a"
    assert [plain(fmt.duration(v)) for v in (0.84, 42, 185, 7620, None)] == [
        "0.8 s", "42 s", "3 min 05 s", "2 h 07 min", "n/a",
    ]  # fmt: skip
