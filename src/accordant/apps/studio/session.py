"""Who is asking: a signed cookie, the account behind it, and the token that a form must carry.

The cookie holds a random number, the account's id and a stamp of its password, signed with a key that is in the store and in
none of its backups. It is read anew with every request: a closed account, and a changed password, end every session at once.
The CSRF token is an HMAC of the random number, so that nothing has to be kept about it; the number is drawn again when
somebody signs in.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

from fastapi import Depends, HTTPException, Request, Response
from itsdangerous import BadSignature, URLSafeTimedSerializer
from starlette.datastructures import FormData

from accordant.feedback import people
from accordant.feedback.people import Person
from accordant.feedback.secret import secret

COOKIE = "accordant_session"
DAYS = 14
SAFE = ("GET", "HEAD", "OPTIONS")


@dataclass(frozen=True)
class Session:
    """What the cookie says, and whom the store knows by it.

    `notes`: (kind, text) to show on the next page, then forgotten. `is_due`: the cookie must be sent, being new or a day old.
    """

    nonce: str
    person: Person | None = None
    stamp: str = ""
    notes: tuple[tuple[str, str], ...] = ()
    is_due: bool = False

    def csrf(self, key: str) -> str:
        return hmac.new(key.encode(), f"csrf:{self.nonce}".encode(), hashlib.sha256).hexdigest()


def fresh() -> Session:
    return Session(secrets.token_urlsafe(16), is_due=True)


def read(request: Request) -> Session:
    """The session of a request; a new one where the cookie is missing, forged, old, or of an account that is closed."""
    state = request.app.state
    try:
        cookie = request.cookies.get(COOKIE, "")
        said, since = _signer(state.key).loads(cookie, max_age=DAYS * 86_400, return_timestamp=True)
    except BadSignature:
        return fresh()
    notes = tuple((str(kind), str(text)) for kind, text in said.get("notes", []))
    session = Session(said["nonce"], None, "", notes, datetime.now(UTC) - since > timedelta(days=1))
    if said.get("id") is None:
        return session
    found = people.known(state.store, int(said["id"]))
    if found is None or not found[0].active or not hmac.compare_digest(found[1], said["stamp"]):
        return fresh()
    return replace(session, person=found[0], stamp=found[1])


def write(request: Request, response: Response, session: Session) -> None:
    """Send the cookie. It is out of scripts' reach, and other sites' pages cannot make the browser send it with a form.

    Nor can they have it replaced: what answers such a form, to which the browser has added no cookie, sets none.
    """
    if _from_another_site(request):
        return
    state = request.app.state
    said = {
        "nonce": session.nonce, "id": session.person and session.person.id, "stamp": session.stamp, "notes": session.notes,
    }  # fmt: skip
    response.set_cookie(
        COOKIE, _signer(state.key).dumps(said), max_age=DAYS * 86_400, httponly=True, samesite="lax",
        secure=state.settings.is_secure,
    )  # fmt: skip


def address(request: Request) -> str:
    """Where a request comes from, for counting; empty where the server does not say."""
    return request.client.host if request.client else ""


def of(request: Request) -> Session:
    """The session of this request, read once."""
    found: Session | None = getattr(request.state, "session", None)
    if found is None:
        found = read(request)
        request.state.session = found
    return found


def go_without(request: Request) -> None:
    """Where the session has not been read, as the store cannot be, answer without it; the cookie stays what it is."""
    if getattr(request.state, "session", None) is None:
        request.state.session = Session("")


async def signed_in(request: Request) -> Person:
    """The person who asks. No thread is needed for it: `app._paced` has read the session.

    Raises:
        HTTPException: 401; a page sends the browser on to the sign-in page (`app`).
    """
    person = of(request).person
    if person is None:
        raise HTTPException(401, "sign in first")
    return person


async def as_admin(request: Request) -> Person:
    """The person who asks, if an admin. Raises HTTPException 401 or 403."""
    person = await signed_in(request)
    if person.role != "admin":
        raise HTTPException(403, "this page is for admins")
    return person


async def protect(request: Request) -> AsyncIterator[None]:
    """Every request that changes something must come from a page of ours, and prove it with the session's token.

    When the request is over, whatever files came with it are closed.

    Raises:
        HTTPException: 403.
    """
    try:
        await _prove(request)
        yield
    finally:
        await request.close()


async def _prove(request: Request) -> None:
    if request.method in SAFE:
        return
    if _from_another_site(request):
        raise HTTPException(403, "this request came from another site")
    if request.url.path.startswith("/admin/"):
        await as_admin(request)  # before a body is read that may be large
    token = request.headers.get("x-csrf-token")
    if token is None and request.headers.get("content-type", "").startswith(
        ("application/x-www-form-urlencoded", "multipart/form-data")
    ):
        token = str((await request.form()).get("csrf", ""))
    if not hmac.compare_digest((token or "").encode(), of(request).csrf(request.app.state.key).encode()):
        raise HTTPException(403, "this page is out of date: load it again")


def _from_another_site(request: Request) -> bool:
    """Whether another site's page has made the browser ask for a change; that it leads here by a link is all right."""
    return request.method not in SAFE and request.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none")


async def form(request: Request) -> FormData:
    """The fields of a form, for handlers that run in a thread of their own and cannot wait for them."""
    return await request.form()


Form = Annotated[FormData, Depends(form)]
Who = Annotated[Person, Depends(signed_in)]
Admin = Annotated[Person, Depends(as_admin)]


def key_of(store: Any) -> str:
    """The key that sessions are signed with; made when the store is first served."""
    return secret(store, "sessions")


def _signer(key: str) -> URLSafeTimedSerializer:
    return URLSafeTimedSerializer(key, salt="accordant session")
