"""The labeling page in a real browser: nothing gets lost, nobody is taken by surprise, and every text is shown as it is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from browsing import begin, count, following, kept, keys, said, serious, slot, too_wide, until
from labeled import EVIL, WORK, add, answer, lease, project, texts
from playwright.sync_api import Page, expect
from sqlalchemy import select

from accordant.feedback import people
from accordant.feedback.schema import assignment, draft
from accordant.feedback.tasks import Work

if TYPE_CHECKING:
    from clock import Clock
    from conftest import Studio


# --- nothing gets lost -----------------------------------------------------------------------------------------------


def test_a_draft_is_there_again_after_a_reload_and_after_leaving_at_once(studio: Studio, page: Page) -> None:
    number = project(studio.store, "rank", "demonstration")
    task = begin(studio, page, number)
    keys(page, "3", "f")
    expect(page.locator("#kept")).to_have_text("Draft saved.")
    page.reload()
    expect(page.locator("#missing")).to_have_text("C and D have no rank yet.")
    expect(slot(page, "3").locator(".chip")).to_have_text(["A"])
    keys(page, "1")  # the first one that has no rank is marked
    page.goto(f"{studio.url}/me")  # at once: the draft leaves with the page
    page.evaluate("sessionStorage.clear()")
    until(lambda: kept(studio, task).get("groups") == [[2], [], [0]])
    following(studio, page, number)
    expect(slot(page, "1").locator(".chip")).to_have_text(["C"])
    keys(page, "1", "Enter")
    expect(page.locator("#toast")).to_contain_text("Saved: C = D > A, F: B")
    assert said(studio, task) == {"groups": [[2, 3], [0]], "rejected": [1]}
    with studio.store.read() as connection:
        assert connection.scalars(select(draft.c.assignment_id).where(draft.c.assignment_id == task)).all() == []


def test_a_change_is_kept_on_the_server_until_it_is_sent_and_is_no_answer_before(studio: Studio, page: Page) -> None:
    number = project(studio.store, "thumb", "demonstration")
    task = begin(studio, page, number)
    keys(page, "1", "Enter")
    expect(page.locator("#toast")).to_contain_text("Saved: thumb up")
    page.goto(f"{studio.url}/tasks/{task}")
    keys(page, "2")
    expect(page.locator("#kept")).to_have_text("Draft saved.")
    expect(page.locator("#state")).to_contain_text("You said: thumb up.")
    page.evaluate("sessionStorage.clear()")  # as in another window
    page.goto(f"{studio.url}/me")
    page.goto(f"{studio.url}/tasks/{task}")
    expect(page.locator("#kept")).to_have_text("Your change is back; it is not sent yet.")
    expect(page.locator("#state")).to_contain_text("You said: thumb up.")
    assert said(studio, task) == {"up": True}
    keys(page, "Enter")
    expect(page.locator("#toast")).to_contain_text("Changed: thumb down")
    assert said(studio, task) == {"up": False}
    assert kept(studio, task) == {}


def test_without_a_connection_nothing_is_lost_and_it_is_sent_once(studio: Studio, page: Page) -> None:
    number = project(studio.store, "demonstration", "thumb")
    task = begin(studio, page, number)
    page.context.set_offline(True)
    page.keyboard.type("Every word stays.")
    expect(page.locator("#kept")).to_contain_text("your work is kept in this window")
    page.locator("#submit").dblclick()
    expect(page.locator("#trouble")).to_contain_text("No connection: nothing is lost. Trying again")
    expect(page.get_by_label("Your answer")).to_have_value("Every word stays.")
    page.context.set_offline(False)
    expect(page.locator("#toast")).to_contain_text("Saved: Every word stays.")
    assert said(studio, task) == {"text": "Every word stays."}
    assert count(studio) == 1
    lost: list[str] = []

    def swallow(route: Any) -> None:
        lost.append(route.request.post_data)
        if len(lost) == 1:
            route.fetch()  # it arrives, but its answer does not
            route.abort()
        else:
            route.continue_()

    page.route("**/answer", swallow)
    keys(page, "1", "Enter")
    expect(page.get_by_role("heading", name="No task for you right now")).to_be_visible()
    assert len(lost) == 2
    assert lost[0] == lost[1]
    assert count(studio) == 2, "the second try is known by its id"


def test_what_is_changed_while_it_is_being_sent_is_there_to_be_saved(studio: Studio, page: Page) -> None:
    number = project(studio.store, "demonstration")
    task = begin(studio, page, number)
    page.keyboard.type("Every word stays.")
    page.context.set_offline(True)
    page.locator("#submit").click()
    expect(page.locator("#trouble")).to_contain_text("Trying again")
    page.get_by_label("Your answer").press_sequentially(" These, too.")
    page.context.set_offline(False)
    expect(page.locator("#toast")).to_contain_text("Saved: Every word stays.")
    expect(page.get_by_label("Your answer")).to_have_value("Every word stays. These, too.")
    page.get_by_role("button", name="Save the change").click()
    expect(page.locator("#toast")).to_contain_text("Changed: Every word stays. These, too.")
    assert said(studio, task) == {"text": "Every word stays. These, too."}


def test_a_session_that_ended_costs_no_word(studio: Studio, page: Page) -> None:
    number = project(studio.store, "red_team")
    task = begin(studio, page, number)
    page.context.clear_cookies()
    page.keyboard.type("What if I ask twice?")
    page.locator("#submit").click()
    expect(page.locator("#trouble")).to_contain_text("You are signed out, or signed in anew. Your work is kept")
    page.get_by_role("link", name="Load the page again").click()
    page.get_by_label("Name").fill("Ben")
    page.get_by_label("Password").fill("long enough")
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url(f"**/tasks/{task}")
    expect(page.get_by_label("Your prompt")).to_have_value("What if I ask twice?")
    token = page.locator('meta[name="csrf"]')
    token.evaluate("node => { node.content = 'old'; }")
    keys(page, "Control+Enter")
    expect(page.locator("#trouble")).to_contain_text("signed in anew")
    page.get_by_role("link", name="Load the page again").click()
    expect(page.get_by_label("Your prompt")).to_have_value("What if I ask twice?")
    keys(page, "Control+Enter")
    expect(page.locator("#toast")).to_contain_text("Saved: What if I ask twice?")


def test_a_lease_that_ran_out_and_a_break_are_said(studio: Studio, page: Page, clock: Clock) -> None:
    number = project(studio.store, "thumb", n=2, overlap=1)
    studio.sign_in(page, "Ben")
    page.clock.install()
    task = following(studio, page, number)
    page.clock.run_for(3_000)
    expect(page.locator("#spent")).to_have_text("0:03")
    page.evaluate("sessionStorage.setItem('worked', JSON.stringify({ms: 45 * 60000 - 2500, last: Date.now()}))")
    expect(page.locator("#rest")).to_be_hidden()
    page.clock.run_for(4_000)
    expect(page.locator("#rest")).to_contain_text("You have worked for 45 minutes")
    page.get_by_role("button", name="Go on").click()
    page.clock.run_for(2_000)
    expect(page.locator("#rest")).to_be_hidden()
    expect(page.locator("#state")).to_be_hidden()
    clock.minutes(31)
    for _ in range(2):  # somebody else gets both
        answer(studio.store, lease(studio.store, number, studio.people["Cleo"].id), studio.people["Cleo"].id, {"up": True})
    page.clock.run_for(31 * 60_000)
    expect(page.locator("#state")).to_contain_text("Your time for this task has run out")
    assert page.locator("#spent").inner_text().startswith("2:"), "time without a key or a movement does not count"
    keys(page, "2", "Enter")
    page.wait_for_url(f"**/projects/{number}/next")
    expect(page.locator("#toast")).to_contain_text("Kept, but set aside, since its place had gone to somebody else: thumb down")
    with studio.store.read() as connection:
        assert connection.scalar(select(assignment.c.state).where(assignment.c.id == task)) == "surplus"


# --- care ------------------------------------------------------------------------------------------------------------


def test_a_warning_comes_before_the_text(studio: Studio, page: Page) -> None:
    number = project(studio.store)
    bad = Work("thumb", "q", WORK["thumb"].completions, warning="violence")
    add(studio.store, number, bad, bad, bad)
    task = begin(studio, page, number)
    assert page.locator("#shown").evaluate("node => getComputedStyle(node).filter") != "none"
    assert page.locator("#shown").evaluate("node => node.inert")
    keys(page, "1", "Enter")
    assert count(studio) == 0, "what was not seen is not judged"
    assert serious(page) == []
    keys(page, "v")
    assert page.locator("#shown").evaluate("node => getComputedStyle(node).filter") == "none"
    expect(page.locator("#submit")).to_be_disabled()
    keys(page, "1")
    expect(page.locator("#kept")).to_have_text("Draft saved.")
    page.reload()
    expect(page.locator("#submit")).to_be_hidden()
    keys(page, "Enter", "Control+Enter", "v")
    assert count(studio) == 0, "nor is it after the page was loaded again"
    expect(page.get_by_label("Good")).to_be_checked()
    keys(page, "Enter")
    expect(page.locator("#toast")).to_contain_text("Saved: thumb up")
    assert said(studio, task) == {"up": True}
    page.locator("#warned").get_by_role("button", name="Skip").click()
    page.get_by_role("button", name="I would rather not").click()
    expect(page.locator("#toast")).to_contain_text("Skipped.")
    page.get_by_role("button", name="Do not give me such tasks").click()
    expect(page.get_by_role("heading", name="No task for you right now")).to_be_visible()
    expect(page.locator("#toast")).to_contain_text("You will get no more such tasks.")
    found = people.known(studio.store, studio.people["Ben"].id)
    assert found is not None
    assert found[0].declines == ("violence",)


def test_texts_are_text_and_run_in_their_own_direction(studio: Studio, page: Page) -> None:
    number = project(studio.store)
    add(studio.store, number, Work("rank", EVIL, texts(EVIL, "שלום עולם", "two\n\n    lines"), criterion=EVIL))
    add(studio.store, number, Work("vet", EVIL, row={EVIL: EVIL}))
    begin(studio, page, number)
    expect(page.locator(".given .text")).to_have_text(EVIL)
    shown = {one.inner_text(): one for one in page.locator(".answer .text").all()}
    assert set(shown) == {EVIL, "שלום עולם", "two\n\n    lines"}
    assert shown["שלום עולם"].evaluate("node => getComputedStyle(node).direction") == "rtl"
    assert shown[EVIL].evaluate("node => getComputedStyle(node).direction") == "ltr"
    keys(page, "1", "2", "f", "Enter")
    expect(page.get_by_label(EVIL)).to_have_value(EVIL)
    assert page.locator("img[src=x]").count() == 0
    assert "broken" not in page.title()


@pytest.mark.parametrize("k", [2, 26])
def test_any_number_of_answers_fits_a_phone(studio: Studio, page: Page, k: int) -> None:
    number = project(studio.store)
    many = tuple(texts(f"answer {place} " + "word " * 30)[0] for place in range(k))
    add(studio.store, number, Work("rank", "q", many))
    page.set_viewport_size({"width": 390, "height": 844})
    task = begin(studio, page, number)
    assert too_wide(page) <= 0
    assert serious(page) == []
    keys(page, *(["0" if k > 9 else "1"] * k), "Enter")
    page.wait_for_url(f"**/projects/{number}/next")
    assert said(studio, task) == {"groups": [list(range(k))], "rejected": []}
