"""The studio as a team uses it: `ACCORDANT_DATA=PATH make acceptance`.

An admin and three labelers, each in a browser of their own, with real prompts and answers that a real checkpoint wrote. One
labeler has only a keyboard, one only a mouse, one only the lists; the server is killed in between. What they said is ruled on,
exported, and a reward model learns from it. They judge by a rule that can be known: the longer of two answers is better.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

DATA = os.environ.get("ACCORDANT_DATA")
CHROMIUM = Path("/usr/bin/chromium")
PASSWORD = "a long password"
ITEMS = 10

pytestmark = [
    pytest.mark.acceptance,
    pytest.mark.skipif(not DATA, reason="ACCORDANT_DATA is not set: it names the folder with the real data and models"),
    pytest.mark.skipif(not CHROMIUM.exists(), reason="/usr/bin/chromium is not there (Debian: apt-get install chromium)"),
]


def accordant(*words: object, given: str = "") -> str:
    command = [sys.executable, "-m", "accordant.cli", *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, input=given, timeout=1200, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@contextmanager
def serving(store: Path, port: int = 0) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    command = [sys.executable, "-m", "accordant.cli", "studio", "--store", str(store), "--port", str(port)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            found = re.search(r"http://\S+:\d+", process.stdout.readline())
            assert found
            yield found.group(), process
        finally:
            process.terminate()


@pytest.fixture
def browser() -> Iterator[Browser]:
    flags = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=str(CHROMIUM), args=flags)
        yield opened
        opened.close()


def order(page: Page) -> list[tuple[int, str]]:
    """(rank, letter) of what is on the page: longer is better, equally long is a tie, an answer of one word is F (rank 0)."""
    texts = page.locator(".answer .text").all_inner_texts()
    lengths = sorted({len(text) for text in texts if " " in text.strip()}, reverse=True)
    ranks = [lengths.index(len(text)) + 1 if " " in text.strip() else 0 for text in texts]
    return list(zip(ranks, "ABCD", strict=False))


def by_keyboard(page: Page) -> None:
    for rank, _ in order(page):
        page.keyboard.press(str(rank) if rank else "f")
    page.keyboard.press("Enter")


def by_mouse(page: Page) -> None:
    for rank, letter in order(page):
        chip = page.locator('.slot[data-rank=""] .chip', has_text=letter)
        start, end = chip.bounding_box(), page.locator(f'.slot[data-rank="{rank or "F"}"]').bounding_box()
        assert start
        assert end
        page.mouse.move(start["x"] + 15, start["y"] + 15)
        page.mouse.down()
        page.mouse.move(start["x"] + 30, start["y"] + 5, steps=2)
        page.mouse.move(end["x"] + end["width"] - 8, end["y"] + end["height"] - 8, steps=4)
        page.mouse.up()
    page.locator("#submit").click()


def by_lists(page: Page) -> None:
    """Dora is contrary: the shorter the better."""
    found = order(page)
    ranks = sorted({rank for rank, _ in found if rank})
    for rank, letter in found:
        contrary = str(ranks[::-1].index(rank) + 1) if rank else "F"
        page.get_by_label(f"Rank of answer {letter}").select_option(contrary)
    page.get_by_role("button", name="Submit").click()


def work(page: Page, url: str, project: str, how: object, tasks: int) -> None:
    page.goto(f"{url}{project}/next")
    for _ in range(tasks):
        before = page.url
        expect(page.locator("#submit")).to_be_disabled()
        how(page)  # type: ignore[operator]
        page.wait_for_url(lambda now, before=before: now != before)


def sign_in(page: Page, url: str, name: str) -> None:
    page.goto(f"{url}/sign-in")
    page.get_by_label("Name").fill(name)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url(f"{url}/")


def test_a_team_labels_in_browsers_and_a_reward_model_learns_from_it(browser: Browser, tmp_path: Path) -> None:
    assert DATA
    store, prompts = tmp_path / "feedback.db", tmp_path / "prompts.jsonl"
    lines = (Path(DATA) / "data" / "oasst" / "en_100_text.jsonl").read_text().splitlines()
    prompts.write_text("".join(json.dumps({"prompt": json.loads(line)}) + "\n" for line in lines[:ITEMS]))
    accordant("studio", "admin", "Ada", "--store", store, given=f"{PASSWORD}\n{PASSWORD}\n")
    admin = browser.new_page()
    with serving(store) as (url, server):
        port = int(url.rsplit(":", 1)[1])
        sign_in(admin, url, "Ada")
        project = make_project(admin, url)
        refuse_a_bad_file(admin, tmp_path)
        # People label what a checkpoint wrote; the store is filled while the studio is served.
        accordant(
            "annotate", f"model.path={Path(DATA) / 'models' / 'stories260k'}", f"prompts={prompts}", "samples_per_prompt=4",
            "max_new_tokens=24", f"studio.store={store}", "studio.project=Open questions", "studio.task=rank",
            "studio.criterion=the longer the better", "--out", tmp_path / "sampled",
        )  # fmt: skip
        team = {name: join(browser, admin, url, name) for name in ("Ben", "Cleo", "Dora")}
        work(team["Ben"], url, project, by_keyboard, ITEMS // 2)
        server.send_signal(signal.SIGKILL)
        server.wait()
    with serving(store, port) as (url, _):
        work(team["Ben"], url, project, by_keyboard, ITEMS - ITEMS // 2)  # signed in still, and nothing asked twice
        work(team["Cleo"], url, project, by_mouse, ITEMS)
        work(team["Dora"], url, project, by_lists, ITEMS)
        for page in team.values():
            page.goto(f"{url}{project}/next")
            expect(page.locator("main")).to_contain_text("You have done everything")
        quality_and_ruling(admin, url, project)
        exported = download(admin, url, project, tmp_path)
    learn(exported, tmp_path)


def make_project(admin: Page, url: str) -> str:
    """The labelers' address of a new project."""
    admin.goto(f"{url}/admin")
    admin.get_by_label("Name", exact=True).fill("Open questions")
    admin.get_by_label("Guidelines for labelers").fill("The longer answer is better.\n\nEqually long is a tie; one word is F.")
    admin.get_by_label("Answers per item").fill("3")
    admin.get_by_role("button", name="Make the project").click()
    admin.wait_for_url("**/admin/projects/*")
    return "/projects/" + admin.url.rsplit("/", 1)[1]


def refuse_a_bad_file(admin: Page, tmp_path: Path) -> None:
    bad = tmp_path / "bad.jsonl"
    bad.write_text('{"prompt": "Fine?", "completions": ["Yes.", "No."]}\n{"prompt": ""}\n')
    admin.get_by_label("File").set_input_files(bad)
    admin.get_by_role("button", name="Put it in").click()
    expect(admin.get_by_role("alert")).to_contain_text("bad.jsonl:2")
    expect(admin.locator("main")).not_to_contain_text("Fine?")


def join(browser: Browser, admin: Page, url: str, name: str) -> Page:
    admin.goto(f"{url}/admin/people")
    admin.get_by_role("button", name="Make a link").click()
    link = admin.get_by_label("Link").input_value()
    page = browser.new_context().new_page()
    page.goto(link)
    page.get_by_label("Name").fill(name)
    page.get_by_label("Password", exact=True).fill(PASSWORD)
    page.get_by_label("Password again").fill("another password")
    page.get_by_role("button", name="Make the account").click()
    expect(page.get_by_role("alert")).to_contain_text("differ")
    page.get_by_label("Password", exact=True).fill(PASSWORD)
    page.get_by_label("Password again").fill(PASSWORD)
    page.get_by_role("button", name="Make the account").click()
    page.wait_for_url(f"{url}/")
    return page


def quality_and_ruling(admin: Page, url: str, project: str) -> None:
    admin.goto(f"{url}/admin{project}/quality")
    dora = admin.get_by_role("row").filter(has=admin.get_by_role("rowheader", name="Dora"))
    for measure in ("Weight", "Discrimination"):
        value = float(dora.locator(f"[data-label={measure}]").inner_text().split()[0])  # an interval may follow
        assert value < 0, "somebody who always says the contrary counts against what she says"
    admin.goto(f"{url}/admin{project}/disputes")
    admin.get_by_role("button", name="Rule").click()
    expect(admin.locator("main")).to_contain_text("Who said what")  # nothing was chosen: the dispute stays
    for select in admin.get_by_label(re.compile("^Rank of answer [A-D]$")).all():
        select.select_option("1")
    admin.get_by_label("Reason").fill("all of them are stories")
    before = admin.get_by_role("heading", name="Item").inner_text()
    admin.get_by_role("button", name="Rule").click()
    expect(admin.get_by_role("heading", name="Item")).not_to_have_text(before)


def download(admin: Page, url: str, project: str, tmp_path: Path) -> Path:
    admin.goto(f"{url}/admin{project}")
    admin.get_by_label("Whose word").select_option("consensus")
    with admin.expect_download() as found:
        admin.get_by_role("button", name="Download").click()
    place = tmp_path / "export"
    with zipfile.ZipFile(found.value.path()) as archive:
        archive.extractall(place)
    return place


def learn(exported: Path, tmp_path: Path) -> None:
    """Two careful people outvote a contrary one, so the consensus is the rule, but for the item that was ruled on."""
    assert DATA
    (pairs,) = exported.rglob("pairs.jsonl")
    rows = [json.loads(line) for line in pairs.read_text().splitlines()]
    assert len(rows) >= 3 * ITEMS
    assert sum(len(row["chosen"]) > len(row["rejected"]) for row in rows) / len(rows) > 0.95
    out = tmp_path / "reward"
    accordant(
        "reward_pairwise", f"model.path={Path(DATA) / 'models' / 'stories260k'}", f"data={pairs}", "epochs=20",
        "rows_per_step=8", "optim.lr=1e-3", "--out", out,
    )  # fmt: skip
    scored = tmp_path / "scored.jsonl"
    accordant("reward", "score", out / "reward_pairwise" / "checkpoint", pairs, "--out", scored)
    differences = [json.loads(line)["score_difference"] for line in scored.read_text().splitlines()]
    assert len(differences) == len(rows)
    assert sum(difference > 0 for difference in differences) / len(rows) > 0.9, "the reward model says what people said"
