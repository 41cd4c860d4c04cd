"""Sentences of film reviews with their polarity."""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path

from accordant.data.files import existing
from accordant.data.loaded import Loaded
from accordant.types import Labelled, Source, UserError


def sentence_polarity(path: str | Path) -> Loaded:
    """Movie review sentences by polarity (Pang and Lee 2005, doi:10.3115/1219840.1219855): 1 = positive, 0 = negative.

    Args:
        path: the zip that NLTK distributes, with `rt-polarity.pos` and `rt-polarity.neg` (a sentence a line, Latin-1).

    Example row: `Labelled("a warm , funny film .", 1, Source("sentence_polarity.zip/rt-polarity.pos", 7))`.
    Licence: CC-BY-4.0.
    """
    archive = existing(path)
    if not zipfile.is_zipfile(archive):
        raise UserError(f"{path} is not a zip file; give NLTK's sentence_polarity.zip")
    rows: list[Labelled] = []
    for name, label in (("rt-polarity.pos", 1), ("rt-polarity.neg", 0)):
        # Not splitlines: in Latin-1, some of these sentences contain the character U+0085, which it cuts at.
        lines = _member(archive, name).decode("latin-1").split("\n")
        sources = (Source(f"{path}/{name}", number) for number in range(1, len(lines) + 1))
        rows += [Labelled(line.strip(), label, at) for line, at in zip(lines, sources, strict=True) if line.strip()]
    return Loaded(rows)


def _member(archive: Path, name: str) -> bytes:
    try:
        with zipfile.ZipFile(archive) as files:
            for entry in files.namelist():
                if entry.rpartition("/")[2] == name:
                    return files.read(entry)
    # zipfile has an exception of its own for few faults: it passes on those of zlib, struct and its parts.
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, RuntimeError, NotImplementedError, ValueError) as error:
        raise UserError(f"{archive} is a damaged zip file ({error}); fetch it again") from error
    raise UserError(f"{archive} has no {name} in it; give NLTK's sentence_polarity.zip")
