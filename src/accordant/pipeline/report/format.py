"""Numbers as a reader wants to see them: few digits, a real minus sign, "n/a" for what could not be computed."""

from __future__ import annotations

import math
from collections.abc import Sequence

MISSING = "n/a"
MINUS = "\N{MINUS SIGN}"
THIN = "\N{NARROW NO-BREAK SPACE}"


def is_finite(value: float | None) -> bool:
    """False for None, NaN and infinities."""
    return value is not None and math.isfinite(value)


def number(value: float | None, *peers: float | None, signed: bool = False) -> str:
    """`value` in plain decimals, as many as the largest of `value` and its `peers` needs: `number(0.5, 12.3) == "0.5"`.

    Numbers that are read together (a mean and its interval) are each other's peers, so that their digits line up.
    """
    if value is None or not math.isfinite(value):
        return MISSING
    largest = max(abs(v) for v in (value, *peers) if v is not None and math.isfinite(v))
    if largest >= 1e15:
        return f"{value:.2e}".replace("-", MINUS)
    digits = f"{abs(value):,.{_decimals(largest)}f}".replace(",", THIN)
    if not digits.strip(f"0.{THIN}"):
        return digits  # never "-0.00"
    return (MINUS if value < 0 else "+" if signed else "") + digits


def _decimals(largest: float) -> int:
    """Two significant digits at least, three from 1 up."""
    if largest == 0 or 0.1 <= largest < 10:
        return 2
    return min(8, max(0, (1 if largest < 0.1 else 2) - math.floor(math.log10(largest))))


def count(n: int) -> str:
    """A count with its thousands apart: `count(12288)` is "12 288"."""
    return f"{n:,}".replace(",", THIN)


def sample(n: int) -> str:
    """ "n = 256", in one piece."""
    return f"n\N{NO-BREAK SPACE}=\N{NO-BREAK SPACE}{count(n)}"


def percent(share: float | None, *, signed: bool = False) -> str:
    """A share of 0..1 in per cent with one decimal: `percent(0.034)` is "3.4 %"."""
    if share is None or not math.isfinite(share):
        return MISSING
    digits = f"{abs(share) * 100:.1f}"
    sign = "" if float(digits) == 0 else MINUS if share < 0 else "+" if signed else ""
    return f"{sign}{digits}{THIN}%"


def interval(ci95: Sequence[float | None] | None, *peers: float | None, signed: bool = False) -> str:
    """The two ends of an interval, "0.61 to 1.03"; "n/a" if either is missing."""
    if ci95 is None or not all(map(is_finite, ci95)):
        return MISSING
    low, high = ci95
    return f"{number(low, high, *peers, signed=signed)} to {number(high, low, *peers, signed=signed)}"


def points(difference: float | None) -> str:
    """A difference of two shares in percentage points: `points(-0.125)` is "−12.5 points"."""
    if difference is None or not math.isfinite(difference):
        return MISSING
    return percent(difference, signed=True).removesuffix(f"{THIN}%") + " points"


def percent_interval(ci95: Sequence[float | None] | None) -> str:
    """The same for shares: "2.1 % to 5.4 %"."""
    if ci95 is None or not all(map(is_finite, ci95)):
        return MISSING
    return f"{percent(ci95[0])} to {percent(ci95[1])}"


def duration(seconds: float | None) -> str:
    """ "0.8 s", "42 s", "3 min 05 s", "2 h 07 min"."""
    if seconds is None or not math.isfinite(seconds):
        return MISSING
    if seconds < 10:
        return f"{seconds:.1f}{THIN}s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole}{THIN}s"
    if whole < 3600:
        return f"{whole // 60}{THIN}min {whole % 60:02d}{THIN}s"
    minutes = round(seconds / 60)
    return f"{minutes // 60}{THIN}h {minutes % 60:02d}{THIN}min"
