"""Named sources: one function for each kind of data set, from a path to rows, and the licence of that data set.

`SOURCES` is the whole list. A source's options are its keyword arguments, with their types and defaults.

Left out: downloading; a path is a local file (or, where a source reads records, a hub data set).
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from accordant.data import origin as origin_files
from accordant.data.loaded import Loaded
from accordant.data.origin import UNKNOWN, Origin
from accordant.data.rows import all_good
from accordant.data.sources import (
    dialogues,
    generic,
    hate_speech,
    hh_rlhf,
    instructions,
    oasst,
    pandalm,
    polarity,
    shp,
    text,
)
from accordant.data.sources.loaded import nearest
from accordant.data.transcript import as_transcript
from accordant.types import Row, UserError

__all__ = ["SOURCES", "Loaded", "Named", "check", "load", "origins"]


@dataclass(frozen=True, slots=True)
class Named:
    """A source: `load(path, **options)` reads it, and `licence` is that of the published data set."""

    load: Callable[..., Loaded]
    licence: str = UNKNOWN


SOURCES: dict[str, Named] = {
    "alpaca": Named(instructions.alpaca, "CC-BY-NC-4.0"),
    "dialogsum": Named(dialogues.dialogsum, "CC-BY-NC-SA-4.0"),
    "dolly": Named(instructions.dolly, "CC-BY-SA-3.0"),
    "fed": Named(dialogues.fed, "research release"),
    "file": Named(generic.file),
    "hate-speech": Named(hate_speech.hate_speech, "MIT"),
    "hh-rlhf": Named(hh_rlhf.hh_rlhf, "MIT"),
    "oasst": Named(oasst.oasst, "Apache-2.0"),
    "pandalm": Named(pandalm.pandalm, "Apache-2.0"),
    "prompts": Named(text.prompts),
    "scored": Named(generic.scored),
    "self-instruct": Named(instructions.self_instruct, "Apache-2.0"),
    "sentence-polarity": Named(polarity.sentence_polarity, "CC-BY-4.0"),
    "shp": Named(shp.shp, "Reddit API terms of use"),
    "text": Named(text.text),
    "text-prompts": Named(text.text_prompts),
    "thumbs": Named(generic.thumbs),
    "usr": Named(dialogues.usr, "research release"),
}


def origins(name: str, path: str | Path, rows: int) -> list[Origin]:
    """Where `rows` rows of a named source are from: what lies beside the file, or the file with the source's licence.

    Where several origins are known, each keeps its own number of rows: which of them these are is not.
    """
    found = origin_files.origins(path, rows)
    if len(found) == 1:
        found = [replace(found[0], rows=rows)]
    if name == "file":
        return found
    licence = SOURCES[name].licence
    return [
        replace(o, source=name, licence=licence) if o.licence == UNKNOWN and o.source in ("file", "hub") else o for o in found
    ]


def load(
    name: str,
    path: str | Path,
    /,
    *,
    map: Mapping[str, str] | None = None,
    style: str = "messages",
    on_bad: str = "error",
    **options: Any,
) -> list[Row]:
    """The rows of a named source.

    Args:
        name: of `SOURCES`.
        path: the file, or "hub:owner/name:split" where the source reads records.
        map: {theirs: ours} renames fields before anything else; for sources that read records.
        style: "messages", or "transcript" for plain text as of Human and Assistant, for models without a chat template.
        on_bad: "error", or "drop": bad rows are left out; `check` says which they are.
        options: the source's own.

    Raises:
        UserError: no source or option has this name, an option has the wrong type, or the data are bad.
    """
    if on_bad not in ("error", "drop"):
        raise UserError(f"on_bad is {on_bad!r}; it must be 'error' or 'drop'")
    found = check(name, path, map=map, style=style, **options)
    complaints = [] if on_bad == "drop" and found.rows else found.complaints
    return all_good(path, list(found.rows), complaints, found.records)


def check(
    name: str, path: str | Path, /, *, map: Mapping[str, str] | None = None, style: str = "messages", **options: Any
) -> Loaded:
    """The good rows of a named source, a complaint about each bad one, and notes on what it passed over. See `load`."""
    if name not in SOURCES:
        raise UserError(f"there is no source {name!r}; {nearest(name, list(SOURCES))}")
    if style not in ("messages", "transcript"):
        raise UserError(f"style is {style!r}; it must be 'messages' or 'transcript'")
    known = {
        option.name: option.default
        for option in inspect.signature(SOURCES[name].load).parameters.values()
        if option.kind is inspect.Parameter.KEYWORD_ONLY
    }
    maps = known.pop("map", ...) is not ...
    for option, value in options.items():
        if option not in known:
            raise UserError(f"the source {name!r} has no option {option!r}; {nearest(option, list(known))}")
        if type(value) is not type(known[option]) and not (type(value) is int and type(known[option]) is float):
            raise UserError(f"{name}.{option} is {value!r}; it must be of the type of its default, {known[option]!r}")
    if map and not maps:
        raise UserError(f"the source {name!r} reads no records, so there are no fields to map; leave map out")
    found = SOURCES[name].load(path, **options, **({"map": map} if map else {}))
    if style == "messages":
        return found
    return replace(found, rows=[as_transcript(row) for row in found.rows])
