"""From a template and its values to a page. Text is data: everything is escaped, an undefined value is an error."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

from fastapi import Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse
from jinja2 import Environment, PackageLoader, StrictUndefined

from accordant.apps.studio import session as sessions

STATIC = Path(__file__).parent / "static"


def page(request: Request, template: str, status: int = 200, **values: Any) -> HTMLResponse:
    """The page, with the notes that an earlier request left for it."""
    session = sessions.of(request)
    body = _environment().get_template(template).render(
        person=session.person, csrf=session.csrf(request.app.state.key), notes=session.notes, path=request.url.path, **values
    )  # fmt: skip
    response = HTMLResponse(body, status)
    if session.notes or session.is_due:
        sessions.write(request, response, replace(session, notes=()))
    return response


def go(request: Request, where: str, note: str = "", kind: str = "good", session: sessions.Session | None = None) -> Response:
    """Send the browser to another page of ours, which shows the note. `session`: the one to go on with, after signing in."""
    response = RedirectResponse(where, 303)
    session = session or sessions.of(request)
    if note:
        session = replace(session, notes=(*session.notes, (kind, note)))
    sessions.write(request, response, session)
    return response


def inside(where: str | None) -> str:
    """A path of our own to go to; anything else, such as another site's address in `?next=`, becomes the front page."""
    return where if where and where.startswith("/") and not where.startswith(("//", "/\\")) and "\n" not in where else "/"


@cache
def static_root() -> str:
    """What the address of every file of ours begins with; it changes with the content of any, so that browsers may keep them.

    A script names the modules that it imports relative to itself, so it never gets one of another version.
    """
    digest = hashlib.sha256()
    for file in sorted(path for path in STATIC.rglob("*") if path.is_file()):
        content = file.read_bytes()
        digest.update(f"{file.relative_to(STATIC).as_posix()} {len(content)}\n".encode() + content)
    return f"/static/{digest.hexdigest()[:12]}"


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("accordant.apps.studio"), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    environment.policies["json.dumps_kwargs"] = {"sort_keys": False}  # a row to vet keeps the order of its fields
    environment.globals["static"] = _static
    environment.filters["day"] = lambda ms: datetime.fromtimestamp(ms / 1000, UTC).strftime("%Y-%m-%d")
    environment.filters["moment"] = lambda ms: datetime.fromtimestamp(ms / 1000, UTC).strftime("%Y-%m-%d %H:%M")
    environment.filters["count"] = lambda n, word: f"{n:,} {word}" + ("" if n == 1 else "s")
    return environment


def _static(name: str) -> str:
    """The address of a file of ours. Raises ValueError for one that is not there."""
    if not (STATIC / name).is_file():
        raise ValueError(f"there is no static file {name!r}")
    return f"{static_root()}/{name}"
