"""Grades of preference -> margins, as Llama 2 did: how much better the chosen answer is, in four words.

Both published scales (Touvron et al. 2023, arXiv 2307.09288, table 27):

    =====================  ======  ======  ========  ===================
    scale                  sign.   better  slightly  negligibly / unsure
    =====================  ======  ======  ========  ===================
    small                  1       2/3     1/3       0
    large                  3       2       1         0
    =====================  ======  ======  ========  ===================
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from difflib import get_close_matches
from typing import Literal

from accordant.data.files import first_few, shown
from accordant.stats.grades import MARGINS
from accordant.types import Pair, Row, UserError

# The paper's last grade has two names.
SCALES: Mapping[str, Mapping[str, float]] = {
    name: {**margins, "unsure": margins["negligibly"]} for name, margins in MARGINS.items()
}


def graded(rows: Sequence[Row], grades: Sequence[object], scale: Literal["small", "large"]) -> Iterator[Pair]:
    """The pairs with the margin of their grade.

    A grade is spelt as in the paper ("significantly better", "negligibly better / unsure") or by its first word.

    Args:
        rows: pairs.
        grades: that of each row; None where it has none.
        scale: one of `SCALES`.

    Raises:
        UserError: rows are no pairs, or have no grade or an unknown one: up to 20 are named, and all are counted.
    """
    margins: list[float] = []
    bad: list[str] = []
    for row, grade in zip(rows, grades, strict=True):
        if not isinstance(row, Pair):
            raise UserError(f"{row.source}: only pairs have a grade, and this is a {type(row).__name__} row; leave grades out")
        margin = _margin(grade, SCALES[scale])
        margins.append(margin or 0.0)
        if margin is None:
            bad.append(f"{row.source}: {_hint(grade)}")
    if bad:
        raise UserError("\n  ".join([f"{len(bad)} of {len(rows)} rows have no known grade", *first_few(bad)]))
    for row, margin in zip(rows, margins, strict=True):
        assert isinstance(row, Pair)
        yield replace(row, margin=margin)


def _margin(grade: object, scale: Mapping[str, float]) -> float | None:
    if not isinstance(grade, str):
        return None
    words = " ".join(grade.casefold().replace("/", " ").replace("_", " ").replace("-", " ").split())
    if words in scale:
        return scale[words]
    spelt = {f"{name} better": margin for name, margin in scale.items()} | {"negligibly better unsure": 0.0}
    return spelt.get(words)


def _hint(grade: object) -> str:
    known = list(SCALES["small"])
    if grade is None:
        return f"`grade` is missing; give one of {', '.join(known)}"
    near = get_close_matches(str(grade).casefold().partition(" ")[0], known, n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"it must be one of {', '.join(known)}"
    return f"`grade` is {shown(grade)}; {hint}"
