"""What stands before every page: headers, sizes, rates, names of hosts; and where the studio may be served."""

from __future__ import annotations

import re
import shutil
import socket
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urljoin

import httpx
import pytest

from accordant.apps.listen import listen
from accordant.apps.studio import pages
from accordant.apps.studio.guard import Limiter
from accordant.apps.studio.pages import STATIC, static_root
from accordant.apps.studio.settings import Settings
from accordant.types import UserError

if TYPE_CHECKING:
    from conftest import Studio


def test_every_answer_carries_the_policy_and_only_files_may_be_kept(studio: Studio) -> None:
    style = f"{static_root()}/style.css"
    for path in ("/sign-in", "/nothing", "/api/nothing", style, "/static/style.css", f"{style}x", "/me"):
        headers = httpx.get(studio.url + path).headers
        policy = dict(part.strip().split(" ", 1) for part in headers["content-security-policy"].split(";"))
        assert policy["default-src"] == "'none'"
        assert policy["script-src"] == policy["style-src"] == policy["form-action"] == "'self'"
        assert policy["frame-ancestors"] == policy["base-uri"] == "'none'"
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["cache-control"] == ("public, max-age=31536000, immutable" if path == style else "no-store")


def test_every_script_and_what_it_imports_is_of_one_version(studio: Studio) -> None:
    """Followed as a browser does, from the pages' own addresses: all lie below the one that names the content of all files."""
    templates = Path(pages.__file__).with_name("templates").glob("*.html")
    named = {name for path in templates for name in re.findall(r"static\('([^']+)'\)", path.read_text(encoding="utf-8"))}
    assert {"label.js", "theme.js", "style.css"} < named
    open_, seen = [f"{static_root()}/{name}" for name in named], set[str]()
    while open_:
        address = open_.pop()
        seen.add(address)
        response = httpx.get(studio.url + address)
        assert response.status_code == 200, address
        imported = re.findall(r'\bfrom "([^"]+)"', response.text) if address.endswith(".js") else []
        open_ += {urljoin(address, one) for one in imported} - seen
    assert seen == {f"{static_root()}/{path.relative_to(STATIC).as_posix()}" for path in STATIC.rglob("*.*")}
    assert httpx.get(f"{studio.url}/static/{'0' * 12}/label.js").status_code == 404, "of another version"


def test_the_address_of_the_files_changes_with_any_of_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(STATIC, tmp_path / "static")
    monkeypatch.setattr(pages, "STATIC", tmp_path / "static")
    root = pages.static_root.__wrapped__  # without what was found before
    assert root() == static_root()
    module = tmp_path / "static" / "label" / "dom.js"
    module.write_bytes(module.read_bytes() + b"\n")
    changed = root()
    assert changed != static_root()
    module.rename(module.with_name("dom2.js"))
    assert root() not in (changed, static_root())
    with pytest.raises(ValueError, match=r"no static file 'label/dom\.js'"):
        pages._static("label/dom.js")


def test_errors_are_json_for_scripts_and_pages_for_people(studio: Studio) -> None:
    assert httpx.get(f"{studio.url}/api/nothing").json() == {"error": "there is no such page"}
    assert "<h1>Not found</h1>" in httpx.get(f"{studio.url}/nothing").text
    assert httpx.get(f"{studio.url}/static/../app.py").status_code == 404


def test_a_body_too_large_is_refused_whether_it_says_so_or_not(studio: Studio) -> None:
    large = b"x" * (2**20 + 1)
    assert httpx.post(f"{studio.url}/sign-in", content=large).status_code == 413

    def parts() -> object:
        for _ in range(20):
            yield large[: 2**16]

    form = {"content-type": "application/x-www-form-urlencoded"}
    response = httpx.post(f"{studio.url}/sign-in", content=parts(), headers=form)  # type: ignore[arg-type]
    assert response.status_code == 413
    assert "content-security-policy" in response.headers


def test_a_name_that_is_not_ours_is_refused(studio: Studio) -> None:
    assert httpx.get(f"{studio.url}/sign-in", headers={"host": "evil.example"}).status_code == 400
    assert httpx.get(f"{studio.url}/sign-in", headers={"host": "localhost:80"}).status_code == 200


def test_a_limiter_counts_each_key_in_a_moving_window() -> None:
    now = [0.0]
    limiter = Limiter(2, 10, clock=lambda: now[0])
    assert [limiter.wait("a"), limiter.wait("b"), limiter.wait("a")] == [0, 0, 0]
    now[0] = 4
    assert limiter.wait("a") == 6  # the first of the two leaves the window at 10
    assert limiter.wait("b", count=False) == 0
    assert limiter.wait("b") == 0
    now[0] = 10
    assert [limiter.wait("a"), limiter.wait("a")] == [0, 0]
    assert limiter.wait("a") == 10


@pytest.mark.parametrize("settings", [Settings(requests_per_minute=20)])
def test_one_person_who_asks_too_often_waits_and_the_others_do_not(studio: Studio) -> None:
    ben = studio.client("Ben")
    codes = [ben.http.get("/me/data.json").status_code for _ in range(25)]
    assert codes[0] == 200
    assert codes[-1] == 429
    assert studio.client("Cleo").get("/me").status_code == 200


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.7"])
def test_an_address_that_others_reach_needs_accounts(host: str) -> None:
    with pytest.raises(UserError, match="there are no accounts"):
        Settings(host=host).check(has_accounts=False)
    Settings(host=host).check(has_accounts=True)
    Settings(host="127.0.0.1").check(has_accounts=False)


@pytest.mark.parametrize("url", ["studio.example.org", "ftp://x", "https://x/studio", "https://"])
def test_a_public_url_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(UserError, match="public-url"):
        Settings(public_url=url).check(has_accounts=True)


def test_what_the_address_makes_of_links_cookies_and_hosts() -> None:
    assert Settings(host="::1", port=80).url == "http://[::1]:80"
    public = Settings(host="0.0.0.0", public_url="https://studio.example.org/")
    assert public.url == "https://studio.example.org"
    assert public.is_secure
    assert "studio.example.org" in public.hosts
    assert "*" not in public.hosts


def test_answers_are_sent_at_once() -> None:
    """asyncio turns Nagle's algorithm off for sockets that name TCP; with it on, an answer waits for the browser's 40 ms."""
    with listen("127.0.0.1", 0) as listener:
        assert listener.proto == socket.IPPROTO_TCP


def test_a_taken_port_is_named() -> None:
    with listen("127.0.0.1", 0) as listener, pytest.raises(UserError, match="choose another with --port"):
        listen("127.0.0.1", listener.getsockname()[1])
