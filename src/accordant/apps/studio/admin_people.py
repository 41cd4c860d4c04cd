"""Accounts, invitations and the log."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from fastapi import APIRouter, Request, Response

from accordant.apps.studio.admin_fields import choice, number, one_of, page_number, shown, typed
from accordant.apps.studio.body import Id
from accordant.apps.studio.pages import go, page
from accordant.apps.studio.session import Admin, Form
from accordant.feedback import overview, people
from accordant.feedback.judged import consistency
from accordant.types import UserError

router = APIRouter()


@router.get("/admin/people")
def everybody(request: Request, _: Admin) -> Response:
    return _page(request)


@router.post("/admin/people/invite")
def invite(request: Request, person: Admin, form: Form) -> Response:
    """The link is on the page that answers, and nowhere else: it cannot be shown again."""
    try:
        role = choice(form, "role", ("labeler", "admin"), "the role")
        days = number(form, "days", "the number of days")
        token = people.invite(request.app.state.store, role, days, by=person.id)
    except UserError as error:
        return _page(request, 400, wrong=str(error), form=typed(form))
    return _page(request, link=f"{request.app.state.settings.url}/join/{token}", role=role)


@router.post("/admin/people/invitations/{invitation_id}/revoke")
def revoke(request: Request, person: Admin, invitation_id: Id) -> Response:
    try:
        people.revoke(request.app.state.store, invitation_id, by=person.id)
    except UserError as error:
        return _page(request, 400, wrong_account=str(error))
    return go(request, "/admin/people", "The invitation is taken back: its link is worth nothing now.")


@router.post("/admin/people/{labeler_id}/password")
def new_password(request: Request, person: Admin, labeler_id: Id) -> Response:
    """The password is on the page that answers, and nowhere else."""
    store = request.app.state.store
    try:
        password = people.reset_password(store, labeler_id, by=person.id)
    except UserError as error:
        return _page(request, 400, wrong_account=str(error))
    known = people.known(store, labeler_id)
    return _page(request, password=password, whose=known[0].name if known else "")


@router.post("/admin/people/{labeler_id}/close")
def close(request: Request, person: Admin, labeler_id: Id) -> Response:
    try:
        people.close(request.app.state.store, labeler_id, by=person.id)
    except UserError as error:
        return _page(request, 400, wrong_account=str(error))
    return go(request, "/admin/people", "The account is closed. What it said stays.")


@router.get("/admin/log")
def log(request: Request, _: Admin) -> Response:
    store, query = request.app.state.store, request.query_params
    kinds = overview.kinds_of_event(store)
    kind = one_of(query, "kind", kinds)
    found = overview.log(store, kind=kind, page=page_number(query))
    where = urlencode({"kind": kind} if kind else {})
    return page(request, "admin_log.html", found=found, kinds=kinds, kind=kind, shown=shown, where=where)


def _page(request: Request, status: int = 200, **values: Any) -> Response:
    store = request.app.state.store
    accounts = overview.everybody(store)
    values["form"] = {"role": "labeler", "days": "7", **values.get("form", {})}
    return page(request, "admin_people.html", status, **(
        {
            "humans": [one for one in accounts if one.kind == "human"], "robots": [one for one in accounts if one.kind == "ai"],
            "consistency": consistency(store),
            "invitations": overview.invitations(store), "link": "", "role": "", "password": "", "whose": "", "wrong": "",
            "wrong_account": "",
        } | values
    ))  # fmt: skip
