"""The admin's front page: all projects, and the form that makes one. The other pages are in `admin_*`."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request, Response

from accordant.apps.studio import admin_disputes, admin_items, admin_people, admin_project, admin_quality
from accordant.apps.studio.admin_fields import text, typed
from accordant.apps.studio.pages import go, page
from accordant.apps.studio.session import Admin, Form
from accordant.feedback import overview, tasks
from accordant.types import UserError

router = APIRouter()
for part in (admin_project, admin_items, admin_quality, admin_disputes, admin_people):
    router.include_router(part.router)

FIRST = {
    "name": "", "guidelines": "", "overlap": "3", "order_by": "random", "random_share": "20", "gold_share": "5",
    "lease_minutes": "30", "attributes": "\n".join(tasks.ATTRIBUTES),
}  # fmt: skip


@router.get("/admin")
def projects(request: Request, _: Admin) -> Response:
    return _page(request)


@router.post("/admin/projects")
def make(request: Request, person: Admin, form: Form) -> Response:
    """Make a project, or show the form again with what was typed and what is wrong with it."""
    attributes = [line.strip() for line in text(form, "attributes").splitlines() if line.strip()]
    try:
        project_id = tasks.make_project(
            request.app.state.store, text(form, "name"), text(form, "guidelines"), by=person.id, attributes=attributes,
            seed=tasks.drawn_seed(),
            **admin_project.settings(form),
        )  # fmt: skip
    except UserError as error:
        return _page(request, 400, error=str(error), form={**FIRST, **typed(form)})
    return go(request, f"/admin/projects/{project_id}", "The project is made. Put some work in.")


def _page(request: Request, status: int = 200, **values: Any) -> Response:
    found = overview.projects(request.app.state.store)
    return page(
        request,
        "admin.html",
        status,
        **({"projects": found, "orders": admin_project.ORDERS, "error": "", "form": FIRST} | values),
    )
