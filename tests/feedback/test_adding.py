"""Work that is put into a project: table by table, and still together what belongs together."""

from __future__ import annotations

from dataclasses import replace

from sqlalchemy import select

from accordant.feedback import schema, tasks
from accordant.feedback.schema import completion, item, item_completion
from accordant.feedback.store import Store
from accordant.feedback.tasks import Text, Work


def test_each_item_has_its_own_prompt_and_its_completions_in_their_order(store: Store) -> None:
    """2,500 items: more than a database takes in one statement."""
    project = tasks.make_project(store, "p", "")
    given = [
        Work("rank", f"q{i}", tuple(Text(f"{i} {k}", f"model {(i + k) % 3}") for k in range(2 + i % 2))) if i % 5
        else Work("demonstration", f"q{i}", priority=float(i))
        for i in range(2500)
    ]  # fmt: skip
    given[7] = replace(given[7], gold={"groups": [[1], [0], [2]], "rejected": []}, attention=True)
    ids = tasks.add(store, project, given)
    columns = (item_completion.c.item_id, completion.c.id, completion.c.text, completion.c.prompt_id, schema.model.c.name)
    source = item_completion.join(completion).join(schema.model)
    with store.read() as connection:
        items = {row.id: row for row in connection.execute(select(item, schema.prompt.c.content).join(schema.prompt))}
        order = select(*columns).select_from(source).order_by(item_completion.c.item_id, item_completion.c.place)
        rows = connection.execute(order).all()
    texts: dict[int, list[tuple[str, str]]] = {}
    for row in rows:
        texts.setdefault(row.item_id, []).append((row.text, row.name))
        assert row.prompt_id == items[row.item_id].prompt_id
    assert len(set(ids)) == len(ids) == len(items) == 2500
    for one, wanted in zip(ids, given, strict=True):
        found = items[one]
        assert (found.content, found.task, found.priority) == (wanted.prompt, wanted.task, wanted.priority)
        assert texts.get(one, []) == [(text.text, text.model) for text in wanted.completions]
    shown = [row.id for row in rows if row.item_id == ids[7]]
    assert items[ids[7]].gold == {"groups": [[shown[1]], [shown[0]], [shown[2]]], "rejected": []}
    assert [one for one, row in items.items() if row.attention] == [ids[7]]
