"""The studio as an application: its routes, what stands before all of them, and what becomes of an error."""

from __future__ import annotations

import asyncio
import logging
import secrets
from urllib.parse import quote

from fastapi import Depends, FastAPI, HTTPException, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.staticfiles import StaticFiles
from sqlalchemy.exc import OperationalError
from sqlalchemy.exc import TimeoutError as NoConnection
from starlette.exceptions import HTTPException as StarletteHTTPException
from starlette.middleware.trustedhost import TrustedHostMiddleware

from accordant.apps.studio import account, admin, labeling
from accordant.apps.studio import session as sessions
from accordant.apps.studio.guard import HEADERS, Guard, Limiter
from accordant.apps.studio.pages import STATIC, go, page, static_root
from accordant.apps.studio.settings import Settings
from accordant.apps.studio.sign_ins import SignIns
from accordant.feedback.store import Store
from accordant.types import UserError

_log = logging.getLogger("accordant.studio")
_PASSING = (429, 503)
_RETRY_S = 5  # after which a store that is locked may be free


def make_app(store: Store, settings: Settings | None = None) -> FastAPI:
    """The application over an open store, which stays the caller's to close."""
    settings = settings or Settings()
    app = FastAPI(
        title="Accordant studio", docs_url=None, redoc_url=None, openapi_url=None,
        dependencies=[Depends(_paced), Depends(sessions.protect)],
    )  # fmt: skip
    app.state.store = store
    app.state.settings = settings
    app.state.key = sessions.key_of(store)
    app.state.pace = Limiter(settings.requests_per_minute, 60)
    app.state.sign_ins = SignIns(settings.sign_ins_per_quarter)
    app.state.sleep = asyncio.sleep
    app.add_middleware(TrustedHostMiddleware, allowed_hosts=settings.hosts)
    app.add_middleware(Guard, settings=settings)
    app.mount(static_root(), StaticFiles(directory=STATIC), name="static")
    for part in (account, labeling, admin):
        app.include_router(part.router)
    app.add_exception_handler(UserError, _said_wrong)
    app.add_exception_handler(RequestValidationError, _malformed)
    app.add_exception_handler(StarletteHTTPException, _refused)
    app.add_exception_handler(OperationalError, _unavailable)
    app.add_exception_handler(NoConnection, _unavailable)
    app.add_exception_handler(Exception, _broken)
    return app


def _paced(request: Request) -> None:
    """One person asks only so often: a page that has gone wild must not keep the others waiting."""
    person = sessions.of(request).person
    caller = f"person {person.id}" if person else f"address {sessions.address(request)}"
    if seconds := request.app.state.pace.wait(caller):
        raise HTTPException(429, "too many requests: wait a moment", {"retry-after": str(int(seconds) + 1)})


def _answer(request: Request, status: int, message: str, headers: dict[str, str] | None = None) -> Response:
    """An error in the words of whoever asked: JSON for a script, a page for a person."""
    response: Response
    if request.url.path.startswith("/api/"):
        response = JSONResponse({"error": message}, status)
    else:
        again = status in _PASSING and request.method == "GET"
        response = page(request, "error.html", status, code=status, message=message, again=again)
    response.headers.update(headers or {})
    return response


def _said_wrong(request: Request, error: Exception) -> Response:
    return _answer(request, 400, str(error))


def _malformed(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"] if part not in ("body", "query", "path"))
    return _answer(request, 422, f"{where or 'the request'}: {first['msg']}")


def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, StarletteHTTPException)
    if error.status_code == 401 and not request.url.path.startswith("/api/"):
        wanted = request.url.path if request.method == "GET" else "/"
        return go(request, f"/sign-in?next={quote(wanted)}")
    known = {"Not Found": "there is no such page", "Method Not Allowed": "this address takes no such request"}
    return _answer(request, error.status_code, known.get(error.detail, str(error.detail)), dict(error.headers or {}))


def _unavailable(request: Request, error: Exception) -> Response:
    """The store is locked, full, or out of reach. What was sent is not stored; sent again later, it will be."""
    number = secrets.token_hex(4)
    why = error.orig if isinstance(error, OperationalError) else error  # without the statement's values, which are people's
    _log.error("error %s at %s %s: the store is not available: %s", number, request.method, request.url.path, why)
    sessions.go_without(request)
    words = f"the studio's store is busy, or its disk is full; if that does not pass, tell the admin the number {number}"
    return _answer(request, 503, words, {"retry-after": str(_RETRY_S)})


def _broken(request: Request, error: Exception) -> Response:
    """Our fault: the person gets a number, the log gets the rest."""
    number = secrets.token_hex(4)
    _log.error("error %s at %s %s", number, request.method, request.url.path, exc_info=error)
    sessions.go_without(request)
    words = f"something went wrong here, and it is not your fault; tell the admin the number {number}"
    # This answer is given outside of `Guard`, which an unexpected error has left already.
    return _answer(request, 500, words, {**HEADERS, "cache-control": "no-store"})
