"""Ten thousand malformed rows: no traceback, every complaint has a file, a line and words, and no good row is lost."""

from __future__ import annotations

import csv
import gzip
import io
import json
import random
import zipfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from accordant.data import files, rows
from accordant.data.kinds import KNOWN_FIELDS
from accordant.data.sources import SOURCES, check
from accordant.types import Message, UserError
from malformed import broken, dirty, examine, scrambled, struck, whole
from source_examples import EXAMPLES, Example, as_csv, as_jsonl, bare


@pytest.mark.parametrize("way", ["fields", "bytes"])
@pytest.mark.parametrize("example", EXAMPLES, ids=[f"{e.source} {' '.join(map(str, e.options.values()))}" for e in EXAMPLES])
def test_bad_rows_are_named_and_good_ones_kept(example: Example, way: str, tmp_path: Path) -> None:
    """500 bad rows for each of the sources: with those of the other tests below, over ten thousand."""
    chance = random.Random(f"{example.source} {example.options} {way}")
    clean = as_jsonl(example.records).rstrip(b"\n").split(b"\n")

    def bad(chance: random.Random) -> bytes:
        if way == "bytes":
            return scrambled(chance.choice(clean), chance)
        return json.dumps(broken(chance.choice(example.records), chance)).encode()

    content, good = dirty(clean, bad, 350, chance)
    path = tmp_path / "rows.jsonl"
    path.write_bytes(content)
    options = example.options | ({"repeats": True} if example.source == "hate-speech" else {})
    found = check(example.source, path, **options)
    examine(path, found.complaints)
    assert len(found.complaints) > 50
    kept: dict[int, list[Any]] = {}
    for row in found.rows:
        kept.setdefault(row.source.line, []).append(bare(row))
    order = sorted(good)
    for i, line in enumerate(order):
        assert kept[line] == [bare(row) for row in example.rows[i % len(clean) + 1]], line
    whole(list(found.rows), tmp_path)


scalars = (
    st.none()
    | st.booleans()
    | st.integers(-3, 9)
    | st.floats()
    | st.text(max_size=5)
    | st.sampled_from(["user", "assistant", "q"])
)
values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["role", "content", "from", "value", "rank", "text", "score", "response"]), inner, max_size=4
        )
    ),
    max_leaves=6,
)
names = st.sampled_from(sorted(KNOWN_FIELDS | {"fields", "suggestions", "q.responses", "q.responses.users", "q.suggestion"}))
records = st.dictionaries(names | st.text(max_size=3), values, max_size=5)


@settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck))
@given(some=st.lists(records, min_size=30, max_size=60))
def test_whatever_the_fields_hold_a_row_is_good_or_named(some: list[Any], tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("fuzz")
    path = folder / "rows.jsonl"
    path.write_bytes(as_jsonl(some))
    for kind in (None, *rows.PARSERS):
        loaded = rows.check(path, kind)
        found, complaints = list(loaded.rows), loaded.complaints
        examine(path, complaints)
        whole(found, folder)
        if kind is not None:
            assert {type(row) for row in found} <= {kind}
        lines = {row.source.line for row in found}
        assert len(lines) + sum(complaint.rows for complaint in complaints) == len(some)


def containers(folder: Path) -> list[tuple[str, Path]]:
    """A whole file of each kind of container, with the source that reads it."""
    import pyarrow
    from pyarrow import parquet

    chats = [{"prompt": f"q{i}", "completion": f"answer {i}"} for i in range(20)]
    made: dict[str, bytes] = {
        "a.jsonl": as_jsonl(chats), "a.json": json.dumps(chats, indent=1).encode(), "a.csv": as_csv(chats),
        "a.jsonl.gz": gzip.compress(as_jsonl(chats), mtime=0),
    }  # fmt: skip
    for name, content in made.items():
        (folder / name).write_bytes(content)
    parquet.write_table(pyarrow.Table.from_pylist(chats), folder / "a.parquet")
    with zipfile.ZipFile(folder / "p.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("rt-polarity.pos", "fine\nlovely\n" * 20)
        archive.writestr("rt-polarity.neg", "dull\n" * 20)
    (folder / "t.txt").write_text('once upon a time\n\n"a prompt"\n\nthere was a king of all the land\n')
    found = [("file", folder / name) for name in (*made, "a.parquet")]
    return [
        *found,
        ("sentence-polarity", folder / "p.zip"),
        *((name, folder / "t.txt") for name in ("text", "text-prompts", "prompts")),
    ]


def test_a_damaged_file_of_any_kind_is_an_error_in_words(tmp_path: Path) -> None:
    chance = random.Random(7)
    for source, path in containers(tmp_path):
        options = {"words": 2} if source == "text-prompts" else {}
        assert not check(source, path, **options).complaints
        content = path.read_bytes()
        for _ in range(60):
            data = bytearray(content)
            for _ in range(chance.randrange(1, 9)):
                data[chance.randrange(len(data))] = chance.randrange(256)
            cut = chance.randrange(len(data)) if chance.random() < 0.2 else len(data)
            path.write_bytes(bytes(data[:cut]))
            try:
                found = check(source, path, **options)
            except UserError as error:
                assert str(path) in str(error)  # noqa: PT017
            else:
                for complaint in found.complaints:
                    assert complaint.source.file == str(path)
                    str(complaint).encode("utf-8")
        path.write_bytes(content)


KEPT = [{"prompt": f'is {i} "odd", or è not?', "completion": f"no,\nnot {i}\n" * (i % 3) + "\u2028."} for i in range(12)]
TALKS = [{"messages": [{"role": "user", "content": f"{i} {{}}"}, {"role": "assistant", "content": "[{"}]} for i in range(12)]


def csv_pieces(quoting: int, end: str) -> list[tuple[bytes, bytes]]:
    pieces = []
    for cells in (["prompt", "completion"], *([str(value) for value in row.values()] for row in KEPT)):
        line = io.StringIO(newline="")
        csv.writer(line, quoting=quoting, lineterminator="").writerow(cells)  # type: ignore[arg-type]
        pieces.append((line.getvalue().encode(), end.encode()))
    return pieces


def json_pieces(records: list[dict[str, Any]], indent: int | None, between: str) -> list[tuple[bytes, bytes]]:
    """A list of them; `indent` within each, `between` them the comma and what else."""
    items = [json.dumps(record, indent=indent, ensure_ascii=False).encode() for record in records]
    return [(b"[", between[1:].encode()), *((item, between.encode()) for item in items[:-1]), (items[-1], b"\n]")]


LAYOUTS: dict[str, tuple[str, list[dict[str, Any]], list[tuple[bytes, bytes]]]] = {
    "csv": ("a.csv", KEPT, csv_pieces(csv.QUOTE_MINIMAL, "\n")),
    "csv all quoted": ("a.csv", KEPT, csv_pieces(csv.QUOTE_ALL, "\r\n")),
    "json lines": ("a.json", KEPT, json_pieces(KEPT, None, ",\n")),
    "json one line": ("a.json", KEPT, json_pieces(KEPT, None, ", ")),
    "json indented": ("a.json", KEPT, json_pieces(KEPT, 1, ",\n")),
    "json nested": ("a.json", TALKS, json_pieces(TALKS, 2, ",\n")),
    "json nested in one line": ("a.json", TALKS, json_pieces(TALKS, None, ",")),
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("count", [0, 1, 3])
def test_damage_costs_the_rows_that_it_is_in(layout: str, count: int, tmp_path: Path) -> None:
    """Bytes of `count` rows are changed, put in or taken out: all others are there, in order, on their lines."""
    name, wanted, pieces = LAYOUTS[layout]
    chance = random.Random(f"{layout} {count}")
    path = tmp_path / name
    said = 0
    for _ in range(150 if count else 1):
        some = set(chance.sample(range(1, len(pieces)), count))
        data, lines = struck(pieces, some, chance)
        path.write_bytes(data)
        found = list(files.records(path))
        complaints = [one for one in found if isinstance(one, files.Complaint)]
        examine(path, complaints)
        said += bool(complaints)
        kept = [(one.source.line, one.fields) for one in found if isinstance(one, files.Record)]
        left = iter(kept)
        for i, line in lines.items():
            assert (line, wanted[i - 1]) in left, (i, some, data[-900:].decode("utf-8", "replace"), kept[-3:], complaints)
        if not count:
            assert (len(kept), complaints) == (len(wanted), [])
    assert said >= (75 if count else 0)  # many changes make another good row


def test_every_source_is_fuzzed() -> None:
    assert {e.source for e in EXAMPLES} | {"file", "sentence-polarity", "text", "text-prompts", "prompts"} == set(SOURCES)


def test_deep_trees_are_read_without_recursion(tmp_path: Path) -> None:
    depth = 300
    line = '{"text": "t", "role": "assistant", "replies": [' * depth + "]}" * depth
    path = tmp_path / "rows.jsonl"
    path.write_text(f'{{"prompt": {{"text": "q", "role": "prompter", "replies": [{line}]}}}}\n')
    found = check("oasst", path)
    assert len(found.rows) + len(found.complaints) > 0
    assert found.rows[0].prompt == (Message("user", "q"),)
