"""The endpoint as an application: `GET /v1/models`, `POST /v1/chat/completions`, `POST /v1/completions`.

Nothing of a request but numbers and the names of unknown fields goes to the log. No other origin is let in (no CORS): a page of
another server cannot read answers, and may not ask for them either.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from fastapi import APIRouter, Depends, FastAPI, HTTPException, Request, Response
from fastapi.responses import JSONResponse, StreamingResponse
from starlette.exceptions import HTTPException as StarletteHTTPException
from starlette.requests import ClientDisconnect

from accordant.apps.chat.answer import Event, Finished, Started
from accordant.apps.chat.ask import ChatRequest, CompletionRequest, asked
from accordant.apps.chat.refusal import Refusal, broken, gone
from accordant.apps.chat.wire import Wire
from accordant.apps.chat.worker import Job, Worker
from accordant.apps.size import announced_too_large, counted, too_large
from accordant.apps.strict_json import strict_object
from accordant.types import UserError

_log = logging.getLogger("accordant.chat")
_QUOTED = 2000  # characters of a message that may repeat what was sent
_NAMED = 200  # unknown fields that are told to the log, so that nobody can fill it

router = APIRouter(prefix="/v1")


@dataclass(frozen=True)
class Door:
    """Who may come in: with a `key` those who have it; else requests to one of `hosts` that no page of another server made."""

    hosts: tuple[str, ...] = ()
    key: str | None = field(default=None, repr=False)
    body_bytes: int = 4 * 2**20


def make_app(workers: Mapping[str, Worker], door: Door) -> FastAPI:
    """The application over running workers, by name, which stay the caller's to end."""
    app = FastAPI(
        title="Accordant chat", docs_url=None, redoc_url=None, openapi_url=None, dependencies=[Depends(_let_in)],
    )  # fmt: skip
    app.state.workers = workers
    app.state.door = door
    app.state.unknown = set[str]()
    app.state.watching = set[asyncio.Task[None]]()
    app.include_router(router)
    app.add_exception_handler(Refusal, _refused)
    app.add_exception_handler(UserError, _said_wrong)
    app.add_exception_handler(StarletteHTTPException, _http)
    app.add_exception_handler(Exception, _broken)
    return app


# --- the door ---


async def _let_in(request: Request) -> None:
    door: Door = request.app.state.door
    if door.key is not None:
        scheme, _, given = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not secrets.compare_digest(given.strip().encode(), door.key.encode()):
            raise Refusal(
                401, "the key is missing or wrong: send the server's key as `Authorization: Bearer KEY`", "invalid_api_key",
                headers={"www-authenticate": "Bearer"},
            )  # fmt: skip
        return
    host = request.headers.get("host", "")
    if not _is_called(host, door.hosts):
        raise Refusal(
            403, f"this server is not called {host!r}: ask it by {door.hosts[0]}, or serve with --key-env, and it has any name",
            "wrong_host",
        )  # fmt: skip
    origin = request.headers.get("origin")
    if origin is not None and origin.partition("://")[2] != host:
        raise Refusal(
            403, f"a page of {origin!r} asks, and only programs are answered: ask from a program, not from a browser",
            "wrong_origin",
        )  # fmt: skip


def _is_called(host: str, names: tuple[str, ...]) -> bool:
    try:
        return urlsplit(f"//{host}").hostname in names
    except ValueError:  # brackets without an address in them
        return False


async def _body(request: Request) -> dict[str, Any]:
    limit = request.app.state.door.body_bytes
    if announced_too_large(request.scope, limit):
        raise HTTPException(413, too_large(limit))
    try:
        sent = await Request(request.scope, counted(request.receive, limit)).body()
    except ClientDisconnect as left:
        raise gone() from left
    return strict_object(sent)


# --- the routes ---


def _worker(request: Request, name: str) -> Worker:
    workers: Mapping[str, Worker] = request.app.state.workers
    if name not in workers:
        raise Refusal(
            404, f"there is no model {name[:200]!r} here: ask for {' or '.join(workers)}", "model_not_found", param="model"
        )
    return workers[name]


def _described(worker: Worker) -> dict[str, Any]:
    return {"id": worker.served.name, "object": "model", "created": worker.served.created, "owned_by": "accordant"}


@router.get("/models")
async def models(request: Request) -> JSONResponse:
    return JSONResponse({"object": "list", "data": [_described(one) for one in request.app.state.workers.values()]})


@router.get("/models/{name:path}")
async def model(request: Request, name: str) -> JSONResponse:
    return JSONResponse(_described(_worker(request, name)))


@router.post("/chat/completions")
async def chat_completions(request: Request) -> Response:
    return await _answer(request, ChatRequest)


@router.post("/completions")
async def completions(request: Request) -> Response:
    return await _answer(request, CompletionRequest)


async def _answer(request: Request, kind: type[ChatRequest] | type[CompletionRequest]) -> Response:
    wanted, unknown = asked(kind, await _body(request))
    _tell(request, unknown)
    job = Job(wanted)
    _worker(request, wanted.model).submit(job)
    watching: set[asyncio.Task[None]] = request.app.state.watching  # a task that nobody holds may vanish
    task = asyncio.create_task(_drop_when_gone(request, job))
    watching.add(task)
    task.add_done_callback(watching.discard)
    # Until the first token is there, an error is a status of its own.
    started = await job.event()
    assert isinstance(started, Started)
    headers = {"cache-control": "no-store"}
    if started.dropped:
        headers["x-accordant-dropped-messages"] = str(started.dropped)
    wire = Wire(wanted, started, int(time.time()))
    if wanted.request.stream:
        headers["x-accel-buffering"] = "no"  # what a proxy has to be told to pass pieces on at once
        return StreamingResponse(wire.stream(_rest(job)), headers=headers, media_type="text/event-stream")
    return JSONResponse(await wire.whole(_rest(job)), headers=headers)


async def _rest(job: Job) -> AsyncIterator[Event]:
    while True:
        event = await job.event()
        yield event
        if isinstance(event, Finished):
            return


async def _drop_when_gone(request: Request, job: Job) -> None:
    """The body has been read: what comes now is the end of the connection, or of the response."""
    while (await request.receive())["type"] != "http.disconnect":
        pass
    job.drop()


def _tell(request: Request, unknown: list[str]) -> None:
    told: set[str] = request.app.state.unknown
    for name in unknown:
        if name not in told and len(told) < _NAMED:
            told.add(name)
            _log.warning("requests have the field %r, which is not known here and ignored", name[:100])


# --- what becomes of an error ---


def _said(refusal: Refusal) -> Response:
    return JSONResponse(refusal.body, refusal.status, refusal.headers)


def _refused(_: Request, error: Exception) -> Response:
    assert isinstance(error, Refusal)
    return _said(error)


def _said_wrong(_: Request, error: Exception) -> Response:
    message = str(error)
    return _said(Refusal(400, message if len(message) <= _QUOTED else f"{message[:_QUOTED]} ..."))


def _http(request: Request, error: Exception) -> Response:
    assert isinstance(error, StarletteHTTPException)
    known = {
        404: f"there is no {request.url.path}: this server has /v1/models, /v1/chat/completions and /v1/completions",
        405: f"{request.url.path} takes no {request.method}",
    }
    return _said(Refusal(error.status_code, known.get(error.status_code, str(error.detail)), headers=dict(error.headers or {})))


def _broken(request: Request, error: Exception) -> Response:
    number = secrets.token_hex(4)
    _log.error("error %s at %s", number, request.url.path, exc_info=error)
    return _said(broken(number))
