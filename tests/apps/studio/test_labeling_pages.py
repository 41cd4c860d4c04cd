"""The labeling page in a real browser: every task by keyboard, ranking by dragging and by lists, and the way around."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from browsing import begin, count, following, keys, said, serious, slot, too_wide
from labeled import EVIL, project
from playwright.sync_api import Browser, Page, expect
from sqlalchemy import select

from accordant.feedback.schema import event
from accordant.feedback.tasks import ATTRIBUTES

if TYPE_CHECKING:
    from conftest import Studio


def drag(page: Page, what: Any, to: Any) -> None:
    start, end = what.bounding_box(), to.bounding_box()
    page.mouse.move(start["x"] + 15, start["y"] + 15)
    page.mouse.down()
    page.mouse.move(start["x"] + 30, start["y"] + 40, steps=2)
    page.mouse.move(end["x"] + end["width"] - 8, end["y"] + end["height"] - 8, steps=4)
    page.mouse.up()


# --- ranking ---------------------------------------------------------------------------------------------------------


def test_rank_by_keyboard_only_and_revise(studio: Studio, page: Page) -> None:
    number = project(studio.store, "rank", n=2)
    task = begin(studio, page, number)
    submit, missing, live = page.locator("#submit"), page.locator("#missing"), page.locator("#announce")
    expect(submit).to_be_disabled()
    expect(missing).to_have_text("A, B, C and D have no rank yet.")
    assert [page.locator(".answer select").nth(k).input_value() for k in range(4)] == [""] * 4, "nothing is ranked at the start"
    keys(page, "Enter", "Control+Enter")
    expect(live).to_have_text("A, B, C and D have no rank yet.")
    assert count(studio) == 0, "an untouched order cannot be sent"
    keys(page, "=")
    expect(live).to_have_text("Nothing was placed before that it could tie with")
    keys(page, "2")
    expect(live).to_have_text("A: rank 2. Next: B")
    keys(page, "1", "=")
    expect(slot(page, "1").locator(".chip")).to_have_text(["B", "C"])
    expect(missing).to_have_text("D has no rank yet.")
    keys(page, "f")
    expect(live).to_have_text("D: F")
    expect(submit).to_be_enabled()
    keys(page, "u")
    expect(submit).to_be_disabled()
    expect(missing).to_have_text("D has no rank yet.")
    keys(page, "f", "Shift+A", "Delete")
    expect(missing).to_have_text("A has no rank yet.")
    keys(page, "ArrowLeft", "ArrowRight", "4")
    assert page.evaluate("document.activeElement.getAttribute('aria-label')") == "Answer A, rank 4"
    keys(page, "Enter")
    page.wait_for_url(lambda url: not url.endswith(f"/tasks/{task}"))
    expect(page.locator("#toast")).to_have_text("Saved: B = C > A, F: D Change it")
    assert said(studio, task) == {"groups": [[1, 2], [0]], "rejected": [3]}
    keys(page, "p")
    page.wait_for_url(f"**/tasks/{task}")
    expect(slot(page, "1").locator(".chip")).to_have_text(["B", "C"])
    expect(page.locator("#state")).to_contain_text("You said: B = C > A, F: D.")
    keys(page, "Shift+D", "3", "Control+Enter")
    expect(page.locator("#toast")).to_have_text("Changed: B = C > A > D Change it")
    assert said(studio, task) == {"groups": [[1, 2], [0], [3]], "rejected": []}
    assert count(studio) == 2, "what was said before is kept"


def test_a_tie_is_with_the_answer_placed_last_after_undo_and_reload_too(studio: Studio, page: Page) -> None:
    number = project(studio.store, "rank")
    task = begin(studio, page, number)
    lists = page.locator(".answer select")
    keys(page, "3", "1", "u", "=")
    assert [lists.nth(k).input_value() for k in range(4)] == ["3", "3", "", ""]
    keys(page, "2")
    expect(page.locator("#kept")).to_have_text("Draft saved.")
    page.evaluate("sessionStorage.clear()")
    page.reload()
    keys(page, "=")
    expect(page.locator("#announce")).to_have_text("D: rank 2")
    keys(page, "Delete", "=")  # the one placed last has no place any more
    expect(page.locator("#announce")).to_have_text("Nothing was placed before that it could tie with")
    keys(page, "f", "Enter")
    expect(page.locator("#toast")).to_contain_text("Saved: C > A = B, F: D")
    assert said(studio, task) == {"groups": [[2], [0, 1]], "rejected": [3]}


def test_rank_by_mouse_only(studio: Studio, page: Page) -> None:
    number = project(studio.store, "rank")
    task = begin(studio, page, number)
    card = [page.locator(".answer .chip").nth(k) for k in range(4)]
    drag(page, card[2], slot(page, "1"))
    drag(page, card[0], slot(page, "1"))
    drag(page, card[3], slot(page, "F"))
    drag(page, card[1], slot(page, "4"))
    expect(slot(page, "1").locator(".chip")).to_have_text(["A", "C"])
    expect(page.locator("#submit")).to_be_enabled()
    drag(page, slot(page, "F").locator(".chip"), slot(page, ""))  # back to where it was
    expect(page.locator("#missing")).to_have_text("D has no rank yet.")
    drag(page, slot(page, "").locator(".chip"), page.locator("h1"))  # nowhere: nothing happens
    expect(slot(page, "").locator(".chip")).to_have_text(["D"])
    card[3].click()
    slot(page, "2").get_by_role("button").click()  # without dragging: choose a card, press a rank
    page.locator("#submit").click()
    page.wait_for_url(f"**/projects/{number}/next")
    expect(page.locator("#toast")).to_contain_text("Saved: A = C > D > B")
    assert said(studio, task) == {"groups": [[0, 2], [3], [1]], "rejected": []}


def test_rank_by_lists_only(studio: Studio, page: Page) -> None:
    number = project(studio.store, "rank")
    task = begin(studio, page, number)
    for letter, rank in zip("ABCD", ("3", "F", "1", "1"), strict=True):
        expect(page.locator("#submit")).to_be_disabled()
        page.get_by_label(f"Rank of answer {letter}").select_option(rank)
    page.get_by_role("button", name="Submit").click()
    page.wait_for_url(f"**/projects/{number}/next")
    assert said(studio, task) == {"groups": [[2, 3], [0]], "rejected": [1]}


def test_rank_by_touch_at_phone_width(studio: Studio, browser: Browser) -> None:
    number = project(studio.store, "rank")
    context = browser.new_context(viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True)
    page = context.new_page()
    task = begin(studio, page, number)
    touch = context.new_cdp_session(page)
    for place, rank in enumerate(("2", "1", "F", "3")):
        chip = slot(page, "").locator(".chip").first
        start, end = chip.bounding_box(), slot(page, rank).bounding_box()
        assert start is not None
        assert start["height"] >= 40
        near, there = (start["x"] + 20, start["y"] + 20), (end["x"] + 20, end["y"] + end["height"] - 5)
        for step, spot in enumerate((near, (near[0] + 20, near[1] + 20), there, there, None)):
            # The finger rests before it lets go: a tap that follows a swift movement would only end that movement.
            points = [{"x": spot[0], "y": spot[1]}] if spot else []
            kind = "touchStart" if step == 0 else "touchMove" if spot else "touchEnd"
            moment = time.time() - 2 + step / 4
            touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points, "timestamp": moment})
        expect(slot(page, rank).locator(".chip")).to_have_text(["ABCD"[place]])
    assert too_wide(page) <= 0
    page.locator("#submit").tap()
    page.wait_for_url(f"**/projects/{number}/next")
    assert said(studio, task) == {"groups": [[1], [0], [3]], "rejected": [2]}
    context.close()


# --- every other task, by keyboard -----------------------------------------------------------------------------------

TYPED = {
    "pair": (["ArrowLeft", "ArrowLeft", "7", "Enter"], {"better": 1, "grade": "slightly"}, "B slightly better"),
    # The mark goes on by itself; moved down, it passes over relevance, and comes back to it at the end.
    "likert": (
        ["4", "j", "0", "3", "1", "2", "5", "4", "Enter"],
        {"scores": dict(zip(ATTRIBUTES, (4, 4, None, 3, 1, 2, 5), strict=True))},
        "quality 4",
    ),
    "thumb": (["2", "+", "Enter"], {"up": True}, "thumb up"),
    "demonstration": (["S", "h", "Enter", "s", "Control+Enter"], {"text": "Sh\ns"}, "Sh s"),
    "red_team": (["n", "?", "Control+Enter"], {"text": "n?"}, "n?"),
    "vet": (["e", "a", "Enter"], {"verdict": "accept"}, "accepted"),
}
"""Keys, the answer that they give, and its words."""


def test_every_other_task_by_keyboard_only_and_within_reach_of_everybody(studio: Studio, page: Page) -> None:
    number = project(studio.store, "rank", *TYPED)
    begin(studio, page, number)
    for kind in ("rank", *TYPED):
        task = following(studio, page, number)
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
            assert serious(page) == [], (kind, scheme)
        page.set_viewport_size({"width": 390, "height": 844})
        assert too_wide(page) <= 0, kind
        page.set_viewport_size({"width": 1280, "height": 900})
        if kind == "rank":
            keys(page, "1", "2", "3", "4", "Enter")
            expect(page.locator("#toast")).to_contain_text("Saved: A > B > C > D")
        else:
            expect(page.locator("#submit")).to_be_disabled()
            pressed, payload, words = TYPED[kind]
            keys(page, *pressed)
            page.wait_for_url(lambda url, task=task: not url.endswith(f"/tasks/{task}"))
            expect(page.locator("#toast")).to_contain_text(f"Saved: {words}")
            assert said(studio, task) == payload
        page.wait_for_load_state()
    expect(page.get_by_role("heading", name="No task for you right now")).to_be_visible()
    for path in ("/", f"/projects/{number}/next", f"/projects/{number}/mine", f"/projects/{number}/guidelines"):
        page.goto(f"{studio.url}{path}")
        page.set_viewport_size({"width": 390, "height": 844})
        assert too_wide(page) <= 0, path
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme)
            assert serious(page) == [], (path, scheme)


def test_a_pair_by_mouse_and_what_cannot_be_judged(studio: Studio, page: Page) -> None:
    number = project(studio.store, "pair", n=3)
    task = begin(studio, page, number)
    page.get_by_label("A negligibly better").click()
    page.get_by_label("Both bad").click()
    page.locator("#submit").click()
    expect(page.locator("#toast")).to_contain_text("Saved: both bad")
    assert said(studio, task) == {"both_bad": True}
    task = following(studio, page, number)
    keys(page, "=", "c", "Escape")
    expect(page.locator("#submit")).to_be_enabled()
    keys(page, "c")
    page.keyboard.type("in Finnish")
    keys(page, "Enter")
    expect(page.get_by_text("You cannot judge these: in Finnish")).to_be_visible()
    keys(page, "u")
    expect(page.get_by_text("You cannot judge these")).to_be_hidden()
    expect(page.get_by_label("Tie")).to_be_checked()
    page.get_by_role("button", name="I cannot judge these").click()
    page.get_by_role("button", name="I lack the knowledge").click()
    page.get_by_text("Add a comment").click()
    page.get_by_label("Comment (optional)").fill("it is about law")
    keys(page, "Control+Enter")
    expect(page.locator("#toast")).to_contain_text("Saved: cannot judge: I lack the knowledge")
    assert said(studio, task) == {"cannot_judge": "I lack the knowledge", "comment": "it is about law"}


def test_a_row_is_edited_or_rejected(studio: Studio, page: Page) -> None:
    number = project(studio.store, "vet", n=2)
    task = begin(studio, page, number)
    assert page.locator("#form textarea").first.input_value() == "What is 2 + 2?", "the fields are in the row's order"
    expect(page.get_by_label("Accept with my changes")).to_be_disabled()
    keys(page, "a")
    page.get_by_label("completion").fill("Four.")
    expect(page.get_by_label("Accept with my changes")).to_be_checked()
    expect(page.get_by_label("Accept as it is")).to_be_disabled()
    page.get_by_label("tags").fill('["sum",')
    expect(page.locator("#missing")).to_have_text("Not JSON: tags.")
    expect(page.locator("#submit")).to_be_disabled()
    page.get_by_label("tags").fill('["sum"]')
    keys(page, "Control+Enter")
    expect(page.locator("#toast")).to_contain_text("Saved: edited")
    assert said(studio, task) == {
        "verdict": "edit", "row": {"prompt": "What is 2 + 2?", "completion": "Four.", "tags": ["sum"]},
    }  # fmt: skip
    task = following(studio, page, number)
    page.get_by_label("completion").fill("Six.")
    page.get_by_role("button", name="Take my changes back").click()
    assert page.get_by_label("completion").input_value() == "Five."
    keys(page, "Escape", "r")
    expect(page.locator("#missing")).to_have_text("Say why it is rejected.")
    page.keyboard.type("wrong")
    keys(page, "Control+Enter")
    expect(page.locator("#toast")).to_contain_text("Saved: rejected: wrong")


def test_the_way_around_by_keys(studio: Studio, page: Page) -> None:
    """Skipping, the guidelines, previous and next, and keys that are turned off."""
    number = project(studio.store, "thumb", n=4, guidelines=f"Be fair.\n\n{EVIL}")
    first = begin(studio, page, number)
    for key in ("g", "?"):
        keys(page, key)
        expect(page.get_by_role("dialog", name="Guidelines")).to_contain_text(EVIL)
        assert serious(page) == []
        keys(page, "Escape")
        expect(page.get_by_role("dialog", name="Guidelines")).to_be_hidden()
    keys(page, "s", "Escape", "s", "Enter")  # an empty reason skips nothing
    expect(page.get_by_role("dialog", name="Why do you skip this task?")).to_be_visible()
    page.keyboard.type("twice the same")
    keys(page, "Enter")
    expect(page.locator("#toast")).to_contain_text("Skipped.")
    with studio.store.read() as connection:
        assert connection.scalars(select(event.c.what).where(event.c.kind == "skip")).one()["reason"] == "twice the same"
    done = []
    for _ in range(2):
        done.append(following(studio, page, number))
        keys(page, "1", "Enter")
        expect(page.locator("#toast")).to_contain_text("Saved")
    assert first not in done
    last = int(page.url.rsplit("/", 1)[1])
    for key, there in (("p", done[1]), ("p", done[0]), ("n", done[1]), ("n", last)):
        keys(page, key)
        page.wait_for_url(f"**/tasks/{there}")
        expect(page.locator("#keys dt").first).to_be_attached()
    page.get_by_text("Keys", exact=True).click()
    page.get_by_label("Use single keys").uncheck()
    page.reload()
    keys(page, "1")
    expect(page.locator("#submit")).to_be_disabled()
    page.get_by_label("Good").click()
    keys(page, "Control+Enter")
    expect(page.get_by_role("heading", name="No task for you right now")).to_be_visible()
