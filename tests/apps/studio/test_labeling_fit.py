"""The labeling page in a real browser: much of everything, and what is judged can still be seen, scrolled and reached."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from browsing import begin, count, keys, said, serious, slot, too_wide
from labeled import add, project
from playwright.sync_api import Page, expect

from accordant.feedback import tasks
from accordant.feedback.tasks import Text, Work

if TYPE_CHECKING:
    from conftest import Studio

LONG = "An answer of some length. " * 300
WORD = "w" * 200


def height(page: Page, what: str) -> float:
    return float(page.locator(what).evaluate("node => node.getBoundingClientRect().height"))


# --- the dock leaves half of the window ------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [(1280, 620), (1280, 900)])
def test_many_scales_leave_half_of_the_window_and_the_mark_stays_in_sight(
    studio: Studio, page: Page, size: tuple[int, int]
) -> None:
    names = tuple(f"whether it does what attribute {k} asks for, all in all and in each of its parts" for k in range(15))
    number = tasks.make_project(studio.store, "Scales", "", attributes=names, gold_share=0.0)
    add(studio.store, number, Work("likert", "Rate this.", (Text(LONG),)))
    page.set_viewport_size({"width": size[0], "height": size[1]})
    task = begin(studio, page, number)
    assert height(page, "#dock") <= size[1] / 2 + 1
    assert height(page, "#board") > 150, "and of the dock the scales have the larger part"
    expect(page.locator("#submit")).to_be_in_viewport(ratio=1)
    assert serious(page) == []
    expect(page.locator("#missing")).to_have_text("15 of 15 scales are not rated yet.")
    for k in range(15):
        expect(page.locator(".scale-row").nth(k)).to_have_class("scale-row current")
        expect(page.locator(".scale-row").nth(k)).to_be_in_viewport(ratio=0.99)
        keys(page, str(1 + k % 5))
    assert page.evaluate("scrollY") == 0, "the page itself stays where it is"
    keys(page, "Enter")
    page.wait_for_url(f"**/projects/{number}/next")
    assert said(studio, task) == {"scores": {name: 1 + k % 5 for k, name in enumerate(names)}}


def test_on_a_phone_the_scales_come_after_the_text_and_nothing_scrolls_by_itself(studio: Studio, page: Page) -> None:
    number = project(studio.store)
    add(studio.store, number, Work("likert", "Rate this.", (Text(LONG),)))
    page.set_viewport_size({"width": 390, "height": 667})
    begin(studio, page, number)
    assert page.evaluate("scrollY") == 0
    assert page.locator("#board > div").evaluate("node => node.scrollHeight <= node.clientHeight")


# --- 26 answers on a phone -------------------------------------------------------------------------------------------


def test_26_answers_can_be_dragged_on_a_phone(studio: Studio, page: Page) -> None:
    number = project(studio.store)
    add(studio.store, number, Work("rank", "q", tuple(Text(f"answer {k} " + "word " * 30) for k in range(26))))
    page.set_viewport_size({"width": 390, "height": 667})
    task = begin(studio, page, number)
    board = page.locator("#board > div")
    assert height(page, "#dock") <= 667 / 2 + 1
    for rank in ("1", "12"):
        expect(slot(page, rank)).to_be_in_viewport(ratio=1)  # without scrolling
    expect(slot(page, "26")).not_to_be_in_viewport()

    def grasp(letter: str) -> None:
        card = page.get_by_role("group", name=f"Answer {letter}")
        card.locator(".chip").scroll_into_view_if_needed()
        spot = card.locator(".chip").bounding_box()
        assert spot is not None
        page.mouse.move(spot["x"] + 20, spot["y"] + 20)
        page.mouse.down()

    def drop_on(rank: str) -> None:
        end = slot(page, rank).bounding_box()
        assert end is not None
        page.mouse.move(end["x"] + end["width"] / 2, end["y"] + end["height"] / 2)
        page.mouse.up()

    grasp("A")
    whole = board.bounding_box()
    assert whole is not None
    page.mouse.move(200, whole["y"] + whole["height"] / 2, steps=3)
    assert board.evaluate("node => new Promise((done) => setTimeout(() => done(node.scrollTop), 200))") == 0, "in the middle"
    page.mouse.move(200, whole["y"] + whole["height"] - 20, steps=3)
    expect(slot(page, "26")).to_be_in_viewport(ratio=0.99)  # it scrolls while the pointer rests there
    expect(slot(page, "26")).to_have_class("slot over")
    page.mouse.up()
    expect(slot(page, "26").locator(".chip")).to_have_text(["A"])
    grasp("B")
    page.mouse.move(200, whole["y"] - 40, steps=3)
    at_the_end = board.evaluate("node => node.scrollTop")
    assert at_the_end > 0, "above the board nothing scrolls: somebody may have put it where it is"
    page.mouse.move(200, whole["y"] + 4, steps=3)
    expect(slot(page, "1")).to_be_in_viewport(ratio=0.99)
    drop_on("1")
    expect(slot(page, "1").locator(".chip")).to_have_text(["B"])
    expect(slot(page, "").locator(".chip").first).to_have_text("C")
    expect(slot(page, "").locator(".chip").first).to_be_in_viewport()
    keys(page, *(["f"] * 24), "Enter")
    page.wait_for_url(f"**/projects/{number}/next")
    assert said(studio, task) == {"groups": [[1], [0]], "rejected": list(range(2, 26))}


# --- keys that scroll ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["thumb", "likert"])
def test_keys_that_scroll_judge_nothing(studio: Studio, page: Page, kind: str) -> None:
    number = project(studio.store)
    add(studio.store, number, Work(kind, "q", (Text(LONG * 5),)))
    begin(studio, page, number)
    for key, way in (("ArrowDown", 1), ("PageDown", 1), ("Space", 1), ("End", 1), ("ArrowUp", -1), ("PageUp", -1)):
        page.reload()  # or the key before would still be scrolling
        expect(page.locator("#keys dt").first).to_be_attached()
        page.evaluate("scrollTo({ top: 1000, behavior: 'instant' })")
        keys(page, key)
        page.wait_for_function("way => way * (scrollY - 1000) > 0", arg=way)
    assert page.locator("#board input:checked").count() == 0
    if kind == "likert":
        expect(page.locator(".scale-row").first).to_have_class("scale-row current")
        page.locator(".scale-row").first.get_by_label("3").focus()
        keys(page, "ArrowDown", "4")  # from within the scales they go from one to the next, and change none
        assert page.locator("#board input:checked").count() == 1
        expect(page.locator(".scale-row").nth(1).get_by_label("4")).to_be_checked()
    assert count(studio) == 0


def test_the_keys_of_a_thumb_are_in_the_help(studio: Studio, page: Page) -> None:
    begin(studio, page, project(studio.store, "thumb", n=4))
    page.get_by_text("Keys", exact=True).click()
    helped = dict(zip(page.locator("#keys dd").all_inner_texts(), page.locator("#keys dt").all_inner_texts(), strict=True))
    assert (helped["good"], helped["bad"]) == ("1 +", "2 -")
    for key, name in (("1", "Good"), ("2", "Bad"), ("+", "Good"), ("-", "Bad")):
        keys(page, key)
        expect(page.get_by_label(name)).to_be_checked()


# --- texts -----------------------------------------------------------------------------------------------------------


def test_a_very_long_word_is_broken_wherever_it_stands(studio: Studio, page: Page) -> None:
    number = tasks.make_project(studio.store, WORD[:100], WORD, gold_share=0.0)
    work = [Work("thumb", WORD, (Text(WORD),), criterion=WORD, warning=WORD) for _ in range(2)]
    add(studio.store, number, *work)
    page.set_viewport_size({"width": 390, "height": 844})
    begin(studio, page, number)
    assert too_wide(page) <= 0
    keys(page, "v")
    assert too_wide(page) <= 0
    keys(page, "g")
    expect(page.get_by_role("dialog", name="Guidelines")).to_be_visible()
    assert too_wide(page) <= 0
    keys(page, "Escape")
    keys(page, "s")
    page.keyboard.type("w" * 100)
    keys(page, "Enter")
    expect(page.locator("#toast")).to_contain_text("Skipped.")
    assert too_wide(page) <= 0


CODE = 'Like this:\n\n```python\ndef f(x):\n    return "<b>x</b>"\n```\n\nNot ```this```.\n  ```\n  open'


def test_code_between_fences_has_letters_of_one_width_and_stays_text(studio: Studio, page: Page) -> None:
    number = project(studio.store)
    hebrew = "שלום עולם\n```\nif x:\n```"
    add(studio.store, number, Work("rank", CODE, (Text(CODE), Text(hebrew), Text("```one line```\nplain"))))
    begin(studio, page, number)
    shown = {one.evaluate("node => node.textContent"): one for one in page.locator(".answer .text").all()}
    assert set(shown) == {CODE, hebrew, "```one line```\nplain"}, "every letter is there"
    for text in (page.locator(".given .text"), shown[CODE]):
        assert text.evaluate("node => node.textContent") == CODE
        assert text.locator("code").evaluate_all("found => found.map((one) => one.textContent)") == [
            '```python\ndef f(x):\n    return "<b>x</b>"\n```\n', "  ```\n  open",
        ]  # fmt: skip
        assert text.locator("b").count() == 0
        fonts = [one.evaluate("node => getComputedStyle(node).fontFamily") for one in (text.locator("code").first, text)]
        assert [font.endswith("monospace") for font in fonts] == [True, False]
    lines = text.evaluate("node => Math.round(node.getBoundingClientRect().height / 24)")
    assert 9 <= lines <= 11, "no line is doubled: there are ten"
    assert shown[hebrew].evaluate("node => getComputedStyle(node).direction") == "rtl"
    assert shown[hebrew].locator("code").evaluate("node => getComputedStyle(node).direction") == "ltr"
    boxes = [one.bounding_box() for one in (shown[hebrew], shown[hebrew].locator("code"))]
    assert boxes[0]["x"] == boxes[1]["x"], "its lines begin at the left"
    assert shown["```one line```\nplain"].locator("code").count() == 0
