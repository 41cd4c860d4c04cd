"""The admin's pages in a browser: from an empty store to an export, and every page by width, by colour, and to axe."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import labeled
import pytest
from browsing import serious, too_wide
from crowd import answer_all
from labeled import EVIL
from sqlalchemy import select

from accordant.feedback import adjudication, inspection, overview, people, tasks
from accordant.feedback.schema import labeler
from accordant.feedback.tasks import Text, Work

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

    from conftest import Studio

ROWS = [
    {"prompt": f"Question {i}", "completions": [{"text": f"Answer {k} to {i}. {EVIL}", "model": f"m{k}"} for k in range(3)]}
    for i in range(4)
]


def sound(page: Page, where: str) -> None:
    """Nothing serious to axe, nothing that makes the page wider than the window, nothing that ran."""
    assert serious(page) == [], where
    assert too_wide(page) <= 0, where
    assert "broken" not in page.title(), where


def put_work_in(page: Page, tmp_path: Path) -> None:
    """A bad file first, which adds nothing."""
    bad, good = tmp_path / "bad.jsonl", tmp_path / "good.jsonl"
    bad.write_text(json.dumps(ROWS[0]) + "\n{}\n", encoding="utf-8")
    good.write_text("\n".join(map(json.dumps, ROWS)), encoding="utf-8")
    page.get_by_label("File").set_input_files(bad)
    page.get_by_label("What to judge by").fill("truth")
    page.get_by_role("button", name="Put it in").click()
    page.get_by_role("alert").get_by_text("bad.jsonl:2").wait_for()
    assert page.get_by_label("What to judge by").input_value() == "truth"
    page.get_by_label("File").set_input_files(good)
    page.get_by_role("button", name="Put it in").click()
    page.get_by_text("4 items are in the project.").wait_for()
    sound(page, "the project")


def rule_on_the_first(studio: Studio, page: Page) -> tuple[int, Mapping[str, Any]]:
    """Of four disputes, for which a reason is asked; returns the item and the ruling."""
    page.get_by_text("1 of 4").wait_for()
    assert not page.get_by_text("Eve").count()
    page.get_by_role("link", name="Show names").click()
    page.get_by_text("Eve").wait_for()
    sound(page, "a dispute")
    number = adjudication.queue(studio.store, 1)[0].item_id
    page.get_by_label("Reason").fill("A and B say the same.")
    page.get_by_role("button", name="Rule, and next dispute").click()
    page.get_by_text("A, B and C have no rank yet.").first.wait_for()
    page.get_by_role("group", name="Answer A").focus()
    page.keyboard.type("1=")
    page.get_by_label("Rank of answer C").select_option("F")
    sound(page, "a dispute that is decided")
    page.get_by_label("Reason").fill(" ")
    page.get_by_role("button", name="Rule, and next dispute").click()
    page.get_by_role("alert").get_by_text("the reason has 0 characters").wait_for()
    assert page.get_by_label("Rank of answer B").input_value() == "1", "what was ranked is ranked still"
    page.get_by_label("Reason").fill("A and B say the same.")
    page.get_by_role("button", name="Rule, and next dispute").click()
    page.get_by_text("1 of 3").wait_for()
    said = adjudication.rulings(studio.store, 1)[number]
    assert [len(said["groups"]), len(said["groups"][0]), len(said["rejected"])] == [1, 2, 1]
    return number, said


def test_from_an_empty_store_to_an_export(studio: Studio, page: Page, tmp_path: Path) -> None:
    studio.sign_in(page, "Ada")
    page.goto(f"{studio.url}/admin")
    page.get_by_label("Name", exact=True).fill("Fruit & more")
    page.get_by_label("Guidelines for labelers").fill("Be fair.")
    page.get_by_label("Answers per item").fill("0")
    page.evaluate("document.querySelector('form[action=\"/admin/projects\"]').noValidate = true")
    page.get_by_role("button", name="Make the project").click()
    page.get_by_role("alert").get_by_text("overlap is 0").wait_for()
    sound(page, "the form with its error")
    page.get_by_label("Answers per item").fill("2")
    page.get_by_label("Order of items").select_option("Highest priority first")
    page.get_by_role("button", name="Make the project").click()
    page.get_by_role("heading", name="Fruit & more").wait_for()
    put_work_in(page, tmp_path)
    # Somebody is invited, by a link that can be copied and is gone afterwards.
    page.get_by_role("link", name="People").click()
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.get_by_role("button", name="Make a link").click()
    link = page.get_by_label("Link").input_value()
    page.get_by_role("button", name="Copy the link").click()
    page.get_by_text("Copied.").wait_for()
    assert page.evaluate("navigator.clipboard.readText()") == link
    sound(page, "the invitation")
    eve = people.join(studio.store, link.rpartition("/")[2], "Eve", "long enough", {"language": "he"}).id
    answer_all(studio.store, 1, [studio.people["Ben"].id, eve], [eve])
    page.goto(f"{studio.url}/admin")
    assert page.get_by_label("Link").count() == 0
    page.get_by_role("link", name="Fruit & more").click()
    page.get_by_text("8 of 8 answers (100 %)").wait_for()
    page.get_by_role("link", name="Quality").click()
    page.get_by_role("row", name="Kendall's W").wait_for()
    page.get_by_role("link", name="Disputes").click()
    number, said = rule_on_the_first(studio, page)
    # Out: the ruling is in the consensus, and each labeler's word is in the other export.
    page.get_by_role("link", name="Overview").click()
    page.get_by_label("Whose word").select_option("Consensus")
    page.get_by_label("Answers marked F").select_option("Lose to the ranked")
    with page.expect_download() as download:
        page.get_by_role("button", name="Download").click()
    assert download.value.suggested_filename == "Fruit-more.zip"
    with zipfile.ZipFile(download.value.path()) as archive:
        lines = [json.loads(line) for line in archive.read("Fruit-more/rankings.jsonl").splitlines()]
    texts = {one.id: one.text for one in inspection.one_item(studio.store, 1, number).completions}
    ruled = next(line for line in lines if texts[said["rejected"][0]] in line["completions"])
    assert ruled["labeler"] == "(adjudicated)"


@pytest.mark.parametrize(("width", "scheme"), [(1280, "dark"), (390, "light")])
def test_every_page_by_width_and_colour(studio: Studio, browser: Browser, width: int, scheme: str) -> None:
    store, ada = studio.store, studio.people["Ada"].id
    who = [studio.people[name].id for name in ("Ben", "Cleo", "Dora")]
    with store.write() as connection:
        connection.execute(labeler.update().where(labeler.c.id == who[0]).values(strata={"language": "x" * 90}))
    number = labeled.project(store, *labeled.WORK, n=2, overlap=3, guidelines=f"Be fair.\n\n{'x' * 300}", random_share=0.4)
    unbroken = Work("rank", "y" * 400, tuple(Text("z" * 300 + str(k), "m" * 200 + str(k), {"seed": k}) for k in range(4)))
    long, gold = labeled.add(store, number, unbroken, labeled.WORK["pair"])
    tasks.set_gold(store, gold, {"tie": True}, ada)
    answer_all(store, number, [*who, people.add_ai(store, "judge-7b").id], who[2:])
    tasks.halt(store, long, "w" * 300)
    people.invite(store, days=3)
    people.close(store, who[1])
    with store.read() as connection:
        assert connection.scalar(select(labeler.c.active).where(labeler.c.id == who[1])) is False
    here = f"/admin/projects/{number}"
    pages = ["/admin", here, f"{here}/items", *(f"{here}/items/{line.id}" for line in overview.items(store, number).rows[1::2]),
             f"{here}/items/{long}", f"{here}/quality?ai=yes", f"{here}/disputes?names=shown", f"{here}/disputes?item={long}",
             "/admin/people", "/admin/log"]  # fmt: skip
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)  # type: ignore[arg-type]
    try:
        page = context.new_page()
        wrong: list[str] = []
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("console", lambda message: wrong.append(message.text))
        studio.sign_in(page, "Ada")
        for path in pages:
            response = page.goto(studio.url + path)
            assert response is not None
            assert response.status == 200, path
            page.evaluate("for (const one of document.querySelectorAll('details')) one.open = true")
            sound(page, f"{path} at {width}, {scheme}")
        assert wrong == []
    finally:
        context.close()
