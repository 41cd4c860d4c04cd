"""JSON lists and CSV text -> what is good in it, item by item, and what is broken, by its line.

Damage in one item or row must not cost the others. Bytes that are not UTF-8 are marked, not refused, so that only what holds
them is broken. After broken syntax, reading goes on at the next place that looks like a beginning, by the rules that
`json_items` and `csv_rows` state. What lies between is left out, and the message names those lines.

Left out: mending. A text whose damage happens to make another valid text is read as that.
"""

from __future__ import annotations

import json
import re
from bisect import bisect_left
from collections.abc import Collection, Iterator
from dataclasses import dataclass

_NEWLINE = re.compile(r"\r\n?|\n")
# Half surrogate pairs, which UTF-8 cannot spell: `marked` stands them for the bytes 0x80-0xff.
_BAD_BYTE = re.compile("[\udc80-\udcff]")


@dataclass(frozen=True, slots=True)
class Broken:
    """What is wrong, with the fix, at a line that counts from 1."""

    line: int
    message: str


def marked(data: bytes) -> str:
    """UTF-8 without its byte-order mark, in which half a surrogate pair stands for each byte that is not UTF-8."""
    return data.decode("utf-8-sig", "surrogateescape")


def not_utf8(byte: int) -> str:
    """What to say about a byte that is not UTF-8."""
    return f"byte 0x{byte:02x} is not UTF-8; save the file as UTF-8"


class _Lines:
    """The lines of a text, found once."""

    def __init__(self, text: str) -> None:
        self.text = text
        self._starts = [0, *(end.end() for end in _NEWLINE.finditer(text))]

    def number(self, position: int) -> int:
        """The line that a position is on, from 1."""
        return bisect_left(self._starts, position + 1)

    def start(self, position: int) -> int:
        """Where the line of a position begins."""
        return self._starts[self.number(position) - 1]

    def after(self, position: int) -> int:
        """Where the line after that of a position begins; the text's end after the last."""
        number = self.number(position)
        return self._starts[number] if number < len(self._starts) else len(self.text)

    def left_out(self, start: int, end: int) -> str:
        """ "; lines 5-9 are left out" for what lies between two positions; "" where that is within one line."""
        first, last = self.number(start), self.number(max(start, end - 1))
        return f"; lines {first}-{last} are left out" if last > first else ""

    def bad_byte(self, start: int, end: int) -> Broken | None:
        """The first byte between two positions that is not UTF-8."""
        found = _BAD_BYTE.search(self.text, start, end)
        return found and Broken(self.number(found.start()), not_utf8(ord(found[0]) - 0xDC00))


_BETWEEN = re.compile(r"[ \t\r\n,]*")
_INDENT = re.compile(r"[ \t,\[]*")
# An object up to its first key, with what stands before it where it begins a line.
_OBJECT = re.compile(r'(?m:^([ \t,\[]*))?\{[ \t\r\n]*"((?:[^"\\\r\n]|\\.)*)"[ \t\r\n]*:')


def json_items(text: str) -> Iterator[tuple[int, object] | Broken]:
    """The items of a JSON list with the lines they begin on; a broken one does not cost the others.

    Commas and white space between items are read as one, and the brackets around them must both be there or both be missing.
    After an item that does not parse, reading goes on at the next object whose first key is one that an earlier good item had,
    or the broken item itself has (any key, where there is neither). Where both the broken item and that object begin a line,
    the object must not stand further in: it would be part of the item.

    Linear in the text; an item in which closing brackets are missing may cost one more pass over what follows it.
    """
    decoder, lines = json.JSONDecoder(), _Lines(text)
    keys: set[str] = set()
    position = _BETWEEN.match(text).end()  # type: ignore[union-attr]
    opened = text.startswith("[", position)
    closed = broken = False
    position += opened
    while (position := _BETWEEN.match(text, position).end()) < len(text):  # type: ignore[union-attr]
        line = lines.number(position)
        if closed:
            yield Broken(line, "more follows after the ] that ends the list; take that bracket away")
        closed = text[position] == "]"
        if closed:
            position += 1
            continue
        fault = ""
        value: object = None
        try:
            value, end = decoder.raw_decode(text, position)
        except (ValueError, RecursionError) as error:
            fault, end = _fault(error, line, lines), _next_item(lines, position, keys)
        broken = bool(fault)
        if bad := lines.bad_byte(position, end):
            yield Broken(bad.line, bad.message + (lines.left_out(position, end) if broken else ""))
        elif broken:
            yield Broken(line, fault + lines.left_out(position, end))
        else:
            keys |= value.keys() if isinstance(value, dict) else set()
            yield line, value
        position = end
    if opened != closed and not (opened and broken):  # a broken last item has taken the bracket with it
        missing, place = ("begin with [", 1) if closed else ("end with ]", lines.number(len(text.rstrip())))
        yield Broken(place, f"the list does not {missing}: the file may be cut; fetch it again, or put the bracket there")


def _fault(error: ValueError | RecursionError, line: int, lines: _Lines) -> str:
    if isinstance(error, json.JSONDecodeError):
        other = lines.number(error.pos)
        at = (f"line {other}, " if other != line else "") + f"column {error.pos - lines.start(error.pos) + 1}"
        return f"invalid JSON, {error.msg} ({at}); write complete JSON"
    if isinstance(error, RecursionError):
        return "invalid JSON, nested too deeply to be a row; write flat objects"
    return f"invalid JSON, {error}; write a shorter number"  # an integer of thousands of digits


def _next_item(lines: _Lines, position: int, keys: Collection[str]) -> int:
    """Where the item after a broken one begins."""
    text, own = lines.text, _OBJECT.match(lines.text, position)
    start = lines.start(position)
    leads = _INDENT.match(text, start).end() >= position  # type: ignore[union-attr]
    anything = len(text)
    for found in _OBJECT.finditer(text, position + 1):
        begins = found.start() if found[1] is None else found.end(1)
        if leads and found[1] is not None and begins - found.start() > position - start:
            continue
        if found[2] in keys or (own and found[2] == own[2]):
            return begins
        anything = min(anything, begins)
    return len(text) if keys else anything


# Possessive (++, *+): a cell that does not end well is given up at once, not retried at each of its lengths.
_CELL = re.compile(r'"((?:[^"]++|"")*+)"(?=[,\r\n]|\Z)|([^",\r\n][^,\r\n]*)?')


def csv_rows(text: str) -> Iterator[tuple[int, dict[str, str]] | Broken]:
    """The rows under a CSV header with the lines they begin on; a broken one does not cost the others.

    Cells are read as Python's csv module reads them: one that begins with a quote ends at the next quote that is not doubled,
    may hold commas and line ends, and must be followed by a comma or line end; elsewhere a quote is a character like others.

    A row with another number of cells than the header, on one line, is broken, and reading goes on after it. Where a quoted
    cell never ends or ends in the middle, or a row of several lines has another number of cells, it is unknown which lines
    belong to the row: reading goes on at the next line from which as many cells as the header has can be read. Such a line may
    be from inside a cell that was meant to have several.

    Nothing can be read under a broken header. Linear in the text for a given number of columns.
    """
    lines = _Lines(text)
    start = next((found.start() for found in re.finditer(r"[^\r\n]", text)), len(text))
    header, position = _cells(lines, start, len(text))
    if fault := _broken_header(lines, header, start, position):
        yield fault
        return
    while (start := position) < len(text):
        cells, position = _cells(lines, start, len(header))
        single = position <= lines.after(start)
        if text[start] in "\r\n":
            continue
        if len(cells) != len(header) and not (cells and single):
            position = _next_row(lines, start, len(header))
        if bad := lines.bad_byte(start, position):
            yield Broken(bad.line, bad.message + ("" if len(cells) == len(header) else lines.left_out(start, position)))
        elif len(cells) == len(header):
            yield lines.number(start), dict(zip(header, cells, strict=True))
        elif cells:
            fault = f"{len(cells)} cells under a header of {len(header)}; quote cells that contain commas or line ends"
            yield Broken(lines.number(start), fault + lines.left_out(start, position))
        else:
            fault = "invalid CSV, a quoted cell does not end; double the quotes inside it, and close it"
            yield Broken(lines.number(start), fault + lines.left_out(start, position))


def _cells(lines: _Lines, position: int, most: int) -> tuple[list[str], int]:
    """The cells of a row and where the next begins; no cells where a quote is broken.

    A row of several lines is given up when it has more than `most` cells, so that one stray quote does not lead through the
    whole file.
    """
    text, cells, first = lines.text, list[str](), lines.after(position)
    while True:
        cell = _CELL.match(text, position)
        assert cell is not None  # the pattern matches an empty cell anywhere
        cells.append(cell[2] or "" if cell[1] is None else cell[1].replace('""', '"'))
        position = cell.end()
        if position == len(text):
            return cells, position
        if text[position] in "\r\n":
            return cells, lines.after(position)
        if text[position] == '"' or (len(cells) > most and position >= first):
            return [], position
        position += 1


def _broken_header(lines: _Lines, header: list[str], start: int, end: int) -> Broken | None:
    if not header:
        return Broken(lines.number(start), "invalid CSV, a quoted cell of the header does not end; close it")
    twice = [name for name in header if header.count(name) > 1]
    return lines.bad_byte(start, end) or (
        Broken(lines.number(start), f"two columns are called {twice[0]!r}; rename one") if twice else None
    )


def _next_row(lines: _Lines, start: int, width: int) -> int:
    """The next line that begins a row of `width` cells."""
    position = lines.after(start)
    while position < len(lines.text):
        if lines.text[position] not in "\r\n" and len(_cells(lines, position, width)[0]) == width:
            return position
        position = lines.after(position)
    return position
