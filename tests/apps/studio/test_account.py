"""Accounts on the web: signing in, joining, one's own page, and what ends a session."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import httpx
import pytest
from browsing import serious
from sqlalchemy import func, select

from accordant.feedback import people
from accordant.feedback.schema import answer, labeler

if TYPE_CHECKING:
    from playwright.sync_api import Browser

    from conftest import Studio

SIZES = (1280, 390)


def test_wrong_password_and_unknown_name_sound_alike(studio: Studio) -> None:
    client = studio.client()
    said = []
    for name in ("Ben", "Nobody"):
        response = client.post("/sign-in", {"name": name, "password": "not the right one"})
        assert response.status_code == 400
        said.append(re.search(r'role="alert">([^<]+)<', response.text).group(1))  # type: ignore[union-attr]
    assert said[0] == said[1] == "name and password do not belong together"


def test_guessing_is_refused_for_a_name_at_an_address_and_then_for_the_address(studio: Studio) -> None:
    client = studio.client()
    for _ in range(5):
        assert client.post("/sign-in", {"name": "Ben", "password": "wrong wrong"}).status_code == 400
    refused = client.post("/sign-in", {"name": "Ben", "password": "long enough"})
    assert refused.status_code == 429
    assert 0 < int(refused.headers["retry-after"]) <= 901
    colleague = studio.client()
    assert colleague.post("/sign-in", {"name": "Cleo", "password": "long enough"}).status_code == 303
    for n in range(10):
        assert client.post("/sign-in", {"name": f"Nobody {n}", "password": "wrong wrong"}).status_code == 400
    assert client.post("/sign-in", {"name": "Cleo", "password": "long enough"}).status_code == 429


def test_signing_in_draws_a_new_token_and_leads_only_inside(studio: Studio) -> None:
    client = studio.client()
    before = client.token
    response = client.post("/sign-in", {"name": "Ben", "password": "long enough", "next": "//evil.example/x"})
    assert (response.status_code, response.headers["location"]) == (303, "/")
    client.get("/me")
    assert client.token != before
    client.http.cookies.clear()
    assert client.get("/me").headers["location"] == "/sign-in?next=/me"


def test_a_form_without_the_token_or_from_another_site_changes_nothing(studio: Studio) -> None:
    client = studio.client("Ben")
    for data, headers in (
        ({}, {}), ({"csrf": "0" * 64}, {}), ({"csrf": client.token}, {"sec-fetch-site": "cross-site"}),
        ({"csrf": studio.client("Cleo").token}, {}),
    ):  # fmt: skip
        response = client.http.post("/me/declines", data={"kind": "rank", **data}, headers=headers)
        assert response.status_code == 403
    assert studio.store is not None
    known = people.known(studio.store, studio.people["Ben"].id)
    assert known is not None
    assert known[0].declines == ()
    assert client.post("/me/declines", {"kind": ["rank", "red_team"]}).status_code == 303
    assert people.known(studio.store, studio.people["Ben"].id)[0].declines == ("rank", "red_team")  # type: ignore[index]


@pytest.mark.parametrize("forged", ["", "x", "eyJpZCI6MX0.x.y"])
def test_a_forged_cookie_is_nobody(studio: Studio, forged: str) -> None:
    response = httpx.get(f"{studio.url}/me", cookies={"accordant_session": forged})
    assert response.status_code == 303
    assert "set-cookie" in response.headers


def test_someone_with_an_old_cookie_can_sign_in_again(studio: Studio) -> None:
    client = studio.client()
    client.http.cookies.clear()
    client.http.cookies.set("accordant_session", "forged.by.nobody", domain="127.0.0.1")
    client.get("/sign-in")
    assert client.post("/sign-in", {"name": "Ben", "password": "long enough"}).status_code == 303


def test_a_closed_account_and_a_changed_password_end_sessions_at_once(studio: Studio) -> None:
    first, second = studio.client("Ben"), studio.client("Ben")
    wrong = first.post("/me/password", {"old": "not it at all", "new": "another one!", "again": "another one!"})
    assert "old password is wrong" in first.get("/me").text
    assert wrong.status_code == 303
    first.post("/me/password", {"old": "long enough", "new": "another one!", "again": "another one!"})
    assert first.get("/me").status_code == 200  # the browser that changed it stays
    assert second.get("/me").status_code == 303
    people.close(studio.store, studio.people["Ben"].id)
    assert first.get("/me").status_code == 303


def test_signing_out_ends_this_session(studio: Studio) -> None:
    client = studio.client("Ben")
    assert client.post("/sign-out").headers["location"] == "/sign-in"
    assert "You are signed out" in client.get("/sign-in").text
    assert "You are signed out" not in client.get("/sign-in").text
    assert client.get("/me").status_code == 303


def test_an_invitation_makes_one_account_and_keeps_what_was_typed_until_it_is_right(studio: Studio) -> None:
    token = people.invite(studio.store)
    client = studio.client()
    client.get(f"/join/{token}")
    typed = {"name": "Eve <b>", "password": "long enough", "again": "long enough", "language": "fr"}
    bad = client.post(f"/join/{token}", typed)
    assert bad.status_code == 400
    assert "Eve &lt;b&gt;" in bad.text
    assert 'value="fr"' in bad.text
    assert "differ" in client.post(f"/join/{token}", typed | {"name": "Eve", "again": "another"}).text
    assert client.post(f"/join/{token}", typed | {"name": "Eve"}).status_code == 303
    assert "Welcome, Eve." in client.get("/me").text
    for response in (client.get(f"/join/{token}"), client.post(f"/join/{token}", typed | {"name": "Eve2"})):
        assert response.status_code == 400
        assert "not valid any more" in response.text
    with studio.store.read() as connection:
        assert connection.scalar(select(labeler.c.strata).where(labeler.c.name == "Eve")) == {"language": "fr"}


def test_my_data_are_shown_and_deleted_when_i_type_my_name(studio: Studio) -> None:
    client = studio.client("Ben")
    held = client.http.get("/me/data.json")
    assert held.headers["content-disposition"].startswith("attachment")
    assert held.json()["account"]["name"] == "Ben"
    assert "password" not in held.json()["account"]
    client.post("/me/forget", {"sure": "ben"})
    assert "Nothing was deleted" in client.get("/me").text
    assert client.post("/me/forget", {"sure": "Ben"}).headers["location"] == "/sign-in"
    with studio.store.read() as connection:
        assert connection.scalar(select(func.count()).select_from(labeler).where(labeler.c.name == "Ben")) == 0
        assert connection.scalar(select(func.count()).select_from(answer)) == 0
    # The last admin cannot go: then nobody could invite.
    ada = studio.client("Ada")
    assert ada.post("/me/forget", {"sure": "Ada"}).status_code == 400


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_account_pages_fit_and_can_be_read_by_everyone(studio: Studio, browser: Browser, scheme: str) -> None:
    token = people.invite(studio.store)
    context = browser.new_context(color_scheme=scheme)  # type: ignore[arg-type]
    page = context.new_page()
    for path in ("/sign-in", f"/join/{token}", "/nothing-here"):
        page.goto(studio.url + path)
        assert serious(page) == []
    studio.sign_in(page, "Ben")
    page.goto(f"{studio.url}/me")
    assert serious(page) == []
    for width in SIZES:
        page.set_viewport_size({"width": width, "height": 800})
        assert page.evaluate("document.documentElement.scrollWidth") <= width
    before = page.evaluate("getComputedStyle(document.body).backgroundColor")
    page.get_by_role("button", name="Dark").click()
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") != before
    page.reload()  # the choice is kept
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") != before
    context.close()
