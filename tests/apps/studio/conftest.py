"""A real studio for the tests: uvicorn in a thread, a store with an admin and three labelers, httpx and a real browser."""

from __future__ import annotations

import os
import re
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest
import uvicorn
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from accordant.apps.listen import listen
from accordant.apps.studio.app import make_app
from accordant.apps.studio.settings import Settings
from accordant.feedback import people
from accordant.feedback.people import Person
from accordant.feedback.store import Store
from clock import Clock

CHROMIUM = Path("/usr/bin/chromium")
FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip
PASSWORD = "long enough"


@dataclass
class Client:
    """A signed-in httpx client that sends the CSRF token as our pages do."""

    http: httpx.Client
    token: str = ""

    def get(self, path: str) -> httpx.Response:
        response = self.http.get(path)
        found = re.search(r'name="csrf" content="(\w+)"', response.text)
        self.token = found.group(1) if found else self.token
        return response

    def post(self, path: str, data: dict[str, object] | None = None, **options: object) -> httpx.Response:
        """A form, with the token of the page that was loaded last."""
        return self.http.post(path, data={"csrf": self.token, **(data or {})}, **options)  # type: ignore[arg-type]

    def send(self, path: str, body: object) -> httpx.Response:
        """JSON, as the pages' scripts send it."""
        return self.http.post(path, json=body, headers={"x-csrf-token": self.token})


@dataclass
class Studio:
    """A running studio. `people`: the accounts by name; all have one password."""

    url: str
    store: Store
    people: dict[str, Person]
    clients: list[httpx.Client] = field(default_factory=list)

    def client(self, name: str | None = None) -> Client:
        http = httpx.Client(base_url=self.url, timeout=20)
        self.clients.append(http)
        client = Client(http)
        client.get("/sign-in")
        if name:
            response = client.post("/sign-in", {"name": name, "password": PASSWORD})
            assert response.status_code == 303, response.text
            client.get("/me")
        return client

    def sign_in(self, page: Page, name: str) -> Page:
        page.goto(f"{self.url}/sign-in")
        page.get_by_label("Name").fill(name)
        page.get_by_label("Password").fill(PASSWORD)
        page.get_by_role("button", name="Sign in").click()
        page.wait_for_url(lambda url: "sign-in" not in url)
        return page


def serve(store: Store, settings: Settings | None = None) -> Iterator[str]:
    """The address of a server over the store, ended afterwards."""
    with listen("127.0.0.1", 0) as listener:
        port = listener.getsockname()[1]
        server = uvicorn.Server(uvicorn.Config(make_app(store, settings), log_level="error", lifespan="off"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        while not server.started:
            assert thread.is_alive()
            time.sleep(0.01)
        yield f"http://127.0.0.1:{port}"
        server.should_exit = True
        thread.join(timeout=20)
        assert not thread.is_alive()


@pytest.fixture(scope="session")
def accounts() -> tuple[str, ...]:
    return ("Ada", "Ben", "Cleo", "Dora")


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def settings() -> Settings:
    """How the studio is served; a test may parametrise it."""
    return Settings(sign_ins_per_quarter=5)


@pytest.fixture
def studio(
    tmp_path: Path,
    accounts: tuple[str, ...],
    clock: Clock,
    settings: Settings,
    quick_passwords: None,  # noqa: ARG001
) -> Iterator[Studio]:
    """Ada is the admin, the others label. Passwords are scrypt's with fewer rounds than in earnest."""
    with Store.open(tmp_path / "store.db", clock) as store:
        known = {accounts[0]: people.make_admin(store, accounts[0], PASSWORD)}
        for name in accounts[1:]:
            known[name] = people.join(store, people.invite(store), name, PASSWORD)
        for url in serve(store, settings):
            running = Studio(url, store, known)
            yield running
            for http in running.clients:
                http.close()


@pytest.fixture
def ada(studio: Studio) -> Client:
    return studio.client("Ada")


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Debian's chromium. It must be there where ACCORDANT_BROWSER is set."""
    if not CHROMIUM.exists():
        reason = f"{CHROMIUM} is not there (Debian: apt-get install chromium)"
        if os.environ.get("ACCORDANT_BROWSER"):
            pytest.fail(reason)
        pytest.skip(reason)
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=str(CHROMIUM), args=FLAGS)
        yield opened
        opened.close()


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    made = browser.new_context(viewport={"width": 1280, "height": 900})
    made.set_default_timeout(10_000)
    yield made
    made.close()


@pytest.fixture
def page(context: BrowserContext) -> Iterator[Page]:
    """A page on which an error in a script, or a violation of the security policy, fails the test."""
    opened = context.new_page()
    wrong: list[str] = []
    opened.on("pageerror", lambda error: wrong.append(str(error)))
    opened.on("console", lambda message: wrong.append(message.text) if "Content Security Policy" in message.text else None)
    yield opened
    assert not wrong, wrong
