"""A user's own fields: unchanged where rows are split and filtered, carried along where rows are converted."""

from __future__ import annotations

import csv
import datetime
import json
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from zlib import crc32

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from accordant import cli_data
from accordant.data import rows as row_files
from accordant.data.carry import carried, parents
from accordant.data.convert import TARGETS, Rules, convert
from accordant.data.kinds import KNOWN_FIELDS, own_names
from accordant.data.loaded import Kept, Loaded
from accordant.data.origin import about_data, origins
from accordant.data.output import write, write_together, write_values
from accordant.data.reading import beside
from accordant.data.rows import read
from accordant.data.sources import check
from accordant.data.split import split
from accordant.types import Chat, Pair, Prompt, Ranking, Rating, Thumb, UserError
from source_examples import as_csv, as_jsonl, bare

ONE: dict[str, dict[str, Any]] = {
    "Prompt": {"prompt": "why?"},
    "Document": {"text": "once upon a time"},
    "Labelled": {"text": "a fine film", "label": 1},
    "Chat": {"prompt": "why?", "completion": " so."},
    "Pair": {"prompt": "why?", "chosen": " so.", "rejected": " no."},
    "Ranking": {"prompt": "why?", "completions": [" so.", " no."], "ranks": [1, 2]},
    "Rating": {"prompt": "why?", "completion": " so.", "scores": {"wit": 2}},
    "Thumb": {"prompt": "why?", "completion": " so.", "up": True},
}
TALK = [{"from": "human", "value": "why?"}, {"from": "gpt", "value": "so."}]
SHAPES: list[dict[str, Any]] = [
    *ONE.values(),
    {"messages": [{"role": "user", "content": "why?"}, {"role": "assistant", "content": "so."}]},
    {"conversations": TALK},
    {"conversations": TALK[:1], "chosen": TALK[1], "rejected": {"from": "gpt", "value": "no."}},
    {"instruction": "why?", "input": "", "output": "so."},
    {"prompt": "why?", "completions": ["so.", "no.", "oh!"], "scores": [3, 2, 1]},
    {"prompt": "why?", "completion": " so.", "label": False},
]
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(), max_size=4) | st.just("\ud800"),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=2), inner, max_size=2),
    max_leaves=4,
)
own = st.dictionaries(
    st.sampled_from(["id", "note", "source", "score", "file", "line", "colour", "zeit \u00fc", "", "x.y"]), values
)


@st.composite
def files(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Records of one shape, of some prompts, with fields of their own."""
    shape = json.dumps(draw(st.sampled_from(SHAPES)))
    asked = draw(st.lists(st.integers(0, 5), min_size=4, max_size=12))
    found = [json.loads(shape.replace("why?", f"why {i}?").replace("once", f"once {i}").replace("fine", f"{i}")) for i in asked]
    return [record | draw(own) for record in found]


def counted(records: Sequence[Any]) -> Counter[str]:
    return Counter(json.dumps(record, sort_keys=True) for record in records)


def nulled(records: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """With null for NaN and infinities, which JSON has no word for."""
    found: list[dict[str, Any]] = json.loads(json.dumps(records), parse_constant=lambda _: None)
    return found


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line, parse_constant=pytest.fail) for line in path.read_text(encoding="utf-8").split("\n") if line]


LAYOUTS: dict[str, Callable[[list[Any]], bytes]] = {
    "rows.jsonl": as_jsonl, "rows.json": lambda records: json.dumps(records).encode()
}  # fmt: skip
PLAIN: dict[str, Any] = {"source": "file", "map": None, "option": None, "on_bad": "error"}


def divided(path: Path, out: Path, **more: Any) -> None:
    words: dict[str, Any] = {"test": "1", "validation": None, "part": None, "seed": 0, "format_": "jsonl"}
    cli_data.split(str(path), out, **{**words, **PLAIN, **more})


def filtered(path: Path, out: Path, gone: Path, above: float, **more: Any) -> None:
    words: dict[str, Any] = {"label": None, "output": "logit", "window": 0}
    cli_data.filter_(str(path), out, classifier="none", above=above, dropped=gone, **{**words, **PLAIN, **more})


# --- split and filter: rows as they came -----------------------------------------------------------------------------


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(records=files(), layout=st.sampled_from(sorted(LAYOUTS)), seed=st.integers(0, 9))
def test_a_split_has_the_records_that_came(
    records: list[dict[str, Any]], layout: str, seed: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("split")
    path = folder / layout
    path.write_bytes(LAYOUTS[layout](records))
    if len({json.dumps(record.get("prompt", record.get("text", record))) for record in records}) < 2:
        return
    try:
        divided(path, folder / "parts", seed=seed)
    except UserError as error:
        assert "leave none of the 1 distinct" in str(error)  # noqa: PT017
        return
    parts = [lines(folder / "parts" / f"{name}.jsonl") for name in ("train", "test")]
    assert counted(parts[0] + parts[1]) == counted(nulled(records))
    words = [json.dumps(record, sort_keys=True) for record in nulled(records)]
    for part in parts:  # each keeps the order
        rest = iter(words)
        assert all(json.dumps(row, sort_keys=True) in rest for row in part)


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(records=files(), layout=st.sampled_from(sorted(LAYOUTS)), cut=st.floats(0, 1))
def test_what_a_filter_keeps_and_drops_is_what_came(
    records: list[dict[str, Any]], layout: str, cut: float, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("filter")
    path = folder / layout
    path.write_bytes(LAYOUTS[layout](records))

    def score(texts: Sequence[str]) -> list[float]:
        return [crc32(text.encode()) % 97 / 97 for text in texts]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cli_data, "_scorer", lambda *_: score)
        try:
            filtered(path, folder / "kept.jsonl", folder / "gone.jsonl", cut)
        except UserError as error:
            assert "nothing would be left" in str(error)  # noqa: PT017
            return
    records, kept = nulled(records), lines(folder / "kept.jsonl")
    gone = lines(folder / "gone.jsonl") if (folder / "gone.jsonl").exists() else []
    names = {name: f"filter_{name}" if any(name in record for record in gone_in(records, kept)) else name for name in ADDED}
    assert all(set(names.values()) <= row.keys() and row[names["score"]] > cut for row in gone)
    bare_gone = [{name: value for name, value in row.items() if name not in names.values()} for row in gone]
    assert counted(kept + bare_gone) == counted(records)


ADDED = ("score", "file", "line")


def gone_in(records: list[dict[str, Any]], kept: list[dict[str, Any]]) -> list[dict[str, Any]]:
    left = counted(kept)
    gone = []
    for record in records:
        word = json.dumps(record, sort_keys=True)
        if left[word]:
            left[word] -= 1
        else:
            gone.append(record)
    return gone


def test_of_a_record_with_several_rows_the_worst_decides(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    records = [{"prompt": p, "responses": [f"{p} {i}" for i in "ab"], "scores": [1, 2], "id": p} for p in "xyz"]
    (tmp_path / "r.jsonl").write_bytes(as_jsonl(records))
    monkeypatch.setattr(cli_data, "_scorer", lambda *_: lambda texts: [float(text in ("y a", "z b")) for text in texts])
    filtered(tmp_path / "r.jsonl", tmp_path / "kept.jsonl", tmp_path / "gone.jsonl", 0.5)
    assert lines(tmp_path / "kept.jsonl") == [records[0]]
    gone = lines(tmp_path / "gone.jsonl")
    assert [(row["id"], row["score"], row["line"]) for row in gone] == [("y", 1.0, 2), ("z", 1.0, 3)]


def test_a_record_of_several_prompts_stays_in_one_part(tmp_path: Path) -> None:
    """Two tasks that share a prompt belong together, and so do all prompts of either."""
    tasks = [["a", "b"], ["c"], ["b", "d"], ["e"], ["f", "g"], ["d", "h"]]
    records = [
        {"id": i, "instruction": "say", "instances": [{"input": x, "output": "o"} for x in some]}
        for i, some in enumerate(tasks)
    ]
    (tmp_path / "r.jsonl").write_bytes(as_jsonl(records))
    seen = set()
    for seed in range(12):
        divided(tmp_path / "r.jsonl", tmp_path / "p", source="self-instruct", test="0.5", seed=seed)
        parts = [{row["id"] for row in lines(tmp_path / "p" / f"{name}.jsonl")} for name in ("test", "train")]
        assert len(parts[0]) + len(parts[1]) == 6
        assert any({0, 2, 5} <= part for part in parts)
        seen.add(frozenset(parts[0]))
    assert len(seen) > 3


def test_csv_and_mapped_names_come_back_as_they_were(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`klass` is mapped to a field that CSV spells as JSON; 007 is text and stays so."""
    records = [{"text": f"film {i}", "klass": str(i % 2), "id": f"00{i}", "label": "fine"} for i in range(6)]
    (tmp_path / "r.csv").write_bytes(as_csv(records))
    words = ["klass=label", "label=note"]
    with pytest.raises(UserError, match="'note'"):
        divided(tmp_path / "r.csv", tmp_path / "p", map=words)
    for record in records:
        del record["label"]
    (tmp_path / "r.csv").write_bytes(as_csv(records))
    divided(tmp_path / "r.csv", tmp_path / "p", map=words[:1])
    assert "read them with --map klass=label" in capsys.readouterr().out
    parts = [lines(tmp_path / "p" / f"{name}.jsonl") for name in ("train", "test")]
    assert counted(parts[0] + parts[1]) == counted([record | {"klass": int(record["klass"])} for record in records])
    again = [read(tmp_path / "p" / f"{name}.jsonl", map={"klass": "label"}) for name in ("train", "test")]
    assert len(again[0]) + len(again[1]) == 6


def test_parquet_keeps_what_json_cannot_hold(tmp_path: Path) -> None:
    import pyarrow
    from pyarrow import parquet

    made = datetime.datetime(2024, 2, 3, 4, 5)
    records = [{"prompt": f"q{i}", "made": made, "took": datetime.timedelta(hours=i), "image": b"\xff"} for i in range(4)]
    parquet.write_table(pyarrow.Table.from_pylist(records), tmp_path / "r.parquet")
    divided(tmp_path / "r.parquet", tmp_path / "p", format_="parquet")
    assert sorted((r for n in ("train", "test") for r in parquet.read_table(tmp_path / "p" / f"{n}.parquet").to_pylist()),
                  key=lambda record: record["prompt"]) == records  # fmt: skip
    with pytest.raises(UserError, match=r"^'image' holds bytes, which JSON cannot; write \.parquet"):
        divided(tmp_path / "r.parquet", tmp_path / "q")
    assert list((tmp_path / "q").iterdir()) == []
    plain = [{name: value for name, value in record.items() if name != "image"} for record in records]
    parquet.write_table(pyarrow.Table.from_pylist(plain), tmp_path / "r.parquet")
    divided(tmp_path / "r.parquet", tmp_path / "p")
    (row,) = lines(tmp_path / "p" / "test.jsonl")
    assert row["made"] == "2024-02-03T04:05:00"
    assert row["took"].endswith(":00:00")


def test_what_json_cannot_say_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """NaN, infinities and numbers beyond them become null, at any depth, and rows that have them are counted."""
    text = '{"prompt": "%s", "completion": "a", "x": %s}\n'
    odd = ["NaN", "[-Infinity]", '{"y": {"z": 1e400}}', "1e300"]
    (tmp_path / "r.jsonl").write_text("".join(text % (f"q{i}", word) for i, word in enumerate(odd)))
    divided(tmp_path / "r.jsonl", tmp_path / "p")
    assert "NaN and infinity are null in 3 rows" in capsys.readouterr().out
    held = {row["prompt"]: row["x"] for name in ("train", "test") for row in lines(tmp_path / "p" / f"{name}.jsonl")}
    assert held == {"q0": None, "q1": [None], "q2": {"y": {"z": None}}, "q3": 1e300}
    converted(tmp_path / "r.jsonl", tmp_path / "o.jsonl", "prompts")
    assert "NaN and infinity are null in 3 rows" in capsys.readouterr().out
    assert [row["x"] for row in lines(tmp_path / "o.jsonl")] == [None, [None], {"y": {"z": None}}, 1e300]
    converted(tmp_path / "r.jsonl", tmp_path / "o.jsonl", "prompts", on_bad="drop")
    (tmp_path / "fine.jsonl").write_text(text % ("q", "1"))
    converted(tmp_path / "fine.jsonl", tmp_path / "o.jsonl", "prompts")
    assert "null" not in capsys.readouterr().out.splitlines()[-1]


def test_parts_appear_together_and_with_the_same_columns(tmp_path: Path) -> None:
    """A note that is null in all of one part is a column of text there, too; where one part fails, there is none."""
    from datasets import load_dataset
    from pyarrow import parquet

    records: list[dict[str, Any]] = [{"prompt": f"q{i}", "note": None, "tags": []} for i in range(8)]
    divided(path := write_jsonl(tmp_path / "r.jsonl", records), tmp_path / "plain", format_="parquet")
    (left_out,) = parquet.read_table(tmp_path / "plain" / "test.parquet")["prompt"].to_pylist()
    for record in records:
        record |= {} if record["prompt"] == left_out else {"note": "n", "tags": ["t"]}
    divided(write_jsonl(path, records), tmp_path / "p", format_="parquet")
    names = {name: str(tmp_path / "p" / f"{name}.parquet") for name in ("test", "train")}
    assert parquet.read_schema(names["test"]) == parquet.read_schema(names["train"])
    found = load_dataset("parquet", data_files=names, cache_dir=str(tmp_path / "cache"))
    assert [found[name]["note"][0] for name in ("test", "train")] == [None, "n"]
    records[0]["note"] = 1
    with pytest.raises(UserError, match=r"'note': .*write \.jsonl"):
        divided(write_jsonl(path, records), tmp_path / "q", format_="parquet")
    assert not (tmp_path / "q").exists() or list((tmp_path / "q").iterdir()) == []


def write_jsonl(path: Path, records: list[Any]) -> Path:
    path.write_bytes(as_jsonl(records))
    return path


def test_no_part_of_a_time_is_cut_off(tmp_path: Path) -> None:
    """Arrow makes dates of times behind a date, and microseconds of nanoseconds, without a word."""
    import pandas

    day, moment = datetime.date(2024, 2, 3), datetime.datetime(2024, 2, 4, 5, 6)
    fine = [pandas.Timestamp("2024-02-03 04:05:06.000007"), None]
    for odd in ([day, moment], [pandas.Timestamp(1), None], [moment, moment.replace(tzinfo=datetime.UTC)]):
        with pytest.raises(UserError, match=r"'at': .*write \.jsonl"):
            write_values(tmp_path / "o.parquet", [{"at": at} for at in odd])
        assert list(tmp_path.iterdir()) == []
    for good in (fine, [day, None], [moment, None], [datetime.timedelta(1), None]):
        write_values(tmp_path / "o.parquet", [{"at": at} for at in good])


def test_the_first_row_that_does_not_fit_is_named_with_its_file(tmp_path: Path) -> None:
    """Wherever it stands among good ones, in whichever file, and whatever comes after it."""
    good, odd = {"n": 1, "x": [1]}, {"n": 2, "x": ["y"]}
    for place in range(6):
        rows = [good] * place + [odd] + [good, odd, good][: 6 - place]
        one, other = tmp_path / "one.parquet", tmp_path / "other.parquet"
        path, line = (one, place + 1) if place < 4 else (other, place - 3)
        if place == 0:  # then the lists are of texts, and the numbers are odd
            line = 2
        with pytest.raises(UserError) as error:
            write_together({one: rows[:4], other: rows[4:]})
        shown = "[1]" if place == 0 else '["y"]'
        said = str(error.value)
        assert said.startswith(f"{path}: the rows do not fit into Parquet's columns ('x': "), (place, said)
        assert said.endswith(f"; row {line} has {shown}); write .jsonl"), (place, said)
        assert list(tmp_path.iterdir()) == []


def test_the_fault_is_that_of_the_row_that_is_named(tmp_path: Path) -> None:
    """An object without fields is no column by itself already, whatever comes after it."""
    with pytest.raises(UserError, match=r"'z': .*no child field.*; row 1 has \{\}\); write \.jsonl$"):
        write_values(tmp_path / "a.parquet", [{"z": {}}, {"z": 1}])


@pytest.mark.parametrize("fault", [{"a": 2**80}, {"a": "\ud800"}, {"\ud800": 1}, {"a": {}}, {"a": [1, "x"]}])
def test_what_no_column_holds_is_said(fault: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"do not fit into Parquet's columns.*write \.jsonl"):
        write_values(tmp_path / "a.parquet", [fault])
    assert list(tmp_path.iterdir()) == []
    write_values(tmp_path / "a.jsonl", [fault])
    assert lines(tmp_path / "a.jsonl") == [fault]


# --- convert: fields come along --------------------------------------------------------------------------------------

RISKY = sorted(
    KNOWN_FIELDS | {"weigth", "weights", "labelers", "margins", "completon", "rating.responses", "q.suggestion", "id"}
)


def made_of(found: Loaded, to: str) -> tuple[list[Any], list[dict[str, Any]]]:
    new = convert(found.rows, to).rows
    return [*new], [dict(fields) for fields in carried(found.kept, parents(found.rows, new, to, consensus=False)).fields]


@pytest.mark.parametrize("kind", ONE)
def test_no_name_of_an_own_field_changes_what_a_row_says(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    tried = 0
    for name in RISKY:
        record = ONE[kind] | {name: "mine"}
        path.write_bytes(as_jsonl([record]))
        found = row_files.check(path)
        path.write_bytes(as_jsonl([ONE[kind]]))
        plain = row_files.check(path)
        if name in ONE[kind] or [bare(row) for row in found.rows] != [bare(row) for row in plain.rows]:
            continue  # the field says something, or makes the row another one, or a bad one
        for to, sources in TARGETS.items():
            if type(plain.rows[0]) not in sources or (kind, to) in (("Rating", "pairs"), ("Thumb", "pairs")):
                continue
            if (kind, to) in (("Rating", "rankings"), ("Rating", "kwise"), ("Rating", "chats")):
                continue  # which take two answers
            new, fields = made_of(found, to)
            write(tmp_path / "out.jsonl", new, fields)
            again = read(tmp_path / "out.jsonl")
            assert [bare(row) for row in again] == [bare(row) for row in new] == [bare(r) for r in made_of(plain, to)[0]], name
            if name not in row_files.check(path).rows[0].__slots__:
                assert all("mine" in own.values() for own in fields), (name, to)
            tried += 1
    assert tried >= (10 if kind not in ("Document", "Labelled") else 0)


def test_names() -> None:
    assert own_names(["id", "label", "original_label", "weigth", "a.responses"]) == {
        "id": "id", "label": "original_original_label", "original_label": "original_label", "weigth": "original_weigth",
        "a.responses": "original_a_responses",
    }  # fmt: skip
    assert own_names(["a.b.responses", "a_b.responses"]) == {
        "a.b.responses": "original_a_b_responses", "a_b.responses": "original_original_a_b_responses",
    }  # fmt: skip


def kept(*own: dict[str, Any]) -> list[Kept]:
    return [Kept({}, fields) for fields in own]


def test_several_rows_hand_on_what_they_agree_on() -> None:
    found = carried(
        kept({"a": 1, "b": [1], "c": 1}, {"a": 1, "b": [1], "c": True}, {"a": 1, "d": None}), [(0,), (0, 1), (0, 1, 2), (2,)]
    )
    assert found.fields == [{"a": 1, "b": [1], "c": 1}, {"a": 1, "b": [1]}, {"a": 1}, {"a": 1, "d": None}]
    assert found.lost == {"c": 2, "b": 1, "d": 1}
    assert list(found.lost) == ["c", "b", "d"]
    (same,) = kept({"a": 1})
    assert carried([same, same], [(0, 1)]).fields == [{"a": 1}]


def pair(q: str, better: str, worse: str, who: str = "?") -> Pair:
    return Pair(q, better, worse, labeler=who)


def rank(q: str, *texts: str, who: str = "?") -> Ranking:
    return Ranking(q, texts, tuple((i,) for i in range(len(texts))), labeler=who)


def rate(q: str, text: str, score: float, who: str = "?") -> Rating:
    return Rating(q, text, {"wit": score}, labeler=who)


PARENTS: dict[str, tuple[list[Any], str, Rules, list[tuple[int, ...]]]] = {
    "thumbs of pairs": ([pair("q", "a", "b"), pair("q", "c", "b"), pair("r", "a", "b")], "thumbs", Rules(),
                        [(0,), (0, 1), (1,), (2,), (2,)]),
    "chats of pairs": ([pair("q", "a", "b"), pair("q", "b", "c"), pair("q", "a", "c")], "chats", Rules(), [(0, 2), (1,)]),
    "chats of rankings": ([rank("q", "a", "b"), rank("q", "b", "a"), rank("q", "b", "c")], "chats", Rules(), [(0,), (1, 2)]),
    "chats of ratings": ([rate("q", "a", 1), rate("q", "b", 2), rate("q", "b", 2, "x")], "chats", Rules(), [(1, 2)]),
    "pairs by consensus": ([pair("q", "a", "b", "x"), pair("q", "b", "c", "x"), pair("q", "a", "b", "y")], "pairs",
                           Rules(consensus=True), [(0, 2), (1,)]),
    "rankings by consensus": ([rank("q", "a", "b", who="x"), rank("r", "a", "b", who="x"), rank("q", "a", "b", who="y")],
                              "pairs", Rules(consensus=True), [(0, 2), (1,)]),
    "pairs of ratings": ([rate("q", "a", 1), rate("q", "b", 2), rate("q", "c", 3), rate("r", "a", 1)], "pairs", Rules(),
                         [(0, 1), (0, 2), (1, 2)]),
    "rankings of ratings": ([rate("q", "a", 1, "x"), rate("q", "b", 2, "x"), rate("q", "a", 2, "y"), rate("q", "b", 1, "y")],
                            "rankings", Rules(), [(0, 1), (2, 3)]),
    "kwise of pairs": ([pair("q", "a", "b"), pair("q", "a", "c"), pair("q", "b", "c"), pair("r", "a", "b")], "kwise", Rules(),
                       [(0, 1, 2), (3,)]),
    "kwise of rankings": ([rank("q", "a", "b", who="x"), rank("q", "a", "b", who="y"), rank("q", "a", "c")], "kwise", Rules(),
                          [(0, 1), (2,)]),
    "pairs of thumbs": ([Thumb("q", "a", up=True), Thumb("q", "b", up=False), Thumb("q", "a", up=True)], "pairs", Rules(),
                        [(0, 1, 2)]),
    "prompts": ([Prompt("q"), Prompt("r"), Prompt("Q ")], "prompts", Rules(), [(0, 2), (1,)]),
}  # fmt: skip


@pytest.mark.parametrize("case", PARENTS)
def test_what_a_row_is_made_of(case: str) -> None:
    rows, to, rules, wanted = PARENTS[case]
    assert parents(rows, convert(rows, to, rules).rows, to, rules.consensus) == wanted


def test_one_row_hands_all_on_even_where_others_say_otherwise(tmp_path: Path) -> None:
    """Two rankings of one prompt, in a list on one line, so that no line tells them apart."""
    records = [{"prompt": "q", "completions": ["a", "b", "c"], "ranks": [1, 2, 3], "id": i} for i in range(2)]
    (tmp_path / "r.json").write_text(json.dumps(records))
    new, fields = made_of(row_files.check(tmp_path / "r.json"), "pairs")
    assert len(new) == 6
    assert [own["id"] for own in fields] == [0, 0, 0, 1, 1, 1]


def test_grades_are_those_of_their_rows_though_all_are_on_one_line(tmp_path: Path) -> None:
    grades = ["significantly better", "unsure", "better"]
    records = [{"prompt": f"q{i}", "chosen": "a", "rejected": "b", "grade": grade} for i, grade in enumerate(grades)]
    (tmp_path / "r.json").write_text(json.dumps(records))
    converted(tmp_path / "r.json", tmp_path / "o.jsonl", "pairs", grades="large")
    assert [(row["margin"], row["grade"]) for row in lines(tmp_path / "o.jsonl")] == [
        (3, grades[0]),
        (0, grades[1]),
        (2, grades[2]),
    ]


def converted(path: Path, out: Path, to: str, **more: Any) -> None:
    words: dict[str, Any] = {"ties": "drop", "rejects": "lose", "attribute": None, "min_gap": 0.0, "consensus": False}
    cli_data.convert(str(path), out, to, **{**words, "min_share": 0.5, "grades": None, **PLAIN, **more})


def test_convert_says_what_came_along_and_what_did_not(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    base = {"prompt": "q", "completions": ["a", "b"], "ranks": [1, 2], "topic": "t", "text": "x"}
    records = [base | {"labeler": who, "minutes": i} for i, who in enumerate("xyz")]
    (tmp_path / "r.jsonl").write_bytes(as_jsonl(records))
    converted(tmp_path / "r.jsonl", tmp_path / "o.jsonl", "pairs", consensus=True)
    assert capsys.readouterr().out.splitlines()[1:] == [
        "  carried along: topic, text as original_text",
        "  minutes: dropped from 1 row, each made of several that differ in it",
    ]
    (row,) = lines(tmp_path / "o.jsonl")
    assert (row["topic"], row["original_text"], "minutes" in row) == ("t", "x", False)
    converted(tmp_path / "r.jsonl", tmp_path / "o.jsonl", "pairs")
    assert "dropped from" not in capsys.readouterr().out
    assert [row["minutes"] for row in lines(tmp_path / "o.jsonl")] == [0, 1, 2]
    (tmp_path / "t.txt").write_text("one\ntwo\n")
    converted(tmp_path / "t.txt", tmp_path / "o.jsonl", "prompts", source="prompts")
    assert "no other fields come along" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("source", "record", "own"),
    [
        ("dolly", {"instruction": "i", "context": "c", "response": "r", "category": "qa"}, {"category": "qa"}),
        ("alpaca", {"instruction": "i", "input": "", "output": "r", "id": 3}, {"id": 3}),
        ("dialogsum", {"dialogue": "d", "summary": "s", "fname": "f"}, {"fname": "f"}),
        ("shp", {"history": "h", "human_ref_A": "a", "human_ref_B": "b", "labels": 1, "score_ratio": 2.0, "domain": "d"},
         {"domain": "d"}),
        ("hh-rlhf", {"chosen": "\n\nHuman: q\n\nAssistant: a", "rejected": "\n\nHuman: q\n\nAssistant: b", "n": 1}, {"n": 1}),
        ("pandalm", {"instruction": "i", "input": "", "response1": "a", "response2": "b", "annotator1": 1, "n": 0}, {"n": 0}),
        ("scored", {"prompt": "p", "responses": ["a"], "scores": [1], "model": "m"}, {"model": "m"}),
        ("thumbs", {"prompt": "p", "completion": "c", "label": True, "user": "u"}, {"user": "u"}),
        ("hate-speech", {"class": "0", "tweet": "t", "count": "3"}, {"count": "3"}),
        ("usr", {"source": "a\nb", "system_output": "o", "context": "f", "scores": {"overall": 1}}, {"context": "f"}),
        ("file", {"prompt": "p", "messages": [], "chosen": "a", "rejected": "b"}, {"messages": []}),
        ("file", {"instruction": "i", "output": "o", "kto_tag": True, "labeler": "x", "at": 1}, {"at": 1}),
        ("file", {"messages": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}], "prompt": "q"},
         {"prompt": "q"}),
    ],
)  # fmt: skip
def test_which_fields_are_a_users_own(source: str, record: dict[str, Any], own: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "r.jsonl").write_bytes(as_jsonl([record]))
    found = check(source, tmp_path / "r.jsonl")
    assert not found.complaints
    assert [(kept.fields, kept.own) for kept in found.kept] == [(record, own)]
    assert check(source, tmp_path / "r.jsonl", style="transcript").kept == found.kept


def test_new_fields_stand_beside_those_of_the_same_name() -> None:
    records = [{"score": 1, "filter_score": 2}, {"line": 3}]
    new = [{"score": 9, "line": 8, "file": "f"}] * 2
    assert beside(records, new, "filter_") == [
        {"score": 1, "filter_score": 2, "filter_filter_score": 9, "filter_line": 8, "file": "f"},
        {"line": 3, "filter_filter_score": 9, "filter_line": 8, "file": "f"},
    ]


# --- origins ---------------------------------------------------------------------------------------------------------


def test_a_training_on_what_was_converted_and_split_names_the_true_source(tmp_path: Path) -> None:
    human = "\n\nHuman: q{}\n\nAssistant: {}"
    records = [{"chosen": human.format(i, "yes"), "rejected": human.format(i, "no")} for i in range(6)]
    path = tmp_path / "hh.jsonl"
    path.write_bytes(as_jsonl(records))
    converted(path, tmp_path / "pairs.jsonl", "pairs", source="hh-rlhf")
    divided(tmp_path / "pairs.jsonl", tmp_path / "parts", test="2")
    (origin,) = about_data(tmp_path / "parts" / "test.jsonl")["data"]
    (first,) = origins(path)
    assert origin == {"source": "hh-rlhf", "file": "hh.jsonl", "sha256": first.sha256, "rows": 2, "licence": "MIT"}


def test_split_by_words_is_split_by_prompts_without_them() -> None:
    rows = [Chat(f"q{i % 7}", f"a{i}") for i in range(30)]
    assert split(rows, {"test": 2}, 3) == split(rows, {"test": 2}, 3, list(range(30)))


def test_csv_with_an_own_field_is_written_as_text(tmp_path: Path) -> None:
    with (tmp_path / "r.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["prompt", "chosen", "rejected", "margin", "id"], ["q", "a", "b", "0.5", "007"]])
    converted(tmp_path / "r.csv", tmp_path / "o.jsonl", "pairs")
    (row,) = lines(tmp_path / "o.jsonl")
    assert (row["margin"], row["id"]) == (0.5, "007")


def test_csv_cells_of_own_fields_stay_text_whatever_they_spell(tmp_path: Path) -> None:
    """A list of messages in a user's own column is no value, and so is a list under a name that other shapes have."""
    talk = json.dumps([{"role": "user", "content": "q"}])
    records = [
        {"prompt": f"q{i}", "chosen": "a", "rejected": "b", "seen": talk if i else "x", "history": "[1]"} for i in range(4)
    ]
    (tmp_path / "r.csv").write_bytes(as_csv(records))
    divided(tmp_path / "r.csv", tmp_path / "p", format_="parquet")
    from pyarrow import parquet

    parts = [parquet.read_table(tmp_path / "p" / f"{name}.parquet").to_pylist() for name in ("train", "test")]
    assert counted(parts[0] + parts[1]) == counted(records)


def test_a_grade_under_a_name_that_no_row_has(tmp_path: Path) -> None:
    path = write_jsonl(tmp_path / "r.jsonl", [{"prompt": "q", "chosen": "a", "rejected": "b", "how_much": "better"}])
    with pytest.raises(UserError, match="no field 'how_mch'; did you mean 'how_much'"):
        converted(path, tmp_path / "o.jsonl", "pairs", grades="small", map=["how_mch=grade"])
    converted(path, tmp_path / "o.jsonl", "pairs", grades="small", map=["how_much=grade"])
    assert lines(tmp_path / "o.jsonl")[0]["margin"] == pytest.approx(2 / 3)


def test_many_own_fields_are_named_and_then_counted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    records = [{"prompt": "q", "completion": "a", **{f"f{i}": j for i in range(30)}} for j in range(2)]
    converted(write_jsonl(tmp_path / "r.jsonl", records[:1]), tmp_path / "o.jsonl", "prompts")
    assert "f19, and 10 more" in capsys.readouterr().out
    converted(write_jsonl(tmp_path / "r.jsonl", records), tmp_path / "o.jsonl", "prompts")
    assert [line for line in capsys.readouterr().out.splitlines() if "more" in line or "f20" in line] == ["  and 10 more"]
