"""What has been said so far: the last revision of every answer, with all that it is about.

Everything that counts votes (agreement, consensus, export) starts from these records, so that what counts is decided once: an
answer that came too late for its place, hidden gold, and AI labelers are left out unless they are asked for.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import Connection, Select, func, select

from accordant.feedback.schema import answer, assignment, completion, item, item_completion, labeler, model, prompt
from accordant.feedback.store import Store
from accordant.types import Message, PromptText, Source


@dataclass(frozen=True)
class Completion:
    """A text that was judged, and who wrote it."""

    id: int
    text: str
    model: str


@dataclass(frozen=True)
class Said:
    """One labeler's word on one item."""

    item_id: int
    prompt_id: int
    task: str
    prompt: PromptText
    completions: tuple[Completion, ...]  # in the item's own order, which nobody sees
    payload: Mapping[str, Any]
    labeler_id: int
    labeler: str
    kind: Literal["human", "ai"]
    strata: Mapping[str, str]
    display: tuple[int, ...]  # completion ids as this labeler saw them
    ms_spent: int
    revision: int
    surplus: bool
    gold: Mapping[str, Any] | None
    attention: bool  # of a gold item: it tests whether one reads, and not how well one judges
    row: Mapping[str, Any] | None  # of `vet`: what was imported


def said(store: Store, project_id: int, *, surplus: bool = False, gold: bool = False, ai: bool = False) -> list[Said]:
    """The answers that count, by item and then by labeler.

    Args:
        surplus: with those that came after their place had been given away.
        gold: with those to hidden gold items and attention checks.
        ai: with those of AI labelers.
    """
    last = (
        select(answer.c.assignment_id, func.max(answer.c.revision).label("revision"))
        .group_by(answer.c.assignment_id)
        .subquery()
    )
    query = (
        select(answer.c.payload, answer.c.ms_spent, answer.c.revision, assignment)
        .select_from(
            last.join(answer, (answer.c.assignment_id == last.c.assignment_id) & (answer.c.revision == last.c.revision))
            .join(assignment, assignment.c.id == answer.c.assignment_id)
            .join(item, item.c.id == assignment.c.item_id)
            .join(labeler, labeler.c.id == assignment.c.labeler_id)
        )
        .where(item.c.project_id == project_id, assignment.c.state.in_(("submitted", "surplus") if surplus else ("submitted",)))
        .order_by(item.c.id, labeler.c.id)
    )
    if not gold:
        query = query.where(item.c.gold.is_(None))
    if not ai:
        query = query.where(labeler.c.kind == "human")
    with store.read() as connection:
        texts = completions_of(connection, project_id)
        # Of their own, and not joined to every answer: what is read once need not be decoded for each.
        people = {row.id: row for row in connection.execute(select(labeler))}
        items = {row.id: (row, prompt_of(row.content)) for row in connection.execute(_items(project_id))}
        found = []
        for row in connection.execute(query):
            (thing, asked), who = items[row.item_id], people[row.labeler_id]
            found.append(Said(
                item_id=thing.id, prompt_id=thing.prompt_id, task=thing.task, prompt=asked, completions=texts[thing.id],
                payload=row.payload, labeler_id=who.id, labeler=who.name, kind=who.kind, strata=who.strata,
                display=tuple(row.display), ms_spent=row.ms_spent, revision=row.revision, surplus=row.state == "surplus",
                gold=thing.gold, attention=thing.attention, row=thing.row,
            ))  # fmt: skip
        return found


def _items(project_id: int) -> Select[Any]:
    columns = (item.c.id, item.c.prompt_id, item.c.task, item.c.gold, item.c.attention, item.c.row, prompt.c.content)
    return (
        select(*columns).select_from(item.join(prompt, prompt.c.id == item.c.prompt_id)).where(item.c.project_id == project_id)
    )


def source_of(item_id: int) -> Source:
    """Where a row made of an item came from, as complaints name it; `item_of` reads it."""
    return Source(f"item {item_id}", 0)


def item_of(source: Source) -> int:
    return int(source.file.removeprefix("item "))


def prompt_of(content: Any) -> PromptText:
    """A prompt as it is stored -> text or messages."""
    return content if isinstance(content, str) else tuple(Message(turn["role"], turn["content"]) for turn in content)


def completions_of(connection: Connection, project_id: int) -> Mapping[int, tuple[Completion, ...]]:
    """The completions of every item of a project, in the item's own order; none for an item without."""
    query = (
        select(item_completion.c.item_id, completion.c.id, completion.c.text, model.c.name)
        .select_from(
            item_completion.join(item).join(completion, completion.c.id == item_completion.c.completion_id).join(model)
        )
        .where(item.c.project_id == project_id)
        .order_by(item_completion.c.item_id, item_completion.c.place)
    )
    found: defaultdict[int, tuple[Completion, ...]] = defaultdict(tuple)
    for row in connection.execute(query):
        found[row.item_id] += (Completion(row.id, row.text, row.name),)
    return found
