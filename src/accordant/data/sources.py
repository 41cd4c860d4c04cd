"""Named sources: functions from a path to rows, one for each kind of data that is not in our own form.

`SOURCES` is the whole list. A source's options are its keyword arguments, with their types and defaults.

Left out: downloading; a path is a local file (or, for `file`, a hub data set).
"""

from __future__ import annotations

import inspect
import zipfile
from collections.abc import Callable, Iterator
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from accordant.data import rows as row_files
from accordant.data.files import decode, existing, not_utf8
from accordant.types import Document, Labelled, Prompt, Row, Source, UserError


def load(name: str, path: str | Path, **options: Any) -> list[Row]:
    """The rows of a named source.

    Raises:
        UserError: no source or option has this name, an option has the wrong type, or the data are bad.
    """
    if name not in SOURCES:
        raise UserError(f"there is no source {name!r}; {_nearest(name, list(SOURCES))}")
    known = {
        option.name: option.default
        for option in inspect.signature(SOURCES[name]).parameters.values()
        if option.kind is inspect.Parameter.KEYWORD_ONLY
    }
    for option, value in options.items():
        if option not in known:
            raise UserError(f"the source {name!r} has no option {option!r}; {_nearest(option, list(known))}")
        if type(value) is not type(known[option]):
            raise UserError(f"{name}.{option} is {value!r}; it must be of the type of its default, {known[option]!r}")
    return SOURCES[name](path, **options)


def file(path: str | Path, *, kind: str = "") -> list[Row]:
    """Rows in our own form: JSONL, JSON, CSV, Parquet or a hub data set; see `rows` for the fields.

    Args:
        path: the file, or "hub:owner/name:split".
        kind: the rows to make of it: prompt, document, chat, labelled, pair, ranking or rating; "": as the fields say.

    Example row: any. Licence: the file's own.
    """
    kinds = {of.__name__.lower(): of for of in row_files.PARSERS}
    if kind and kind not in kinds:
        raise UserError(f"there is no kind of row {kind!r}; {_nearest(kind, list(kinds))}")
    return row_files.read(path, kinds.get(kind))


def text(path: str | Path) -> list[Row]:
    """Plain text: each paragraph (blank lines lie between them) is a document; its line breaks become spaces.

    Example row: `Document("Lily had a cat.", Source("stories.txt", 1))`. Licence: the file's own.
    """
    return [Document(paragraph, source) for source, paragraph in _paragraphs(path)]


def text_prompts(path: str | Path, *, words: int = 10) -> list[Row]:
    """Plain text: the first words of each paragraph, to be continued; each beginning once.

    Paragraphs of no more than `words` words are passed over, since nothing of them would be left to continue.

    Args:
        path: a text file with blank lines between its paragraphs.
        words: how many words a prompt has.

    Example row: `Prompt("One day, a girl found a key under the old", Source("stories.txt", 1))`.
    Licence: the file's own.
    """
    if words < 1:
        raise UserError(f"text-prompts.words is {words}; a prompt needs at least 1")
    prompts: dict[str, Source] = {}
    for source, paragraph in _paragraphs(path):
        split = paragraph.split()
        if len(split) > words:
            prompts.setdefault(" ".join(split[:words]), source)
    if not prompts:
        raise UserError(f"{path}: no paragraph has more than {words} words; set `words` lower")
    return [Prompt(beginning, source) for beginning, source in prompts.items()]


def sentence_polarity(path: str | Path) -> list[Row]:
    """Movie review sentences by polarity (Pang and Lee 2005, doi:10.3115/1219840.1219855): 1 = positive, 0 = negative.

    Args:
        path: the zip that NLTK distributes, with `rt-polarity.pos` and `rt-polarity.neg` (a sentence a line, Latin-1).

    Example row: `Labelled("a warm , funny film .", 1, Source("sentence_polarity.zip/rt-polarity.pos", 7))`.
    Licence: CC-BY-4.0.
    """
    archive = existing(path)
    if not zipfile.is_zipfile(archive):
        raise UserError(f"{path} is not a zip file; give NLTK's sentence_polarity.zip")
    rows: list[Row] = []
    with zipfile.ZipFile(archive) as files:
        for name, label in (("rt-polarity.pos", 1), ("rt-polarity.neg", 0)):
            member = next((entry for entry in files.namelist() if entry.rpartition("/")[2] == name), None)
            if member is None:
                raise UserError(f"{path} has no {name} in it; give NLTK's sentence_polarity.zip")
            # Not splitlines: in Latin-1, some of these sentences contain the character U+0085, which it cuts at.
            lines = files.read(member).decode("latin-1").split("\n")
            sources = (Source(f"{path}/{name}", number) for number in range(1, len(lines) + 1))
            rows += [Labelled(line.strip(), label, at) for line, at in zip(lines, sources, strict=True) if line.strip()]
    return rows


def _paragraphs(path: str | Path) -> Iterator[tuple[Source, str]]:
    """Each paragraph with the line it begins on, its words joined by single spaces."""
    try:
        lines = decode(existing(path).read_bytes()).split("\n")
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise UserError(f"{path}:{line}: {not_utf8(error)}") from error
    if not any(line.strip() for line in lines):
        raise UserError(f"{path}: there is no text in it; write at least one paragraph")
    words: list[str] = []
    start = 0
    for number, line in enumerate([*lines, ""], start=1):
        if line.strip():
            start = start if words else number
            words += line.split()
        elif words:
            yield Source(str(path), start), " ".join(words)
            words = []


def _nearest(name: str, known: list[str]) -> str:
    near = get_close_matches(name, known, n=1)
    return f"did you mean {near[0]!r}?" if near else "choose from " + (", ".join(sorted(known)) or "nothing: it has none")


SOURCES: dict[str, Callable[..., list[Row]]] = {
    "file": file,
    "sentence-polarity": sentence_polarity,
    "text": text,
    "text-prompts": text_prompts,
}
