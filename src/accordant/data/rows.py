"""Records -> rows: which kind of row a record is, and whether it is a good one.

A row is recognised by its fields, the first match deciding:

    ========================================  ==========  ====================================================
    fields                                    becomes     remarks
    ========================================  ==========  ====================================================
    chosen, rejected, optionally prompt       `Pair`      without a prompt, it is what both answers begin with; tie: true
    prompt, completions, ranks (or groups)    `Ranking`   ranks: 1 = best, equal = tie, null = rejected
    prompt, completion, scores                `Rating`    scores: {"quality": 4.0}
    prompt, completion, up                    `Thumb`     up: true or false
    prompt, completion                        `Chat`
    messages                                  `Chat`      the last turn is the completion
    text, label                               `Labelled`
    text                                      `Document`
    prompt                                    `Prompt`
    ========================================  ==========  ====================================================

Before that, the shapes of other tools (`shapes`: ShareGPT, Alpaca, Argilla, scored and unpaired preferences) become these.
A prompt is text, or a list of messages {"role": ..., "content": ...}; an answer is text, or a list that ends with one
assistant message. All bad rows are named, by file and line, before anything is trained.

Left out: guesses at fields that no shape knows: say `map={"question": "prompt"}`.
"""

from __future__ import annotations

import json
import os
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from dataclasses import fields as fields_of
from difflib import get_close_matches
from pathlib import Path
from typing import Any, TypeVar

from accordant.data import fields as want
from accordant.data import shapes
from accordant.data.fields import Bad, Fields
from accordant.data.files import Complaint, Found, Record, first_few, records
from accordant.data.kinds import (
    KNOWN_FIELDS,
    PARSERS,
    known_shapes,
    knows,
    nearest_shape,
    odd_one,
    readable_as,
    recognise,
    refuse_typos,
)
from accordant.data.loaded import Kept, Loaded
from accordant.types import Prompt, Rating, Row, Source, UserError

RowT = TypeVar("RowT", bound=Row)
AnyT = TypeVar("AnyT")


def read(path: str | Path, kind: type[RowT] | None = None, map: Mapping[str, str] | None = None) -> list[RowT]:
    """The rows of a file or hub data set, all of one kind: `kind`, or the kind of most rows.

    Args:
        path: a .jsonl, .json, .csv or .parquet file, or "hub:owner/name:split" or "hub:owner/name/config:split".
        kind: the row type wanted; fields that it does not know are ignored, so that `Prompt` reads pairs, too.
        map: {theirs: ours} renames fields before anything is recognised.

    Raises:
        UserError: the file is not there or empty, a name in `map` is wrong, or rows are bad: up to 20 are named, and all are
            counted.
    """
    found = check(path, kind, map)
    return all_good(path, list(found.rows), found.complaints)  # type: ignore[arg-type]


def check(path: str | Path, kind: type[Row] | None = None, map: Mapping[str, str] | None = None) -> Loaded:
    """The good rows of a file with their records, and a complaint about each other one, in order.

    A fault that all rows share is said once, with their number. Arguments as for `read`.

    Raises:
        UserError: the file is not there, or of an unknown kind, or a name in `map` is wrong.
    """
    raw = list(records(path))
    found = renamed(raw, map or {}, str(path))
    opened = [_of_one_kind(_opened(record), kind) if isinstance(record, Record) else record for record in found]
    recognised = Counter(recognise(row.fields) for some in opened if isinstance(some, list) for row in some)
    del recognised[None]
    usual = recognised.most_common(1)[0][0] if recognised else None
    # All that any row has: where none is of a known shape, the same is wrong with each, and it is said once.
    held = {name: None for some in opened if isinstance(some, list) for row in some for name in row.fields}
    unknown = f"the fields {sorted(held)} make no known row; {nearest_shape(held)}"

    def known(fields: Fields) -> Callable[[str], bool]:
        shape = shapes.shape_of(fields)
        return shape.knows if shape else knows(kind or usual or Prompt, fields).__contains__

    return _sorted_out(opened, lambda row: _row(row, kind, usual, unknown), _Records(raw, found, map or {}, known))


def convert(
    path: str | Path,
    to: Callable[[Fields], Iterable[Mapping[str, Any]]],
    kind: type[RowT],
    map: Mapping[str, str] | None = None,
    parse: Callable[[Fields, Source], RowT] | None = None,
    needs: Sequence[str] = (),
    reads: str = "",
) -> Loaded:
    """Rows of a file whose fields mean something of its own: `to` says what, and raises `Bad` where they make no sense.

    Args:
        path: as for `read`.
        to: a record's fields -> our fields of each row that it holds; none where it is passed over.
        kind: the row type of these.
        map: as for `read`.
        parse: makes the row of the fields; by default the kind's own parser, with all its checks.
        needs: fields that every record has.
        reads: a pattern of the other fields that `to` looks at.
    """
    made = parse or PARSERS[kind]

    def opened(record: Record) -> list[Record] | Complaint:
        try:
            fields = _values(record)
            want.require(fields, needs)
            return [Record(record.source, dict(row)) for row in to(fields)]
        except Bad as bad:
            return bad.at(record.source)

    raw = list(records(path))
    found = renamed(raw, map or {}, str(path), any_name=True)
    looked_at = re.compile("|".join([*(re.escape(name) for name in needs), *([reads] if reads else [])]))
    some = [opened(record) if isinstance(record, Record) else record for record in found]
    kept = _Records(raw, found, map or {}, lambda _: lambda name: bool(looked_at.fullmatch(name)))
    return _sorted_out(some, lambda row: made(want.present(row.fields), row.source), kept)


def all_good(path: str | Path, rows: list[AnyT], complaints: Sequence[Complaint], records: int | None = None) -> list[AnyT]:
    """The rows, if there are any and nothing is wrong with the others; `records`: of how many they are, where not of one each.

    Raises:
        UserError: else; up to 20 complaints are named, and all are counted.
    """
    if complaints:
        bad = sum(complaint.rows for complaint in complaints)
        named = first_few([str(complaint) for complaint in complaints])
        good = len(rows) if records is None else records
        raise UserError("\n  ".join([f"{path}: {bad} of {good + bad} rows are bad", *named]))
    if not rows:
        raise UserError(f"{path}: there are no rows in it; write at least one")
    return rows


@dataclass(frozen=True)
class _Records:
    """The records of a file as they came, and with the names that `map` gives to fields; `knows`: what is read of them."""

    raw: Sequence[Found]
    renamed: Sequence[Found]
    map: Mapping[str, str]
    knows: Callable[[Fields], Callable[[str], bool]]

    def __getitem__(self, index: int) -> Kept:
        raw, record = self.raw[index], self.renamed[index]
        assert isinstance(raw, Record)
        assert isinstance(record, Record)
        values = _values(record)
        known = self.knows(values)
        names = {theirs: self.map.get(theirs, theirs) for theirs in raw.fields}
        own = {theirs: value for theirs, value in raw.fields.items() if not known(names[theirs])}
        # Of CSV, what a row reads is a value; a user's own cell stays the text that it was.
        return Kept({theirs: own[theirs] if theirs in own else values[ours] for theirs, ours in names.items()}, own)


def _sorted_out(opened: Sequence[list[Record] | Complaint], parse: Callable[[Record], Any], kept: _Records) -> Loaded:
    """Rows and complaints, in order; a record of several rows gives all of them or one complaint."""
    rows: list[Any] = []
    complaints: list[Complaint] = []
    records: list[Kept] = []
    for index, some in enumerate(opened):
        if isinstance(some, Complaint):
            complaints.append(some)
            continue
        try:
            good = [parse(row) for row in some]
        except Bad as bad:
            complaints.append(bad.at(some[0].source))
            continue
        rows += good
        records += [kept[index]] * len(good)
    return Loaded(rows, complaints if rows else once(complaints), kept=records)


def _values(record: Record) -> Fields:
    """The fields; of CSV, numbers, lists and objects as such."""
    return want.unspelled(record.fields) if record.spelled else record.fields


def once(complaints: list[Complaint]) -> list[Complaint]:
    """A fault that all rows of a file have, said once with their number; for files in which no row is good."""
    if len(complaints) < 2 or len({complaint.message for complaint in complaints}) > 1:
        return complaints
    count = sum(complaint.rows for complaint in complaints)
    return [replace(complaints[0], message=f"all {count} rows: {complaints[0].message}", rows=count)]


def renamed(found: list[Found], map: Mapping[str, str], path: str, any_name: bool = False) -> list[Found]:
    """The records with fields under the names that `map` gives them; `any_name`: which need not be ours.

    Raises:
        UserError: a name in `map` is wrong.
    """
    held = {name for record in found if isinstance(record, Record) for name in record.fields}
    for theirs, ours in map.items():
        if theirs not in held:
            near = get_close_matches(theirs, sorted(held), n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"its fields are {', '.join(sorted(held)) or 'none'}"
            raise UserError(f"map: {path} has no field {theirs!r}; {hint}")
        if ours not in KNOWN_FIELDS and not any_name:  # a named source has names of its own
            near = get_close_matches(ours, sorted(KNOWN_FIELDS), n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"choose from {', '.join(sorted(KNOWN_FIELDS))}"
            raise UserError(f"map: {theirs!r} cannot become {ours!r}, which is no field of a row; {hint}")
        if (ours in held and ours not in map) or list(map.values()).count(ours) > 1:
            raise UserError(
                f"map: {theirs!r} cannot become {ours!r}, because another field of {path} has that name; map that, too"
            )
    if not map:
        return found
    return [
        replace(record, fields={map.get(name, name): value for name, value in record.fields.items()})
        if isinstance(record, Record)
        else record
        for record in found
    ]


def _opened(record: Record) -> list[Record] | Complaint:
    """The record as rows in our own fields."""
    try:
        return [Record(record.source, dict(want.present(row))) for row in shapes.opened(_values(record))]
    except Bad as bad:
        return bad.at(record.source)


def _of_one_kind(some: list[Record] | Complaint, wanted: type[Row] | None) -> list[Record] | Complaint:
    """A record that holds rows of several kinds (Argilla's ratings and rankings) gives those that are wanted."""
    if isinstance(some, Complaint):
        return some
    kinds = {of.__name__ for row in some if (of := recognise(row.fields))}
    if len(kinds) < 2:
        return some
    if wanted is None:
        choice = " or ".join(f"kind={name.lower()}" for name in sorted(kinds))
        return Complaint(some[0].source, f"the record holds {' and '.join(sorted(kinds))} rows; say which to read: {choice}")
    return [row for row in some if recognise(row.fields) is wanted] or some


def write_jsonl(path: str | Path, rows: Iterable[Row]) -> None:
    """Write rows of one kind so that `read` gives them back exactly, but for their source, which is the new file.

    The file appears whole or not at all: it is written beside its place, flushed to the disk, then renamed.

    Raises:
        ValueError: the rows are of several kinds.
    """
    rows = list(rows)
    kinds = sorted({type(row).__name__ for row in rows})
    if len(kinds) > 1:
        raise ValueError(f"rows of several kinds ({', '.join(kinds)}) cannot share a file: write one file for each")
    target = Path(path)
    temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    try:
        with open(temporary, "w", encoding="utf-8", newline="\n") as file:
            file.writelines(json.dumps(plain(row), ensure_ascii=False, allow_nan=False) + "\n" for row in rows)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, target)
    finally:
        temporary.unlink(missing_ok=True)


def plain(row: Row) -> dict[str, Any]:
    """A row as JSON values, by field name; its source is the place where it is written."""
    values = {field.name: getattr(row, field.name) for field in fields_of(row) if field.name != "source"}
    if isinstance(values.get("prompt"), tuple):
        values["prompt"] = [{"role": message.role, "content": message.content} for message in values["prompt"]]
    if isinstance(row, Rating):
        values["scores"] = dict(row.scores)
    return values


def _row(record: Record, wanted: type[RowT] | None, usual: type[Row] | None, unknown: str) -> Any:
    """The record as a row of the kind that is wanted, or else of the kind that most rows of the file are."""
    fields = record.fields
    recognised = recognise(fields)
    kind = wanted or usual
    if kind is None:
        raise Bad(unknown)
    if wanted and not readable_as(fields, wanted):
        raise Bad(f"the fields {sorted(fields)} make no {wanted.__name__} row; {known_shapes(wanted)}")
    if not wanted and recognised is not usual:
        raise Bad(odd_one(fields, recognised, kind))
    refuse_typos(fields, kind)
    return PARSERS[kind](fields, record.source)
