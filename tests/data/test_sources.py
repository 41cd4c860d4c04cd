"""Each named source on a small file of its own form."""

import math
import re
import zipfile

import pytest

from accordant.data.sources import SOURCES, check, load
from accordant.types import Document, Labelled, Pair, Prompt, Source, UserError
from source_examples import EXAMPLES, TREE, as_csv, as_jsonl, bare, contents, message, turns

SHP = {"history": "q", "human_ref_A": "a", "human_ref_B": "b", "score_ratio": 2.0, "labels": 1}
PANDA = next(example for example in EXAMPLES if example.source == "pandalm").records[0]


@pytest.fixture
def story(tmp_path):
    path = tmp_path / "story.txt"
    path.write_bytes(b"\xef\xbb\xbfThe fox ran\r\nover  the hill.\r\n\r\n\r\nIt slept.\r\n\r\nThe fox ran over water.\r\n")
    return path


@pytest.fixture
def polarity(tmp_path):
    path = tmp_path / "polarity.zip"
    with zipfile.ZipFile(path, "w") as files:
        files.writestr("folder/rt-polarity.pos", "a fine caf\xe9\x85 scene \nlovely\n".encode("latin-1"))
        files.writestr("folder/rt-polarity.neg", b"dull\n")
    return path


def test_text_is_a_document_a_paragraph(story):
    name = str(story)
    assert load("text", story) == [
        Document("The fox ran over the hill.", Source(name, 1)),
        Document("It slept.", Source(name, 5)),
        Document("The fox ran over water.", Source(name, 7)),
    ]


def test_text_prompts_are_distinct_beginnings_with_something_left(story):
    name = str(story)
    assert load("text-prompts", story, words=4) == [Prompt("The fox ran over", Source(name, 1))]
    assert [row.prompt for row in load("text-prompts", story, words=5)] == ["The fox ran over the"]
    assert [row.prompt for row in load("text-prompts", story, words=1)] == ["The", "It"]
    assert check("text-prompts", story, words=4).notes == (
        "paragraphs of no more than 4 words, left out: 1",
        "paragraphs that begin as an earlier one, left out: 1",
    )
    with pytest.raises(UserError, match="no paragraph has more than 10 words"):
        load("text-prompts", story)
    with pytest.raises(UserError, match=r"text-prompts.words is 0"):
        load("text-prompts", story, words=0)


@pytest.mark.parametrize("source", ["text", "text-prompts"])
def test_text_must_be_there_and_be_utf8(source, tmp_path):
    path = tmp_path / "bad.txt"
    path.write_bytes(b"one\n\ncaf\xe9\n")
    with pytest.raises(UserError, match=r"bad.txt:3: byte 0xe9 is not UTF-8"):
        load(source, path)
    path.write_bytes(b" \n\n")
    with pytest.raises(UserError, match="there is no text in it"):
        load(source, path)
    with pytest.raises(UserError, match=r"did you mean bad.txt\?"):
        load(source, tmp_path / "bed.txt")


def test_sentence_polarity_is_latin_1_by_lines(polarity):
    positive, negative = f"{polarity}/rt-polarity.pos", f"{polarity}/rt-polarity.neg"
    assert load("sentence-polarity", polarity) == [
        Labelled("a fine caf\xe9\x85 scene", 1, Source(positive, 1)),
        Labelled("lovely", 1, Source(positive, 2)),
        Labelled("dull", 0, Source(negative, 1)),
    ]


def test_sentence_polarity_needs_its_zip(tmp_path, story):
    with pytest.raises(UserError, match=r"story.txt is not a zip file"):
        load("sentence-polarity", story)
    with zipfile.ZipFile(tmp_path / "other.zip", "w") as files:
        files.writestr("rt-polarity.pos", "fine\n")
    with pytest.raises(UserError, match=r"has no rt-polarity.neg"):
        load("sentence-polarity", tmp_path / "other.zip")


def test_file_reads_rows_as_they_are_or_as_told(tmp_path):
    path = tmp_path / "pairs.jsonl"
    path.write_text('{"prompt": "q", "chosen": "c", "rejected": "r"}\n')
    assert load("file", path) == [Pair("q", "c", "r", source=Source(str(path), 1))]
    assert load("file", path, kind="prompt") == [Prompt("q", Source(str(path), 1))]
    with pytest.raises(UserError, match="no kind of row 'pairs'; did you mean 'pair'"):
        load("file", path, kind="pairs")


def test_names_and_types_of_sources_and_options_are_checked(story):
    with pytest.raises(UserError, match="no source 'txt'; did you mean 'text'"):
        load("txt", story)
    with pytest.raises(UserError, match="no option 'word'; did you mean 'words'"):
        load("text-prompts", story, word=3)
    with pytest.raises(UserError, match="no option 'words'; choose from nothing"):
        load("text", story, words=3)
    with pytest.raises(UserError, match=r"text-prompts.words is '3'; it must be of the type of its default, 10"):
        load("text-prompts", story, words="3")


@pytest.mark.parametrize("name", SOURCES)
def test_every_source_shows_a_row_and_says_its_licence(name):
    assert "Example row:" in SOURCES[name].load.__doc__
    said = " ".join(SOURCES[name].load.__doc__.split())
    licence = SOURCES[name].licence
    assert "Licence: the file's own." in said if licence == "unknown" else re.search(f"Licence: {_loosely(licence)}", said)


def _loosely(licence):
    """Between the words of a licence, a docstring may say more."""
    return re.escape(licence).replace("Reddit\\ ", "Reddit's ")


@pytest.mark.parametrize("example", EXAMPLES, ids=[f"{e.source} {' '.join(map(str, e.options.values()))}" for e in EXAMPLES])
def test_each_source_reads_its_published_form(example, tmp_path):
    path = tmp_path / example.name
    path.write_bytes(contents(example))
    found = check(example.source, path, **example.options)
    assert not found.complaints
    assert [bare(row) for row in found.rows] == [bare(row) for some in example.rows.values() for row in some]
    assert load(example.source, path, **example.options) == list(found.rows)
    if example.name.endswith(".jsonl"):
        assert [row.source for row in found.rows] == [Source(str(path), n) for n, some in example.rows.items() for _ in some]


def write(tmp_path, records, name="rows.jsonl"):
    path = tmp_path / name
    path.write_bytes(as_csv(records) if name.endswith(".csv") else as_jsonl(records))
    return path


FAULTS = [
    ("dolly", {"instruction": "q", "context": "", "response": " "}, "`response` is empty"),
    ("dolly", {"instruction": "q", "output": "a"}, "`response` is missing"),
    (
        "alpaca",
        {"instruction": "q", "otput": "a"},
        "`output` is missing; the fields are ['instruction', 'otput']; is 'otput' what",
    ),
    ("self-instruct", {"instruction": "q", "instances": []}, "`instances` is empty"),
    (
        "hh-rlhf",
        {"chosen": "\n\nHuman: q\n\nAssistant: a", "rejected": "\n\nHuman: p\n\nAssistant: b"},
        "differ before their last",
    ),
    (
        "hh-rlhf",
        {"chosen": "\n\nHuman: q\n\nAssistant: ", "rejected": "\n\nHuman: q\n\nAssistant: b"},
        "`chosen answer` is empty",
    ),
    ("hh-rlhf", {"chosen": "q\n\nAssistant: a", "rejected": "q\n\nAssistant: b"}, 'does not begin with "\\n\\nHuman:"'),
    ("hh-rlhf", {"chosen": "\n\nHuman: q", "rejected": "\n\nHuman: q"}, 'no "\\n\\nAssistant:" turn'),
    (
        "hh-rlhf",
        {"chosen": "\n\nHuman: q\n\nAssistant: a\n\nHuman: x", "rejected": "\n\nHuman: q\n\nAssistant: b\n\nHuman: x"},
        "ends with a Human turn",
    ),
    ("hh-rlhf", {"chosen": "\n\nHuman:\n\nAssistant: a", "rejected": "\n\nHuman:\n\nAssistant: b"}, "has an empty Human turn"),
    ("shp", SHP | {"labels": 2}, "`labels` is 2; it must be 1 (A is preferred) or 0"),
    ("shp", SHP | {"score_ratio": 0.5}, "`score_ratio` is 0.5; the preferred"),
    ("shp", {k: v for k, v in SHP.items() if k != "history"}, "`history` is missing"),
    ("dialogsum", {"dialogue": "d"}, "`summary` is missing"),
    ("scored", {"responses": ["a", "b"], "scores": [1, 2]}, "`prompt` is missing"),
    ("hate-speech", {"class": 3, "tweet": "t"}, "`class` is 3; it must be 0 (hate), 1 (offensive) or 2"),
    ("pandalm", PANDA | {"annotator2": 3}, "`annotator2` is 3; it must be 0 (tie), 1 or 2"),
    ("pandalm", PANDA | {"response1": ""}, "`response1` is empty; leave the item out, or set empty=keep"),
    ("pandalm", {k: v for k, v in PANDA.items() if "annotator" not in k}, "`annotator1` is missing"),
    ("fed", {"context": "User: q", "annotations": {"Fluent": [1]}}, "the dialogue has no System turn"),
    ("fed", {"context": "Robot: q", "annotations": {"Fluent": [1]}}, 'must begin with "User: " or "System: "'),
    ("fed", {"context": "User: q", "response": "System: a", "annotations": {"A": [1, 2], "B": [1]}}, "unequally many ratings"),
    (
        "fed",
        {"context": "User: q", "response": "System: a", "annotations": {"A": ["good"]}},
        '`annotations.A` must be a number, found "good"',
    ),
    ("usr", {"source": "a", "system_output": "b", "scores": {"overall": "x"}}, "`scores.overall` must be a number"),
    ("oasst", {"prompt": {"text": "q", "role": "user", "replies": []}}, '`role` is "user"; it must be prompter or assistant'),
    ("oasst", {"prompt": message("q", "prompter", {"role": "assistant"})}, "a message has no `text`"),
    (
        "oasst",
        {"prompt": message("q", "prompter", message("a", "assistant", rank="best"))},
        "`rank` must be a whole number or null",
    ),
    (
        "oasst",
        {"message_id": "m", "parent_id": "n", "text": "a", "role": "assistant"},
        'answers the message "n", which is not in the file',
    ),
]


@pytest.mark.parametrize(("source", "fields", "message"), FAULTS)
def test_faults_are_named_by_line_and_the_rest_is_kept(source, fields, message, tmp_path):
    example = next(example for example in EXAMPLES if example.source == source)
    found = check(source, write(tmp_path, [fields, example.records[0]]))
    assert [complaint.source.line for complaint in found.complaints] == [1]
    assert message in found.complaints[0].message
    assert [bare(row) for row in found.rows] == [bare(row) for row in example.rows[1]]
    path = tmp_path / "rows.jsonl"
    with pytest.raises(UserError, match=f"1 of {found.records + 1} rows are bad"):
        load(source, path)
    assert load(source, path, on_bad="drop") == list(found.rows)


def test_map_reaches_a_source_and_only_those_that_read_records(tmp_path, story):
    path = write(tmp_path, [{"q": "Say hi.", "response": "Hi."}])
    assert load("dolly", path, map={"q": "instruction"})[0].completion == "Hi."
    with pytest.raises(UserError, match="has no field 'question'"):
        load("dolly", path, map={"question": "instruction"})
    with pytest.raises(UserError, match="'text' reads no records, so there are no fields to map"):
        load("text", story, map={"a": "b"})


def test_transcripts_are_for_models_without_a_template(tmp_path):
    example = next(example for example in EXAMPLES if example.source == "hh-rlhf")
    path = write(tmp_path, example.records)
    first = load("hh-rlhf", path, style="transcript")[0]
    assert (first.prompt + first.chosen, first.prompt + first.rejected) == tuple(example.records[0].values())
    with pytest.raises(UserError, match="style is 'plain'; it must be 'messages' or 'transcript'"):
        load("hh-rlhf", path, style="plain")
    with pytest.raises(UserError, match="on_bad is 'skip'"):
        load("hh-rlhf", path, on_bad="skip")


def test_an_answer_that_was_begun_is_part_of_both_answers(tmp_path):
    start = "\n\nHuman: q\n\nAssistant: Well.\n\nAssistant:"
    (pair,) = load("hh-rlhf", write(tmp_path, [{"chosen": f"{start} yes", "rejected": f"{start} no"}]))
    assert (pair.prompt, pair.chosen, pair.rejected) == (turns("q"), "Well.\n\nyes", "Well.\n\nno")


def test_what_options_leave_out_is_counted(tmp_path):
    dolly = next(example for example in EXAMPLES if example.source == "dolly")
    found = check("dolly", write(tmp_path, dolly.records), category="open_qa")
    assert (len(found.rows), found.notes) == (1, ("rows of another category than 'open_qa', left out: 1",))
    ratios = [SHP | {"labels": 1, "score_ratio": ratio} for ratio in (1.0, 1.9, 2, 3.5)]
    found = check("shp", write(tmp_path, ratios), min_ratio=2)
    assert [row.margin for row in found.rows] == [math.log(2), math.log(3.5)]
    assert found.notes == ("pairs with a score ratio below 2, left out: 2",)
    with pytest.raises(UserError, match=r"min_ratio is 0.5; a score ratio is never below 1"):
        check("shp", tmp_path / "rows.jsonl", min_ratio=0.5)
    answers = [{"prompt": "q", "responses": ["a", "b", "c"], "scores": [1, 2, 4]}]
    found = check("scored", write(tmp_path, answers), what="pairs", min_gap=2.0)
    assert [(row.chosen, row.rejected, row.margin) for row in found.rows] == [("c", "a", 3.0), ("c", "b", 2.0)]
    assert found.notes == ("pairs of answers with equal or too close scores, left out: 1",)


def test_tweets_that_repeat_are_left_out_and_counted(tmp_path):
    tweets = [("1", "RT @ana: You FOOL!"), ("0", "you fool"), ("2", "nice &amp; warm"), ("2", "@bo nice & warm http://t.co/x"),
              ("1", "RT @x: odd"), ("2", "odd..."), ("2", "@ana"), ("2", "@bo")]  # fmt: skip
    path = write(tmp_path, [{"class": label, "tweet": tweet} for label, tweet in tweets], "rows.csv")
    found = check("hate-speech", path)
    assert [(row.label, row.text) for row in found.rows] == [
        (1, "RT @ana: You FOOL!"),
        (0, "nice &amp; warm"),
        (0, "@ana"),
        (0, "@bo"),
    ]
    assert found.notes == (
        "tweets that repeat an earlier one, left out: 2",
        "equal tweets of different classes, left out: 2",
    )
    assert len(load("hate-speech", path, repeats=True)) == len(tweets)


def test_an_empty_answer_is_kept_for_agreement_alone(tmp_path):
    path = write(tmp_path, [PANDA | {"response1": ""}])
    found = load("pandalm", path, empty="keep")
    assert [row.completions for row in found] == [("", "True")] * 3
    assert [row.groups for row in found] == [((0,), (1,)), ((0, 1),), ((1,), (0,))]
    with pytest.raises(UserError, match=r"pandalm.empty is 'kep'; did you mean 'keep'\?"):
        load("pandalm", path, empty="kep")


def test_fed_by_level_and_by_labeler(tmp_path):
    example = next(example for example in EXAMPLES if example.source == "fed")
    path = write(tmp_path, example.records)
    assert [len(check("fed", path, level=level).rows) for level in ("turn", "dialogue", "both")] == [1, 1, 2]
    rows = load("fed", path, level="turn", by="labeler")
    assert [row.labeler for row in rows] == [f"labeler{i}" for i in range(1, 6)]
    assert [dict(row.scores) for row in rows][2:4] == [{"Fluent": 2.0, "Overall": 4.0}, {"Overall": 4.0}]
    assert check("fed", path).notes == ('single ratings of "N/A", taken as missing: 6',)
    assert "items of another level than 'turn', left out: 1" in check("fed", path, level="turn").notes


def test_usr_as_rankings_with_the_fact_in_front(tmp_path):
    example = next(example for example in EXAMPLES if example.source == "usr")
    path = write(tmp_path, example.records)
    (row,) = load("usr", path, what="rankings", facts=True)
    assert row.groups == ((0, 2), (1,))
    assert [turn.role for turn in row.prompt] == ["system", "assistant", "user"]
    assert row.prompt[0].content == "dogs bark ."
    assert "`scores.wit` is missing" in check("usr", path, what="rankings", by="wit").complaints[0].message


def test_oasst_leaves_out_what_it_is_told_to_with_the_replies(tmp_path):
    tree = {"prompt": message(
        "q", "prompter",
        message("best", "assistant", message("p", "prompter", message("then", "assistant")), rank=0),
        message("worse", "assistant", message("o", "prompter", message("so", "assistant")), rank=1),
        message("gone", "assistant", message("n", "prompter", message("lost", "assistant")), deleted=True),
        message("neu", "assistant", lang="de", synthetic=True),
        message("new", "assistant", review_result=None),
    )}  # fmt: skip
    path = write(tmp_path, [tree])

    def said(**options):
        return [row.completion for row in load("oasst", path, **options)]

    assert said() == ["best", "then", "worse", "so", "neu"]
    assert said(best_only=True) == ["best", "then"]
    assert said(lang="en") == ["best", "then", "worse", "so"]
    assert said(synthetic=False) == ["best", "then", "worse", "so"]
    assert said(unreviewed=True)[-1] == "new"
    assert said(deleted=True) == ["best", "then", "worse", "so", "gone", "lost", "neu"]
    assert check("oasst", path).notes == (
        "deleted messages, left out: 1, and replies to them: 2",
        "messages not reviewed or refused, left out: 1, and replies to them: 0",
    )
    notes = check("oasst", path, best_only=True).notes
    assert "replies that are not the best of those ranked, left out: 2, and replies to them: 2" in notes
    assert [row.prompt for row in load("oasst", path, what="prompts")] == [turns("q")]


def test_flat_messages_are_put_together_and_give_the_same(tmp_path):
    """As the hub has them: a row a message, replies by the id that they answer, labels as parallel lists."""
    flat = []

    def walk(given, parent):
        number = f"m{len(flat)}"
        labels = given.get("labels")
        if labels:
            labels = {"name": list(labels), "value": [label["value"] for label in labels.values()], "count": [3] * len(labels)}
        flat.append(
            {k: v for k, v in given.items() if k != "replies"} | {"message_id": number, "parent_id": parent, "labels": labels}
        )
        for reply in given["replies"]:
            walk(reply, number)

    walk(TREE["prompt"], None)
    path = write(tmp_path, list(reversed(flat)), "flat.jsonl")
    trees = write(tmp_path, [TREE])
    for what in ("threads", "rankings", "ratings", "prompts"):
        ours, wanted = (load("oasst", place, what=what) for place in (path, trees))
        assert len(ours) == len(wanted) > 0
        assert {row.prompt for row in ours} == {row.prompt for row in wanted}
    assert {row.completion for row in load("oasst", path)} == {row.completion for row in load("oasst", trees)}
    assert {row.completion: dict(row.scores) for row in load("oasst", path, what="ratings")} == {
        row.completion: dict(row.scores) for row in load("oasst", trees, what="ratings")
    }
    found = check("oasst", write(tmp_path, [*flat, flat[0]], "twice.jsonl"))
    assert "is there twice" in found.complaints[0].message
    assert found.complaints[0].source.line == len(flat) + 1


def test_no_flat_message_vanishes_without_a_word(tmp_path):
    """Below an orphan, in a circle, answering itself: each is named; what hangs on a first message is kept."""

    def said(number, parent):
        role = "prompter" if parent is None else "assistant"
        return {"message_id": number, "parent_id": parent, "text": number, "role": role}

    chain = [said("r", None), said("kept", "r"), said("orphan", "gone"), said("below", "orphan"), said("under", "below")]
    path = write(tmp_path, [*chain, said("a", "b"), said("b", "a"), said("self", "self")])
    found = check("oasst", path)
    assert [row.completion for row in found.rows] == ["kept"]
    assert sorted(complaint.source.line for complaint in found.complaints) == [3, 4, 5, 6, 7, 8]


def test_assistant_messages_without_quality_labels_are_counted(tmp_path):
    rated = message("a", "assistant", labels={"quality": {"value": 0.5, "count": 1}})
    path = write(tmp_path, [{"prompt": message("q", "prompter", rated, message("b", "assistant"))}])
    found = check("oasst", path, what="ratings")
    assert [row.completion for row in found.rows] == ["a"]
    assert found.notes == ("assistant messages without quality labels, left out: 1",)


def test_prompts_are_lines_of_text_or_json_strings(tmp_path):
    path = tmp_path / "prompts.txt"
    path.write_bytes(b'\xef\xbb\xbfone?\r\n\n"two\\nlines?"\n"bad\\x"\n\xff\n')
    found = check("prompts", path)
    assert [(row.prompt, row.source.line) for row in found.rows] == [("one?", 1), ("two\nlines?", 3)]
    assert [complaint.source.line for complaint in found.complaints] == [4, 5]
