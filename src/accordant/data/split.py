"""Splits that no prompt straddles, and the checks that splits are apart.

Prompts are compared after Unicode normalisation, without regard to case and spacing. Each gets a place in line by the
hash of the seed and itself, and the splits are cut from that line: sizes are exact, the order of the rows does not
matter, and rows added later move few of the old ones.

Left out: near-duplicates (the same prompt in other words).
"""

from __future__ import annotations

import hashlib
import json
import unicodedata
from collections import defaultdict
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import fields
from typing import TypeVar

from accordant.types import Document, Labelled, Prompt, Row, Source, UserError

RowT = TypeVar("RowT", bound=Row)

REST = "train"


def split(
    rows: Sequence[RowT], sizes: Mapping[str, int | float], seed: int, together: Sequence[Hashable] = ()
) -> dict[str, list[RowT]]:
    """Cut the rows by prompt into the named splits, and "train" with the rest; each keeps the rows' order.

    Args:
        rows: of any kinds; a text without a prompt (`Document`, `Labelled`) counts as its own.
        sizes: per split a number of distinct prompts (int), or a share of them (float, 0 < share < 1, rounded).
            With one row per prompt these are numbers of rows.
        seed: another seed, another split.
        together: for each row a word; rows of one word go into one part, as if their prompts were one.

    Raises:
        UserError: a size is out of range, or the sizes leave no prompt for "train".
    """
    keys = [key(row) for row in rows]
    if together:
        keys = _joined(keys, together)
    line = sorted(set(keys), key=lambda text: hashlib.sha256(f"{seed}:{text}".encode()).digest())
    counts = {name: _count(name, size, len(line)) for name, size in sizes.items()}
    if sum(counts.values()) >= len(line):
        raise UserError(
            f"splits of {counts} prompts leave none of the {len(line)} distinct ones for {REST!r}; make them smaller"
        )
    home: dict[str, str] = {}
    start = 0
    for name, count in counts.items():
        home |= dict.fromkeys(line[start : start + count], name)
        start += count
    parts: dict[str, list[RowT]] = {name: [] for name in (*counts, REST)}
    for row, text in zip(rows, keys, strict=True):
        parts[home.get(text, REST)].append(row)
    return parts


def _joined(keys: Sequence[str], together: Sequence[Hashable]) -> list[str]:
    """For each row the first of all keys that hang together with its own, by rows of one word."""
    above: dict[str, str] = {}

    def top(text: str) -> str:
        while (higher := above.get(text, text)) != text:
            above[text] = above.get(higher, higher)  # halves the way for the next
            text = higher
        return text

    first: dict[Hashable, str] = {}
    for text, word in zip(keys, together, strict=True):
        one, other = sorted((top(text), top(first.setdefault(word, text))))
        above[other] = one
    return [top(text) for text in keys]


def _count(name: str, size: int | float, total: int) -> int:
    if name == REST:
        raise UserError(f"{REST!r} is what the other splits leave; do not give its size ({size})")
    if not name.replace("-", "").replace("_", "").isalnum():
        raise UserError(f"split {name!r}: a split becomes a file of its name; write it with letters, digits, - and _ only")
    if isinstance(size, float):
        if not 0 < size < 1:
            raise UserError(f"split {name!r}: the share {size} is not between 0 and 1; for a number write an integer")
        size = round(size * total)
    if size < 1:
        raise UserError(f"split {name!r} would get {size} of {total} distinct prompts; give it at least 1")
    return size


def size_of(word: str) -> tuple[str, int | float]:
    """A part as it is asked for on the command line: ``size_of("test=0.1") == ("test", 0.1)``.

    Raises:
        UserError: it is not NAME=SIZE, or the size is no number.
    """
    name, _, size = word.partition("=")
    if not name.replace("-", "").replace("_", "").isalnum():
        raise UserError(f"{word!r} is no part: write NAME=SIZE, the name of letters and digits, for example rl=0.4")
    try:
        return name, float(size) if "." in size or "e" in size.lower() else int(size)
    except ValueError as error:
        raise UserError(f"{name}={size}: write a share such as 0.1 or a number of prompts such as 200") from error


def key(row: Row) -> str:
    """What the row's prompt is compared by; equal keys are one prompt."""
    if isinstance(row, Document | Labelled):
        text = row.text
    elif isinstance(row.prompt, str):
        text = row.prompt
    else:
        text = "\n".join(f"{message.role}: {message.content}" for message in row.prompt)
    return " ".join(unicodedata.normalize("NFC", text).casefold().split())


def asked(row: Row) -> Row:
    """What a row is split by where plain prompts and conversations meet: its prompt, of one user's turn alone the text.

    `key(asked(row))` is then the same for both. A text without a prompt stays as it is.
    """
    if isinstance(row, Document | Labelled):
        return row
    alone = not isinstance(row.prompt, str) and len(row.prompt) == 1 and row.prompt[0].role == "user"
    return Prompt(row.prompt[0].content if alone else row.prompt, row.source)  # type: ignore[union-attr]


def duplicates(rows: Sequence[Row]) -> list[tuple[Source, ...]]:
    """The places of each set of rows that are equal in everything but their place, in order of the first."""
    places: defaultdict[tuple[str, str], list[Source]] = defaultdict(list)
    for row in rows:
        values = {field.name: getattr(row, field.name) for field in fields(row) if field.name != "source"}
        same = json.dumps(values, sort_keys=True, default=repr)  # a Rating holds a dict, which does not hash
        places[type(row).__name__, same].append(row.source)
    return [tuple(sources) for sources in places.values() if len(sources) > 1]


def in_both(a: Sequence[Row], b: Sequence[Row]) -> list[tuple[Source, Source]]:
    """The prompts that are in `a` and in `b`, each by its first place in either, in the order of `a`."""
    there = {key(row): row.source for row in reversed(b)}
    here = {key(row): row.source for row in reversed(a)}
    return [(here[text], there[text]) for text in dict.fromkeys(key(row) for row in a) if text in there]
