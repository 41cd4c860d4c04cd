"""What is good in a valid text is all of it; what is lost to damage is what it is in, and the complaint says where."""

from __future__ import annotations

import csv
import io
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accordant.data.recover import Broken, csv_rows, json_items, marked

texts = st.lists(st.sampled_from([*'ab",\n {}[]:\\é\u2028', "\r\n"]), max_size=6).map("".join)
cells = st.lists(st.lists(texts, min_size=2, max_size=2), max_size=6)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)


@given(
    rows=cells,
    # Minimal quoting of Python 3.11 leaves a line end unquoted that is not the file's own.
    style=st.sampled_from([(csv.QUOTE_MINIMAL, "\r\n"), *((csv.QUOTE_ALL, end) for end in ("\n", "\r\n", "\r"))]),
)
def test_valid_csv_is_read_as_the_csv_module_reads_it(rows: list[list[str]], style: tuple[Any, str]) -> None:
    quoting, end = style
    text = io.StringIO(newline="")
    csv.writer(text, quoting=quoting, lineterminator=end).writerows([["x", "y"], *rows])
    reader = csv.reader(io.StringIO(text.getvalue(), newline=""), strict=True)
    wanted, line = [], 1
    for row in reader:
        wanted.append((line, row))
        line = reader.line_num + 1
    found = list(csv_rows(text.getvalue()))
    assert found == [(line, dict(zip("xy", row, strict=True))) for line, row in wanted[1:]]


@given(items=st.lists(st.dictionaries(texts, values, max_size=3), max_size=5), indent=st.sampled_from([None, 0, 2]))
def test_a_valid_json_list_is_read_whole(items: list[Any], indent: int | None) -> None:
    text = "\n" + json.dumps(items, indent=indent, ensure_ascii=False)
    found = list(json_items(text))
    assert [item[1] for item in found if isinstance(item, tuple)] == items
    assert len(found) == len(items)


def seen(found: Any) -> list[Any]:
    """The first value of each row by its line; for what is broken, its line and the first words and last said of it."""
    return [
        (one.line, one.message.split(";")[0], *one.message.split("; lines")[1:])
        if isinstance(one, Broken)
        else (one[0], next(iter(one[1].values()), None) if isinstance(one[1], dict) else one[1])
        for one in found
    ]


OPEN = "invalid CSV, a quoted cell does not end"
BAD = "byte 0xff is not UTF-8"


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        (b'x,y\n1,"a\n2,b\n3,c\n', [(2, OPEN), (3, "2"), (4, "3")]),
        (b'x,y\n1,"a"b\n2,"c, d"\n', [(2, OPEN), (3, "2")]),
        (b'x,y\n1,"a\n2,"b"\n3,c\n', [(2, OPEN), (3, "2"), (4, "3")]),
        (b'x,y\n1,"a\nb\n\n\n"c\n2,d\n', [(2, OPEN, " 2-6 are left out"), (7, "2")]),
        (b'x,y\n1,"a\n",b,c,d\n2,c\n', [(2, "at least 3 cells under a header of 2", " 2-3 are left out"), (4, "2")]),
        (b'x,y\n1,"a\n2,b\n3,",c\n4,d\n', [(2, "at least 3 cells under a header of 2"), (3, "2"), (4, OPEN), (5, "4")]),
        (b'x,y\n1\n2,a\n3,b,c,d\n', [(2, "1 cells under a header of 2"), (3, "2"), (4, "4 cells under a header of 2")]),
        (b'x,y\n1,"a\n\xff"\n2,b\n', [(3, BAD), (4, "2")]),
        (b'x,y\n1,"a\xff\n2,b\n', [(2, BAD), (3, "2")]),
        (b'x,y\r\n1,5" pipe\r\n\r\n2,"a\r\nb"\r\n', [(2, "1"), (4, "2")]),
        (b'x\n"a\nb\n"c, d"\n', [(2, OPEN), (3, "b"), (4, "c, d")]),
        (b'x,"y\n1,a\n', [(1, "invalid CSV, a quoted cell of the header does not end")]),
        (b'x,\xff\n1,a\n', [(1, BAD)]),
        (b"\n\nx,x\n1,a\n", [(3, "two columns are called 'x'")]),
        (b"", []),
    ],
)  # fmt: skip
def test_a_broken_csv_row_does_not_cost_the_others(text: bytes, wanted: list[Any]) -> None:
    assert seen(csv_rows(marked(text))) == wanted


COMMA = "invalid JSON, Expecting ',' delimiter (column {})"
COLON = "invalid JSON, Expecting ':' delimiter (column 24)"
CUT = "the list does not end with ]: the file may be cut"


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        (b'[{"x": 1},\n{"x": 2 2},\n{"x": 3}]', [(1, 1), (2, COMMA.format(9)), (3, 3)]),
        (b'[{"x": 1}, {"x": 2 2}, {"x": 3}]', [(1, 1), (1, COMMA.format(20)), (1, 3)]),
        (b'[{"x" 1}, {"x": 2}]', [(1, "invalid JSON, Expecting ':' delimiter (column 7)"), (1, 2)]),
        (b'[{"x": "a}, {"x": 2}]', [(1, COMMA.format(15)), (1, 2)]),
        (
            b'[\n {\n  "x": [\n   {"x": 1 1}\n  ],\n  "z": [\n   {"x": 3}\n  ]\n },\n {\n  "x": 2\n }\n]',
            [(2, "invalid JSON, Expecting ',' delimiter (line 4, column 12)", " 2-9 are left out"), (10, 2)],
        ),
        (b'[{"m": [{"r": 1}, {"r" 2}]}, {"m": "four"}]', [(1, COLON), (1, "four")]),
        (b'[{"x": "\xff"},\n{"x": 2}]', [(1, BAD), (2, 2)]),
        (b'[{"x": 1},\n{"x": \xff},\n{"x": 3}]', [(1, 1), (2, BAD), (3, 3)]),
        (b'[{"x": 1}\n{"x": 2},,]', [(1, 1), (2, 2)]),
        (b'[{"x": 1},\n{"x": 2}', [(1, 1), (2, 2), (2, CUT)]),
        (b'[{"x": 1},\n{"x": "a', [(1, 1), (2, "invalid JSON, Unterminated string starting at (column 7)")]),
        (b'{"x": 1},\n{"x": 2}]', [(1, 1), (2, 2), (1, "the list does not begin with [: the file may be cut")]),
        (b'[{"x": 1}],\n{"x": 2}]', [(1, 1), (2, "more follows after the ] that ends the list"), (2, 2)]),
        (b'[{"x": 1},\n[{"x": 2},{"x": 3}]', [(1, 1), (2, [{"x": 2}, {"x": 3}]), (2, 2), (2, 3)]),
        (b'[{"x": 1}", {"x": 2}]', [(1, 1), (1, ", {"), (1, 2)]),
        (b'[1, "{", [], {"x": 2}]', [(1, 1), (1, "{"), (1, []), (1, 2)]),
        (b"", []),
    ],
)  # fmt: skip
def test_a_broken_json_item_does_not_cost_the_others(text: bytes, wanted: list[Any]) -> None:
    assert seen(json_items(marked(text))) == wanted


def test_an_item_may_be_long() -> None:
    items = [{"x": "a" * 5000}, {"x": ["b" * 3000] * 30}, {"x": 10**4095}, 10**4200]
    assert [item[1] for item in json_items(json.dumps(items)) if isinstance(item, tuple)] == items


def test_places_in_long_items_are_those_of_the_text() -> None:
    text = json.dumps([{"x": "a" * 9000}, {"x": "b" * 9000, "y": 0}, {"x": 1}])
    broken = text.replace('"y": ', '"y" ')
    assert seen(json_items(broken))[1:] == [
        (1, f"invalid JSON, Expecting ':' delimiter (column {broken.index(chr(34) + 'y') + 5})"),
        (1, 1),
    ]
