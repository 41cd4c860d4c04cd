"""What the tests do in a browser: open a task, press keys, and look at what became of it in the store and on the screen."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect
from sqlalchemy import func, select

from accordant.apps.studio import blind
from accordant.feedback import progress
from accordant.feedback.schema import answer as answers

if TYPE_CHECKING:
    from conftest import Studio


def serious(page: Page) -> list[str]:
    found = Axe().run(page).response["violations"]
    return [f"{v['id']}: {v['nodes'][0]['html']}" for v in found if v["impact"] in ("serious", "critical")]


def too_wide(page: Page) -> int:
    """Pixels that would have to be scrolled sideways."""
    return int(page.evaluate("document.documentElement.scrollWidth - window.innerWidth"))


def begin(studio: Studio, page: Page, number: int, name: str = "Ben") -> int:
    """Sign in and open the next task; returns its number."""
    studio.sign_in(page, name)
    return following(studio, page, number)


def following(studio: Studio, page: Page, number: int) -> int:
    page.goto(f"{studio.url}/projects/{number}/next")
    expect(page.locator("#keys dt").first).to_be_attached()
    return int(page.url.rsplit("/", 1)[1])


def keys(page: Page, *pressed: str) -> None:
    for key in pressed:
        page.keyboard.press(key)


def said(studio: Studio, task: int, name: str = "Ben") -> dict[str, Any] | None:
    """The stored answer, in this labeler's places."""
    view = progress.task(studio.store, task, studio.people[name].id)
    return blind.to_places(view.answer, view.display)


def count(studio: Studio) -> int:
    with studio.store.read() as connection:
        return connection.scalar(select(func.count()).select_from(answers)) or 0


def kept(studio: Studio, task: int) -> dict[str, Any]:
    """The stored draft, in this labeler's places."""
    view = progress.task(studio.store, task, studio.people["Ben"].id)
    return blind.to_places((view.draft or {"payload": {}})["payload"], view.display) or {}


def until(happened: Callable[[], bool]) -> None:
    """Wait for what the server does after the browser has gone on."""
    end = time.monotonic() + 10
    while not happened():
        assert time.monotonic() < end
        time.sleep(0.02)


def slot(page: Page, rank: str) -> Any:
    return page.locator(f'.slot[data-rank="{rank}"]')
