"""Every finding on rows that have the fault and on rows that do not; counts and percentiles worked by hand."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import permutations
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accordant.data import check as checks
from accordant.data import rows as row_files
from accordant.data import sources
from accordant.data.check import Checked, Lengths, Report, check, gives
from accordant.data.findings import as_json, lines
from accordant.types import (
    Chat,
    Document,
    Labelled,
    Message,
    Pair,
    Prompt,
    Ranking,
    Rating,
    Row,
    Source,
    Thumb,
    UserError,
)

SEVEN = "one two three four five six seven"


def at(*rows: Any, file: str = "a.jsonl") -> Checked:
    """Rows with places of their own: line 1, 2, ..."""
    placed = [replace(row, source=Source(file, line)) for line, row in enumerate(rows, start=1)]
    return Checked(file, placed)


def found(report: Report) -> list[tuple[str, str]]:
    return [(finding.kind, str(finding.source)) for finding in report.findings]


def test_one_prompt_in_different_styles_is_one() -> None:
    """As text, as messages and as a transcript: another stage's file may be of another style."""
    asked = (Message("user", "Is it raining?"), Message("assistant", "No."), Message("user", "Sure?"))
    transcript = "\n\nHuman: Is it raining?\n\nAssistant: No.\n\nHuman: Sure?\n\nAssistant:"
    question = [Prompt("Is it raining?"), Prompt(asked[:1]), Prompt("\n\nHuman: Is it raining?\n\nAssistant:")]
    for mine, theirs in [*permutations(question, 2), (Prompt(asked), Prompt(transcript)), (Prompt(transcript), Prompt(asked))]:
        files = [at(mine)], [at(theirs, file="b.jsonl")]
        assert found(check(*files)) == [("contamination", "a.jsonl:1")]
        assert found(check(files[0] + files[1])) == [("shared prompt", "b.jsonl:1")]
    system = Prompt((Message("system", "Is it raining?"),))
    assert check([at(system), at(question[0], file="b.jsonl")]).findings == ()
    broken = Prompt("\n\nHuman:\n\nAssistant: no question\n\nAssistant:")
    assert found(check([at(broken), at(broken, file="b.jsonl")])) == [("shared prompt", "b.jsonl:1")]


def test_an_empty_text_or_question_is_no_empty_answer(tmp_path: Path) -> None:
    chat = [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]
    path = tmp_path / "rows.jsonl"
    for rows in ([{"text": "t"}, {"text": " "}], [{"messages": chat}, {"messages": [chat[0] | {"content": ""}, chat[1]]}]):
        assert found(check([read(path, *rows)])) == [("bad row", f"{path}:2")]
    assert found(check([read(path, {"messages": chat}, {"messages": [chat[0], chat[1] | {"content": " "}]})])) == [
        ("empty answer", f"{path}:2")
    ]
    for row, kind in (({"prompt": ""}, "bad row"), ({"prompt": "q", "completion": ""}, "empty answer")):
        assert found(check([read(path, row, row)])) == [(kind, f"{path}:1")]


def test_good_rows_have_no_findings() -> None:
    rows = at(Pair("q", "a", "b"), Pair("q", "b", "c"), Pair("r", "b", "a"), Pair("r", "x", "y", tie=True))
    assert check([rows], [at(Prompt("s"), file="b.jsonl")]).findings == ()


def read(path: Path, *records: Any) -> Checked:
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    found = row_files.check(path)
    return Checked(path.name, found.rows, found.complaints)


def test_bad_rows_are_told_apart(tmp_path: Path) -> None:
    human = "\n\nHuman: {}\n\nAssistant:{}"
    good = {"chosen": human.format("hi", " yes"), "rejected": human.format("hi", " no")}
    rows = read(
        tmp_path / "pairs.jsonl",
        good,
        {"chosen": human.format("hi", ""), "rejected": human.format("hi", " no")},
        {"chosen": human.format("hi", " yes"), "rejected": human.format("ho", " no")},
        {"prompt": "q", "chosen": "a", "rejected": ""},
        {"prompt": "", "chosen": "a", "rejected": "b"},
        {"prompt": [{"role": "user", "content": "q"}], "chosen": [{"role": "user", "content": "r"}], "rejected": 5},
        {
            "chosen": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}],
            "rejected": [{"role": "user", "content": "r"}, {"role": "assistant", "content": "b"}],
        },
    )
    kinds = {finding.source.line: finding.kind for finding in check([rows]).findings}
    assert kinds == {2: "empty answer", 3: "mismatched prefix", 4: "empty answer", 5: "bad row", 6: "bad row",
                     7: "mismatched prefix"}  # fmt: skip


def test_repeated_rows() -> None:
    report = check([at(Chat("q", "a"), Chat("r", "a"), Chat("q", "a"), Chat("q", "a"), Chat("q", "b"))])
    assert found(report) == [("duplicate", "a.jsonl:3"), ("duplicate", "a.jsonl:4")]
    assert "a.jsonl:1" in report.findings[0].message


@pytest.mark.parametrize(
    ("rows", "lines"),
    [
        ([Pair("q", "a", "b"), Pair("Q", "b", "a")], [2]),
        ([Pair("q", "a", "b"), Pair("q", "b", "a"), Pair("q", "b", "a", weight=2.0)], [2]),
        ([Pair("q", "a", "b"), Pair("r", "b", "a")], []),
        ([Pair("q", "a", "b"), Pair("q", "b", "a", tie=True)], []),
        ([Pair("q", "a", "b", labeler="ana"), Pair("q", "b", "a", labeler="bo")], []),
        ([Pair("q", "a", "b", labeler="ana"), Pair("q", "b", "a", labeler="ana")], [2]),
        ([Ranking("q", ("a", "b"), ((0,), (1,)), (), "ana"), Ranking("q", ("b", "a"), ((0,), (1,)), (), "ana")], [2]),
        ([Ranking("q", ("a", "b"), ((0,), (1,)), (), "ana"), Ranking("q", ("b", "a"), ((0,), (1,)), (), "bo")], []),
        ([Ranking("q", ("a", "b"), ((0,),), (1,)), Ranking("q", ("a", "b"), ((1,), (0,)))], [2]),
        ([Thumb("q", "a", True), Thumb("q", "b", False), Thumb("q", "a", False)], [3]),
        ([Thumb("q", "a", True, "ana"), Thumb("q", "a", False, "bo")], []),
        ([Labelled("A text", 1), Labelled("a  text", 0), Labelled("a text", 77)], [2, 3]),
    ],
)
def test_contradictions(rows: list[Row], lines: list[int]) -> None:
    conflicts = [finding for finding in check([at(*rows)]).findings if finding.kind == "conflict"]
    assert [finding.source.line for finding in conflicts] == lines
    assert all("a.jsonl:1" in finding.message for finding in conflicts)


def test_answers_that_do_not_differ() -> None:
    rows = at(Pair("q", "a", "a"), Pair("r", "a", "a", tie=True), Ranking("s", ("a", "b", "a"), ((0,), (1,), (2,))))
    assert found(check([rows])) == [("equal answers", "a.jsonl:1"), ("equal answers", "a.jsonl:3")]


def test_prompts_in_two_files() -> None:
    train, test, third = at(Prompt("q"), Prompt("r")), at(Chat("Q ", "x"), Chat("q", "y"), file="b"), at(Prompt("q"), file="c")
    report = check([train, test, third])
    assert found(report) == [("shared prompt", "b:1"), ("shared prompt", "c:1")]
    assert all("a.jsonl:1" in finding.message for finding in report.findings)
    assert [file.findings for file in report.files] == [{}, {"shared prompt": 1}, {"shared prompt": 1}]


def test_contamination_by_the_same_prompt_and_by_nearly_the_same() -> None:
    benchmark = at(Prompt("q"), Prompt(SEVEN), Prompt("q"), file="bench")
    report = check([at(Prompt("fine"), Prompt("Q"), Prompt(SEVEN + " eight"))], [benchmark])
    assert found(report) == [("contamination", "a.jsonl:2"), ("contamination", "a.jsonl:3")]
    exact, near = (finding.message for finding in report.findings)
    assert "bench:1" in exact
    assert "bench:2 (similarity 0.75)" in near
    assert found(check([at(Prompt("q")), at(Prompt("q"), file="b")], [benchmark])) == [
        ("shared prompt", "b:1"), ("contamination", "a.jsonl:1"), ("contamination", "b:1"),
    ]  # fmt: skip


def test_near_duplicates_within_and_between_files() -> None:
    report = check([at(Prompt(SEVEN), Prompt(SEVEN + "!")), at(Prompt(SEVEN + " eight"), file="b")])
    assert found(report) == [("near-duplicate", "a.jsonl:2"), ("near-duplicate", "b:1")]
    assert "keep one of them" in report.findings[0].message
    assert "keep both in one file" in report.findings[1].message
    assert found(check([at(Prompt(SEVEN), Prompt(SEVEN + " eight"))], threshold=0.76)) == []


def test_rows_without_prompts_are_compared_by_their_text() -> None:
    (finding,) = check([at(Document(SEVEN)), at(Labelled(SEVEN, 1), file="b")]).findings
    assert finding.message.startswith("its text is also in a.jsonl:1")


def test_a_file_without_a_good_row(tmp_path: Path) -> None:
    report = check([read(tmp_path / "bad.jsonl", {"nothing": 1}, {"nothing": 2})])
    text = list(lines(report, {}, 0, most=20))
    assert text[0] == "bad.jsonl: no good rows"
    assert text[2] == "bad row (2)", "said once, with its number"
    assert text[-1] == "1 complaint"


def test_lengths_and_what_is_over_them() -> None:
    rows = at(*[Document("x" * n) for n in (3, 5, 4)])

    def length(row: Row) -> int:
        if len(row.text) == 4:
            raise UserError(f"{row.source}: no such letters")
        return len(row.text)

    report = check([rows], length=length, limit=3)
    assert found(report) == [("over-long", "a.jsonl:2"), ("not tokenisable", "a.jsonl:3")]
    assert report.findings[0].message.startswith("5 tokens, and the limit is 3; ")
    assert report.findings[1].message == "no such letters"
    assert report.files[0].lengths == Lengths(2, 8, {50: 3, 90: 5, 95: 5, 99: 5}, 5)
    assert check([rows], length=lambda row: len(row.text)).findings == ()


def test_what_is_wrong_with_all_rows_is_said_once() -> None:
    def fail(row: Row) -> int:
        raise UserError(f"{row.source}: no chat template")

    (finding,) = check([at(Document("x"), Document("y"))], length=fail).findings
    assert (finding.rows, finding.message) == (2, "all 2 rows: no chat template")


@given(st.lists(st.integers(0, 50), min_size=1))
def test_a_percentile_is_the_least_length_that_covers_its_share(lengths: list[int]) -> None:
    measured = Lengths.of(lengths)
    for percent, value in measured.percentiles.items():
        covered = [sum(length <= v for length in lengths) * 100 >= percent * len(lengths) for v in (value, value - 1)]
        assert covered == [True, False]
    assert (measured.total, measured.longest) == (sum(lengths), max(lengths))


def test_counts_of_what_rows_give() -> None:
    turns = (Message("user", "q"), Message("assistant", "a"), Message("user", "r"))
    assert gives([Chat(turns, "b"), Chat("q", "b")]) == {"rows": 2, "prompts": 2, "answers": 2, "turns": 4}
    assert gives([Prompt(turns)]) == {"rows": 1, "prompts": 1, "turns": 3}
    assert gives([Pair("q", "a", "b", 1.0), Pair("q", "a", "c"), Pair("q", "c", "b", tie=True)]) == {
        "rows": 3, "prompts": 1, "pairs": 2, "pairs with a margin": 1, "ties": 1,
    }  # fmt: skip
    assert gives([Ranking("q", ("a", "b", "c", "d"), ((0, 1), (2,)), (3,), "ana")]) == {
        "rows": 1, "prompts": 1, "rankings": 1, "ranked answers": 4, "pairs": 5, "labelers": 1,
    }  # fmt: skip
    assert gives([Rating("q", "a", {"x": 1, "y": 2}, "ana"), Rating("q", "b", {"x": 1}, "bo")]) == {
        "rows": 2, "prompts": 1, "rated answers": 2, "ratings": 3, "ratings of x": 2, "ratings of y": 1, "labelers": 2,
    }  # fmt: skip
    assert gives([Thumb("q", "a", True), Thumb("q", "b", False), Thumb("r", "b", False)]) == {
        "rows": 3, "prompts": 2, "thumbs up": 1, "thumbs down": 2,
    }  # fmt: skip
    assert gives([Labelled("x", 1), Labelled("y", 0), Labelled("z", 1)]) == {"rows": 3, "label 1": 2, "label 0": 1}
    assert gives([Document("x")]) == {"rows": 1}
    assert gives([]) == {}


def test_the_report_as_lines_and_as_json() -> None:
    report = check([at(*[Chat("q", "a")] * 4, *[Chat("r", "b")])])
    text = list(lines(report, {"a.jsonl": ["2 passed over"]}, 0, most=2))
    assert text[0] == "a.jsonl: 5 Chat rows"
    assert "  note    2 passed over" in text
    assert "duplicate (3)" in text
    assert "  and 1 more; --all lists them" in text
    assert text[-1] == "3 complaints"
    assert sum("the same row" in line for line in lines(report, {}, 0, most=0)) == 3
    value = json.loads(json.dumps(as_json(report, 0)))
    assert value["files"][0]["findings"] == {"duplicate": 3}
    assert [complaint["line"] for complaint in value["complaints"]] == [2, 3, 4]
    assert set(value["complaints"][0]) == {"kind", "file", "line", "rows", "message"}


def test_findings_come_in_the_order_of_their_kinds() -> None:
    report = check([at(Chat(SEVEN, "a"), Chat(SEVEN + "!", "a"), Chat(SEVEN, "a"))])
    assert [finding.kind for finding in report.findings] == ["duplicate", "near-duplicate"]
    assert {finding.kind for finding in report.findings} <= set(checks.KINDS)


EMPTY_ANSWERS: list[tuple[str, dict[str, Any]]] = [
    ("dolly", {"instruction": "i", "response": " "}),
    ("alpaca", {"instruction": "i", "output": ""}),
    ("self-instruct", {"instruction": "i", "instances": [{"input": "", "output": " "}]}),
    ("dialogsum", {"dialogue": "d", "summary": ""}),
    ("shp", {"history": "h", "human_ref_A": "a", "human_ref_B": " ", "labels": 1, "score_ratio": 2.0}),
    ("hh-rlhf", {"chosen": "\n\nHuman: q\n\nAssistant: ", "rejected": "\n\nHuman: q\n\nAssistant: b"}),
    ("pandalm", {"instruction": "i", "input": "", "response1": "a", "response2": "", "annotator1": 1}),
    ("scored", {"prompt": "p", "responses": ["a", " "], "scores": [1, 2]}),
    ("fed", {"context": "User: q", "annotations": {"Fluent": [1]}, "response": " "}),
    ("usr", {"source": "a", "scores": {"overall": 1}, "system_output": " "}),
    ("oasst", {"prompt": {"text": "q", "role": "prompter", "replies": [{"text": "", "role": "assistant"}]}}),
    ("file", {"prompt": "p", "completions": ["a", ""], "ranks": [1, 2]}),
    ("file", {"conversations": [{"from": "human", "value": "q"}, {"from": "gpt", "value": ""}]}),
]


@pytest.mark.parametrize(("source", "record"), EMPTY_ANSWERS, ids=[f"{name} {list(row)[-1]}" for name, row in EMPTY_ANSWERS])
def test_an_empty_answer_is_told_by_every_source(source: str, record: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_text(json.dumps(record) + "\n")
    assert [complaint.kind for complaint in sources.check(source, tmp_path / "rows.jsonl").complaints] == ["empty answer"]


def test_a_weight_is_advised_where_rows_have_one_and_one_fault_keeps_its_kind(tmp_path: Path) -> None:
    for row, advised in ((Pair("q", "a", "b"), True), (Chat("q", "a"), False)):
        (finding,) = check([at(row, row)]).findings
        assert ("give it a weight" in finding.message) is advised
    empty = {"prompt": "q", "chosen": "", "rejected": "b"}
    assert [finding.kind for finding in check([read(tmp_path / "r.jsonl", empty, empty)]).findings] == ["empty answer"]


def test_ratings_are_told_by_how_many_have_them() -> None:
    rows = at(Rating("q", "a", {"wit": 1, "tact": 2}), Rating("q", "b", {"wit": 1, "tact": 1, "zest": 2}))
    shown = list(lines(check([rows]), {}, 0, 20))
    assert shown[1:4] == ["  holds   1 prompt, 2 rated answers, 5 ratings", "  rated   2 of wit, tact", "  rated   1 of zest"]
