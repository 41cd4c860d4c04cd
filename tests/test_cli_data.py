"""`accordant data` through the real command line: what it writes, what it says, and how it refuses."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from accordant.data.origin import origins
from accordant.data.rows import read
from accordant.types import Chat, Pair, Ranking
from builders import byte_level_tokenizer
from command import Ended, accordant
from tasks import chats, labelled, pairs, write_rows
from tiny import tiny_llama


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands run in the test's folder, so that what they print has short names in it."""
    monkeypatch.chdir(tmp_path)


def refused(ended: Ended, *words: str) -> None:
    assert ended.code == 2, ended
    message = ended.error.partition("error: ")[2]
    for word in words:
        assert word in message, f"{word!r} is not in {message!r}"
    assert "Traceback" not in ended.output + ended.error


def said(ended: Ended, *lines: str) -> None:
    """Exit code 0, and each of the lines is printed as it stands."""
    assert ended.code == 0, ended
    for line in lines:
        assert line in ended.output.splitlines(), f"{line!r} is not a line of\n{ended.output}"


def write(name: str, *rows: dict[str, Any]) -> Path:
    return write_rows(Path(name), list(rows))


# --- check ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def faulty() -> Path:
    """Line 2 repeats line 1, line 3 contradicts it, line 4 has an empty answer, line 5 is no JSON."""
    good = {"prompt": "what colour is tar?", "chosen": " black", "rejected": " red"}
    path = write("faulty.jsonl", good, good, good | {"chosen": " red", "rejected": " black"}, good | {"chosen": ""})
    with path.open("a") as file:
        file.write('{"prompt": \n')
    return path


def test_check_counts_and_names(faulty: Path) -> None:
    ended = accordant("data", "check", faulty)
    said(
        ended,
        "faulty.jsonl: 3 Pair rows",
        "  holds   1 prompt, 3 pairs",
        "bad row (1)",
        "empty answer (1)",
        "duplicate (1)",
        "conflict (1)",
        "4 complaints",
    )
    for place in ("faulty.jsonl:2: the same row as faulty.jsonl:1", "faulty.jsonl:3: prefers", "faulty.jsonl:4: `chosen` is"):
        assert f"  {place}" in ended.output


def test_strict_exits_with_1_only_where_there_is_a_complaint(faulty: Path) -> None:
    assert accordant("data", "check", faulty, "--strict").code == 1
    assert accordant("data", "check", chats(Path("good.jsonl")), "--strict").code == 0


def test_check_prints_one_json_object(faulty: Path, llama_folder: Path) -> None:
    ended = accordant("data", "check", faulty, "--json", "--tokenizer", llama_folder, "--max-length", 8, "--strict")
    assert ended.code == 1
    value = json.loads(ended.output)
    assert value["max_length"] == 8
    (file,) = value["files"]
    assert file["gives"] == {"rows": 3, "prompts": 1, "pairs": 3}
    assert set(file["lengths"]) == {"rows", "total", "percentiles", "longest"}
    assert file["findings"] == {"bad row": 1, "empty answer": 1, "duplicate": 1, "conflict": 1, "over-long": 3}
    assert [c["line"] for c in value["complaints"] if c["kind"] == "over-long"] == [1, 2, 3]


def test_the_context_of_the_model_is_the_limit(llama_folder: Path) -> None:
    rows = write("rows.jsonl", {"prompt": "q", "completion": " a"}, {"prompt": "kite " * 80, "completion": " a"})
    ended = accordant("data", "check", rows, "--tokenizer", llama_folder)
    assert "(limit 64)" in ended.output
    assert re.search(r"rows\.jsonl:2: \d+ tokens, and the limit is 64", ended.output)
    refused(accordant("data", "check", rows, "--max-length", 64), "--tokenizer")


def test_check_against_a_benchmark_and_between_splits() -> None:
    bench = write("bench.jsonl", {"prompt": "what colour is the sky?"})
    one = write("one.jsonl", {"prompt": "What colour is  the sky?", "completion": " blue"}, {"prompt": "x", "completion": "y"})
    two = write("two.jsonl", {"prompt": "x", "completion": "z"})
    ended = accordant("data", "check", one, two, "--against", bench)
    said(ended, "contamination (1)", "shared prompt (1)", "2 complaints")
    assert "  one.jsonl:1: its prompt is also in bench.jsonl:1" in ended.output
    assert "  two.jsonl:1: its prompt is also in one.jsonl:2" in ended.output
    refused(accordant("data", "check", one, one), "one.jsonl is given twice")
    refused(accordant("data", "check", one, "--near", 2), "--near is 2")
    refused(accordant("data", "check", one, "--all", "--json"), "leave --all out")


def test_a_benchmark_that_cannot_be_read_is_no_clean_bill() -> None:
    rows = write("rows.jsonl", {"prompt": "is it raining?"})
    bench = write("bench.jsonl", {"prompt": "is it late?"}, {"prompt": "is it raining?", "completion": ""}, {"prompt": "why?"})
    refused(accordant("data", "check", rows, "--against", bench), "1 of 3 rows are bad", "bench.jsonl:2: ")
    write("bench.jsonl", {"question": "is it raining?"})
    refused(accordant("data", "check", rows, "--against", bench), "['question'] make no known row")


def test_half_a_surrogate_pair_can_be_complained_about() -> None:
    Path("rows.jsonl").write_text('{"prompt": "q"}\n{"prompt": ["\\ud800"]}\n')
    ended = accordant("data", "check", "rows.jsonl")
    said(ended, "bad row (1)")
    assert "\\ud800" in ended.output
    value = json.loads(accordant("data", "check", "rows.jsonl", "--json").output)
    assert value["complaints"][0]["line"] == 2


def test_options_that_are_no_sources_option_are_refused() -> None:
    rows = write("rows.jsonl", {"prompt": "q"})
    refused(accordant("data", "check", rows, "--option", "map=x"), "--map THEIRS=OURS")
    for name in ("path", "name"):
        refused(accordant("data", "check", rows, "--option", f"{name}=x"), f"no option '{name}'")


def test_check_renames_fields_and_reads_named_sources() -> None:
    rows = write("rows.jsonl", {"question": "q", "reply": "a"})
    said(accordant("data", "check", rows, "--map", "question=prompt", "--map", "reply=completion"), "rows.jsonl: 1 Chat row")
    refused(accordant("data", "check", rows, "--map", "question"), "--map question is not THEIRS=OURS")
    refused(accordant("data", "check", rows, "--map", "qestion=prompt"), "'qestion'", "'question'")
    Path("text.txt").write_text("one two three\n\nfour five six\n")
    said(accordant("data", "check", "text.txt", "--source", "text"), "text.txt: 2 Document rows")
    assert accordant("data", "split", "text.txt", "--source", "text", "--out", "parts", "--test", 1).code == 0
    (origin,) = origins("parts/test.jsonl")
    assert (origin.source, origin.file, origin.rows, len(origin.sha256)) == ("text", "text.txt", 1, 64)
    ended = accordant("data", "check", "text.txt", "--source", "text-prompts", "--option", "words=2")
    said(ended, "text.txt: 2 Prompt rows")
    refused(accordant("data", "check", "text.txt", "--source", "txt"), "'txt'", "'text'")
    refused(accordant("data", "check", "tex.txt"), "tex.txt is not there", "text.txt")
    refused(accordant("data", "check", "part/pairs"), "no folder part, did you mean parts?", "hub:part/pairs:train")
    refused(accordant("data", "check", "parts/tests"), "did you mean test.jsonl?", "hub:parts/tests:train")
    assert "hub:" not in accordant("data", "check", "./parts/tests").error
    refused(accordant("data", "check", rows, "--map", "question=prompt", "--map", "question=text"), "'question' twice")


# --- convert ----------------------------------------------------------------------------------------------------------


def test_convert_rankings_to_pairs_with_their_origin() -> None:
    rows = write("ranked.jsonl", {"prompt": "q", "completions": ["a", "b", "c"], "ranks": [2, 1, 2]})
    ended = accordant("data", "convert", rows, "new/pairs.jsonl", "--to", "pairs")
    said(ended, "1 Ranking row -> 2 pairs in new/pairs.jsonl", "  dropped, tied: 1")
    assert [(row.chosen, row.rejected) for row in read("new/pairs.jsonl", Pair)] == [("b", "a"), ("b", "c")]
    (origin,) = origins("new/pairs.jsonl")
    assert (origin.source, origin.file, origin.rows) == ("file", "ranked.jsonl", 1)
    said(accordant("data", "convert", rows, "ties.parquet", "--to", "pairs", "--ties", "keep"),
         "1 Ranking row -> 3 pairs in ties.parquet")  # fmt: skip
    assert [row.tie for row in read("ties.parquet", Pair)] == [False, False, True]


def test_convert_ratings_grades_and_labelers() -> None:
    rated = write("r.jsonl", *[{"prompt": "q", "completion": t, "scores": {"x": s}} for t, s in [("a", 1), ("b", 2), ("c", 4)]])
    ended = accordant("data", "convert", rated, "p.jsonl", "--to", "pairs", "--attribute", "x", "--min-gap", 1.5)
    said(ended, "3 Rating rows -> 2 pairs in p.jsonl", "  dropped, less than 1.5 apart: 1")
    assert [row.margin for row in read("p.jsonl", Pair)] == [3.0, 2.0]
    graded = write("g.jsonl", {"prompt": "q", "chosen": "a", "rejected": "b", "grade": "slightly better"})
    said(accordant("data", "convert", graded, "p.jsonl", "--to", "pairs", "--grades", "small"))
    assert [row.margin for row in read("p.jsonl", Pair)] == pytest.approx([1 / 3])
    grades = {"q": "unsure", "r": "better"}
    renamed = write("h.jsonl", *[{"q": q, "chosen": "a", "rejected": "b", "how much": grade} for q, grade in grades.items()])
    words = ("data", "convert", renamed, "p.jsonl", "--to", "pairs", "--map", "q=prompt", "--map", "how much=grade")
    said(accordant(*words, "--grades", "large"))
    assert [row.margin for row in read("p.jsonl", Pair)] == [0.0, 2.0]
    refused(accordant(*words), "'grade'")
    orders = {"x": [1, 2], "y": [2, 1], "z": [1, 2]}
    votes = [{"prompt": "q", "completions": ["a", "b"], "ranks": ranks, "labeler": who} for who, ranks in orders.items()]
    said(accordant("data", "convert", write("v.jsonl", *votes), "p.jsonl", "--to", "pairs", "--consensus"))
    assert [row.weight for row in read("p.jsonl", Pair)] == pytest.approx([2 / 3])
    said(accordant("data", "convert", "v.jsonl", "k.jsonl", "--to", "kwise"), "3 Ranking rows -> 1 ranking in k.jsonl")
    assert read("k.jsonl", Ranking)[0].labeler == "consensus"


def test_convert_refuses(faulty: Path) -> None:
    rows = chats(Path("rows.jsonl"))
    refused(accordant("data", "convert", rows, "o.jsonl", "--to", "pairs"), "Chat rows cannot become pairs", "chats, prompts")
    refused(accordant("data", "convert", rows, "o.jsonl", "--to", "chats", "--ties", "keep"), "ties changes nothing", "pairs")
    refused(accordant("data", "convert", rows, "o.csv", "--to", "chats"), ".jsonl or .parquet")
    refused(accordant("data", "convert", rows, rows, "--to", "prompts"), "is where the rows are read from")
    refused(
        accordant("data", "convert", rows, "o.jsonl", "--to", "chats", "--grades", "small"),
        "--grades sets the margins of pairs",
    )
    refused(accordant("data", "convert", faulty, "o.jsonl", "--to", "pairs"), "2 of 5 rows are bad", "faulty.jsonl:4")
    assert not Path("o.jsonl").exists()
    ended = accordant("data", "convert", faulty, "o.jsonl", "--to", "pairs", "--on-bad", "drop")
    said(ended, "2 of 5 rows are bad and left out:", "3 Pair rows -> 3 pairs in o.jsonl")
    assert len(read(rows, Chat)) == 6


# --- filter -----------------------------------------------------------------------------------------------------------


def test_filter_drops_what_scores_above_and_keeps_account(classifier_folder: Path) -> None:
    rows = labelled(Path("rows.jsonl"))
    words = ("data", "filter", rows, "kept.jsonl", "--classifier", classifier_folder)
    first = accordant(*words, "--above", 0.5, "--dropped", "gone.jsonl")
    assert first.code == 0, first
    gone = [json.loads(line) for line in Path("gone.jsonl").read_text().splitlines()]
    kept = read("kept.jsonl")
    assert len(gone) + len(kept) == 12
    assert 0 < len(gone) < 12
    assert all(row["score"] > 0.5 and row["file"] == "rows.jsonl" for row in gone)
    lines = rows.read_text().splitlines()
    assert all(json.loads(lines[row["line"] - 1])["text"] == row["text"] for row in gone)
    for label in (0, 1):
        count = sum(row["label"] == label for row in gone)
        assert f"rows.jsonl, label {label}: {count} of 6 rows dropped ({count / 6:.1%})" in first.output
    assert [origins(place)[0].rows for place in ("kept.jsonl", "gone.jsonl")] == [len(kept), len(gone)]
    # The logit says the same: sigmoid(0) is a half.
    assert accordant(*words, "--above", 0, "--output", "logit").code == 0
    assert read("kept.jsonl") == kept
    assert {origin.file for place in ("kept.jsonl", "gone.jsonl") for origin in origins(place)} == {"rows.jsonl"}


def test_filter_refuses(classifier_folder: Path, llama_folder: Path) -> None:
    rows = labelled(Path("rows.jsonl"))
    words = ("data", "filter", rows, "kept.jsonl", "--classifier", classifier_folder, "--above")
    refused(accordant(*words, 1.5), "--above is 1.5", "--output logit")
    refused(accordant(*words, -99, "--output", "logit"), "all 12 rows score above -99", "raise --above")
    refused(accordant(*words, 0.5, "--label", "toxic"), "'toxic'")
    refused(accordant(*words, 0.5, "--dropped", "kept.jsonl"), "--dropped kept.jsonl is OUT")
    refused(accordant(*words[:5], llama_folder, "--above", 0.5), "no reward model or classifier")
    long = write("long.jsonl", {"text": "kite " * 90}, {"text": "short"})
    words = ("data", "filter", long, "kept.jsonl", "--classifier", classifier_folder, "--above", 0.999999)
    refused(accordant(*words), "1 of 2 rows cannot be scored", "--window", "long.jsonl:1: ")
    assert not Path("kept.jsonl").exists()
    assert accordant(*words, "--window", 10).code == 0


# --- split ------------------------------------------------------------------------------------------------------------


def test_split_keeps_prompts_together() -> None:
    rows = write("p.jsonl", *[{"prompt": f"q{i % 10}", "chosen": f"a{i}", "rejected": "b"} for i in range(30)])
    words = ("data", "split", rows, "--out", "parts", "--test", 0.2, "--validation", 1, "--part", "rl=3")
    ended = accordant(*words)
    said(ended, "6 rows of 2 prompts in parts/test.jsonl", "3 rows of 1 prompt in parts/validation.jsonl",
         "9 rows of 3 prompts in parts/rl.jsonl", "12 rows of 4 prompts in parts/train.jsonl")  # fmt: skip
    parts = {name: read(f"parts/{name}.jsonl", Pair) for name in ("train", "test", "validation", "rl")}
    assert sorted(row.chosen for part in parts.values() for row in part) == sorted(f"a{i}" for i in range(30))
    assert sum(len({row.prompt for row in part}) for part in parts.values()) == 10
    assert [origin.rows for origin in origins("parts/train.jsonl")] == [12]
    said(accordant("data", "check", *[f"parts/{name}.jsonl" for name in parts], "--strict"), "no complaints")
    before = Path("parts/test.jsonl").read_bytes()
    assert accordant(*words).code == 0
    assert Path("parts/test.jsonl").read_bytes() == before
    assert accordant(*words, "--seed", 1).code == 0
    assert Path("parts/test.jsonl").read_bytes() != before


def test_split_refuses() -> None:
    rows = pairs(Path("p.jsonl"))
    words = ("data", "split", rows, "--out", "parts")
    refused(accordant(*words), "no part is asked for", "--test 0.1")
    refused(accordant(*words, "--test", "some"), "test=some", "0.1")
    refused(accordant(*words, "--test", 6), "leave none of the 6")
    refused(accordant(*words, "--test", 1, "--part", "test=2"), "two parts have one name")
    refused(accordant(*words, "--part", "../x=2"), "../x=2", "NAME=SIZE")
    refused(accordant(*words, "--part", "train=2"), "'train' is what the other splits leave")


# --- show -------------------------------------------------------------------------------------------------------------


def test_show_brackets_what_is_trained_on(llama_folder: Path) -> None:
    rows = chats(Path("rows.jsonl"))
    ended = accordant("data", "show", rows, "--model", llama_folder, "-n", 1, "--start", 2, "--plain")
    head, text = ended.output.splitlines()
    assert re.fullmatch(r"--- rows\.jsonl:2  Chat  \d+ tokens, \d+ trained on", head)
    assert text.startswith("what colour is leaf?[")
    assert text.endswith("[«</s>»]")
    trained = re.findall(r"\[(.*?)\]", text)
    assert "".join(trained) == " green«</s>»"
    assert head.endswith(f", {len(trained)} trained on")
    coloured = accordant("data", "show", rows, "--model", llama_folder, "-n", 1, "--start", 2)
    assert coloured.output.splitlines()[1] == "what colour is leaf? green</s>", "no colours where there is no terminal"


def test_show_all_turns_and_pairs(tmp_path: Path) -> None:
    model = tiny_llama(tmp_path / "model", byte_level_tokenizer(chat=True))
    talk = [("user", "hi"), ("assistant", "yo"), ("user", "so?"), ("assistant", "no")]
    rows = write("rows.jsonl", {"messages": [{"role": role, "content": text} for role, text in talk]})
    shown = {turns: accordant("data", "show", rows, "--model", model, "--turns", turns, "--plain") for turns in ("last", "all")}
    marked = {turns: "".join(re.findall(r"\[([^\]\[]*)\]", ended.output.partition("\n")[2])) for turns, ended in shown.items()}
    assert marked["last"].endswith("no«</s>»")
    assert "yo" not in re.sub(r"\[(user|assistant)\]", "", marked["last"])
    assert "yo«</s>»" in marked["all"]
    ended = accordant("data", "show", pairs(Path("p.jsonl")), "--model", model, "-n", 1, "--plain", "--max-length", 5)
    assert [line.split("  ")[1] for line in ended.output.splitlines() if line.startswith("---")] == [
        "Pair, chosen",
        "Pair, rejected",
    ]
    assert ended.output.count("over the limit of 5") == 2


def test_show_refuses(llama_folder: Path) -> None:
    rows = chats(Path("rows.jsonl"))
    refused(accordant("data", "show", rows, "--model", llama_folder, "--start", 7), "--start is 7", "6 rows")
    refused(accordant("data", "show", rows, "--model", llama_folder.with_name("lama0")), llama_folder.name)
    turns = write("t.jsonl", {"messages": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]})
    refused(accordant("data", "show", turns, "--model", llama_folder), "t.jsonl:1", "chat template")
    other = pairs(Path("p.jsonl"))
    refused(accordant("data", "show", other, "--model", llama_folder, "--turns", "all"), "has Pair rows; leave it out")
    assert accordant("data", "show", rows, "--model", llama_folder, "-n", 0).code == 2
    assert accordant("data", "shw").code == 2


def test_a_file_without_rows_is_a_complaint() -> None:
    Path("none.jsonl").write_text("\n")
    ended = accordant("data", "check", "none.jsonl", "--strict")
    assert (ended.code, "  none.jsonl: there are no rows in it; write at least one" in ended.output.splitlines()) == (1, True)
