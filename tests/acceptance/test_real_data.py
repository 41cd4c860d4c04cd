"""Every source on the published data: `ACCORDANT_DATA=PATH make acceptance`. The counts are made by plain Python here."""

from __future__ import annotations

import csv
import json
import os
import random
import re
import zipfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from accordant.data.sources import check, load
from accordant.data.split import split
from accordant.stats.agreement import fleiss_kappa, pairwise_votes
from accordant.stats.rankings import pairs
from accordant.types import MADE, Chat, Pair, Thumb
from malformed import broken, examine, scrambled, struck

DATA = os.environ.get("ACCORDANT_DATA")
ROOT = Path(DATA or ".") / "data"
_SPEAKER = r"\n\n(Assistant|Human):"

pytestmark = [
    pytest.mark.acceptance,
    pytest.mark.skipif(not DATA, reason="ACCORDANT_DATA is not set: it names the folder with the real data and models"),
]


def jsonl(name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (ROOT / name).read_text(encoding="utf-8").split("\n") if line]


def listed(name: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((ROOT / name).read_text(encoding="utf-8"))
    return found


def test_hh_pairs_less_the_faulty_ones_which_are_named() -> None:
    faulty = []
    for line, row in enumerate(jsonl("hh-rlhf/train.jsonl"), start=1):
        (before, better), (other, worse) = (row[name].rsplit("\n\nAssistant:", 1) for name in ("chosen", "rejected"))
        if before != other or not better.strip() or not worse.strip():
            faulty.append(line)
    found = check("hh-rlhf", ROOT / "hh-rlhf/train.jsonl")
    assert [complaint.source.line for complaint in found.complaints] == faulty
    assert len(faulty) == 7
    assert len(found.rows) == 1800 - 7
    texts = check("hh-rlhf", ROOT / "hh-rlhf/train.jsonl", style="transcript").rows
    good = [row for line, row in enumerate(jsonl("hh-rlhf/train.jsonl"), start=1) if line not in faulty]
    for row, original in zip(texts, good, strict=True):
        assert isinstance(row, Pair)
        assert isinstance(row.prompt, str)
        for name in ("chosen", "rejected"):
            words = re.sub(_SPEAKER, " ", row.prompt + getattr(row, name)).split()
            assert words == re.sub(_SPEAKER, " ", original[name]).split(), "not a word is lost or moved"
    parts = split(found.rows, {"test": 0.1}, 0)
    assert sum(map(len, parts.values())) == 1793


def messages_of(tree: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield tree
    for reply in tree["replies"]:
        yield from messages_of(reply)


def test_oasst_threads_and_pairs() -> None:
    said = [message for tree in jsonl("oasst/en_100_tree.jsonl") for message in messages_of(tree["prompt"])]
    assert len(said) == 1167
    ranks = [[reply["rank"] for reply in message["replies"] if reply.get("rank") is not None] for message in said]
    by_hand = sum(len(some) * (len(some) - 1) // 2 for some in ranks)
    for name in ("oasst/en_100_tree.jsonl", "oasst/en_100_message.jsonl"):
        threads = load("oasst", ROOT / name)
        assert len(threads) == sum(message["role"] == "assistant" for message in said) == 687
        rankings = load("oasst", ROOT / name, what="rankings")
        found = [pair for ranking in rankings for pair in pairs(ranking)]
        assert len(found) == by_hand == 754
    better = {
        (a["text"], b["text"])
        for message in said
        for a in message["replies"]
        for b in message["replies"]
        if a.get("rank") is not None and b.get("rank") is not None and a["rank"] < b["rank"]
    }
    assert {(ranking.completions[a], ranking.completions[b]) for ranking in rankings for a, b in pairs(ranking)} == better
    assert len(load("oasst", ROOT / "oasst/en_100_tree.jsonl", what="prompts")) == 100


def test_pandalm_agreement() -> None:
    table = [[row[f"annotator{i}"] for i in (1, 2, 3)] for row in jsonl("pandalm/annotations.jsonl")]
    counts = [[votes.count(1), votes.count(2), votes.count(0)] for votes in table]
    rows = load("pandalm", ROOT / "pandalm/annotations.jsonl", empty="keep")
    items = [rows[i : i + 3] for i in range(0, len(rows), 3)]
    votes = pairwise_votes(items)
    assert len(items) == 999
    assert votes.tolist() == counts
    assert fleiss_kappa(votes) == pytest.approx(0.864, abs=5e-4)
    found = check("pandalm", ROOT / "pandalm/annotations.jsonl")
    empty = [i for i, row in enumerate(jsonl("pandalm/annotations.jsonl"), 1) if "" in (row["response1"], row["response2"])]
    assert {complaint.source.line for complaint in found.complaints} >= set(empty)
    assert len(found.rows) == 3 * (999 - len(found.complaints))


def test_fed_items_with_their_missing_ratings() -> None:
    items = listed("fed-ratings/fed_data.json")
    missing = sum(isinstance(mark, str) for item in items for marks in item["annotations"].values() for mark in marks)
    found = check("fed", ROOT / "fed-ratings/fed_data.json")
    assert (len(found.rows), len(found.complaints)) == (500, 0)
    assert found.notes == (f'{missing} single ratings are "N/A" and are taken as missing',)
    assert [len(load("fed", ROOT / "fed-ratings/fed_data.json", level=level)) for level in ("turn", "dialogue")] == [375, 125]
    people = load("fed", ROOT / "fed-ratings/fed_data.json", by="labeler")
    assert len(people) == 2500
    held = sum(not isinstance(mark, str) for item in items for marks in item["annotations"].values() for mark in marks)
    assert sum(len(row.scores) for row in people) == held
    for row, item in zip(found.rows, items, strict=True):
        marks = [mark for mark in item["annotations"]["Overall"] if not isinstance(mark, str)]
        name = "Overall" if "response" in item else "Overall dialogue"
        assert row.scores[name] == pytest.approx(sum(marks) / len(marks))


def test_usr_responses_and_contexts() -> None:
    responses = listed("usr-ratings/topical_chat.json")
    ratings = load("usr", ROOT / "usr-ratings/topical_chat.json")
    rankings = load("usr", ROOT / "usr-ratings/topical_chat.json", what="rankings")
    assert (len(ratings), len(rankings)) == (len(responses), len({row["source"] for row in responses})) == (360, 60)
    assert {len(row.completions) for row in rankings} == {6}
    assert [dict(row.scores) for row in ratings] == [row["scores"] for row in responses]


@pytest.mark.parametrize(
    ("source", "name", "kind", "count"),
    [
        ("alpaca", "alpaca/alpaca_data_subset.json", Chat, 2000),
        ("alpaca", "alpaca/alpaca_en_demo.json", Chat, 999),
        ("file", "alpaca/alpaca_en_demo.json", Chat, 999),
        ("self-instruct", "self-instruct/seed_tasks.jsonl", Chat, 175),
        ("dialogsum", "dialogsum/dialogsum.dev.jsonl", Chat, 500),
        ("file", "dpo-demo/dpo_en_demo.json", Pair, 300),
        ("file", "dpo-demo/kto_en_demo.json", Thumb, 300),
        ("thumbs", "dpo-demo/kto_en_demo.json", Thumb, 300),
    ],
)
def test_the_others_load_whole(source: str, name: str, kind: type, count: int) -> None:
    found = check(source, ROOT / name)
    assert (len(found.rows), len(found.complaints)) == (count, 0)
    assert {type(row) for row in found.rows} == {kind}
    assert count == len(listed(name) if name.endswith(".json") else jsonl(name))


def test_thumbs_are_half_up() -> None:
    rows = load("thumbs", ROOT / "dpo-demo/kto_en_demo.json")
    assert (
        Counter(row.up for row in rows)
        == Counter(row["label"] for row in listed("dpo-demo/kto_en_demo.json"))
        == {True: 150, False: 150}
    )


def test_sentence_polarity_and_prompts() -> None:
    rows = load("sentence-polarity", ROOT / "sentence-polarity/sentence_polarity.zip")
    with zipfile.ZipFile(ROOT / "sentence-polarity/sentence_polarity.zip") as archive:
        names = [name for name in archive.namelist() if re.search(r"rt-polarity\.(pos|neg)$", name)]
        lines = sum(archive.read(name).decode("latin-1").count("\n") for name in names)
    assert len(rows) == lines == 10_662
    assert Counter(row.label for row in rows) == {0: 5331, 1: 5331}
    assert len(load("prompts", ROOT / "oasst/en_100_text.jsonl")) == 100
    assert len(load("prompts", ROOT / "oasst/prompt_lottery_en_250_text.jsonl")) == 250


def test_hate_speech_labels_and_repeats() -> None:
    with (ROOT / "hate-speech/labeled_data.csv").open(encoding="utf-8", newline="") as file:
        tweets = list(csv.DictReader(file))
    everything = load("hate-speech", ROOT / "hate-speech/labeled_data.csv", repeats=True)
    assert [(row.text, row.label) for row in everything] == [(row["tweet"], int(row["class"] != "2")) for row in tweets]
    found = check("hate-speech", ROOT / "hate-speech/labeled_data.csv")
    assert not found.complaints
    left = sum(int(note.split()[0]) for note in found.notes)
    assert len(found.rows) + left == len(tweets) == 24_783


FUZZED = [
    ("hh-rlhf", "hh-rlhf/train.jsonl"),
    ("oasst", "oasst/en_100_tree.jsonl"),
    ("pandalm", "pandalm/annotations.jsonl"),
    ("dialogsum", "dialogsum/dialogsum.dev.jsonl"),
    ("self-instruct", "self-instruct/seed_tasks.jsonl"),
    ("file", "plain-text/c4_demo.jsonl"),
    ("alpaca", "alpaca/alpaca_en_demo.json"),
    ("thumbs", "dpo-demo/kto_en_demo.json"),
    ("fed", "fed-ratings/fed_data.json"),
    ("usr", "usr-ratings/topical_chat.json"),
]


@pytest.mark.parametrize(("source", "name"), FUZZED)
def test_mutated_real_files_are_named_and_good_rows_kept(source: str, name: str, tmp_path: Path) -> None:
    """A thousand bad lines made of each file's own, one after each good one."""
    chance = random.Random(name)
    records = listed(name) if name.endswith(".json") else jsonl(name)
    clean = [json.dumps(record).encode() for record in records]
    lines, good = [], set()
    for i in range(max(1000, len(clean))):
        if i < len(clean):
            lines.append(clean[i])
            good.add(len(lines))
        record = chance.choice(records)
        lines.append(scrambled(chance.choice(clean), chance) if i % 2 else json.dumps(broken(record, chance)).encode())
    alone, mixed = tmp_path / "alone.jsonl", tmp_path / "mixed.jsonl"
    alone.write_bytes(b"\n".join(clean))
    mixed.write_bytes(b"\n".join(lines))
    wanted, found = check(source, alone), check(source, mixed)
    examine(mixed, found.complaints)
    values = [tuple(getattr(row, n) for n in row.__slots__ if n != "source") for row in wanted.rows]
    kept = [tuple(getattr(row, n) for n in row.__slots__ if n != "source") for row in found.rows if row.source.line in good]
    assert kept == values
    assert len(found.complaints) > len(wanted.complaints) + 100


def csv_pieces(data: bytes) -> list[tuple[bytes, bytes]]:
    """The header and the rows of a CSV file, each with its line end; rows end where the csv module says."""
    lines = data.split(b"\n")
    reader = csv.reader(line.decode() + "\n" for line in lines)
    pieces, first = [], 0
    for _ in reader:
        pieces.append((b"\n".join(lines[first : reader.line_num]), b"\n"))
        first = reader.line_num
    return pieces[:-1] if pieces[-1][0] == b"" else pieces


def json_pieces(data: bytes) -> list[tuple[bytes, bytes]]:
    """The beginning and the items of a JSON list, each with what stands behind it."""
    text, pieces = data.decode(), []
    end = text.index("{")
    head = text[:end]
    while end < len(text):
        begin = end
        _, stop = json.JSONDecoder().raw_decode(text, begin)
        end = text.find("{", stop) if "{" in text[stop : stop + 20] else len(text)
        pieces.append((text[begin:stop].encode(), text[stop:end].encode()))
    return [(b"", head.encode()), *pieces]


@pytest.mark.parametrize(
    ("source", "name", "pieces_of", "options"),
    [
        ("hate-speech", "hate-speech/labeled_data.csv", csv_pieces, {"repeats": True}),
        ("alpaca", "alpaca/alpaca_en_demo.json", json_pieces, {}),
        ("thumbs", "dpo-demo/kto_en_demo.json", json_pieces, {}),
    ],
)
def test_damaged_real_files_lose_the_rows_that_are_damaged(
    source: str, name: str, pieces_of: Any, options: dict[str, Any], tmp_path: Path
) -> None:
    """The files as they are published: bytes of one row, and of a tenth of the rows, are changed, put in or taken out."""
    original = (ROOT / name).read_bytes()
    pieces = pieces_of(original)
    path = tmp_path / name.split("/")[1]
    path.write_bytes(original)
    clean = {row.source.line: row for row in check(source, path, **options).rows}
    begins = struck(pieces, set(), random.Random(0))[1]
    assert {begins[i] for i in begins} == set(clean)
    for count, seeds in ((1, 5), (len(begins) // 10, 2)):
        for seed in range(seeds):
            chance = random.Random(f"{name} {count} {seed}")
            data, lines = struck(pieces, set(chance.sample(sorted(begins), count)), chance)
            path.write_bytes(data)
            found = check(source, path, **options)
            examine(path, found.complaints)
            kept = {row.source.line: row for row in found.rows}
            assert not [i for i, line in lines.items() if replace(clean[begins[i]], source=MADE) != _bare(kept.get(line))]
            assert len(lines) <= len(found.rows)
            assert count == 1 or found.complaints


def _bare(row: Any) -> Any:
    return row and replace(row, source=MADE)
