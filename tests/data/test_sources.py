"""Each named source on a small file of its own form."""

import zipfile

import pytest

from accordant.data.sources import SOURCES, load
from accordant.types import Document, Labelled, Pair, Prompt, Source, UserError


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
    assert "Example row:" in SOURCES[name].__doc__
    assert "Licence:" in SOURCES[name].__doc__
