"""A project with labelers and answers in a store, put there row by row, so that a test decides who was handed what."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import insert, select

from accordant.feedback import people, schema, tasks
from accordant.feedback.payload import check
from accordant.feedback.store import Store
from accordant.feedback.tasks import Text, Work

ATTRIBUTES = ("wit", "tact")


class Desk:
    """A project in a store. Completions of an item have the texts "a", "b", ...; labelers are known by name."""

    def __init__(self, store: Store, name: str = "p", **options: Any) -> None:
        self.store = store
        self.project = tasks.make_project(store, name, "", **({"attributes": ATTRIBUTES} | options))
        self.people: dict[str, int] = {}

    def item(self, task: str, k: int = 0, **others: Any) -> int:
        texts = tuple(Text(letter) for letter in "abcdefghij"[:k])
        (number,) = tasks.add(self.store, self.project, [Work(task, f"a {task}", texts, **others)])
        return number

    def person(self, name: str, role: str = "labeler", kind: str = "human", strata: Mapping[str, str] | None = None) -> int:
        if name not in self.people:
            with self.store.write() as connection:
                (number,) = connection.execute(insert(schema.labeler).values(
                    name=name, kind=kind, role=role, active=True, strata=strata or {}, declines=[], created=0,
                )).inserted_primary_key or (0,)  # fmt: skip
            self.people[name] = number
        return self.people[name]

    def ids(self, item: int) -> list[int]:
        """The completions of an item, in its own order."""
        with self.store.read() as connection:
            return list(connection.scalars(
                select(schema.item_completion.c.completion_id)
                .where(schema.item_completion.c.item_id == item)
                .order_by(schema.item_completion.c.place)
            ))  # fmt: skip

    def rank(self, item: int, groups: str, rejected: str = "") -> dict[str, Any]:
        """`rank(item, "c ab", "d")`: c first, then a and b tied, d rejected."""
        id_of = dict(zip("abcdefghij", self.ids(item), strict=False))
        return {"groups": [[id_of[x] for x in group] for group in groups.split()], "rejected": [id_of[x] for x in rejected]}

    def pair(self, item: int, better: str, grade: str = "better") -> dict[str, Any]:
        return {"better": self.ids(item)["ab".index(better)], "grade": grade}

    def say(
        self, item: int, who: str, *payloads: Mapping[str, Any], ms: Sequence[int] = (), state: str = "submitted",
        chosen_by: str = "random", display: Sequence[int] | None = None,
    ) -> None:  # fmt: skip
        """`who` answers an item, in as many revisions as there are payloads; `display` are places of the item's own order."""
        ids = self.ids(item)
        person = self.person(who)
        with self.store.write() as connection:
            task = connection.scalar(select(schema.item.c.task).where(schema.item.c.id == item))
            shown = ids if display is None else [ids[place] for place in display]
            (number,) = connection.execute(insert(schema.assignment).values(
                item_id=item, labeler_id=person, display=shown, state=state, leased_until=0, chosen_by=chosen_by, created=0,
            )).inserted_primary_key or (0,)  # fmt: skip
            for revision, payload in enumerate(payloads, 1):
                connection.execute(insert(schema.answer).values(
                    assignment_id=number, revision=revision, payload=check(task, payload, ids, ATTRIBUTES),
                    ms_spent=ms[revision - 1] if ms else 20_000, client_uuid=str(uuid.uuid4()), guidelines_version=1, created=0,
                ))  # fmt: skip

    def halt(self, item: int, why: str) -> None:
        with self.store.write() as connection:
            connection.execute(schema.item.update().where(schema.item.c.id == item).values(halted=why))

    def forget(self, name: str) -> None:
        people.forget(self.store, self.people[name])
