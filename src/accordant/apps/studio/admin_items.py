"""A project's items, and one item with all that was said about it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlencode

from fastapi import APIRouter, HTTPException, Request, Response
from starlette.datastructures import FormData

from accordant.apps.studio.admin_fields import number, one_of, page_number, payload, shown, text, typed
from accordant.apps.studio.body import Id
from accordant.apps.studio.pages import go, page
from accordant.apps.studio.session import Admin, Form
from accordant.feedback import inspection, overview, tasks
from accordant.feedback.inspection import Item
from accordant.feedback.schema import TASKS
from accordant.feedback.store import Store
from accordant.feedback.words import letters, words
from accordant.stats.grades import GRADES
from accordant.types import UserError

router = APIRouter()
STATES = {
    "leased": "at work",
    "expired": "ran out of time",
    "submitted": "counts",
    "surplus": "late, does not count",
    "skipped": "skipped",
}


@router.get("/admin/projects/{project_id}/items")
def items(request: Request, _: Admin, project_id: Id) -> Response:
    store, query = request.app.state.store, request.query_params
    chosen = {
        "task": one_of(query, "task", TASKS), "state": one_of(query, "state", overview.STATES), "text": text(query, "text"),
    }  # fmt: skip
    found = overview.items(store, project_id, **chosen, page=page_number(query))
    return page(
        request, "admin_items.html", project=overview.one_project(store, project_id), found=found, chosen=chosen, tasks=TASKS,
        states=overview.STATES, where=urlencode({name: value for name, value in chosen.items() if value}), tab="items",
    )  # fmt: skip


@router.get("/admin/projects/{project_id}/items/{item_id}")
def item(request: Request, _: Admin, project_id: Id, item_id: Id) -> Response:
    return _page(request, project_id, item_id)


@router.post("/admin/projects/{project_id}/items/{item_id}/{what}")
def change(request: Request, person: Admin, project_id: Id, item_id: Id, what: str, form: Form) -> Response:
    """Gold and back, halt and reopen, priority: each a form of the item's page."""
    store = request.app.state.store
    if what not in _CHANGES:
        raise HTTPException(404, "there is no such page")
    thing = inspection.one_item(store, project_id, item_id)
    do, note = _CHANGES[what]
    try:
        do(store, thing, form, person.id)
    except UserError as error:
        return _page(request, project_id, item_id, 400, wrong={what: str(error)}, form=typed(form))
    return go(request, f"/admin/projects/{project_id}/items/{item_id}", note)


def answer_form(thing: Item, order: list[int], given: Mapping[str, str]) -> dict[str, Any]:
    """What `admin_answer.html` needs. `order`: of completions on the page; `given`: what was typed before."""
    row = "" if thing.row is None else json.dumps(thing.row, ensure_ascii=False, indent=2)
    return {
        "task": thing.task, "letters": letters(order), "attributes": thing.attributes, "grades": GRADES, "row": row,
        "given": given,
    }  # fmt: skip


def _page(request: Request, project_id: int, item_id: int, status: int = 200, **values: Any) -> Response:
    store = request.app.state.store
    thing = inspection.one_item(store, project_id, item_id)
    order = [one.id for one in thing.completions]
    before, after = inspection.neighbours(store, project_id, item_id)
    given = {"halt": "", "attention": "", "priority": f"{thing.priority:g}", **values.pop("form", {})}
    return page(request, "admin_item.html", status, **(
        {
            "project": overview.one_project(store, project_id), "item": thing, "letters": letters(order), "states": STATES,
            "gold": thing.gold and words(thing.task, thing.gold, order), "before": before, "after": after, "form": given,
            "answer": answer_form(thing, order, given), "wrong": {}, "tab": "items", "shown": shown,
            "said": lambda payload: words(thing.task, payload, order),
        } | values
    ))  # fmt: skip


def _gold(store: Store, thing: Item, form: FormData, by: int) -> None:
    said = payload(form, thing.task, [one.id for one in thing.completions], thing.attributes)
    tasks.set_gold(store, thing.id, said, by, attention=text(form, "attention") == "yes")


_Change = Callable[[Store, Item, FormData, int], None]
_CHANGES: dict[str, tuple[_Change, str]] = {
    "gold": (_gold, "The item is hidden gold now. Its answers count for labelers' accuracy and for nothing else."),
    "not-gold": (lambda store, thing, _, by: tasks.take_gold_back(store, thing.id, by), "The item is an ordinary one again."),
    "halt": (
        lambda store, thing, form, by: tasks.halt(store, thing.id, text(form, "halt"), by),
        "Nobody is given the item any more.",
    ),
    "reopen": (lambda store, thing, _, by: tasks.reopen(store, thing.id, by), "The item is given out again."),
    "priority": (
        lambda store, thing, form, by: tasks.set_priority(store, thing.id, number(form, "priority", "the priority"), by),
        "The priority is set.",
    ),
}
