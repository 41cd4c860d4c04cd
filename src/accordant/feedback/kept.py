"""What the store can keep: one check for whatever comes into it that no page has sent.

Two characters are no text to a database or to a page, though JSON can spell them: U+0000, and half of a surrogate pair. Beside
text the store keeps JSON, which has no word for dates, exact decimals, bytes, NaN and infinity.

Left out: what a page sends, which is checked where it comes in; lengths, which the tables state.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping

DEEPEST = 100  # levels of nesting
_NO_TEXT = re.compile("[\0\ud800-\udfff]")


def unkept(value: object) -> str:
    """Why a value made of JSON's types cannot be kept, with the fix, to follow its name; "" where it can."""
    for depth, level in enumerate(_levels(value)):
        if depth > DEEPEST:
            return f"is nested more than {DEEPEST} levels deep; make it flatter"
        if why := next(filter(None, map(_fault, level)), ""):
            return why
    return ""


def odd_text(value: object) -> str:
    """As `unkept`, of the characters alone, in whatever text the value holds."""
    texts = (one for level in _levels(value) for one in level if isinstance(one, str))
    return next(filter(None, map(_fault, texts)), "")


def spelt(text: str) -> str:
    r"""The text with what cannot be kept spelt out as JSON does, so that it can be: half a surrogate pair becomes "\ud800"."""
    return _NO_TEXT.sub(lambda found: json.dumps(found[0])[1:-1], text)


def _fault(one: object) -> str:
    """What is wrong with a single value, whatever is in it."""
    if isinstance(one, str):
        found = None if one.isascii() and "\0" not in one else _NO_TEXT.search(one)  # what nearly all text is is known fast
        if found and found[0] == "\0":
            return "has the character U+0000, which no database keeps as text; take it out"
        return "has half a surrogate pair; delete that character" if found else ""
    if isinstance(one, float) and not math.isfinite(one):
        return "holds what is no finite number; leave it out"
    if one is None or isinstance(one, bool | int | float | list | tuple | Mapping):
        return ""
    return f"holds a {type(one).__name__}, which JSON has no word for; write it as text, or leave it out"


def _levels(value: object) -> Iterator[list[object]]:
    """The value, then what it holds, names too, then what that holds: a row may be nested more deeply than Python's stack."""
    level = [value]
    while level:
        yield level
        level = [held for one in level if not isinstance(one, str) for held in _held(one)]


def _held(value: object) -> Iterable[object]:
    if isinstance(value, Mapping):
        return (*value.keys(), *value.values())
    return value if isinstance(value, list | tuple) else ()
