"""Other tools' shapes are recognised by their fields, renamed by `map`, and a fault of all rows is named once."""

from __future__ import annotations

import csv
import gzip
import json
import random
from pathlib import Path
from typing import Any

import pytest

from accordant.data import rows, shapes
from accordant.data.rows import check, read
from accordant.types import Chat, Pair, Prompt, Ranking, Rating, Row, Thumb, UserError
from malformed import broken, dirty, examine, whole
from source_examples import as_jsonl, bare, turns

HUMAN, GPT = {"from": "human", "value": "q"}, {"from": "gpt", "value": "a"}
USER, ANSWER = {"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}
ASKED = turns("q")
TEXTS = {"prompt": "q", "response-1": "a", "response-2": "b"}
RANKED = [{"rank": 2, "value": "response-1"}, {"rank": 1, "value": "response-2"}]

SHAPES: list[tuple[str, dict[str, Any], list[Row]]] = [
    ("ShareGPT", {"conversations": [HUMAN, GPT]}, [Chat(ASKED, "a")]),
    ("ShareGPT", {"conversations": [HUMAN, GPT, HUMAN, GPT], "system": "s"}, [Chat(turns("q", "a", "q", system="s"), "a")]),
    ("ShareGPT", {"conversations": [USER, ANSWER], "id": 7}, [Chat(ASKED, "a")]),
    (
        "ShareGPT pair",
        {"conversations": [HUMAN], "chosen": GPT, "rejected": {"from": "gpt", "value": "b"}},
        [Pair(ASKED, "a", "b")],
    ),
    ("ShareGPT pair", {"conversations": [HUMAN], "chosen": "a", "rejected": "b", "margin": 2}, [Pair(ASKED, "a", "b", 2.0)]),
    ("ShareGPT thumb", {"conversations": [HUMAN, GPT], "kto_tag": False}, [Thumb(ASKED, "a", False)]),
    ("ShareGPT thumb", {"conversations": [HUMAN, GPT], "label": True}, [Thumb(ASKED, "a", True)]),
    ("ShareGPT thumb", {"messages": [USER, ANSWER], "kto_tag": True}, [Thumb(ASKED, "a", True)]),
    ("messages with a label", {"messages": [USER, ANSWER], "label": False}, [Thumb(ASKED, "a", False)]),
    ("unpaired preference", {"prompt": "q", "completion": " a", "label": True}, [Thumb("q", " a", True)]),
    ("unpaired preference", {"prompt": [USER], "completion": [ANSWER], "label": False}, [Thumb(ASKED, "a", False)]),
    ("Alpaca", {"instruction": "q", "input": "x", "output": "a", "text": "all of it"}, [Chat(turns("q\n\nx"), "a")]),
    (
        "Alpaca",
        {"instruction": "q", "output": "a", "system": "s", "history": [["h", "i"]]},
        [Chat(turns("h", "i", "q", system="s"), "a")],
    ),
    ("Alpaca pair", {"instruction": "q", "input": "", "chosen": "a", "rejected": "b"}, [Pair(ASKED, "a", "b")]),
    ("Alpaca thumb", {"instruction": "q", "output": "a", "kto_tag": True}, [Thumb(ASKED, "a", True)]),
    ("Dolly", {"instruction": "q", "context": "x", "response": "a", "category": "c"}, [Chat(turns("q\n\nx"), "a")]),
    (
        "scored pair",
        {
            "prompt": "q",
            "chosen": [USER, ANSWER],
            "rejected": [USER, {"role": "assistant", "content": "b"}],
            "messages": [USER, ANSWER],
            "score_chosen": 8.5,
            "score_rejected": 6,
        },
        [Pair(ASKED, "a", "b", 2.5)],
    ),
    (
        "scored pair",
        {"prompt": "q", "chosen": "a", "rejected": "b", "chosen_score": 3, "rejected_score": 3},
        [Pair("q", "a", "b", tie=True)],
    ),
    (
        "scored pair",
        {"prompt": "q", "chosen": "a", "rejected": "b", "chosen-rating": 5, "rejected-rating": 4.5},
        [Pair("q", "a", "b", 0.5)],
    ),
    (
        "scored pair",
        {"prompt": "q", "chosen": "a", "rejected": "b", "chosen_rating": 5, "rejected_rating": 1},
        [Pair("q", "a", "b", 4.0)],
    ),
    (
        "scored answers",
        {"prompt": "q", "responses": ["a", "b"], "scores": [1, 2]},
        [Rating("q", "a", {"score": 1.0}), Rating("q", "b", {"score": 2.0})],
    ),
    ("scored answers", {"prompt": "q", "completions": ["a"], "scores": [1]}, [Rating("q", "a", {"score": 1.0})]),
    ("scored answers", {"prompt": "q", "responses": [{"response": "a", "score": 3}]}, [Rating("q", "a", {"score": 3.0})]),
    (
        "Argilla record",
        {
            "fields": {"prompt": "q", "response": "a"},
            "responses": [
                {"user_id": "u", "values": {"style": {"value": 4}, "note": {"value": "ok"}}, "status": "submitted"},
                {"user_id": "v", "values": {"style": {"value": 1}}, "status": "discarded"},
            ],
        },
        [Rating("q", "a", {"style": 4.0}, "u")],
    ),
    (
        "Argilla record",
        {"fields": TEXTS, "responses": {"order": [{"user_id": "u", "value": RANKED}], "note": []}, "suggestions": {}},
        [Ranking("q", ("a", "b"), ((1,), (0,)), labeler="u")],
    ),
    (
        "Argilla record",
        {
            "fields": {"instruction": "q", "completion": "a"},
            "suggestions": {"style": {"value": 2, "agent": "m"}},
            "responses": None,
        },
        [Rating("q", "a", {"style": 2.0}, "suggestion by m")],
    ),
    (
        "Argilla columns",
        {
            "prompt": "q",
            "response": "a",
            "style.responses": [5, 3, 1],
            "style.responses.users": ["u", "v", "w"],
            "style.responses.status": ["submitted", "submitted", "draft"],
            "style.suggestion": 9,
        },
        [Rating("q", "a", {"style": 5.0}, "u"), Rating("q", "a", {"style": 3.0}, "v")],
    ),
    (
        "Argilla columns",
        {"prompt": "q", "response": "a", "style.suggestion": 2, "style.suggestion.agent": "m", "style.responses": None},
        [Rating("q", "a", {"style": 2.0}, "suggestion by m")],
    ),
]


@pytest.mark.parametrize(("name", "fields", "wanted"), SHAPES)
def test_a_shape_is_recognised_and_becomes_our_rows(
    tmp_path: Path, name: str, fields: dict[str, Any], wanted: list[Row]
) -> None:
    assert next(shape for shape in shapes.SHAPES if shape.fits(fields)).name == name
    path = tmp_path / "rows.jsonl"
    path.write_bytes(as_jsonl([{"x": 1} | fields, fields]))
    found = read(path)
    assert [bare(row) for row in found] == [bare(row) for row in wanted] * 2
    assert [row.source.line for row in found] == [1] * len(wanted) + [2] * len(wanted)


def test_every_entry_of_the_table_is_tried() -> None:
    tried = {next(i for i, shape in enumerate(shapes.SHAPES) if shape.fits(fields)) for _, fields, _ in SHAPES}
    assert {shapes.SHAPES[i].name for i in tried} == {shape.name for shape in shapes.SHAPES}
    assert {kind for shape in shapes.SHAPES for kind in shape.becomes.split(" or ")} <= {k.__name__ for k in rows.PARSERS}


def test_our_own_rows_are_of_no_foreign_shape() -> None:
    own = [
        {"prompt": "q", "chosen": "c", "rejected": "r", "margin": 1.0, "weight": 1.0, "tie": False},
        {"prompt": "q", "completions": ["a", "b"], "groups": [[0], [1]], "rejected": [], "labeler": "x"},
        {"prompt": "q", "completion": "a", "scores": {"x": 1}, "labeler": "x"},
        {"prompt": "q", "completion": "a", "up": True, "labeler": "x"},
        {"prompt": "q", "completion": "a", "label": None},
        {"messages": [USER, ANSWER]}, {"text": "t", "label": 1}, {"text": "t"}, {"prompt": "q"},
    ]  # fmt: skip
    assert not [fields for fields in own for shape in shapes.SHAPES if shape.fits(fields)]


BAD = [
    ({"conversations": [HUMAN]}, "`conversations` has 1 turns and ends with user"),
    ({"conversations": []}, "`conversations` is empty"),
    ({"conversations": [{"from": "robot", "value": "q"}, GPT]}, '`conversations[0].from` is "robot"; it must be one of'),
    ({"conversations": ["q", GPT]}, '`conversations[0]` must be {"from": ..., "value": ...}'),
    ({"conversations": [HUMAN, {"from": "gpt", "value": " "}]}, "`completion` is empty"),
    ({"conversations": [HUMAN], "chosen": HUMAN, "rejected": GPT}, "`chosen` is a user turn"),
    ({"prompt": "q", "completion": "a", "label": 1}, "`label` must be true or false, found 1"),
    ({"conversations": [HUMAN, GPT], "kto_tag": "yes"}, "`kto_tag` must be true or false"),
    ({"instruction": "q", "input": 3, "output": "a"}, "`input` must be text, found 3"),
    ({"instruction": "q", "output": "a", "history": ["h"]}, "`history[0]` must be [question, answer]"),
    (
        {"prompt": "q", "chosen": "a", "rejected": "b", "score_chosen": 1, "score_rejected": 3},
        "is 2 below `score_rejected`; swap",
    ),
    ({"prompt": "q", "responses": ["a", "b"], "scores": [1]}, "`scores` has 1 numbers for 2 responses"),
    ({"prompt": "q", "responses": ["a"], "scores": ["high"]}, '`scores[0]` must be a number, found "high"'),
    ({"fields": {"prompt": "q", "response": "a"}, "responses": []}, "nobody has answered this record"),
    ({"fields": {"prompt": "q"}, "responses": {"style": [{"user_id": "u", "value": 1}]}}, "is one of completion, response"),
    ({"fields": {"response": "a"}, "responses": {"style": [{"user_id": "u", "value": 1}]}}, "is one of prompt, instruction"),
    ({"fields": TEXTS, "responses": {"note": [{"user_id": "u", "value": "ok"}]}}, "none is a number or a ranking"),
    (
        {"fields": TEXTS, "responses": {"order": [{"value": [{"rank": 1, "value": "response-9"}]}]}},
        'ranks "response-9", which is none',
    ),
    ({"prompt": "q", "r.responses": [1], "r.responses.users": ["u", "v"]}, "`r.responses.users` must be a list of 1"),
]


@pytest.mark.parametrize(("fields", "message"), BAD)
def test_faults_of_a_known_shape_are_named_in_its_own_words(tmp_path: Path, fields: dict[str, Any], message: str) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(as_jsonl([fields]))
    loaded = check(path)
    found, complaints = list(loaded.rows), loaded.complaints
    assert not found
    assert [message in str(complaint) for complaint in complaints] == [True]
    assert complaints[0].source.line == 1


def test_a_record_of_several_rows_gives_all_of_them_or_one_complaint(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    scored = [{"prompt": "q", "responses": ["a", second], "scores": [1, 2]} for second in ("", "b")]
    path.write_bytes(as_jsonl(scored))
    loaded = check(path)
    found, complaints = list(loaded.rows), loaded.complaints
    assert [row.source.line for row in found] == [2, 2]
    assert [complaint.source.line for complaint in complaints] == [1]


def test_a_thumb_down_is_no_demonstration(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(as_jsonl([{"prompt": "q", "completion": "bad", "label": False}]))
    loaded = check(path, Chat)
    found, complaints = list(loaded.rows), loaded.complaints
    assert not found
    assert "judged answers are no demonstrations" in str(complaints[0])


def test_thumbs_in_csv_may_be_spelled_as_python_does(tmp_path: Path) -> None:
    with (tmp_path / "rows.csv").open("w", newline="") as file:
        csv.writer(file).writerows(
            [["prompt", "completion", "label"], ["q", "a", "True"], ["q", "b", "false"], ["q", "c", "1"]]
        )
    loaded = check(tmp_path / "rows.csv")
    found, complaints = list(loaded.rows), loaded.complaints
    assert [row.up for row in found] == [True, False]
    assert "`label` must be true or false, found 1" in str(complaints[0])


# --- map -------------------------------------------------------------------------------------------------------------


@pytest.fixture
def questions(tmp_path: Path) -> Path:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(as_jsonl([{"question": "q", "best": "a", "id": 1}, {"question": "p", "best": "b"}]))
    return path


def test_map_renames_fields_before_anything_is_recognised(questions: Path, tmp_path: Path) -> None:
    assert [bare(row) for row in read(questions, map={"question": "prompt", "best": "completion"})] == [
        bare(Chat("q", "a")),
        bare(Chat("p", "b")),
    ]
    assert [row.prompt for row in read(questions, map={"question": "prompt"})] == ["q", "p"]
    assert read(questions, map={"question": "instruction", "best": "output"})[0].prompt == ASKED
    swapped = tmp_path / "swapped.jsonl"
    swapped.write_bytes(as_jsonl([{"prompt": "a", "completion": "q"}]))
    assert read(swapped, map={"prompt": "completion", "completion": "prompt"})[0].completion == "a"


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ({"questoin": "prompt"}, "has no field 'questoin'; did you mean 'question'?"),
        ({"zzz": "prompt"}, "has no field 'zzz'; its fields are best, id, question"),
        ({"question": "promt"}, "cannot become 'promt', which is no field of a row; did you mean 'prompt'?"),
        ({"question": "prompt", "best": "prompt"}, "because another field .* has that name"),
    ],
)
def test_a_wrong_name_in_map_gets_the_nearest(questions: Path, names: dict[str, str], message: str) -> None:
    with pytest.raises(UserError, match=message):
        read(questions, map=names)


def test_map_never_hides_a_field_that_is_there(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(as_jsonl([{"prompt": "q", "question": "p"}]))
    with pytest.raises(UserError, match=r"another field of .* has that name; map that, too"):
        read(path, map={"question": "prompt"})


# --- once for the file -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("records", "message"),
    [
        ([{"question": "q", "best": "a"}, {"question": "q", "other": 1}], "['best', 'other', 'question'] make no known row"),
        ([{"completion": "a"}] * 3, "`prompt` is missing; the fields are ['completion']"),
        ([{"instruction": "q", "input": "x"}] * 4, "the nearest is Chat (Alpaca), to which `output` is missing"),
        ([{"chosen": "a", "prompt": 3}] * 2, "`prompt` must be text"),
    ],
)
def test_what_is_wrong_with_all_rows_is_said_once_with_their_number(tmp_path: Path, records: list[Any], message: str) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(as_jsonl(records))
    complaints = check(path).complaints
    (complaint,) = complaints
    assert complaint.rows == len(records)
    assert message in str(complaint)
    assert f":1: all {len(records)} rows: " in str(complaint)
    with pytest.raises(UserError, match=f"{len(records)} of {len(records)} rows are bad"):
        read(path)


def test_a_misspelt_field_of_all_rows_is_told_what_it_may_be(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(as_jsonl([{"promt": "q"}]))
    assert "rename 'promt' to 'prompt'" in str(check(path).complaints[0])


# --- containers ------------------------------------------------------------------------------------------------------


def test_gzip_and_jsonl_that_is_called_json(tmp_path: Path) -> None:
    plain, packed, called = (tmp_path / name for name in ("a.jsonl", "a.jsonl.gz", "a.json"))
    records = [{"prompt": "q"}, {"prompt": "p"}]
    plain.write_bytes(as_jsonl(records))
    packed.write_bytes(gzip.compress(as_jsonl(records)))
    called.write_bytes(as_jsonl(records))
    places = [[(row.prompt, row.source.line) for row in read(path)] for path in (plain, packed, called)]
    assert places == [[("q", 1), ("p", 2)]] * 3
    assert read(packed)[0] == Prompt("q", read(packed)[0].source)
    packed.write_bytes(b"\x1f\x8b nothing")
    assert "not a readable gzip file" in str(check(packed).complaints[0])


# --- malformed -------------------------------------------------------------------------------------------------------


def test_malformed_rows_of_every_shape_are_named_and_good_ones_kept(tmp_path: Path) -> None:
    """A file for each kind of row: in each, good rows of all shapes that become it, and bad ones between them."""
    chance = random.Random(3)
    for kind in ("Chat", "Pair", "Thumb", "Rating"):
        some = [(fields, wanted) for _, fields, wanted in SHAPES if type(wanted[0]).__name__ == kind]
        clean = as_jsonl([fields for fields, _ in some]).rstrip(b"\n").split(b"\n")
        records = [fields for fields, _ in some]
        content, good = dirty(clean, lambda c, r=records: json.dumps(broken(c.choice(r), c)).encode(), 400, chance)
        path = tmp_path / f"{kind}.jsonl"
        path.write_bytes(content)
        loaded = check(path)
        found, complaints = list(loaded.rows), loaded.complaints
        examine(path, complaints)
        assert len(complaints) > 50
        kept: dict[int, list[Any]] = {}
        for row in found:
            kept.setdefault(row.source.line, []).append(bare(row))
        for i, line in enumerate(sorted(good)):
            assert kept[line] == [bare(row) for row in some[i % len(some)][1]]
        whole(found, tmp_path)


def test_a_record_with_ratings_and_rankings_gives_those_that_are_wanted(tmp_path: Path) -> None:
    record = {
        "fields": TEXTS | {"response": "c"},
        "responses": {"quality": [{"value": 3, "user_id": "u"}], "order": [{"value": RANKED, "user_id": "u"}]},
    }
    path = tmp_path / "rows.jsonl"
    path.write_bytes(as_jsonl([record, record]))
    (rating, _), (ranking, _) = read(path, Rating), read(path, Ranking)
    assert (rating.completion, dict(rating.scores)) == ("c", {"quality": 3.0})
    assert (ranking.completions, ranking.groups) == (("a", "b"), ((1,), (0,)))
    with pytest.raises(
        UserError, match=r"all 2 rows: the record holds Ranking and Rating rows; .* kind=ranking or kind=rating"
    ):
        read(path)
