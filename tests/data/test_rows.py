"""Files become rows or complaints: each shape, each format, each way to be wrong; nothing is lost in a round trip."""

import json
import math
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accordant.data.rows import PARSERS, check, read, write_jsonl
from accordant.types import (
    Chat,
    Document,
    Labelled,
    Message,
    Pair,
    Prompt,
    Ranking,
    Rating,
    Source,
    Thumb,
    UserError,
)

USER, ANSWER = {"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}
ASKED = (Message("user", "q"),)


@pytest.fixture
def write(tmp_path):
    def write_file(content, name="rows.jsonl"):
        if isinstance(content, list):
            content = "".join(json.dumps(row) + "\n" for row in content)
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write_file


def only_complaint(path, kind=None):
    complaints = check(path, kind).complaints
    assert len(complaints) == 1
    return str(complaints[0]).removeprefix(str(path))


SHAPES = [
    ({"prompt": "q"}, Prompt("q")),
    ({"prompt": [USER]}, Prompt(ASKED)),
    ({"text": "t"}, Document("t")),
    ({"text": "t", "label": 1}, Labelled("t", 1)),
    ({"prompt": "q", "completion": " a"}, Chat("q", " a")),
    ({"prompt": [USER], "completion": [ANSWER]}, Chat(ASKED, "a")),
    ({"messages": [USER, ANSWER]}, Chat(ASKED, "a")),
    ({"messages": [USER, ANSWER, USER, ANSWER]}, Chat((*ASKED, Message("assistant", "a"), *ASKED), "a")),
    ({"prompt": "q", "chosen": "c", "rejected": "r"}, Pair("q", "c", "r")),
    ({"prompt": "q", "chosen": "c", "rejected": "r", "margin": 2, "weight": 0.5}, Pair("q", "c", "r", 2.0, 0.5)),
    ({"prompt": "q", "chosen": "c", "rejected": "r", "margin": None}, Pair("q", "c", "r")),
    ({"prompt": [USER], "chosen": [ANSWER], "rejected": "r"}, Pair(ASKED, "a", "r")),
    ({"prompt": "q", "chosen": [USER, ANSWER], "rejected": [USER, ANSWER]}, Pair(ASKED, "a", "a")),
    ({"chosen": [USER, ANSWER], "rejected": [USER, ANSWER]}, Pair(ASKED, "a", "a")),
    ({"chosen": "Why? It is red.", "rejected": "Why? It was."}, Pair("Why? It", " is red.", " was.")),
    ({"chosen": "the cat sat", "rejected": "the cats ran"}, Pair("the", " cat sat", " cats ran")),
    (
        {"chosen": "\n\nHuman: q\n\nAssistant: Yes, so", "rejected": "\n\nHuman: q\n\nAssistant: Yes, but"},
        Pair("\n\nHuman: q\n\nAssistant:", " Yes, so", " Yes, but"),
    ),
    (
        {"prompt": "q", "completions": ["a", "b", "c", "d"], "ranks": [2, 1, None, 1]},
        Ranking("q", ("a", "b", "c", "d"), ((1, 3), (0,)), (2,)),
    ),
    (
        {"prompt": "q", "completions": ["a", "b"], "groups": [[1]], "rejected": [0], "labeler": "x"},
        Ranking("q", ("a", "b"), ((1,),), (0,), "x"),
    ),
    ({"prompt": "q", "completion": "a", "scores": {"quality": 4, "tone": None}}, Rating("q", "a", {"quality": 4.0})),
]


@pytest.mark.parametrize(("fields", "row"), SHAPES)
def test_shapes_are_recognised(write, fields, row):
    path = write([fields])
    wanted = type(row)(**{name: getattr(row, name) for name in row.__slots__ if name != "source"}, source=Source(str(path), 1))
    assert read(path) == [wanted]
    assert read(path, type(row)) == [wanted]


BAD = [
    ({"prompt": "q", "completion": ""}, "`completion` is empty; write it or delete the row"),
    ({"prompt": "q", "completion": " \n"}, "`completion` is empty"),
    ({"prompt": "q", "completion": None}, "`completion` must be text, found null"),
    ({"prompt": "q", "completion": 3}, "`completion` must be text, found 3"),
    ({"completion": "a"}, "`prompt` is missing"),
    ({"prompt": "q", "completion": "\ud800"}, "`completion` has half a surrogate pair at character 0"),
    ({"prompt": "q", "completion": "a", "label": 3}, "`label` must be true or false, found 3"),
    ({"prompt": "q", "completion": "a", "scores": {"\ud800": 3}}, "`scores key` has half a surrogate pair"),
    ({"prompt": [USER, ANSWER]}, "`prompt` ends with an assistant turn"),
    ({"prompt": []}, "`prompt` is empty; give at least one message"),
    ({"prompt": [{"role": "human", "content": "q"}]}, '`prompt[0].role` is "human"; it must be one of system, user'),
    ({"prompt": [{"content": "q"}]}, "`prompt[0]` must be"),
    ({"messages": [ANSWER]}, "`messages` has 1 turns"),
    ({"messages": [USER, USER]}, "ends with user"),
    ({"text": "t", "label": "1"}, '`label` must be a number, found "1"'),
    ({"text": "t", "label": True}, "`label` must be a number, found true"),
    ({"text": "t", "label": 0.5}, "`label` must be a whole number"),
    ({"text": "t", "label": -1}, "`label` is -1; it must be at least 0"),
    ({"text": "t", "label": 10**400}, "`label` must be a number"),
    ({"text": "t", "lable": 1}, "unknown field 'lable'; did you mean 'label'?"),
    ({"prompt": "q", "completon": "a"}, "unknown field 'completon'; did you mean 'completion'?"),
    ({"prompt": "q", "chosen": "c", "rejected": "r", "weigth": 2}, "unknown field 'weigth'; did you mean 'weight'?"),
    ({"prompt": "q", "chosen": "c", "rejected": "r", "margin": math.nan}, "`margin` is nan; it must be finite"),
    ({"prompt": "q", "chosen": "c", "rejected": "r", "margin": 1e39}, "`margin` is 1e+39; training counts in float32"),
    ({"prompt": "q", "completion": "a", "scores": {"x": -1e308}}, "`scores.x` is -1e+308; training counts in float32"),
    ({"prompt": "q", "chosen": "c", "rejected": "r", "margin": -1}, "`margin` is -1.0; it must be at least 0"),
    ({"prompt": "q", "chosen": "c", "rejected": "r", "weight": 0}, "`weight` is 0.0; it must be above 0"),
    ({"prompt": "q", "chosen": "c", "rejected": ""}, "`rejected` is empty"),
    ({"prompt": "x", "chosen": [USER, ANSWER], "rejected": [USER, ANSWER]}, "`prompt` is not what `chosen` has"),
    ({"prompt": "q", "chosen": [USER, ANSWER], "rejected": [ANSWER]}, "different turns before the answer"),
    ({"chosen": [USER], "rejected": [USER]}, "`chosen` ends with a user turn"),
    ({"chosen": [USER, ANSWER, ANSWER], "rejected": [USER, ANSWER, ANSWER]}, "two assistant turns"),
    ({"chosen": "yes", "rejected": "no"}, "`prompt` is missing and `chosen` and `rejected` begin differently"),
    ({"chosen": "a b", "rejected": "a b"}, "are the same"),
    ({"chosen": "\n\nAssistant: a", "rejected": "x\n\nAssistant: b"}, "differ before their last answers"),
    ({"chosen": "\n\nAssistant: a", "rejected": "\n\nAssistant:"}, "`rejected answer` is empty"),
    ({"prompt": "q", "completions": ["a"], "ranks": [1]}, "`completions` has 1 answers; a comparison needs"),
    ({"prompt": "q", "completions": ["a", ""], "ranks": [1, 2]}, "`completions[1]` is empty"),
    ({"prompt": "q", "completions": ["a", "b"], "ranks": [1]}, "`ranks` has 1 ranks for 2 completions"),
    ({"prompt": "q", "completions": "ab", "ranks": [1, 2]}, "`completions` must be a list"),
    ({"prompt": "q", "completions": ["a", "b"], "groups": [[0], [0, 1]]}, "places the answers [0, 0, 1]"),
    ({"prompt": "q", "completions": ["a", "b"], "groups": [[0]]}, "places the answers [0], and there are 2"),
    ({"prompt": "q", "completions": ["a", "b"], "groups": [[0, 1], []]}, "a group that is not empty"),
    ({"prompt": "q", "completions": ["a", "b"], "groups": [0, 1]}, "`groups` must hold lists of indices"),
    ({"prompt": "q", "completion": "a", "scores": {"quality": "good"}}, "`scores.quality` must be a number"),
    ({"prompt": "q", "completion": "a", "scores": {}}, "`scores` rates no attribute"),
    ({"prompt": "q", "completion": "a", "scores": 4}, "`scores` must be an object"),
    ({"question": "q"}, "the fields ['question'] make no known row; give chosen+rejected or "),
    (["prompt"], 'expected an object such as {"prompt": ...}, found ["prompt"]'),
]


@pytest.mark.parametrize(("fields", "message"), BAD)
def test_bad_rows_are_complaints_with_place_and_fix(write, fields, message):
    complaint = only_complaint(write([fields]))
    assert complaint.startswith(":1: ")
    assert message in complaint


@pytest.mark.parametrize("name", ["label", "labels"])
def test_a_column_of_labels_is_no_misspelt_labeler(write, name):
    (row,) = read(write([{"prompt": "q", "chosen": "c", "rejected": "r", name: 1}]))
    assert (row.prompt, row.chosen, row.rejected, row.labeler) == ("q", "c", "r", "?")
    assert "did you mean 'labeler'" in only_complaint(write([{"prompt": "q", "chosen": "c", "rejected": "r", "labeller": "A"}]))


def test_every_bad_row_is_named_by_its_line_up_to_twenty(write):
    good, bad = {"prompt": "q", "completion": "a"}, {"prompt": "q", "completion": ""}
    path = write([good, bad, *[good, bad] * 21])
    with pytest.raises(UserError) as caught:
        read(path)
    lines = str(caught.value).splitlines()
    assert lines[0] == f"{path}: 22 of 44 rows are bad"
    assert lines[1].startswith(f"  {path}:2: `completion` is empty")
    assert lines[2].startswith(f"  {path}:4: ")
    assert len(lines) == 1 + 20 + 1
    assert lines[-1] == "  and 2 more"


def test_a_row_of_another_kind_is_bad_even_if_it_is_the_first(write):
    path = write([{"prompt": "q"}, {"prompt": "q", "completion": "a"}, {"prompt": "p", "completion": "b"}])
    assert only_complaint(path).startswith(":1: `completion` is missing: the other rows are Chat rows")


PAIR, SCORED = {"prompt": "q", "chosen": "c", "rejected": "r"}, {"prompt": "q", "completion": "a", "scores": {"x": 1}}
INCOMPLETE = [
    (PAIR, {"prompt": "q", "chosen": "c"}, "`rejected` is missing: the other rows are Pair rows"),
    (PAIR, {"rejected": "r"}, "`chosen` is missing"),
    (PAIR, {"prompt": "q"}, "`chosen` and `rejected` are missing"),
    (PAIR, {"text": "t"}, "a Document row among Pair rows"),
    (PAIR, PAIR | {"prompt": "p"} | {"chosen": None}, "`chosen` must be text"),
    ({"text": "t", "label": 1}, {"label": 1}, "`text` is missing"),
    ({"text": "t", "label": 1}, {"text": "t"}, "`label` is missing"),
    (SCORED, {"prompt": "q", "completion": "a"}, "`scores` is missing"),
    ({"prompt": "q"}, {"question": "q"}, "`prompt` is missing"),
    ({"text": "t"}, {"text": "t", "label": 1}, "a Labelled row among Document rows"),
]


@pytest.mark.parametrize(("usual", "odd", "message"), INCOMPLETE)
def test_where_the_other_rows_say_what_a_row_should_be_the_missing_field_is_named(write, usual, odd, message):
    complaint = only_complaint(write([usual, usual, odd]))
    assert complaint.startswith(":3: ")
    assert message in complaint


def test_a_kind_that_is_asked_for_ignores_the_fields_of_others(write):
    path = write([{"prompt": "q", "chosen": "c", "rejected": "r"}, {"prompt": "p"}])
    assert [row.prompt for row in read(path, Prompt)] == ["q", "p"]
    assert only_complaint(path, Pair).startswith(":2: the fields ['prompt'] make no Pair row; give chosen+rejected")


@pytest.mark.parametrize(
    ("content", "place", "message"),
    [
        (b'{"prompt": "q"}\n{"prompt": \n', ":2: ", "invalid JSON"),
        (b'{"prompt": "q"}\n\n{"prompt": "\xff"}\n', ":3: ", "byte 0xff is not UTF-8"),
        ('{"prompt": "a\u2028b"}\n{"prompt": ""}'.encode(), ":2: ", "`prompt` is empty"),
        (b"[" * 100_000, ":1: ", "invalid JSON"),
        (b'{"prompt": 1' + b"0" * 5000 + b"}", ":1: ", "invalid JSON"),
    ],
)
def test_bytes_that_are_no_jsonl_are_complaints(write, content, place, message):
    complaint = only_complaint(write(content))
    assert complaint.startswith(place)
    assert message in complaint


@pytest.mark.parametrize("name", ["rows.jsonl", "rows.json", "rows.csv"])
def test_byte_order_marks_and_windows_line_ends_change_nothing(write, name):
    content = {
        "rows.jsonl": '{"prompt": "q\\r\\nr"}\n{"prompt": "p"}\n',
        "rows.json": '[\n{"prompt": "q\\r\\nr"},\n{"prompt": "p"}]\n',
        "rows.csv": "prompt,other\nq,1\np,2\n",
    }[name]
    rows = read(write(content, name))
    assert rows == read(write(b"\xef\xbb\xbf" + content.replace("\n", "\r\n").encode(), name))
    assert len(rows) == 2


@pytest.mark.parametrize("name", ["rows.jsonl", "rows.json", "rows.csv"])
def test_a_file_without_rows_is_an_error(write, name):
    for content in ("", "\n \n" if name != "rows.csv" else "prompt\n", "[]" if name == "rows.json" else ""):
        with pytest.raises(UserError, match="there are no rows in it"):
            read(write(content, name))


def test_json_items_know_their_lines(write):
    path = write('[{"prompt": "a"},\n\n {"prompt":\n "b"}\n, {"prompt": "c"}]', "rows.json")
    assert [(row.prompt, row.source.line) for row in read(path)] == [("a", 1), ("b", 3), ("c", 5)]


@pytest.mark.parametrize(
    ("content", "place", "message"),
    [
        ('{"prompt": "q"}', ":1: ", "expected a list of objects"),
        ('[{"prompt": "q"},\n{"prompt" "q"}]', ":2: ", "invalid JSON"),
        (b'[{"prompt":\n"\xff"}]', ":2: ", "not UTF-8"),
    ],
)
def test_bytes_that_are_no_json_list_are_complaints(write, content, place, message):
    complaint = only_complaint(write(content, "rows.json"))
    assert complaint.startswith(place)
    assert message in complaint


def test_csv_cells_spell_numbers_and_lists(write):
    path = write(
        'prompt,chosen,rejected,margin\n"two\nlines",[1],2,0.5\n"[{""role"": ""user"", ""content"": ""q""}]",c,r,\n',
        "rows.csv",
    )
    source = str(path)
    assert read(path) == [
        Pair("two\nlines", "[1]", "2", 0.5, source=Source(source, 2)),
        Pair(ASKED, "c", "r", source=Source(source, 4)),
    ]
    ranked = write('prompt,completions,ranks\nq,"[""a"", ""b""]","[2, null]"\n', "ranked.csv")
    assert read(ranked)[0].groups == ((0,),)


@pytest.mark.parametrize(
    ("content", "place", "message"),
    [
        ("prompt,completion\nq,\n", ":2: ", "`completion` is empty"),
        ("prompt,completion\nq,a\nq,a,b\n", ":3: ", "3 cells under a header of 2"),
        ("prompt,prompt\nq,p\n", ":1: ", "two columns are called 'prompt'"),
        ('prompt\nq\n"open\n', ":3: ", "invalid CSV"),
        ("text,label\nt,high\n", ":2: ", "`label` must be a number"),
        (b"prompt\nq\n\xff\n", ":3: ", "not UTF-8"),
    ],
)
def test_bad_csv_is_a_complaint(write, content, place, message):
    complaint = only_complaint(write(content, "rows.csv"))
    assert complaint.startswith(place)
    assert message in complaint


def test_parquet_rows_are_read_and_counted(tmp_path):
    import pyarrow
    from pyarrow import parquet

    path = tmp_path / "rows.parquet"
    table = {"prompt": [[USER], [USER]], "chosen": ["c", "d"], "rejected": ["r", ""], "margin": [None, 1.0]}
    parquet.write_table(pyarrow.table(table), path)
    loaded = check(path)
    rows, complaints = list(loaded.rows), loaded.complaints
    assert rows == [Pair(ASKED, "c", "r", source=Source(str(path), 1))]
    assert [complaint.source.line for complaint in complaints] == [2]


def test_a_broken_parquet_file_is_a_complaint(write):
    assert "not a readable Parquet file" in only_complaint(write(b"PAR1", "rows.parquet"))


def test_hub_data_sets_are_read_by_their_split(tmp_path, monkeypatch):
    import datasets

    folder = tmp_path / "owner" / "name"
    folder.mkdir(parents=True)
    (folder / "train.jsonl").write_text('{"prompt": "q"}\n{"prompt": "p"}\n')
    monkeypatch.chdir(tmp_path)  # `load_dataset` takes a folder of this name before it asks the hub
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    name = "hub:owner/name:train"
    assert read(name) == [Prompt("q", Source(name, 1)), Prompt("p", Source(name, 2))]
    assert read("hub:owner/name/default:train")[0].prompt == "q"
    with pytest.raises(UserError, match="hub:owner/name:test: the data set could not be loaded"):
        read("hub:owner/name:test")


@pytest.mark.parametrize("name", ["hub:owner/name", "hub:name:train", "hub:a/b/c/d:train", "hub:owner/:train", "hub:a/b:"])
def test_malformed_hub_names_are_refused(name):
    with pytest.raises(UserError, match="is not hub:owner/name:split"):
        read(name)


def test_a_missing_file_names_the_nearest(write, tmp_path):
    write([{"prompt": "q"}], "preferences.jsonl")
    with pytest.raises(UserError, match=r"preference.jsonl is not there; did you mean preferences.jsonl\?"):
        read(tmp_path / "preference.jsonl")
    with pytest.raises(UserError, match="no file there has a similar name"):
        read(tmp_path / "zzz")
    with pytest.raises(UserError, match=f"there is no folder {tmp_path / 'no'}"):
        read(tmp_path / "no" / "rows.jsonl")
    with pytest.raises(UserError, match="is a folder"):
        read(tmp_path)


def test_unknown_kinds_of_files_are_refused(write):
    with pytest.raises(UserError, match=r"cannot be read from a \.txt file; use one of .jsonl, .json, .csv, .parquet"):
        read(write("text", "rows.txt"))


# --- the round trip --------------------------------------------------------------------------------------------------

texts = st.text(min_size=1, max_size=12).filter(str.strip)
prompts = texts | st.lists(st.builds(Message, st.sampled_from(["system", "user"]), texts), min_size=1, max_size=3).map(tuple)
finite = st.floats(min_value=0, max_value=3.4e38, allow_nan=False, exclude_min=True)


@st.composite
def rankings(draw):
    completions = tuple(draw(st.lists(texts, min_size=2, max_size=5)))
    ranks = draw(st.lists(st.integers(0, 3), min_size=len(completions), max_size=len(completions)))
    groups = tuple(tuple(i for i, rank in enumerate(ranks) if rank == place) for place in sorted(set(ranks) - {0}))
    rejected = tuple(i for i, rank in enumerate(ranks) if rank == 0)
    return Ranking(draw(prompts), completions, groups, rejected, draw(texts))


KINDS = {
    Prompt: st.builds(Prompt, prompts),
    Document: st.builds(Document, texts),
    Chat: st.builds(Chat, prompts, texts),
    Labelled: st.builds(Labelled, texts, st.integers(0, 9)),
    Pair: st.builds(Pair, prompts, texts, texts, finite, finite, st.booleans(), texts),
    Thumb: st.builds(Thumb, prompts, texts, st.booleans(), texts),
    Ranking: rankings(),
    Rating: st.builds(Rating, prompts, texts, st.dictionaries(texts, finite, min_size=1), texts),
}


@pytest.mark.parametrize("kind", KINDS)
@given(data=st.data())
def test_rows_come_back_exactly_as_they_were_written(kind, data, tmp_path_factory):
    path = tmp_path_factory.getbasetemp() / f"{kind.__name__}.jsonl"
    rows = data.draw(st.lists(KINDS[kind], min_size=1, max_size=4))
    write_jsonl(path, rows)
    back = read(path)
    assert [row.source for row in back] == [Source(str(path), line) for line in range(1, len(rows) + 1)]
    assert [_without_source(row) for row in back] == [_without_source(row) for row in rows]


def _without_source(row):
    return type(row), [getattr(row, name) for name in row.__slots__ if name != "source"]


def test_every_kind_of_row_has_a_parser():
    assert set(PARSERS) == set(KINDS)


def test_a_file_is_written_whole_or_not_at_all(tmp_path, monkeypatch):
    path = tmp_path / "rows.jsonl"
    write_jsonl(path, [Prompt("old")])
    with pytest.raises(ValueError, match="rows of several kinds"):
        write_jsonl(path, [Prompt("new"), Document("t")])
    with pytest.raises(ValueError, match="JSON"):
        write_jsonl(path, [Pair("q", "c", "r"), Pair("q", "c", "r", margin=math.inf)])

    def full_disk(*_):
        raise OSError("no space left")

    for step in ("replace", "fsync"):
        with monkeypatch.context() as patch:
            patch.setattr(os, step, full_disk)
            with pytest.raises(OSError, match="no space"):
                write_jsonl(path, [Prompt("new")])
    assert os.listdir(tmp_path) == ["rows.jsonl"]
    assert read(path)[0].prompt == "old"
