"""One project for its admin: how far it is, its guidelines and settings, files in and files out."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import IO, Any
from urllib.parse import quote

from fastapi import APIRouter, Request, Response
from fastapi.responses import StreamingResponse
from starlette.datastructures import FormData, QueryParams, UploadFile

from accordant.apps.studio.admin_fields import choice, number, share, text, typed, whole
from accordant.apps.studio.body import Id
from accordant.apps.studio.pages import go, page
from accordant.apps.studio.session import Admin, Form
from accordant.feedback import overview, tasks
from accordant.feedback.schema import TASKS
from accordant.stages import feedback_files, intake
from accordant.stages.feedback_files import How
from accordant.types import Source, UserError

router = APIRouter()
ORDERS = {"random": "At random", "priority": "Highest priority first", "least_answered": "Fewest answers first"}
ENDINGS = (".jsonl", ".json", ".csv", ".parquet")
TRUE = "yes"
LONGEST_FILE = 50  # characters of a file's name: in bytes they may be four times as many, and a disk keeps 255
_EMPTY = {
    "task": "", "criterion": "", "warning": "", "again": "",
    "shape": "", "form": "", "which": "", "method": "", "margins": "", "ties": "",
    "rejects": "", "min_confidence": "60", "test": "", "validation": "", "seed": "0", "ai": "", "surplus": "",
}  # fmt: skip
"""The forms for files as they are at first: of each select box the first choice."""


@router.get("/admin/projects/{project_id}")
def project(request: Request, _: Admin, project_id: Id) -> Response:
    return _page(request, project_id)


@router.post("/admin/projects/{project_id}/settings")
def change(request: Request, person: Admin, project_id: Id, form: Form) -> Response:
    try:
        changed = tasks.change(request.app.state.store, project_id, by=person.id, **settings(form))
    except UserError as error:
        return _page(request, project_id, 400, wrong={"settings": str(error)}, form=typed(form))
    return go(request, f"/admin/projects/{project_id}", "The settings are saved." if changed else "Nothing was changed.")


@router.post("/admin/projects/{project_id}/guidelines")
def guidelines(request: Request, person: Admin, project_id: Id, form: Form) -> Response:
    store, new = request.app.state.store, text(form, "guidelines")
    newest = overview.guidelines(store, project_id)
    if newest and newest[0].text == new:
        return go(request, f"/admin/projects/{project_id}", "Nothing was changed.")
    version = tasks.revise_guidelines(store, project_id, new, by=person.id)
    return go(request, f"/admin/projects/{project_id}", f"Version {version} of the guidelines is what labelers see now.")


@router.post("/admin/projects/{project_id}/import")
def put_in(request: Request, person: Admin, project_id: Id, form: Form) -> Response:
    """Make items of an uploaded file's rows: all of them, or none and the reason with file and line."""
    try:
        count = _put_in(request, project_id, form, person.id)
    except UserError as error:
        return _page(request, project_id, 400, wrong={"import": str(error)}, form=typed(form))
    return go(request, f"/admin/projects/{project_id}", f"{count:,} {'item is' if count == 1 else 'items are'} in the project.")


@router.get("/admin/projects/{project_id}/export")
def export(request: Request, _: Admin, project_id: Id) -> Response:
    """The training data as a download, a zip of the files that `accordant studio export` would write."""
    try:
        return _export(request, project_id)
    except UserError as error:
        return _page(request, project_id, 400, wrong={"export": str(error)}, form=typed(request.query_params))


def settings(form: FormData) -> dict[str, Any]:
    """What can be set when a project is made and later."""
    return {
        "overlap": whole(form, "overlap", "the number of answers per item"),
        "lease_minutes": number(form, "lease_minutes", "the time to answer in minutes"),
        "gold_share": share(form, "gold_share", "the share of gold items"),
        "random_share": share(form, "random_share", "the share drawn at random"),
        "order_by": choice(form, "order_by", list(ORDERS), "the order"),
    }


def _page(request: Request, project_id: int, status: int = 200, **values: Any) -> Response:
    store = request.app.state.store
    found = overview.one_project(store, project_id)
    versions = overview.guidelines(store, project_id)
    now = {
        "overlap": found.overlap, "lease_minutes": f"{found.lease_minutes:g}", "gold_share": f"{100 * found.gold_share:g}",
        "random_share": f"{100 * found.random_share:g}", "order_by": found.order_by, "guidelines": versions[0].text,
    }  # fmt: skip
    values["form"] = {**_EMPTY, **now, **values.get("form", {})}
    return page(request, "admin_project.html", status, **(
        {
            "project": found, "versions": versions, "days": overview.throughput(store, project_id), "orders": ORDERS,
            "tasks": TASKS, "endings": ",".join(ENDINGS), "wrong": {}, "tab": "overview",
        } | values
    ))  # fmt: skip


def _put_in(request: Request, project_id: int, form: FormData, by: int) -> int:
    upload = form.get("file")
    if not isinstance(upload, UploadFile) or not upload.filename:
        raise UserError(f"choose a file to put in: {', '.join(ENDINGS)}")
    name = re.sub(r"[^\w.-]+", "_", Path(upload.filename).name)[-LONGEST_FILE:]
    if Path(name).suffix.lower() not in ENDINGS:
        raise UserError(f"{name} cannot be read: give a file that ends in {', '.join(ENDINGS)}")
    store, project = request.app.state.store, overview.one_project(request.app.state.store, project_id)
    again = text(form, "again") == TRUE
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        with path.open("wb") as file:
            shutil.copyfileobj(upload.file, file)
        try:
            work = intake.work(
                path, choice(form, "task", ["", *TASKS], "the task") or None, criterion=text(form, "criterion"),
                warning=text(form, "warning") or None, attributes=project.attributes, again=again,
            )  # fmt: skip
        except UserError as error:
            raise UserError(str(error).replace(f"{folder}/", "")) from error
    # Where the file lay for a moment is nobody's business: its own name is what people know it by.
    named = [replace(one, source=Source(name, one.source.line)) for one in work]
    return len(tasks.add(store, project_id, named, by, only_new=not again))


def _export(request: Request, project_id: int) -> Response:
    store, query = request.app.state.store, request.query_params
    name = re.sub(r"[^\w-]+", "-", overview.one_project(store, project_id).name).strip("-")[:LONGEST_FILE] or "export"
    chosen = _how(query)
    with tempfile.TemporaryDirectory(prefix="accordant-export-") as folder:
        try:
            feedback_files.write(store, project_id, Path(folder) / name, chosen)
        except UserError as error:
            raise UserError(str(error).replace(f"{folder}/", "")) from error
        # An open file can be read after its folder is gone, so that nothing is left behind however the download ends.
        archive = Path(shutil.make_archive(f"{folder}/{name}", "zip", folder, name)).open("rb")  # noqa: SIM115  (`_blocks`)
    headers = {
        "content-disposition": f"attachment; filename*=UTF-8''{quote(name)}.zip",
        "content-length": str(os.fstat(archive.fileno()).st_size),
    }
    return StreamingResponse(_blocks(archive), media_type="application/zip", headers=headers)


def _blocks(file: IO[bytes]) -> Iterator[bytes]:
    with file:
        while block := file.read(2**20):
            yield block


def _how(query: QueryParams) -> How:
    """The choices of an export; a select box that says nothing says its first choice."""
    splits = {part: share(query, part, f"the share of {part}") for part in ("test", "validation") if text(query, part)}
    return How(
        shape=choice(query, "shape", ("accordant", "trl"), "the shape"),
        form=choice(query, "form", ("jsonl", "parquet"), "the format"),
        which=choice(query, "which", ("each", "consensus"), "whose word"),
        margins=choice(query, "margins", ("", "small", "large"), "the margins") or None,
        ties=choice(query, "ties", ("drop", "keep"), "what becomes of ties"),
        rejects=choice(query, "rejects", ("exclude", "lose"), "what becomes of rejected answers"),
        method=choice(query, "method", ("weighted", "borda"), "how they are weighed"),
        min_confidence=share(query, "min_confidence", "the least confidence")
        if text(query, "min_confidence")
        else How.min_confidence,
        splits=splits,
        seed=whole(query, "seed", "the seed") if text(query, "seed") else How.seed,
        ai=text(query, "ai") == TRUE,
        surplus=text(query, "surplus") == TRUE,
    )
