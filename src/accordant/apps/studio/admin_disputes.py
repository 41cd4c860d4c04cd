"""The adjudication queue: one dispute at a time, the most disputed first, without names until they are asked for.

The answers stand in an order that is drawn from their ids, so that where they stand says nothing of who wrote them.
"""

from __future__ import annotations

import hashlib
from typing import Any

from fastapi import APIRouter, Request, Response

from accordant.apps.strict_json import strict_json
from accordant.apps.studio import blind
from accordant.apps.studio.admin_fields import payload, shown, text, typed
from accordant.apps.studio.admin_items import answer_form
from accordant.apps.studio.body import Id
from accordant.apps.studio.pages import go, page
from accordant.apps.studio.session import Admin, Form
from accordant.feedback import adjudication, inspection, overview
from accordant.feedback.inspection import Item
from accordant.feedback.payload import SCALE
from accordant.feedback.words import letters, words
from accordant.stats.grades import GRADES
from accordant.types import UserError

router = APIRouter()
AT_ONCE = 200  # disputes that the queue is cut at
LEAST = 30  # per cent of disagreement that makes a dispute


@router.get("/admin/projects/{project_id}/disputes")
def disputes(request: Request, _: Admin, project_id: Id) -> Response:
    """The first of the queue, or the item that the address names, to leave one open and go on."""
    return _page(request, project_id)


@router.post("/admin/projects/{project_id}/disputes/{item_id}")
def rule(request: Request, person: Admin, project_id: Id, item_id: Id, form: Form) -> Response:
    store = request.app.state.store
    thing = inspection.one_item(store, project_id, item_id)
    try:
        said = blind.with_row(payload(form, thing.task, _order(thing), thing.attributes), thing.row)
        adjudication.rule(store, item_id, person.id, said, text(form, "reason"))
    except UserError as error:
        return _page(request, project_id, 400, item_id, wrong=str(error), given=typed(form))
    return go(
        request, f"/admin/projects/{project_id}/disputes", f"Your ruling on item {item_id} is kept. Here is the next dispute."
    )


def _page(
    request: Request, project_id: int, status: int = 200, item_id: int | None = None, *, wrong: str = "",
    given: dict[str, str] | None = None,
) -> Response:  # fmt: skip
    store, query = request.app.state.store, request.query_params
    project = overview.one_project(store, project_id)
    queue = adjudication.queue(store, project_id, LEAST / 100, AT_ONCE)
    wanted = text(query, "item") if item_id is None else str(item_id)
    place = next((i for i, one in enumerate(queue) if str(one.item_id) == wanted), 0)
    values: dict[str, Any] = {"project": project, "left": len(queue), "at_once": AT_ONCE, "least": LEAST, "tab": "disputes"}
    if not queue:
        return page(request, "admin_disputes.html", status, dispute=None, **values)
    dispute = queue[place]
    if item_id is not None and dispute.item_id != item_id:  # ruled on meanwhile: what was typed is not about this one
        wrong, given = f"Your ruling on item {item_id}, which is no open dispute any more, was not kept: {wrong}", None
    thing = inspection.one_item(store, project_id, dispute.item_id)
    order = _order(thing)
    texts = {one.id: one for one in thing.completions}
    names = text(query, "names") == "shown"
    said = [
        (one.labeler if names else f"Labeler {i}", words(dispute.task, one.payload, order), one.ms_spent)
        for i, one in enumerate(dispute.answers, 1)
    ]
    return page(
        request, "admin_disputes.html", status, dispute=dispute, item=thing, place=place + 1, letters=letters(order),
        texts=[texts[one] for one in order], names=names, said=said, skips=[one for one in thing.work if one.skipped],
        answer=answer_form(thing, order, given or {}), wrong=wrong, given=given or {}, shown=shown,
        widget=_widget(thing, [texts[one].text for one in order], given or {}),
        later=queue[place + 1].item_id if place + 1 < len(queue) else None, **values,
    )  # fmt: skip


def _widget(thing: Item, texts: list[str], given: dict[str, str]) -> dict[str, Any]:
    """What `static/label/form.js` makes its form of: no ids, answers are places in the order of the page."""
    return {
        "task": thing.task, "texts": texts, "attributes": list(thing.attributes), "scale": [SCALE.start, SCALE.stop - 1],
        "grades": list(GRADES), "fields": blind.fields(thing.row), "answer": _again(given.get("payload", "")),
    }  # fmt: skip


def _again(said: str) -> object:
    """What the script sent, to show it again beside what was wrong with the rest; nothing where it was no object."""
    try:
        found = strict_json(said or "null", "the answer")
    except UserError:
        return None
    return found if isinstance(found, dict) else None


def _order(thing: Item) -> list[int]:
    ids = [one.id for one in thing.completions]
    return sorted(ids, key=lambda one: hashlib.sha256(f"adjudicate:{thing.id}:{one}".encode()).digest())
