"""Malformed rows by the thousand, and what must be true of all that is said about them."""

from __future__ import annotations

import random
import re
from bisect import bisect_right
from pathlib import Path
from typing import Any

from accordant.data import rows
from accordant.data.files import Complaint
from accordant.types import Row
from source_examples import bare

JUNK: list[Any] = [
    None, True, False, 0, -1, 3, 1.5, float("nan"), float("inf"), 10**400, "", " ", "\n", "x", "\ud800", "N/A (why)", "\u2028",
    "0", "1", "\n\nAssistant:", "\n\nHuman: q\n\nAssistant: a", [], [[]], [None], ["a"], ["a", "b"], [1, 2], {}, {"a": 1},
    {"value": 1}, {"from": "gpt", "value": "a"}, {"role": "user", "content": "q"}, [{"role": "user", "content": "q"}],
    [{"rank": 1}],
    {"quality": {"value": "x"}}, {"name": ["a"], "value": [1]}, {"name": ["\ud800"], "value": [1]}, {"\ud800": 1},
    {"prompt": {"text": "t"}},
]  # fmt: skip


def broken(value: Any, chance: random.Random) -> Any:
    """The value with one thing in it, at any depth, replaced, renamed, doubled or taken away."""
    if chance.random() < 0.25 or not isinstance(value, dict | list) or not value:
        return chance.choice(JUNK)
    if isinstance(value, list):
        place = chance.randrange(len(value))
        way = chance.randrange(4)
        if way == 0:
            return value[:place] + value[place + 1 :]
        inner = [value[place]] * 2 if way == 1 else [broken(value[place], chance)]
        return value[:place] + inner + value[place + 1 :]
    name = chance.choice(sorted(value))
    rest = {key: inner for key, inner in value.items() if key != name}
    way = chance.randrange(5)
    if way == 0:
        return rest
    if way == 1:
        return rest | {chance.choice([name + "s", name.upper(), "", "prompt", "label", "fields"]): value[name]}
    return value | {name: broken(value[name], chance)}


def scrambled(line: bytes, chance: random.Random, one_line: bool = True) -> bytes:
    """A line with some bytes changed, put in or taken out; it stays one line, or not."""
    data = bytearray(line)
    for _ in range(chance.randrange(1, 6)):
        place = chance.randrange(len(data) + 1)
        byte = chance.choice([0, 0xFF, 0x80, 0xC3, *b'"\\{}[],:', chance.randrange(256)])
        byte = 0x20 if byte == 0x0A and one_line else byte
        way = chance.randrange(3)
        data[place : place + (way > 0)] = bytes([byte]) if way < 2 else b""
    return bytes(data)


def dirty(clean: list[bytes], lines_of: Any, count: int, chance: random.Random) -> tuple[bytes, set[int]]:
    """`count` bad lines among as many good ones; the numbers of the good ones."""
    lines: list[bytes] = []
    good: set[int] = set()
    for i in range(2 * count):
        if i % 2:
            lines.append(lines_of(chance))
        else:
            lines.append(clean[(i // 2) % len(clean)])
            good.add(len(lines))
    return b"\n".join(lines), good


def struck(pieces: list[tuple[bytes, bytes]], some: set[int], chance: random.Random) -> tuple[bytes, dict[int, int]]:
    """Records with what stands behind each, those in `some` scrambled; and the lines on which the others begin then.

    The first piece is what stands before the records.
    """
    begins: dict[int, int] = {}
    data = bytearray()
    for i, (record, behind) in enumerate(pieces):
        if i not in some:
            begins[i] = len(data)
        data += (scrambled(record, chance, one_line=False) if i in some else record) + behind
    ends = [end.end() for end in re.finditer(rb"\r\n?|\n", data)]
    return bytes(data), {i: bisect_right(ends, begin) + 1 for i, begin in begins.items() if i}


def examine(path: Path, complaints: Any) -> None:
    for complaint in complaints:
        assert isinstance(complaint, Complaint)
        assert str(path) in complaint.source.file
        assert complaint.source.line > 0
        assert len(complaint.message) > 10
        str(complaint).encode("utf-8")


def whole(found: list[Row], folder: Path) -> None:
    """Every row that was accepted can be written and comes back."""
    by_kind: dict[type, list[Row]] = {}
    for row in found:
        by_kind.setdefault(type(row), []).append(row)
    for kind, some in by_kind.items():
        rows.write_jsonl(folder / "back.jsonl", some)
        assert [bare(row) for row in rows.read(folder / "back.jsonl", kind)] == [bare(row) for row in some]
