"""JSON lists and CSV text -> what is good in it, item by item, and what is broken, by its line.

Damage in one item or row must not cost the others. Bytes that are not UTF-8 are marked, not refused, so that only what holds
them is broken. After broken syntax, reading goes on at the next place that looks like a beginning, by the rules that
`json_items` and `csv_rows` state. What lies between is left out, and the message names those lines.

Left out: mending. A text whose damage happens to make another valid text is read as that.
"""

from __future__ import annotations

import json
import re
import sys
from bisect import bisect_left
from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass

TOO_LONG = f"invalid JSON, a whole number of more than {sys.get_int_max_str_digits():,} digits; write a shorter number"
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
        first, last = self.number(start), self.number(start + len(self.text[start:end].rstrip()) - 1)
        return f"; lines {first}-{last} are left out" if last > first else ""

    def bad_byte(self, start: int, end: int) -> Broken | None:
        """The first byte between two positions that is not UTF-8."""
        found = _BAD_BYTE.search(self.text, start, end)
        return found and Broken(self.number(found.start()), not_utf8(ord(found[0]) - 0xDC00))


_DECODER = json.JSONDecoder()
_ENOUGH = 1_000_000  # characters of good items from which to learn how items begin
_BETWEEN = re.compile(r"[ \t\r\n,]*")
_INDENT = re.compile(r"[ \t,\[]*")
# An object up to its first key, with what stands before it where it begins a line.
_OBJECT = re.compile(r'(?m:^([ \t,\[]*))?\{[ \t\r\n]*"((?:[^"\\\r\n]|\\.)*)"[ \t\r\n]*:')


def json_items(text: str) -> Iterator[tuple[int, object] | Broken]:
    """The items of a JSON list with the lines they begin on; a broken one does not cost the others.

    Commas and white space between items are read as one, and the brackets around them must both be there or both be missing.
    After an item that does not parse, reading goes on at the next object whose first key is one that good items before or after
    it have. Where both the broken item and that object begin a line, the object must not stand further in: it would be part of
    the item.

    Linear in the text; an item in which closing brackets are missing may cost one more pass over what follows it.
    """
    lines = _Lines(text)
    keys = set[str]()
    surveyed = False
    position = _past(_BETWEEN, text, 0)
    opened = text.startswith("[", position)
    closed = broken = False
    position += opened
    while (position := _past(_BETWEEN, text, position)) < len(text):
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
            value, end = _value(text, position)
        except (ValueError, RecursionError) as error:
            if not surveyed:  # what came before may be good and yet odd
                keys |= _usual_keys(text, position + 1)
                surveyed = True
            fault, end = _fault(error, position, lines), _next_item(lines, position, keys)
        broken = bool(fault)
        if bad := lines.bad_byte(position, end):
            yield Broken(bad.line, bad.message + (lines.left_out(position, end) if broken else ""))
        elif broken:
            yield Broken(line, fault + lines.left_out(position, end))
        else:
            keys |= value.keys() if isinstance(value, dict) else set()
            yield line, value
            end = _swallowed(text, position, end, keys) if isinstance(value, str | list) else end
        assert end > position, f"no progress at character {position}"
        position = end
    if opened != closed and not (opened and broken):  # a broken last item has taken the bracket with it
        missing, place = ("begin with [", 1) if closed else ("end with ]", lines.number(len(text.rstrip())))
        yield Broken(place, f"the list does not {missing}: the file may be cut; fetch it again, or put the bracket there")


def _past(some: re.Pattern[str], text: str, position: int) -> int:
    found = some.match(text, position)
    return found.end() if found else position


def _value(text: str, position: int) -> tuple[object, int]:
    """The JSON value at a position, and where it ends; places in errors count from `position`.

    The parser is given no more than it needs, because each of its errors counts all line ends before its place.
    """
    size = 1 << 12
    while True:
        part = text[position : position + size]
        whole = position + size >= len(text)
        try:
            value, end = _DECODER.raw_decode(part)
        except json.JSONDecodeError as error:
            # Where an unfinished string began says nothing; any other place tells whether the cut was to blame.
            if whole or (error.pos < size - 16 and not error.msg.startswith("Unterminated")):
                raise
        else:
            if whole or end < size:
                return value, position + end
        size *= 8


def _fault(error: ValueError | RecursionError, position: int, lines: _Lines) -> str:
    if isinstance(error, json.JSONDecodeError):
        place = position + error.pos
        line, column = lines.number(place), place - lines.start(place) + 1
        at = f"column {column}" if line == lines.number(position) else f"line {line}, column {column}"
        return f"invalid JSON, {error.msg} ({at}); write complete JSON"
    if isinstance(error, RecursionError):
        return "invalid JSON, nested too deeply to be a row; write flat objects"
    return TOO_LONG


def _swallowed(text: str, position: int, end: int, keys: Collection[str]) -> int:
    """Where a text or list that stands among the items really ends: before the first item that it runs into.

    A stray bracket makes a list of all that follows; a stray quote, a text up to the quote of the next item's first key.
    """
    places = (found.start() + found[0].index("{") for found in _OBJECT.finditer(text, position + 1, end) if found[2] in keys)
    quoted = text.rfind("{", position, end)
    last = _OBJECT.match(text, quoted) if quoted > position else None
    return next(places, quoted if last and last[2] in keys else end)


def _next_item(lines: _Lines, position: int, keys: Collection[str]) -> int:
    """Where the item after a broken one begins."""
    text, start = lines.text, lines.start(position)
    leads = _past(_INDENT, text, start) >= position
    for found in _OBJECT.finditer(text, position + 1):
        begins = found.start() if found[1] is None else found.end(1)
        inside = leads and found[1] is not None and begins - found.start() > position - start
        if found[2] in keys and not inside:
            return begins
    return len(text)


def _usual_keys(text: str, position: int) -> set[str]:
    """The keys of the items after a position.

    What is inside an item that can be read is passed over, so that most of the text found is whole items: the first key that
    holds most of it begins them.
    """
    held: Counter[str] = Counter()
    keys: dict[str, set[str]] = {}
    while (found := _OBJECT.search(text, position)) and held.total() < _ENOUGH:
        begins = found.start() if found[1] is None else found.end(1)
        try:
            value, position = _value(text, begins)
        except (ValueError, RecursionError):
            position = begins + 1
            continue
        held[found[2]] += position - begins
        keys.setdefault(found[2], set()).update(value if isinstance(value, dict) else ())
    return keys[held.most_common(1)[0][0]] if held else set()


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
    start = len(text) - len(text.lstrip("\r\n"))
    header, position = _cells(lines, start, len(text))
    if broken := _broken_header(lines, header, start, position):
        yield broken
        return
    while (start := position) < len(text):
        cells, position = _cells(lines, start, len(header))
        single = position <= lines.after(start)
        if text[start] in "\r\n":
            continue
        if len(cells) != len(header) and not (cells and single):
            position = _next_row(lines, start, len(header))
        assert position > start, f"no progress at character {start}"
        bad = lines.bad_byte(start, position)
        if len(cells) == len(header):
            yield bad or (lines.number(start), dict(zip(header, cells, strict=True)))
            continue
        least = "at least " if len(cells) > len(header) and not single else ""  # where `_cells` gave up
        count = f"{least}{len(cells)} cells under a header of {len(header)}; quote cells that contain commas or line ends"
        quote = "invalid CSV, a quoted cell does not end; double the quotes inside it, and close it"
        line, message = (bad.line, bad.message) if bad else (lines.number(start), count if cells else quote)
        yield Broken(line, message + lines.left_out(start, position))


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
        if text[position] == '"':
            return [], position
        if len(cells) > most and position >= first:
            return cells, position
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
