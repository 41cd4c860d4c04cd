"""`accordant reward` as a user meets it: scores of rows of every shape, in every format, and what is refused."""

from __future__ import annotations

import csv
import datetime
import json
import math
from pathlib import Path
from typing import Any

import pyarrow
import pytest
import torch
from pyarrow import parquet
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from accordant.data.origin import Origin, origins, write_origins
from builders import byte_level_tokenizer, wordpiece_tokenizer
from command import Ended, accordant
from tasks import COLOURS, run_stage, write_rows
from tiny import tiny_classifier, tiny_llama

PAIRS = [
    {"prompt": f"what is {k}?", "chosen": f" {v}", "rejected": f" not {v}", "note": i}
    for i, (k, v) in enumerate(COLOURS.items())
]
RATINGS = [
    {"prompt": f"say {k}", "completion": f" {v}", "scores": {"zest": i, "calm": 5 - i}}
    for i, (k, v) in enumerate(COLOURS.items())
]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A reward model from pairs, one of two attributes, and a foreign classifier of three labels."""
    folder = tmp_path_factory.mktemp("reward")
    tokenizer = byte_level_tokenizer()
    start = str(tiny_llama(folder / "llama", tokenizer))
    for kind, rows in (("reward_pairwise", PAIRS), ("reward_regression", RATINGS)):
        data = str(write_rows(folder / f"{kind}.jsonl", rows))
        run_stage(kind, folder / kind, model={"path": start}, data=data, max_steps=2, max_length=60)
    tiny_classifier(folder / "classifier", tokenizer, labels=3)
    return folder


def scores(ended: Ended) -> list[dict[str, Any]]:
    assert ended.code == 0, ended
    return [json.loads(line) for line in ended.output.splitlines()]


def by_hand(folder: Path, texts: list[str], eos: bool) -> list[list[float]]:
    """Each text's logits from plain transformers, one at a time."""
    tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModelForSequenceClassification.from_pretrained(folder).eval()
    with torch.no_grad():
        ids = [tokenizer(text)["input_ids"] + [tokenizer.eos_token_id] * eos for text in texts]
        return [model(torch.tensor([one])).logits[0].tolist() for one in ids]


def test_pairs_keep_their_fields_and_order(place: Path) -> None:
    model = place / "reward_pairwise" / "checkpoint"
    rows = scores(accordant("reward", "score", model, place / "reward_pairwise.jsonl", "--raw"))
    assert [{key: row[key] for key in PAIRS[0]} for row in rows] == PAIRS
    expected = by_hand(model, [row["prompt"] + row[side] for row in PAIRS for side in ("chosen", "rejected")], eos=True)
    assert [row[f"score_{side}"] for row in rows for side in ("chosen", "rejected")] == pytest.approx(
        [x for (x,) in expected], abs=1e-4
    )
    assert all(row["score_difference"] == pytest.approx(row["score_chosen"] - row["score_rejected"]) for row in rows)


def test_scores_are_normalised_unless_raw(place: Path) -> None:
    model, data = place / "reward_pairwise" / "checkpoint", place / "reward_pairwise.jsonl"
    meta = json.loads((model / "accordant.json").read_text())
    raw, normal = scores(accordant("reward", "score", model, data, "--raw")), scores(accordant("reward", "score", model, data))
    expected = [(row["score_chosen"] - meta["score_mean"][0]) / meta["score_sd"][0] for row in raw]
    assert [row["score_chosen"] for row in normal] == pytest.approx(expected, abs=1e-4)


def test_a_classifier_has_no_other_score_than_its_raw_one(place: Path, tmp_path: Path) -> None:
    data = write_rows(tmp_path / "rows.jsonl", [{"text": "a"}])
    ended = accordant("reward", "score", place / "classifier", data, "--label", "LABEL_1", "--raw")
    assert (ended.code, "leave --raw out" in ended.error) == (2, True)


def test_scored_rows_know_where_they_came_from(place: Path, tmp_path: Path) -> None:
    data = write_rows(tmp_path / "rows.jsonl", [{"text": "a", "note": "\ud800"}, {"text": "b", "note": "n"}])
    write_origins(data, [Origin("dolly", "d.jsonl", "ab" * 32, 2, "CC-BY-SA-3.0")])
    ended = accordant("reward", "score", place / "reward_pairwise" / "checkpoint", data, "--out", tmp_path / "scored.jsonl")
    assert ended.code == 0, ended
    assert origins(tmp_path / "scored.jsonl") == origins(data)
    rows = [json.loads(line) for line in (tmp_path / "scored.jsonl").read_text().splitlines()]
    assert [row["note"] for row in rows] == ["\ud800", "n"]


SHAPES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "chat": ({"prompt": "say it", "completion": " red"}, {"score": float}),
    "thumb": ({"prompt": "say it", "completion": " red", "up": True}, {"score": float}),
    "ranking": ({"prompt": "say it", "completions": [" a", " b", " c"], "ranks": [1, 2, 3]}, {"score": list}),
    "labelled": ({"text": "it is red", "label": 1}, {"score": float}),
    "document": ({"text": "it is red"}, {"score": float}),
    "rating": ({"prompt": "say it", "completion": " red", "scores": {"zest": 3}}, {"score": float}),
}


@pytest.mark.parametrize("shape", SHAPES)
def test_rows_of_any_shape(shape: str, place: Path, tmp_path: Path) -> None:
    row, new = SHAPES[shape]
    (found,) = scores(
        accordant("reward", "score", place / "reward_pairwise" / "checkpoint", write_rows(tmp_path / "r.jsonl", [row]))
    )
    assert {key: type(value) for key, value in found.items() if key not in row} == new
    assert {key: found[key] for key in row} == row
    if shape == "ranking":
        one = write_rows(tmp_path / "one.jsonl", [{"prompt": "say it", "completion": text} for text in row["completions"]])
        alone = [r["score"] for r in scores(accordant("reward", "score", place / "reward_pairwise" / "checkpoint", one))]
        assert found["score"] == pytest.approx(alone, abs=1e-5)


def test_attributes(place: Path) -> None:
    model, data = place / "reward_regression" / "checkpoint", place / "reward_regression.jsonl"
    all_of_them = scores(accordant("reward", "score", model, data))
    zest = scores(accordant("reward", "score", model, data, "--attribute", "zest"))
    for both, one in zip(all_of_them, zest, strict=True):
        by = both["score_by_attribute"]
        assert sorted(by) == ["calm", "zest"]
        assert both["score"] == pytest.approx(sum(by.values()) / 2, abs=1e-5)
        assert one["score"] == pytest.approx(by["zest"], abs=1e-5)
        assert "score_by_attribute" not in one


def test_the_logit_of_a_label(place: Path, tmp_path: Path) -> None:
    data = write_rows(tmp_path / "rows.jsonl", [{"text": f"{k} is {v}"} for k, v in COLOURS.items()])
    rows = scores(accordant("reward", "score", place / "classifier", data, "--label", "LABEL_2"))
    expected = by_hand(place / "classifier", [row["text"] for row in rows], eos=False)
    assert [row["score"] for row in rows] == pytest.approx([logits[2] for logits in expected], abs=1e-4)


def test_every_format_holds_the_same(place: Path, tmp_path: Path) -> None:
    model, data = place / "reward_pairwise" / "checkpoint", place / "reward_pairwise.jsonl"
    printed = scores(accordant("reward", "score", model, data))
    for suffix in ("jsonl", "parquet", "csv"):
        assert accordant("reward", "score", model, data, "--out", tmp_path / f"s.{suffix}").code == 0
    assert [json.loads(line) for line in (tmp_path / "s.jsonl").read_text().splitlines()] == printed
    assert parquet.read_table(tmp_path / "s.parquet").to_pylist() == printed
    with (tmp_path / "s.csv").open(newline="") as file:
        assert [{**row, "note": int(row["note"])} for row in csv.DictReader(file)] == [
            {key: str(value) if isinstance(value, float) else value for key, value in row.items()} for row in printed
        ]


def test_over_long_rows_get_null_and_are_named(place: Path, tmp_path: Path) -> None:
    rows = [*PAIRS[:2], {"prompt": "what?", "chosen": " word" * 100, "rejected": " red", "note": 9}, PAIRS[2]]
    data = write_rows(tmp_path / "rows.jsonl", rows)
    model = place / "reward_pairwise" / "checkpoint"
    ended = accordant("reward", "score", model, data)
    found = scores(ended)
    assert [row["note"] for row in found] == [0, 1, 9, 2]
    assert (found[2]["score_chosen"], found[2]["score_difference"]) == (None, None)
    assert isinstance(found[2]["score_rejected"], float)
    assert "rows.jsonl:3" in ended.error
    alone = scores(accordant("reward", "score", model, write_rows(tmp_path / "one.jsonl", [PAIRS[2]])))
    assert found[3]["score_chosen"] == pytest.approx(alone[0]["score_chosen"], abs=1e-5)
    assert accordant("reward", "score", model, data, "--on-long", "error").code == 2


def test_a_record_of_several_rows_gets_lists(place: Path, tmp_path: Path) -> None:
    """Records of one line each in a JSON list, one with one answer and one with two, are told apart."""
    rows = [
        {"prompt": "say it", "completions": [" a", " b"], "ranks": [1, 2]},
        {"prompt": "say it", "completions": [" c", " d"], "ranks": [1, 2]},
    ]
    (tmp_path / "rows.json").write_text(json.dumps(rows))  # all on the first line
    found = scores(accordant("reward", "score", place / "reward_pairwise" / "checkpoint", tmp_path / "rows.json"))
    assert [row["completions"] for row in found] == [row["completions"] for row in rows]
    assert [len(row["score"]) for row in found] == [2, 2]


def test_odd_values_are_written_or_refused_in_words(place: Path, tmp_path: Path) -> None:
    """Dates in a list, NaN, half a surrogate pair, bytes: in every format a file or one line that says why."""
    model, made = place / "reward_pairwise" / "checkpoint", datetime.date(2024, 2, 3)
    rows = [{"text": "a", "days": [made], "x": math.nan}, {"text": "b", "days": [], "x": 2.0}]
    parquet.write_table(pyarrow.Table.from_pylist(rows), tmp_path / "r.parquet")
    words = ("reward", "score", model, tmp_path / "r.parquet", "--out")
    ended = accordant(*words, tmp_path / "new" / "s.jsonl")
    assert (ended.code, "NaN and infinity are null in 1 row" in ended.error) == (0, True)
    written = [json.loads(line, parse_constant=pytest.fail) for line in (tmp_path / "new" / "s.jsonl").read_text().splitlines()]
    assert [(row["days"], row["x"]) for row in written] == [(["2024-02-03"], None), ([], 2.0)]
    assert accordant(*words, tmp_path / "s.csv").code == 0
    with (tmp_path / "s.csv").open(newline="") as file:
        assert [row["days"] for row in csv.DictReader(file)] == ['["2024-02-03"]', "[]"]
    half = write_rows(tmp_path / "half.jsonl", [{"text": "a", "note": "\ud800"}])
    pictures = tmp_path / "b.parquet"
    parquet.write_table(pyarrow.Table.from_pylist([{"text": "a", "note": b"\xff"}]), pictures)
    for data, out in ((half, "s.csv"), (half, "s.parquet"), (pictures, "s.jsonl"), (pictures, "s.csv")):
        ended = accordant("reward", "score", model, data, "--out", tmp_path / "x" / out)
        assert (ended.code, "write ." in ended.error, "Traceback" in ended.error) == (2, True, False), ended
        assert data == half or "'note' holds bytes" in ended.error
    assert list((tmp_path / "x").iterdir()) == []


def test_rows_are_not_written_over_themselves(place: Path) -> None:
    data = place / "reward_pairwise.jsonl"
    before = data.read_bytes()
    ended = accordant("reward", "score", place / "reward_pairwise" / "checkpoint", data, "--out", data)
    assert (ended.code, "write to another file" in ended.error, data.read_bytes() == before) == (2, True, True)


def test_eos_says_nothing_to_an_encoder(tmp_path: Path) -> None:
    encoder = tiny_classifier(tmp_path / "encoder", wordpiece_tokenizer(), family="bert", labels=1)
    data = write_rows(tmp_path / "rows.jsonl", [{"text": "red"}])
    for word in ("--eos", "--no-eos"):
        ended = accordant("reward", "score", encoder, data, word)
        assert (ended.code, "leave eos out" in ended.error) == (2, True), ended
    assert accordant("reward", "score", encoder, data).code == 0


REFUSED: dict[str, tuple[list[Any], list[str], str]] = {
    "a prompt alone": ([{"prompt": "q"}], [], "rows.jsonl:1: a prompt without an answer has no score"),
    "a field that is there": ([{"text": "a", "score": 1}], [], "--as"),
    "a bad row": ([{"text": "a"}, {"txt": "a"}], [], "rows.jsonl:2"),
    "another format": ([{"text": "a"}], ["--out", "scores.xlsx"], ".jsonl or .parquet or .csv files, not to .xlsx"),
    "a way of reading answers that are not there": (
        [{"text": "a"}],
        ["--reads", "answer"],
        "rows.jsonl:1: reads says what is read of an answer, and this is a bare text",
    ),
    "an unknown output": ([{"text": "a"}], ["--label", "rewards"], "did you mean 'reward'"),
    "an unknown way of reading": ([{"text": "a"}], ["--reads", "all"], "'prompt and answer' or 'answer'"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_refused(case: str, place: Path, tmp_path: Path) -> None:
    rows, words, message = REFUSED[case]
    data = write_rows(tmp_path / "rows.jsonl", rows)
    ended = accordant("reward", "score", place / "reward_pairwise" / "checkpoint", data, *words)
    assert ended.code == 2, ended
    assert message in ended.error
    assert "Traceback" not in ended.error
    assert ended.output == ""


def test_a_classifier_of_several_labels_asks_which(place: Path, tmp_path: Path) -> None:
    data = write_rows(tmp_path / "rows.jsonl", [{"text": "a"}])
    ended = accordant("reward", "score", place / "classifier", data)
    assert (ended.code, "LABEL_0, LABEL_1, LABEL_2" in ended.error) == (2, True)


def test_the_new_field_can_be_named(place: Path, tmp_path: Path) -> None:
    data = write_rows(tmp_path / "rows.jsonl", [{"text": "a", "score": 1}])
    (row,) = scores(accordant("reward", "score", place / "reward_pairwise" / "checkpoint", data, "--as", "reward"))
    assert (row["score"], type(row["reward"])) == (1, float)


# --- report -------------------------------------------------------------------------------------------------------------


def test_the_report_on_several_files(place: Path, tmp_path: Path) -> None:
    """What is printed as JSON is what the folder gets, and what the stage writes."""
    model = place / "reward_pairwise" / "checkpoint"
    other = write_rows(tmp_path / "b=.jsonl", PAIRS[:2])
    files = [f"a={place / 'reward_pairwise.jsonl'}", str(other)]
    ended = accordant("reward", "report", model, *files, "--json", "--out", tmp_path / "out", "--probes", "4")
    (found,) = scores(ended)
    assert [(part["source"], part["n"]) for part in found["by_source"]] == [("a", 6), ("b=.jsonl", 2)]
    assert json.loads((tmp_path / "out" / "reward_model.json").read_text()) == found
    assert "What moves the score" in (tmp_path / "out" / "reward_model.html").read_text()
    data = {"a": str(place / "reward_pairwise.jsonl"), "b=.jsonl": str(other)}
    run_stage("evaluate_reward", tmp_path / "stage", model={"path": str(model)}, data=data, probes=4)
    assert json.loads((tmp_path / "stage" / "reward_model.json").read_text()) == found


def test_the_report_for_people(place: Path) -> None:
    ended = accordant("reward", "report", place / "reward_pairwise" / "checkpoint", place / "reward_pairwise.jsonl")
    assert ended.code == 0, ended
    for words in (
        "held-out accuracy",
        "n\u00a0=\u00a06 pairs",
        "the shorter answer wins",
        "adding “Thanks!”",
        "list items",
        "suspicious",
    ):
        assert words in ended.output
    assert "None" not in ended.output


def test_two_files_of_one_name(place: Path, tmp_path: Path) -> None:
    other = write_rows(tmp_path / "reward_pairwise.jsonl", PAIRS)
    ended = accordant("reward", "report", place / "reward_pairwise" / "checkpoint", place / "reward_pairwise.jsonl", other)
    assert (ended.code, "NAME=FILE" in ended.error) == (2, True)
