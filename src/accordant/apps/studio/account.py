"""Accounts on the web: signing in and out, joining by an invitation, and a person's own page."""

from __future__ import annotations

import json
from typing import Annotated

from fastapi import APIRouter, HTTPException, Request, Response
from fastapi import Form as Field
from fastapi.concurrency import run_in_threadpool

from accordant.apps.studio import session as sessions
from accordant.apps.studio.pages import go, inside, page
from accordant.apps.studio.session import Form, Session, Who
from accordant.feedback import people
from accordant.feedback.people import Person
from accordant.feedback.schema import TASKS
from accordant.types import UserError

router = APIRouter()
Text = Annotated[str, Field()]
STRATA = ("language", "region", "expertise")


@router.get("/sign-in")
def sign_in_page(request: Request, next: str = "/") -> Response:
    return page(request, "sign_in.html", name="", next=inside(next), error="")


@router.post("/sign-in")
async def sign_in(request: Request, name: Text = "", password: Text = "", next: Text = "/") -> Response:
    """Failures are counted as `sign_ins` says. No thread is held by who waits."""
    tries, address = request.app.state.sign_ins, sessions.address(request)
    await request.app.state.sleep(tries.delay(name))
    if waits := tries.begin(name, address):  # asked after the delay: many may have waited side by side
        raise HTTPException(429, f"too many attempts: wait {int(waits / 60) + 1} minutes", {"retry-after": str(int(waits) + 1)})
    try:
        person = await run_in_threadpool(people.sign_in, request.app.state.store, name, password)
    except UserError as error:
        tries.failed(name)
        return page(request, "sign_in.html", 400, name=name, next=inside(next), error=str(error))
    tries.succeeded(name, address)
    return go(request, inside(next), session=_session(request, person))


@router.post("/sign-out")
def sign_out(request: Request) -> Response:
    return go(request, "/sign-in", "You are signed out.", session=sessions.fresh())


@router.get("/join/{token}")
def join_page(request: Request, token: str) -> Response:
    if not people.is_invited(request.app.state.store, token):
        return page(request, "error.html", 400, code=400, message="this invitation is not valid any more: ask for a new one")
    return page(request, "join.html", token=token, name="", error="", strata=STRATA, given={})


@router.post("/join/{token}")
def join(request: Request, token: str, form: Form) -> Response:
    """Make the account that was promised, and sign it in."""
    said = {key: str(value) for key, value in form.items()}
    name, password = said.get("name", ""), said.get("password", "")
    given = {key: said[key].strip() for key in STRATA if said.get(key, "").strip()}
    try:
        if password != said.get("again"):
            raise UserError("the two passwords differ: type them again")
        person = people.join(request.app.state.store, token, name, password, given)
    except UserError as error:
        return page(request, "join.html", 400, token=token, name=name, error=str(error), strata=STRATA, given=given)
    return go(request, "/", f"Welcome, {person.name}.", session=_session(request, person))


@router.get("/me")
def me(request: Request, person: Who) -> Response:
    """What is stored about the person who asks, and what they can change about it."""
    store = request.app.state.store
    held = people.about(store, person.id)
    kinds = sorted({*people.kinds_of_work(store), *person.declines, *TASKS})
    return page(request, "me.html", held=held, kinds=kinds)


@router.get("/me/data.json")
def my_data(request: Request, person: Who) -> Response:
    text = json.dumps(people.about(request.app.state.store, person.id), ensure_ascii=False, indent=2)
    return Response(text, media_type="application/json", headers={"content-disposition": 'attachment; filename="my-data.json"'})


@router.post("/me/declines")
def declines(request: Request, person: Who, form: Form) -> Response:
    store = request.app.state.store
    known = {*people.kinds_of_work(store), *person.declines, *TASKS}
    kinds = dict.fromkeys(str(kind) for kind in form.getlist("kind"))
    people.set_declines(store, person.id, tuple(kind for kind in kinds if kind in known))
    return go(request, "/me", "Saved. You will not be given what you turned off.")


@router.post("/me/password")
def password(request: Request, person: Who, old: Text = "", new: Text = "", again: Text = "") -> Response:
    store = request.app.state.store
    try:
        if new != again:
            raise UserError("the two new passwords differ: type them again")
        people.set_password(store, person.id, old, new)
    except UserError as error:
        return go(request, "/me", str(error), "bad")
    return go(request, "/me", "Your password is changed. Other browsers are signed out.", session=_session(request, person))


@router.post("/me/forget")
def forget(request: Request, person: Who, sure: Text = "") -> Response:
    """Delete the account with all that it said, after the person has typed their name."""
    if sure.strip() != person.name:
        return go(request, "/me", "Nothing was deleted: type your name exactly, to be sure.", "bad")
    people.forget(request.app.state.store, person.id)
    return go(request, "/sign-in", "Your account and everything it said are deleted.", session=sessions.fresh())


def _session(request: Request, person: Person) -> Session:
    """A session with a new random number: one that was known before signing in is worth nothing after it."""
    found = people.known(request.app.state.store, person.id)
    assert found is not None
    return Session(sessions.fresh().nonce, *found)
