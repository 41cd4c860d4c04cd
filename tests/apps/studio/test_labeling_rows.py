"""Rows to vet, in the browser and over HTTP: what nobody touched is stored as it came, to the last digit and line end."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from browsing import begin, keys, said
from hypothesis import given
from hypothesis import strategies as st
from labeled import add, given_task, project, send
from playwright.sync_api import Page, expect
from sqlalchemy import select

from accordant.apps.studio import blind
from accordant.feedback.schema import ruling
from accordant.feedback.tasks import Work, halt
from accordant.types import UserError

if TYPE_CHECKING:
    from conftest import Studio

BIG = 12345678901234567890
ROW = {
    "prompt": "One.\r\nTwo.", "10": "first", "2": "second", "n": [BIG, 2], "share": 1.0, "tiny": 1e-7,
    "meta": {"ids": [BIG], "x": None}, "mac": "a\rb", "mixed": "1\r\n2\n3\r4", "empty": "",
}  # fmt: skip
SHOWN = [
    "One.\nTwo.", "first", "second", f"[\n  {BIG},\n  2\n]", "1.0", "1e-07",
    f'{{\n  "ids": [\n    {BIG}\n  ],\n  "x": null\n}}', "a\nb", "1\n2\n3\n4", "",
]  # fmt: skip


def vetted(studio: Studio, row: dict[str, Any], n: int = 1) -> int:
    number = project(studio.store)
    add(studio.store, number, *[Work("vet", row.get("prompt", ""), row=row) for _ in range(n)])
    return number


def shown(page: Page) -> list[str]:
    return [one.input_value() for one in page.locator("#form .card textarea").all()]


def test_a_row_of_any_line_ends_and_numbers_is_accepted_as_it_came(studio: Studio, page: Page) -> None:
    task = begin(studio, page, vetted(studio, ROW))
    assert shown(page) == SHOWN, "in the row's order, with all digits"
    expect(page.locator(".given")).to_have_count(0)  # the prompt is a field of the row: once is enough
    expect(page.get_by_label("Accept as it is")).to_be_enabled()
    expect(page.get_by_role("button", name="Take my changes back")).to_be_hidden()
    keys(page, "a")
    expect(page.locator("#kept")).to_have_text("Draft saved.")
    page.reload()
    expect(page.get_by_label("Accept as it is")).to_be_checked()
    page.get_by_label("prompt").press_sequentially("x")
    expect(page.get_by_label("Accept with my changes")).to_be_checked()
    page.get_by_role("button", name="Take my changes back").click()
    expect(page.get_by_label("Accept as it is")).to_be_checked()
    keys(page, "Control+Enter")
    expect(page.locator("#toast")).to_contain_text("Saved: accepted")
    assert said(studio, task) == {"verdict": "accept"}


def test_an_edit_changes_what_was_typed_and_nothing_else(studio: Studio, page: Page) -> None:
    number = vetted(studio, ROW)
    task = begin(studio, page, number)
    assert page.get_by_label("n", exact=True).evaluate("node => getComputedStyle(node).fontFamily").endswith("monospace")
    page.get_by_label("n", exact=True).fill(f"[{BIG}]")
    page.get_by_label("prompt").fill("One.\nTwo.\nThree.")
    page.get_by_label("Accept with my changes").click()
    keys(page, "Control+Enter")
    expect(page.locator("#toast")).to_contain_text("Saved: edited")
    edited = ROW | {"n": [BIG], "prompt": "One.\r\nTwo.\r\nThree."}
    stored = said(studio, task)
    assert stored == {"verdict": "edit", "row": edited}
    assert json.dumps(stored["row"]) == json.dumps(edited), "1.0 is not 1, and the fields are in their order"
    page.goto(f"{studio.url}/tasks/{task}")
    assert shown(page) == ["One.\nTwo.\nThree.", *SHOWN[1:3], f"[\n  {BIG}\n]", *SHOWN[4:]]
    page.get_by_label("mac").fill("c")
    keys(page, "Control+Enter")
    expect(page.locator("#toast")).to_contain_text("Changed: edited")
    assert said(studio, task) == {"verdict": "edit", "row": edited | {"mac": "c"}}


def test_a_prompt_that_is_no_field_of_the_row_is_shown(studio: Studio, page: Page) -> None:
    number = project(studio.store)
    add(studio.store, number, Work("vet", "Is it right?", row={"text": "It is."}))
    begin(studio, page, number)
    expect(page.locator(".given .text")).to_have_text("Is it right?")


def test_a_ruling_keeps_what_was_not_touched(studio: Studio, page: Page) -> None:
    number = vetted(studio, ROW)
    ada = studio.people["Ada"].id
    halt(studio.store, 1, "look at it", ada)
    studio.sign_in(page, "Ada")
    page.goto(f"{studio.url}/admin/projects/{number}/disputes")
    page.get_by_label("n", exact=True).fill(f"[{BIG}, ")
    expect(page.locator("#missing")).to_have_text("Accept the row or reject it.")
    page.get_by_label("Accept with my changes").click()
    expect(page.locator("#missing")).to_have_text("Not JSON: n.")
    page.get_by_label("n", exact=True).fill(f"[{BIG}, 1e999]")
    page.get_by_label("Reason").fill("too many")
    page.get_by_role("button", name="Rule, and next dispute").click()
    expect(page.get_by_role("alert")).to_contain_text("the field 'n' holds a number that is too large")
    expect(page.get_by_label("n", exact=True)).to_have_value(f"[{BIG}, 1e999]")
    page.get_by_label("n", exact=True).fill(f"[{BIG}]")
    page.get_by_role("button", name="Rule, and next dispute").click()
    expect(page.get_by_text("No disputes")).to_be_visible()
    with studio.store.read() as connection:
        kept = connection.scalars(select(ruling.c.payload)).one()
    assert kept == {"verdict": "edit", "row": ROW | {"n": [BIG]}}


# --- over HTTP -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("typed", "wrong"),
    [
        ({"n": "[1,"}, "the field 'n' is no JSON"), ({"n": "NaN"}, "the field 'n' holds NaN"),
        ({"m": "1"}, "the row has no field 'm'"),
        ({"n": [1]}, "`typed` must be an object"), (["n"], "`typed` must be an object"),
    ],
)  # fmt: skip
def test_a_field_that_cannot_be_read_is_named(studio: Studio, typed: object, wrong: str) -> None:
    client = studio.client("Ben")
    task = given_task(client, vetted(studio, ROW))
    response = send(client, task, {"verdict": "edit", "typed": typed})
    assert response.status_code == 400
    assert wrong in response.json()["error"]


def test_a_row_is_sent_whole_or_by_what_was_typed(studio: Studio) -> None:
    client = studio.client("Ben")
    number = vetted(studio, ROW, n=2)
    task = given_task(client, number)
    assert [(one["name"], one["json"], one["said"]) for one in task["fields"]][2:4] == [("2", False, None), ("n", True, None)]
    both = send(client, task, {"verdict": "edit", "row": ROW, "typed": {"2": "x"}})
    assert "has no field 'typed'" in both.json()["error"]
    whole = {"verdict": "edit", "row": {"2": 7, "n": "none", "new": BIG}}
    assert send(client, task, whole).status_code == 200
    again = client.get(f"/api/tasks/{task['assignment']}").json()
    assert again["answer"] == whole
    assert [(one["name"], one["said"]) for one in again["fields"] if one["said"] is not None] == [("2", "7"), ("n", '"none"')]


NAMES = st.text('ab1é" ', max_size=3)
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text('ab\r\n"\\é', max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=6,
)


@given(st.dictionaries(NAMES, VALUES, min_size=1, max_size=4), st.data())
def test_typing_what_is_shown_changes_nothing(row: dict[str, Any], data: st.DataObject) -> None:
    """Whichever fields come back as they were shown: the row is what it was, but for line ends of two kinds in one text."""
    one_kind = all(not isinstance(value, str) or len(_ends(value)) < 2 for value in row.values())
    shown_ = {one["name"]: one["text"] for one in blind.fields(row)}
    some = data.draw(st.sets(st.sampled_from(sorted(row))))
    typed = {name: "\n".join(_lines(shown_[name])) if isinstance(row[name], str) else shown_[name] for name in some}
    found = blind.with_row({"verdict": "edit", "typed": typed, "comment": "x"}, row)
    assert {name: one for name, one in found.items() if name != "row"} == {"verdict": "edit", "comment": "x"}
    if one_kind:
        assert repr(found["row"]) == repr(row)
    else:
        assert {name: _plain(value) for name, value in found["row"].items()} == {
            name: _plain(value) for name, value in row.items()
        }


def test_without_a_row_nothing_is_made_of_it() -> None:
    assert blind.fields(None) == []
    assert blind.with_row({"typed": {}}, None) == {"typed": {}}
    assert blind.with_row([1], {"a": 1}) == [1]
    with pytest.raises(UserError, match="it has a"):
        blind.with_row({"typed": {"b": "1"}}, {"a": 1})


def _lines(text: str) -> list[str]:
    return text.replace("\r\n", "\n").replace("\r", "\n").split("\n")


def _ends(text: str) -> set[str]:
    found = set()
    for windows in text.split("\r\n"):
        found |= {one for one in "\r\n" if one in windows}
    return found | ({"\r\n"} if "\r\n" in text else set())


def _plain(value: object) -> object:
    return _lines(value) if isinstance(value, str) else repr(value)
