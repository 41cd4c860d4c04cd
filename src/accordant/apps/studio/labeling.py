"""What a labeler sees: the projects, the next task, its page and the own answers; and the addresses that its scripts use.

Every task is looked up together with the person who asks: somebody else's is as unknown as one that does not exist.
"""

from __future__ import annotations

import uuid
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.responses import JSONResponse

from accordant.apps.studio import blind
from accordant.apps.studio.body import Id, Json, whole
from accordant.apps.studio.pages import go, page
from accordant.apps.studio.session import Who, signed_in
from accordant.feedback import assignment, people, progress
from accordant.feedback.people import Person
from accordant.feedback.progress import TaskHead, TaskView
from accordant.feedback.store import Store
from accordant.feedback.words import words
from accordant.types import UserError

router = APIRouter()
Offset = Annotated[int, Query(ge=0, le=10**9)]
Version = Annotated[int | None, Query(ge=1, le=2**31 - 1)]
DAY_MS = 86_400_000  # of time on one task; a page that was left open longer says nothing about the work
PER_PAGE = 50
REVISIONS = 10**6
LONGEST_REASON = 300


@router.get("/")
def front(request: Request, person: Who) -> Response:
    return page(request, "labeling_projects.html", projects=progress.projects_for(request.app.state.store, person))


@router.get("/projects/{project}/next")
def next_page(request: Request, person: Who, project: Id) -> Response:
    """On to the open task or a new one; where there is none, a page that says why."""
    store = request.app.state.store
    found = assignment.next_task(store, project, person.id)
    if found is not None:
        return go(request, f"/tasks/{found.assignment_id}")
    values = {"about": progress.guidelines(store, project), "why": progress.why_nothing(store, project, person)}
    return page(request, "labeling_nothing.html", **values, progress=progress.progress(store, project, person))


@router.get("/tasks/{number}")
def task_page(request: Request, person: Who, number: Id) -> Response:
    store = request.app.state.store
    view = progress.task(store, number, person.id)
    before, after = progress.neighbours(store, view.project_id, person.id, number)
    return page(
        request, "labeling.html", view=view, task=_task(view), turns=blind.turns(view.prompt), before=before, after=after,
        progress=progress.progress(store, view.project_id, person), about=progress.guidelines(store, view.project_id),
    )  # fmt: skip


@router.get("/projects/{project}/mine")
def mine(request: Request, person: Who, project: Id, offset: Offset = 0) -> Response:
    """The own answers, the newest first."""
    store = request.app.state.store
    found = progress.history(store, project, person.id, limit=PER_PAGE + 1, offset=offset)
    values = {"answers": found[:PER_PAGE], "newer": max(0, offset - PER_PAGE) if offset else None}
    older = offset + PER_PAGE if len(found) > PER_PAGE else None
    return page(request, "labeling_mine.html", about=progress.guidelines(store, project), older=older, **values)


@router.get("/projects/{project}/guidelines", dependencies=[Depends(signed_in)])
def guidelines(request: Request, project: Id, version: Version = None) -> Response:
    return page(request, "labeling_guidelines.html", about=progress.guidelines(request.app.state.store, project, version))


@router.get("/api/projects/{project}/next")
def next_json(request: Request, person: Who, project: Id) -> Response:
    store = request.app.state.store
    found = assignment.next_task(store, project, person.id)
    if found is None:
        return JSONResponse({"task": None, "why": " ".join(progress.why_nothing(store, project, person))})
    return JSONResponse({"task": _task(progress.task(store, found.assignment_id, person.id))})


@router.get("/api/tasks/{number}")
def task_json(request: Request, person: Who, number: Id) -> Response:
    return JSONResponse(_task(progress.task(request.app.state.store, number, person.id)))


@router.post("/api/tasks/{number}/answer")
def answer(request: Request, person: Who, number: Id, sent: Json) -> Response:
    """Store the answer once, however often it is sent with one submission id."""
    store: Store = request.app.state.store
    about = progress.task_head(store, number, person.id)
    spent = whole(sent.get("ms_spent", 0), "ms_spent", DAY_MS)
    payload = blind.to_ids(sent.get("payload"), about.display)
    payload = blind.with_row(payload, about.row)
    stored = assignment.submit(store, number, person.id, payload, _uuid(sent.get("submission")), spent)
    said, surplus = words(about.task, stored.payload, about.display), stored.state == "surplus"
    return JSONResponse({"revision": stored.revision, "said": said, "surplus": surplus, "next": _next(about)})


@router.post("/api/tasks/{number}/draft")
def draft(request: Request, person: Who, number: Id, sent: Json) -> Response:
    """Keep what is on the page so far, a first answer or a change. `saved` is false where the answer has gone on since."""
    store: Store = request.app.state.store
    display = progress.task_head(store, number, person.id).display
    payload = sent.get("payload")
    if not isinstance(payload, dict):
        raise UserError("`payload` must be an object with fields")
    spent = whole(sent.get("ms_spent", 0), "ms_spent", DAY_MS)
    revision = whole(sent.get("revision", 0), "revision", REVISIONS)
    kept = {"payload": blind.to_ids(payload, display), "ms_spent": spent}
    saved = assignment.save_draft(store, number, person.id, kept, revision)
    return JSONResponse({"saved": saved, "lease_ms": max(0, progress.task_head(store, number, person.id).lease_ms)})


@router.post("/api/tasks/{number}/skip")
def skip(request: Request, person: Who, number: Id, sent: Json) -> Response:
    return _skipped(request, person, number, _reason(sent.get("reason")))


@router.post("/api/tasks/{number}/decline")
def decline(request: Request, person: Who, number: Id) -> Response:
    """Give a task with a warning back, and never get one with this warning again; the person's own page can undo it."""
    store: Store = request.app.state.store
    warning = progress.task_head(store, number, person.id).warning
    if warning is None:
        raise UserError("this task carries no warning: turn kinds of tasks off on your own page")
    response = _skipped(request, person, number, f"does not want tasks with the warning: {warning}"[:LONGEST_REASON])
    people.set_declines(store, person.id, tuple(dict.fromkeys((*person.declines, warning))))
    return response


def _skipped(request: Request, person: Person, number: int, reason: str) -> Response:
    store: Store = request.app.state.store
    assignment.skip(store, number, person.id, reason)
    return JSONResponse({"next": _next(progress.task_head(store, number, person.id))})


def _task(view: TaskView) -> dict[str, Any]:
    return blind.task(view, str(uuid.uuid4()))


def _next(about: TaskHead) -> str:
    return f"/projects/{about.project_id}/next"


def _uuid(value: object) -> str:
    try:
        return str(uuid.UUID(str(value)))
    except ValueError as error:
        raise UserError("`submission` must be the id that came with the task: reload the page") from error


def _reason(value: object) -> str:
    if not isinstance(value, str) or not value.strip():
        raise UserError("say in a word why the task is skipped")
    if len(value) > LONGEST_REASON:
        raise UserError(f"the reason has {len(value):,} characters; at most {LONGEST_REASON} are kept: shorten it")
    return value
