"""Plain text as documents and as prompts."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from accordant.data.files import Complaint, decode, existing, not_utf8
from accordant.data.loaded import Loaded
from accordant.data.sources.loaded import passed_over
from accordant.types import Document, Prompt, Source, UserError


def text(path: str | Path) -> Loaded:
    """Plain text: each paragraph (blank lines lie between them) is a document; its line breaks become spaces.

    Example row: `Document("Lily had a cat.", Source("stories.txt", 1))`. Licence: the file's own.
    """
    return Loaded([Document(paragraph, source) for source, paragraph in _paragraphs(path)])


def text_prompts(path: str | Path, *, words: int = 10) -> Loaded:
    """Plain text: the first words of each paragraph, to be continued; each beginning once.

    Paragraphs of no more than `words` words are passed over, since nothing of them would be left to continue; they are counted,
    and so are those that begin as an earlier one does.

    Args:
        path: a text file with blank lines between its paragraphs.
        words: how many words a prompt has.

    Example row: `Prompt("One day, a girl found a key under the old", Source("stories.txt", 1))`.
    Licence: the file's own.
    """
    if words < 1:
        raise UserError(f"text-prompts.words is {words}; a prompt needs at least 1")
    prompts: dict[str, Source] = {}
    short = repeated = 0
    for source, paragraph in _paragraphs(path):
        split = paragraph.split()
        beginning = " ".join(split[:words])
        if len(split) <= words:
            short += 1
        elif beginning in prompts:
            repeated += 1
        else:
            prompts[beginning] = source
    if not prompts:
        raise UserError(f"{path}: no paragraph has more than {words} words; set `words` lower")
    notes = passed_over(f"paragraphs of no more than {words} words, left out", short)
    notes += passed_over("paragraphs that begin as an earlier one, left out", repeated)
    return Loaded([Prompt(beginning, source) for beginning, source in prompts.items()], (), notes)


def prompts(path: str | Path) -> Loaded:
    """A prompt a line, as plain text or as a JSON string; blank lines are passed over.

    Example row: `Prompt("Is it raining?", Source("questions.txt", 1))`. Licence: the file's own.
    """
    rows: list[Prompt] = []
    complaints: list[Complaint] = []
    for number, data in enumerate(existing(path).read_bytes().split(b"\n"), start=1):
        source = Source(str(path), number)
        try:
            line = (decode(data) if number == 1 else data.decode("utf-8")).strip()
            asked = json.loads(line) if len(line) > 1 and line[0] == line[-1] == '"' else line
            asked.encode("utf-8")
        except UnicodeDecodeError as error:
            complaints.append(Complaint(source, not_utf8(error)))
        except ValueError as error:
            complaints.append(Complaint(source, f"not a JSON string ({error}); write it again, or without the quotes"))
        else:
            rows += [Prompt(asked, source)] if asked.strip() else []
    return Loaded(rows, complaints)


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
