"""A store that is locked, full or out of reach: people are told so, nothing is lost, and the page tries again by itself."""

from __future__ import annotations

import logging
import re
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from browsing import begin, count, keys, said
from labeled import given_task, project, send
from playwright.sync_api import Page, expect
from sqlalchemy import event
from sqlalchemy.exc import OperationalError
from sqlalchemy.exc import TimeoutError as NoConnection

from accordant.feedback import assignment, people, store

if TYPE_CHECKING:
    from conftest import Studio

KEPT = "The server is busy: your work is kept in this window, and saved when it can be."
BUSY = "the studio's store is busy, or its disk is full; if that does not pass, tell the admin the number "


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Writers wait for a hundredth of a second and not for half a minute. To be asked for before `studio`."""
    monkeypatch.setattr(store, "BUSY_MS", 10)


@pytest.fixture
def elsewhere(impatient: None, tmp_path: Path, studio: Studio) -> Iterator[sqlite3.Connection]:  # noqa: ARG001
    """Another program that has the store open."""
    connection = sqlite3.connect(tmp_path / "store.db", isolation_level=None)
    yield connection
    connection.close()


class Full:
    """A disk that takes no more pages than the store has, for as long as `is_full`."""

    def __init__(self, studio: Studio) -> None:
        self.is_full = False
        event.listen(studio.store.engine, "begin", self._limit)

    def _limit(self, connection: Any) -> None:
        connection.exec_driver_sql(f"PRAGMA max_page_count={1 if self.is_full else 2**30}")


def test_a_store_that_is_locked_is_said_to_be_busy(
    elsewhere: sqlite3.Connection, studio: Studio, caplog: pytest.LogCaptureFixture
) -> None:
    number = project(studio.store, "thumb", "demonstration")
    client = studio.client("Ben")
    task = given_task(client, number)
    elsewhere.execute("BEGIN IMMEDIATE")
    with caplog.at_level(logging.ERROR, "accordant.studio"):
        refused = send(client, task, {"up": True, "comment": "nobody else's business"})
    assert (refused.status_code, refused.headers["retry-after"]) == (503, "5")
    error = refused.json()["error"]
    assert error.startswith(BUSY)
    (record,) = caplog.records
    assert record.getMessage() == (
        f"error {error.removeprefix(BUSY)} at POST /api/tasks/{task['assignment']}/answer: "
        "the store is not available: database is locked"
    )
    assert record.exc_info is None, "which would have the answer in it"
    page = client.get("/me")
    assert page.status_code == 200, "reading goes on"
    elsewhere.execute("ROLLBACK")
    assert send(client, task, {"up": True}).status_code == 200
    assert count(studio) == 1
    elsewhere.execute("BEGIN IMMEDIATE")
    response = client.get(f"/projects/{number}/next")
    assert (response.status_code, response.headers["retry-after"], response.headers["cache-control"]) == (503, "5", "no-store")
    assert '<a class="button" href="">Try again</a>' in response.text
    form = client.post("/me/declines", {})
    assert "Try again" not in form.text, "loading it again would not send the form"


def test_a_lock_costs_no_word_and_the_answer_is_sent_when_it_is_gone(
    elsewhere: sqlite3.Connection, studio: Studio, page: Page
) -> None:
    number = project(studio.store, "demonstration")
    task = begin(studio, page, number)
    elsewhere.execute("BEGIN IMMEDIATE")
    page.keyboard.type("Every word stays.")
    expect(page.locator("#kept")).to_have_text(KEPT)
    expect(page.locator("#trouble")).to_be_hidden()
    keys(page, "Control+Enter")
    trouble = page.locator("#trouble")
    expect(trouble).to_have_text(re.compile(rf"^Nothing is lost, but {BUSY}\w{{8}}\. Trying again in [12] seconds\.$"))
    assert count(studio) == 0
    elsewhere.execute("ROLLBACK")
    expect(page.locator("#toast")).to_contain_text("Saved: Every word stays.")
    assert said(studio, task) == {"text": "Every word stays."}
    assert count(studio) == 1


def test_a_full_disk_costs_no_word_either(studio: Studio, page: Page) -> None:
    number = project(studio.store, "demonstration")
    task = begin(studio, page, number)
    disk = Full(studio)
    disk.is_full = True
    words = "Every word stays. " * 500  # more than the pages that are there have room for
    page.get_by_label("Your answer").fill(words)
    keys(page, "Control+Enter")
    expect(page.locator("#trouble")).to_contain_text("busy, or its disk is full")
    expect(page.locator("#trouble")).to_contain_text("Trying again")
    disk.is_full = False
    expect(page.locator("#toast")).to_contain_text("Saved: Every word stays.")
    assert said(studio, task) == {"text": words}


@pytest.mark.parametrize(
    "error", [OperationalError("SELECT 1", {}, Exception("the server went away")), NoConnection("the queue is full")]
)
def test_where_nobody_can_be_known_nobody_is_signed_out(
    studio: Studio, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    client = studio.client("Ben")

    def away(*_: object) -> None:
        raise error

    with monkeypatch.context() as while_away:
        while_away.setattr(people, "known", away)
        response = client.get("/me")
        assert (response.status_code, "set-cookie" in response.headers) == (503, False)
        assert client.send("/api/tasks/1/skip", {"reason": "x"}).json()["error"].startswith(BUSY)
    assert client.get("/me").status_code == 200


def test_another_fault_of_the_store_is_an_error_with_a_number(studio: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
    client = studio.client("Ben")

    def broken(*_: object) -> None:
        raise sqlite3.DatabaseError("file is not a database")

    monkeypatch.setattr(people, "known", broken)
    response = client.get("/me")
    assert response.status_code == 500
    assert "tell the admin the number" in response.text


def test_a_draft_is_tried_again_until_the_store_takes_it(studio: Studio, page: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    number = project(studio.store, "demonstration")
    begin(studio, page, number)
    page.clock.install()
    page.reload()
    take, tries = assignment.save_draft, []

    def once_busy(*given: Any) -> bool:
        tries.append(given)
        if len(tries) == 1:
            raise OperationalError("INSERT", {}, sqlite3.OperationalError("database is locked"))
        return take(*given)

    monkeypatch.setattr(assignment, "save_draft", once_busy)
    page.get_by_label("Your answer").fill("so far")
    page.clock.run_for(1_000)
    expect(page.locator("#kept")).to_contain_text("The server is busy")
    page.clock.run_for(6_000)
    expect(page.locator("#kept")).to_have_text("Draft saved.")
