"""Grades of preference in words, and what they are worth as margins (Touvron et al. 2023, arXiv 2307.09288, table 27)."""

from __future__ import annotations

from collections.abc import Mapping

GRADES = ("significantly", "better", "slightly", "negligibly")
"""How much better the chosen answer is, from much to hardly."""

MARGINS: Mapping[str, Mapping[str, float]] = {
    "small": dict(zip(GRADES, (1.0, 2 / 3, 1 / 3, 0.0), strict=True)),
    "large": dict(zip(GRADES, (3.0, 2.0, 1.0, 0.0), strict=True)),
}
"""Both published scales."""
