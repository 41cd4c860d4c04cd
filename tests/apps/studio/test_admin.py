"""The admin's pages over HTTP: every form with good and bad input, and what nobody but an admin may see."""

from __future__ import annotations

import html
import io
import json
import re
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import labeled
import pytest
from crowd import answer_all, say
from fastapi.routing import APIRoute
from labeled import EVIL
from sqlalchemy import func, select

from accordant.apps.studio import admin, admin_fields
from accordant.apps.studio.admin_quality import measured
from accordant.feedback import adjudication, assignment, inspection, overview, people, tasks
from accordant.feedback.schema import event, item, labeler
from accordant.feedback.tasks import Text, Work
from accordant.stages import feedback_files
from accordant.stats.intervals import Estimate
from accordant.types import UserError

if TYPE_CHECKING:
    from collections.abc import Iterator

    import httpx

    from conftest import Client, Studio

SETTINGS = {"overlap": "2", "order_by": "priority", "random_share": "20", "gold_share": "5", "lease_minutes": "30"}
PROJECT = {"name": "Fruit", "guidelines": "Be fair.", "attributes": "quality\ntruth", **SETTINGS}
HERE = "/admin/projects/1"


@pytest.fixture
def ada(studio: Studio) -> Client:
    return studio.client("Ada")


def alert(response: httpx.Response, status: int = 400) -> str:
    """What the page says was wrong."""
    assert response.status_code == status, response.text
    found = re.search(r'role="alert">([^<]+)<', response.text)
    assert found, response.text
    return html.unescape(found.group(1))


def note(client: Client, response: httpx.Response) -> str:
    """What the page that a form leads to says."""
    assert response.status_code == 303, response.text
    found = re.search(r'class="note \w+">([^<]+)<', client.get(response.headers["location"]).text)
    assert found
    return html.unescape(found.group(1))


def upload(client: Client, name: str, content: str | bytes, **fields: str) -> httpx.Response:
    return client.post(f"{HERE}/import", fields, files={"file": (name, content)})


def ids(studio: Studio, project_id: int = 1) -> list[int]:
    return [line.id for line in overview.items(studio.store, project_id, size=1000).rows]


# --- who may see it --------------------------------------------------------------------------------------------------


def routes() -> Iterator[tuple[str, str]]:
    for route in _routes(admin.router.routes):
        path = re.sub(r"\{what\}", "halt", re.sub(r"\{\w+_id\}", "1", route.path))
        yield from ((method, path) for method in sorted(route.methods))


def _routes(found: list[Any]) -> Iterator[APIRoute]:
    for route in found:
        if isinstance(route, APIRoute):
            yield route
        else:
            yield from _routes(route.original_router.routes)


def test_nobody_but_an_admin_sees_or_changes_anything(studio: Studio) -> None:
    number = labeled.project(studio.store, *labeled.WORK)
    assert number == 1
    everything = list(routes())
    assert len(everything) >= 18, everything
    ben, stranger, ada = studio.client("Ben"), studio.client(), studio.client("Ada")
    before = overview.log(studio.store).total
    for method, path in everything:
        if method == "GET":
            assert stranger.get(path).headers["location"].startswith("/sign-in?next=/admin"), path
            response = ben.get(path)
        else:
            assert stranger.post(path).status_code == 303, path
            response = ben.post(path, {"halt": "x"})
            forged = ada.http.post(path, data={"halt": "x", "name": "n"})
            assert (forged.status_code, "out of date" in forged.text) == (403, True), path
        assert response.status_code == 403, path
        assert not any(secret in response.text for secret in ("Fruit", "Cleo", "Name a", "secret-model")), path
    assert overview.log(studio.store).total == before


def test_addresses_of_nothing_are_no_error_of_ours(studio: Studio, ada: Client) -> None:
    labeled.project(studio.store, "pair")
    for path in ("/admin/projects/99", "/admin/projects/99/items", "/admin/projects/99/quality", "/admin/projects/99/disputes",
                 f"{HERE}/items/99", "/admin/projects/99/export"):  # fmt: skip
        assert (
            ada.get(path).status_code,
            "there is no project 99" in ada.get(path).text or "no item 99" in ada.get(path).text,
        ) == (400, True)
    for path in (f"/admin/projects/{10**30}", "/admin/projects/0", "/admin/projects/x"):
        assert ada.get(path).status_code == 422, path
    assert ada.post(f"{HERE}/items/1/explode").status_code == 404
    assert ada.post("/admin/projects/99/guidelines", {"guidelines": "x"}).status_code == 400
    assert ada.post("/admin/projects/99/priorities").status_code == 400
    for query in ("page=x", "page=-3", "page=²", "page=99999999999999999999", "task=x&state=y", "text=%25&page=4", "page="):
        assert ada.get(f"{HERE}/items?{query}").status_code == 200, query
        assert ada.get(f"/admin/log?{query}&kind=z").status_code == 200, query
    assert ada.get(f"{HERE}/disputes?item=%C2%B2&names=x").status_code == 200


# --- projects --------------------------------------------------------------------------------------------------------


def test_a_project_is_made_as_the_form_says(studio: Studio, ada: Client) -> None:
    assert "There is no project yet" in ada.get("/admin").text
    response = ada.post("/admin/projects", PROJECT | {"guidelines": "Be fair.\r\n\r\nBe kind.", "lease_minutes": "12.5"})
    assert response.headers["location"] == HERE
    assert note(ada, response) == "The project is made. Put some work in."
    (found,) = overview.projects(studio.store)
    assert (found.name, found.overlap, found.order_by, found.random_share, found.gold_share, found.lease_minutes) == (
        "Fruit", 2, "priority", 0.2, 0.05, 12.5,
    )  # fmt: skip
    assert found.attributes == ("quality", "truth")
    assert [one.text for one in overview.guidelines(studio.store, 1)] == ["Be fair.\n\nBe kind."]
    assert overview.log(studio.store, kind="project").rows[0].who == "Ada"
    assert ">Fruit</a>" in ada.get("/admin").text


WRONG_PROJECTS: list[Any] = [
    ("name", " ", "a project needs a name"), ("name", "n\0", "U+0000"), ("overlap", "0", "overlap is 0"),
    ("overlap", "two", "answers per item is 'two': give a number"), ("overlap", "1.5", "1.5: give a whole number"),
    ("overlap", "nan", "'nan': give a number"), ("overlap", "", "'': give a number"),
    ("gold_share", "101", "101 %: give 0 to 100"),
    ("random_share", "-1", "-1 %"), ("lease_minutes", "inf", "'inf'"), ("lease_minutes", "0", "0 minutes"),
    ("order_by", "luck", "'luck': give random, priority or least_answered"), ("attributes", "a\na", "a name of its own"),
    ("attributes", " \n", "give at least one"),
]  # fmt: skip


def test_a_project_that_is_wrong_is_not_made_and_the_form_keeps_what_was_typed(studio: Studio, ada: Client) -> None:
    ada.get("/admin")
    for field, value, words in WRONG_PROJECTS:
        response = ada.post("/admin/projects", PROJECT | {"guidelines": "Keep <me>."} | {field: value})
        assert words in alert(response), (field, value)
        assert "Keep &lt;me&gt;." in response.text
    assert overview.projects(studio.store) == []


def test_two_projects_cannot_have_one_name(studio: Studio, ada: Client) -> None:
    ada.post("/admin/projects", PROJECT)
    assert "a project 'Fruit' already" in alert(ada.post("/admin/projects", PROJECT))
    assert len(overview.projects(studio.store)) == 1


def test_settings_change_and_say_so_in_the_log(studio: Studio, ada: Client) -> None:
    labeled.project(studio.store, "pair")
    assert note(ada, ada.post(f"{HERE}/settings", SETTINGS | {"overlap": "4"})) == "The settings are saved."
    assert overview.one_project(studio.store, 1).overlap == 4
    (entry,) = overview.log(studio.store, kind="settings").rows
    assert (entry.who, entry.what["changed"]["overlap"]) == ("Ada", [2, 4])
    assert note(ada, ada.post(f"{HERE}/settings", SETTINGS | {"overlap": "4"})) == "Nothing was changed."
    wrong = ada.post(f"{HERE}/settings", SETTINGS | {"overlap": "0", "random_share": "33"})
    assert "overlap is 0" in alert(wrong)
    assert 'name="random_share" type="number" min="0" max="100" step="any" value="33"' in wrong.text
    assert overview.one_project(studio.store, 1).overlap == 4


def test_guidelines_have_versions_and_the_old_ones_stay_readable(studio: Studio, ada: Client) -> None:
    labeled.project(studio.store, "pair", guidelines="The first words.")
    said = note(ada, ada.post(f"{HERE}/guidelines", {"guidelines": "Other words.\r\nTwo lines."}))
    assert said == "Version 2 of the guidelines is what labelers see now."
    assert note(ada, ada.post(f"{HERE}/guidelines", {"guidelines": "Other words.\nTwo lines."})) == "Nothing was changed."
    shown = ada.get(HERE).text
    assert "Version 1 of" in shown
    assert "The first words." in shown
    assert overview.log(studio.store, kind="guidelines").rows[0].who == "Ada"
    assert "Other words.\nTwo lines." in shown


# --- files in and out ------------------------------------------------------------------------------------------------

ROWS = [
    {"prompt": "Name a fruit.", "completions": ["An apple.", {"text": "A stone.", "model": "m2"}], "task": "rank"},
    {"prompt": "Name a tree.", "chosen": "An oak.", "rejected": "A lamp."},
]


def test_a_file_is_put_in_whole(studio: Studio, ada: Client) -> None:
    labeled.project(studio.store)
    content = "\n".join(map(json.dumps, ROWS))
    assert (
        note(ada, upload(ada, "my rows.jsonl", content, criterion="truth", warning="violence")) == "2 items are in the project."
    )
    first, second = (inspection.one_item(studio.store, 1, one) for one in ids(studio))
    assert (first.task, second.task, first.criterion, second.warning) == ("rank", "pair", "truth", "violence")
    assert (first.source, second.source) == ("my_rows.jsonl:1", "my_rows.jsonl:2"), "the folder it lay in is nobody's business"
    assert overview.log(studio.store, kind="import").rows[0].who == "Ada"
    csv = "prompt,completion\nName a bird.,A robin.\n"
    assert note(ada, upload(ada, "C:\\rows.csv", csv, task="thumb")) == "1 item is in the project."
    assert inspection.one_item(studio.store, 1, ids(studio)[-1]).task == "thumb"


BAD_FILES: list[Any] = [
    ("rows.jsonl", json.dumps(ROWS[0]) + '\n{"prompt": "x", "completions": ["only one"]}\n', "rows.jsonl:2"),
    ("rows.jsonl", json.dumps(ROWS[0]) + "\n{not json\n", "rows.jsonl:2"),
    ("rows.json", "[1]", "rows.json"),
    ("rows.jsonl", "", "rows.jsonl"),
    ("rows.parquet", "this is no parquet", "rows.parquet"),
    ("rows.jsonl", b"\xff\xfe\x00", "rows.jsonl"),
    ("rows.exe", "x", "rows.exe cannot be read: give a file that ends in .jsonl"),
    ("..", "x", "give a file that ends in"),
    ("", "", "choose a file"),
]


def test_a_bad_file_is_named_with_its_line_and_adds_nothing(studio: Studio, ada: Client) -> None:
    labeled.project(studio.store)
    for name, content, words in BAD_FILES:
        response = upload(ada, name, content, criterion="keep this")
        assert words in alert(response), (name, content)
        assert "/tmp" not in response.text, "the message names the file and not where it lay"
        assert 'value="keep this"' in response.text
        assert ids(studio) == []


def test_a_task_that_is_none_and_no_file_at_all_are_refused(studio: Studio, ada: Client) -> None:
    labeled.project(studio.store)
    assert "the task is 'x'" in alert(upload(ada, "rows.jsonl", json.dumps(ROWS[0]), task="x"))
    assert "choose a file" in alert(ada.post(f"{HERE}/import", {"file": "only words"}))


def unzipped(response: httpx.Response) -> dict[str, bytes]:
    assert response.status_code == 200, response.text
    assert response.headers["content-disposition"].startswith("attachment; filename*=")
    with zipfile.ZipFile(io.BytesIO(response.content)) as archive:
        return {name.partition("/")[2]: archive.read(name) for name in archive.namelist() if not name.endswith("/")}


@pytest.mark.parametrize(
    ("query", "options"),
    [
        ("", {}),
        ("which=consensus&method=borda&margins=large", {"which": "consensus", "method": "borda", "margins": "large"}),
        ("ties=keep&rejects=lose&surplus=yes&ai=yes", {"ties": "keep", "rejects": "lose", "surplus": True, "ai": True}),
        ("shape=trl&form=parquet&margins=small&min_confidence=", {"shape": "trl", "form": "parquet", "margins": "small"}),
        ("which=consensus&min_confidence=75", {"which": "consensus", "min_confidence": 0.75}),
        ("test=25&validation=25&seed=3", {"splits": {"test": 0.25, "validation": 0.25}, "seed": 3}),
    ],
)
def test_a_download_is_what_the_exporter_writes(
    studio: Studio, ada: Client, tmp_path: Path, query: str, options: dict[str, Any]
) -> None:
    number = labeled.project(studio.store)
    for i in range(4):
        labeled.add(studio.store, number, *(replace(labeled.WORK[task], prompt=f"Question {i}") for task in ("rank", "pair")))
    robot = people.add_ai(studio.store, "judge").id
    answer_all(studio.store, number, [studio.people[name].id for name in ("Ben", "Cleo")] + [robot], [robot])
    feedback_files.write(studio.store, number, tmp_path / "out", **options)
    wanted = {
        str(path.relative_to(tmp_path / "out")): path.read_bytes() for path in (tmp_path / "out").rglob("*") if path.is_file()
    }
    found = unzipped(ada.get(f"{HERE}/export?{query}"))
    assert set(found) == set(wanted)
    assert len(found) > 1
    for name in wanted:
        assert found[name] == wanted[name], name


def test_gold_is_in_no_export(studio: Studio, ada: Client) -> None:
    number = labeled.project(studio.store, "pair", n=2, gold_share=0.5)
    (gold,) = tasks.add(studio.store, number, [Work("pair", "The golden question", labeled.texts("yes", "no"))])
    tasks.set_gold(studio.store, gold, {"tie": True})
    answer_all(studio.store, number, [studio.people[name].id for name in ("Ben", "Cleo", "Dora")])
    assert any(one.revisions for one in inspection.one_item(studio.store, number, gold).work), "gold was answered"
    for query in ("", "which=consensus", "shape=trl", "ties=keep&rejects=lose&surplus=yes&ai=yes"):
        assert b"golden" not in b"".join(unzipped(ada.get(f"{HERE}/export?{query}")).values()), query


WRONG_EXPORTS: list[Any] = [
    ("shape=x", "the shape is 'x'"), ("test=150", "150 %"), ("seed=1.5", "give a whole number"),
    ("margins=huge", "the margins"), ("test=0", "test"), ("ai=yes&form=csv", "the format is 'csv'"),
]  # fmt: skip


def test_an_export_that_cannot_be_is_explained(studio: Studio, ada: Client) -> None:
    number = labeled.project(studio.store, "pair")
    assert "none gives a row" in alert(ada.get(f"{HERE}/export"))
    answer_all(studio.store, number, [studio.people["Ben"].id])
    for query, words in WRONG_EXPORTS:
        assert words in alert(ada.get(f"{HERE}/export?{query}")), query


def test_an_export_leaves_nothing_behind(studio: Studio, ada: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    number = labeled.project(studio.store, "pair")
    assert ada.get(f"{HERE}/export").status_code == 400
    answer_all(studio.store, number, [studio.people["Ben"].id])
    assert ada.get(f"{HERE}/export").status_code == 200
    assert not [path for path in tmp_path.iterdir() if path.name.startswith("accordant-export")]


# --- items -----------------------------------------------------------------------------------------------------------


def test_items_are_listed_filtered_and_paged(studio: Studio, ada: Client) -> None:
    number = labeled.project(studio.store, "pair", n=60)
    tasks.add(studio.store, number, [Work("thumb", "Find &me", (Text("here"),))])
    shown = ada.get(f"{HERE}/items").text
    assert "61 items" in shown
    assert shown.count("<tr>") == 51, "fifty and the head"
    assert "?page=2" in shown
    assert ada.get(f"{HERE}/items?page=2").text.count("<tr>") == 12
    found = ada.get(f"{HERE}/items?text=find+%26me&task=thumb&state=open").text
    assert "1 item<" in found
    assert "Find &amp;me" in found
    assert "Nothing like this" in ada.get(f"{HERE}/items?text=nowhere").text
    assert "text=oak&amp;page=2" in ada.get(f"{HERE}/items?text=oak").text, "the next page keeps the filter"


def test_an_item_is_shown_with_all_that_was_said(studio: Studio, ada: Client) -> None:
    number = labeled.project(studio.store, "rank", n=1, overlap=3)
    ben, cleo = studio.people["Ben"].id, studio.people["Cleo"].id
    task = labeled.lease(studio.store, number, ben)
    labeled.answer(studio.store, task, ben, {"groups": [list(task.display)], "rejected": []})
    labeled.answer(studio.store, task, ben, say("rank", task.display, False, 1))
    given = labeled.lease(studio.store, number, cleo)
    assignment.skip(studio.store, given.assignment_id, cleo, "not my field")
    shown = ada.get(f"{HERE}/items/{task.item_id}").text
    for words in ("Name a fruit.", "A stone.", "secret-model-a", "temperature 0.7", "Ben", "A &gt; B &gt; C, F: D",
                  "1 earlier revision",
                  "A = B = C = D", "Cleo", "not my field", "skipped", "helpfulness"):  # fmt: skip
        assert words in shown, words


RANKED = {"rank-1": "1", "rank-2": "1", "rank-3": "2", "rank-4": "F"}
GOLD: list[tuple[str, dict[str, str], dict[str, Any]]] = [
    ("rank", RANKED, {"groups": [[1, 2], [3]], "rejected": [4]}),
    ("rank", {"cannot_judge": "needs a lawyer"}, {"cannot_judge": "needs a lawyer"}),
    ("pair", {"verdict": "6:slightly"}, {"better": 6, "grade": "slightly"}),
    ("pair", {"verdict": "both_bad"}, {"both_bad": True}),
    ("pair", {"verdict": "tie"}, {"tie": True}),
    ("pair", {"cannot_judge": "too long"}, {"cannot_judge": "too long"}),
    ("likert", {f"score-{k}": "none" if k else "4" for k in range(7)}, {"quality": 4}),
    ("thumb", {"thumb": "down"}, {"up": False}),
    ("demonstration", {"text": "Shalom."}, {"text": "Shalom."}),
    ("vet", {"verdict": "accept"}, {"verdict": "accept"}),
    ("vet", {"verdict": "edit", "row": '{"a": 1}'}, {"verdict": "edit", "row": {"a": 1}}),
    ("vet", {"verdict": "reject", "reject_reason": "spam"}, {"verdict": "reject", "reason": "spam"}),
]


def test_gold_of_every_task_is_set_and_taken_back(studio: Studio, ada: Client) -> None:
    labeled.project(studio.store, *labeled.WORK)
    number = {line.task: line.id for line in overview.items(studio.store, 1).rows}
    for task, form, stored in GOLD:
        one = number[task]
        there = f"{HERE}/items/{one}"
        assert "hidden gold now" in note(ada, ada.post(f"{there}/gold", form)), (task, form)
        gold = inspection.one_item(studio.store, 1, one).gold
        assert gold is not None
        assert ({"quality": gold["scores"]["quality"]} if task == "likert" else gold) == stored
        assert task != "likert" or set(gold["scores"].values()) == {4, None}
        assert "Expected:" in ada.get(there).text
        assert note(ada, ada.post(f"{there}/not-gold")) == "The item is an ordinary one again."
        assert inspection.one_item(studio.store, 1, one).gold is None
    assert {entry.who for entry in overview.log(studio.store, kind="gold").rows} == {"Ada"}
    assert set(labeled.WORK) - {task for task, _, _ in GOLD} == {"red_team"}, "which is written as a demonstration is"


NO_GOLD: list[Any] = [
    ("rank", {}, "4 of 4 answers have no place yet"), ("rank", RANKED | {"rank-2": ""}, "1 of 4 answers"),
    ("rank", RANKED | {"rank-2": "best"}, "a rank is 'best'"),
    ("rank", RANKED | {"rank-2": "9" * 5000}, "give a number or F"),
    ("pair", {}, "choose which of the two"), ("pair", {"verdict": "77:better"}, "not one of the two"),
    ("pair", {"verdict": "5:hugely"}, "`grade` is 'hugely'"), ("pair", {"verdict": "x"}, "not one of the two"),
    ("likert", {"score-0": "4"}, "not rated yet: comprehensibility"), ("likert", {"score-0": "x"}, "a score is 'x'"),
    ("likert", {f"score-{k}": "6" for k in range(7)}, "from 1 to 5"),
    ("likert", {f"score-{k}": "none" for k in range(7)}, "no attribute is rated"),
    ("thumb", {"thumb": "sideways"}, "`up` must be true or false"), ("red_team", {"text": "  "}, "`text` is empty"),
    ("vet", {"verdict": "edit", "row": "{"}, "no JSON"),
    ("vet", {"verdict": "edit", "row": "[1]"}, "must come with its fields"),
    ("vet", {}, "`verdict` is ''"), ("vet", {"verdict": "reject"}, "`reason` is empty"),
]  # fmt: skip


def test_gold_that_is_no_answer_is_refused(studio: Studio, ada: Client) -> None:
    labeled.project(studio.store, *labeled.WORK)
    number = {line.task: line.id for line in overview.items(studio.store, 1).rows}
    for task, form, words in NO_GOLD:
        assert words in alert(ada.post(f"{HERE}/items/{number[task]}/gold", form)), (task, form)
        assert inspection.one_item(studio.store, 1, number[task]).gold is None


def test_what_was_chosen_is_chosen_still_beside_the_error(studio: Studio, ada: Client) -> None:
    labeled.project(studio.store, "rank")
    shown = ada.post(f"{HERE}/items/1/gold", RANKED | {"rank-2": "", "rank-3": "2"}).text
    (third,) = re.findall(r'name="rank-3">(.*?)</select>', shown, re.DOTALL)
    assert "<option selected>2</option>" in third
    (fourth,) = re.findall(r'name="rank-4">(.*?)</select>', shown, re.DOTALL)
    assert "<option selected>F</option>" in fourth


def test_an_item_is_halted_reopened_and_given_a_priority(studio: Studio, ada: Client) -> None:
    labeled.project(studio.store, "pair")
    there = f"{HERE}/items/1"
    assert note(ada, ada.post(f"{there}/halt", {"halt": "unclear"})) == "Nobody is given the item any more."
    assert inspection.one_item(studio.store, 1, 1).halted == "unclear"
    assert "unclear" in ada.get(there).text
    assert "say why" in alert(ada.post(f"{there}/halt", {"halt": " "}))
    assert note(ada, ada.post(f"{there}/reopen")) == "The item is given out again."
    assert "is not halted" in alert(ada.post(f"{there}/reopen"))
    assert note(ada, ada.post(f"{there}/priority", {"priority": "2.5"})) == "The priority is set."
    assert inspection.one_item(studio.store, 1, 1).priority == 2.5
    assert "the priority is 'high'" in alert(ada.post(f"{there}/priority", {"priority": "high"}))
    assert "is not gold" in alert(ada.post(f"{there}/not-gold"))
    assert [(entry.kind, entry.who) for entry in overview.log(studio.store).rows[:3]] == [
        ("priority", "Ada"), ("reopen", "Ada"), ("halt", "Ada"),
    ]  # fmt: skip


def test_an_item_of_another_project_is_not_changed_through_this_one(studio: Studio, ada: Client) -> None:
    labeled.project(studio.store, "pair")
    other = tasks.make_project(studio.store, "other", "")
    response = ada.post(f"/admin/projects/{other}/items/1/halt", {"halt": "x"})
    assert (response.status_code, inspection.one_item(studio.store, 1, 1).halted) == (400, None)
    response = ada.post(f"/admin/projects/{other}/disputes/1", {"verdict": "tie", "reason": "x"})
    assert (response.status_code, adjudication.rulings(studio.store, 1)) == (400, {})


# --- quality ---------------------------------------------------------------------------------------------------------


def test_agreement_labelers_groups_and_choices_are_on_the_page(studio: Studio, ada: Client) -> None:
    number = labeled.project(studio.store, "pair", n=30, overlap=3, random_share=0.5)
    store, who = studio.store, [studio.people[name].id for name in ("Ben", "Cleo", "Dora")]
    with store.write() as connection:
        connection.execute(labeler.update().where(labeler.c.id == who[0]).values(strata={"language": "en"}))
    robot = people.add_ai(store, "judge-7b").id
    for one in [*who, robot]:
        while (task := assignment.next_task(store, number, one)) is not None:
            best = task.display[0] if one == who[2] else min(task.display)  # Dora: whatever stands first
            labeled.answer(store, task, one, {"better": best, "grade": "better"}, 100 if one == who[1] else 9000)
    shown = ada.get(f"{HERE}/quality").text
    assert "90 answers so far" in shown
    assert "equal votes" in shown
    assert "Krippendorff&#39;s alpha, nominal" in shown
    assert re.search(r"Two labelers say the same \d+ times in 100", shown)
    rows = dict(re.findall(r'<th scope="row" class="wrap">(\w+).*?</th>(.*?)</tr>', shown, re.DOTALL))
    assert set(rows) == {"Ben", "Cleo", "Dora"}, "AI labelers only where they are asked for"
    assert "same position" in rows["Dora"]
    assert "chance of as many or more" in rows["Dora"]
    assert "too fast" in rows["Cleo"]
    assert ">none<" in rows["Ben"]
    assert "9.0 s" in rows["Ben"]
    assert "within unstated" in shown
    assert "en and unstated" in shown
    assert "by priority" in shown
    assert "at random" in shown
    assert "judge-7b" in ada.get(f"{HERE}/quality?ai=yes&stratum=nonsense").text


def test_what_cannot_be_computed_says_why(studio: Studio, ada: Client) -> None:
    number = labeled.project(studio.store, "thumb", n=3)
    assert "Nothing can be compared yet" in ada.get(f"{HERE}/quality").text
    answer_all(studio.store, number, [studio.people["Ben"].id])
    assert "Undefined: no item has two" in ada.get(f"{HERE}/quality").text
    for name in ("Cleo",):
        while (task := assignment.next_task(studio.store, number, studio.people[name].id)) is not None:
            labeled.answer(studio.store, task, studio.people[name].id, {"up": True})
    shown = ada.get(f"{HERE}/quality").text
    assert "Undefined:" in shown, "unanimous answers have no kappa"
    assert "nan" not in shown


@pytest.mark.parametrize(
    ("name", "found", "shown", "interval", "words"),
    [
        ("raw", Estimate(0.5, 0.4, 0.625, 9), "50 %", "40 % to 62 %", "the same 50 times in 100"),
        ("fleiss", Estimate(0.8, 0.7, 0.9, 9), "0.80", "0.70 to 0.90", "Reliable"),
        (
            "alpha_nominal",
            Estimate(0.667, None, None, 9, "too few"),
            "0.67",
            "",
            "tentative conclusions: Krippendorff asks 0.667",
        ),
        ("alpha_ordinal", Estimate(0.3, 0.2, 0.4, 9), "0.30", "0.20 to 0.40", "below 0.667"),
        ("alpha_interval", Estimate(-0.1, -0.2, 0.1, 9), "-0.10", "-0.20 to 0.10", "No better than chance"),
        ("w", Estimate(0.45, 0.2, 0.4, 9), "0.45", "0.20 to 0.40", "Fair accord"),
        ("tau_b", Estimate(-0.5, -0.6, 0.4, 9), "-0.50", "-0.60 to 0.40", "Reversed accord"),
        ("fleiss", Estimate(None, None, None, 9, "all say the same"), "undefined", "", "Undefined: all say the same."),
    ],
)
def test_each_number_has_a_sentence(name: str, found: Estimate, shown: str, interval: str, words: str) -> None:
    row = measured(name, found)
    assert (row.shown, row.interval, row.value) == (shown, interval, found.value)
    assert words in row.words
    assert ("No interval: too few." in row.words) == (found.note == "too few")


def test_priorities_by_disagreement(studio: Studio, ada: Client) -> None:
    number = labeled.project(studio.store, "pair", n=2)
    assert "nothing was set" in note(ada, ada.post(f"{HERE}/priorities"))
    ben, cleo = studio.people["Ben"].id, studio.people["Cleo"].id
    answer_all(studio.store, number, [ben, cleo], [cleo])
    assert note(ada, ada.post(f"{HERE}/priorities")).startswith("2 items have a new priority")
    assert all(line.priority > 0 for line in overview.items(studio.store, number).rows)
    assert overview.log(studio.store, kind="priority").rows[0].who == "Ada"


# --- disputes --------------------------------------------------------------------------------------------------------


def test_disputes_come_one_by_one_without_names_until_asked(studio: Studio, ada: Client) -> None:
    number = labeled.project(studio.store, "pair", "thumb", n=1, overlap=2)
    assert "No disputes" in ada.get(f"{HERE}/disputes").text
    ben, cleo = studio.people["Ben"].id, studio.people["Cleo"].id
    answer_all(studio.store, number, [ben, cleo], [cleo])
    first, second = adjudication.queue(studio.store, number, 0.2)
    shown = ada.get(f"{HERE}/disputes").text
    assert f"Item {first.item_id} " in shown
    assert "1 of " in shown
    assert not any(name in shown for name in ("Ben", "Cleo", "secret-model"))
    named = ada.get(f"{HERE}/disputes?item={first.item_id}&names=shown").text
    assert all(name in named for name in ("Ben", "Cleo", "secret-model"))
    assert second.item_id != first.item_id


def test_a_ruling_is_kept_with_its_reason_and_leads_to_the_next(studio: Studio, ada: Client) -> None:
    number = labeled.project(studio.store, "thumb", n=2, overlap=2)
    for name, up in (("Ben", True), ("Cleo", False)):
        who = studio.people[name].id
        while (task := assignment.next_task(studio.store, number, who)) is not None:
            labeled.answer(studio.store, task, who, {"up": up})
    one, two = (dispute.item_id for dispute in adjudication.queue(studio.store, number))
    assert f"?item={two}" in ada.get(f"{HERE}/disputes").text, "it can be left for later"
    assert f"Item {two} " in ada.get(f"{HERE}/disputes?item={two}").text
    for form, words in (({"thumb": "up"}, "the reason has 0 characters"), ({"reason": "because <b>"}, "`up` must be")):
        response = ada.post(f"{HERE}/disputes/{two}", form)
        assert words in alert(response)
        assert f"Item {two} " in response.text, "the same dispute is on the page"
    assert "because &lt;b&gt;" in response.text
    assert adjudication.rulings(studio.store, number) == {}
    response = ada.post(f"{HERE}/disputes/{one}", {"thumb": "down", "reason": "It swims."})
    assert f"ruling on item {one} is kept" in note(ada, response)
    assert f"Item {two} " in ada.get(f"{HERE}/disputes").text
    assert adjudication.rulings(studio.store, number) == {one: {"up": False}}
    shown = ada.get(f"{HERE}/items/{one}").text
    assert "ruling" in shown
    assert "It swims." in shown
    ada.post(f"{HERE}/disputes/{two}", {"thumb": "up", "reason": "It does."})
    assert "No disputes" in ada.get(f"{HERE}/disputes").text


def test_what_the_script_sends_names_answers_by_their_place_on_the_page(studio: Studio, ada: Client) -> None:
    number = labeled.project(studio.store, "rank", n=8)
    for one in ids(studio, number):
        tasks.halt(studio.store, one, "look at it")
        (found,) = re.findall(r'id="task">(.*?)</script>', ada.get(f"{HERE}/disputes?item={one}").text)
        shown = json.loads(found)
        payload = {"groups": [[2], [0, 1]], "rejected": [3]}
        response = ada.post(f"{HERE}/disputes/{one}", {"payload": json.dumps(payload), "reason": "so"})
        assert response.status_code == 303, response.text
        text = {completion.id: completion.text for completion in inspection.one_item(studio.store, number, one).completions}
        kept = adjudication.rulings(studio.store, number)[one]
        assert [[text[i] for i in group] for group in (*kept["groups"], kept["rejected"])] == [
            [shown["texts"][k] for k in group] for group in ([2], [0, 1], [3])
        ]
        assert "id" not in shown, "and nothing else tells one text from another"
    assert len(overview.log(studio.store, kind="rule").rows) == 8


def test_what_the_script_sends_may_be_anything(studio: Studio, ada: Client) -> None:
    number = labeled.project(studio.store, "pair")
    (one,) = ids(studio, number)
    tasks.halt(studio.store, one, "look at it")
    for said, words in (
        ("{", "no JSON"), ("[1]", "no object"), ("[" * 100_000, "no JSON"), ('{"tie": 1}', "`tie` must be true"),
        ('{"better": 2, "grade": "better"}', "found none"), ('{"better": {"a": 1}}', "found none"),
        ('{"better": 1, "grade": 7}', "`grade` is 7"), ('{"evil": true}', "no field 'evil'"),
    ):  # fmt: skip
        response = ada.post(f"{HERE}/disputes/{one}", {"payload": said, "reason": "so"})
        assert words in alert(response), said
    kept = ada.post(f"{HERE}/disputes/{one}", {"payload": '{"tie": true}', "reason": ""}).text
    assert '"answer": {"tie": true}' in kept, "what was said is still said beside the missing reason"
    assert adjudication.rulings(studio.store, number) == {}


def test_the_order_on_the_page_says_nothing_of_who_wrote_what(studio: Studio, ada: Client) -> None:
    number = labeled.project(studio.store, "rank", n=12, overlap=2)
    for one in ids(studio):
        tasks.halt(studio.store, one, "look at it")
    firsts = set()
    for one in ids(studio, number):
        shown = ada.get(f"{HERE}/disputes?item={one}&names=shown").text
        firsts.add(re.findall(r"secret-model-\w", shown)[0])
    assert len(firsts) > 1


# --- people and the log ----------------------------------------------------------------------------------------------


def test_an_invitation_is_shown_once_and_works_once(studio: Studio, ada: Client) -> None:
    response = ada.post("/admin/people/invite", {"role": "labeler", "days": "3"})
    (link,) = re.findall(r'value="(http[^"]+/join/[^"]+)"', response.text)
    token = link.rpartition("/")[2]
    shown = ada.get("/admin/people").text
    assert token not in shown
    assert "Labeler, made" in shown
    assert people.join(studio.store, token, "Eve", "long enough", {"language": "he"}).role == "labeler"
    shown = ada.get("/admin/people").text
    assert "language: he" in shown
    assert "Labeler, made" not in shown
    assert overview.log(studio.store, kind="invite").rows[0].who == "Ada"
    assert ">admin<" not in response.text.split("An invitation")[1].split("</section>")[0]
    for form, words in (
        ({"role": "owner", "days": "3"}, "'owner'"),
        ({"days": "0"}, "for 0 days"),
        ({"days": "91"}, "1 to 90"),
        ({"days": "x"}, "'x'"),
    ):
        assert words in alert(ada.post("/admin/people/invite", form))
    with studio.store.read() as connection:
        assert connection.scalar(select(func.count()).select_from(event).where(event.c.kind == "invite")) == 4, (
            "no more of them"
        )


def test_an_account_is_closed_but_not_the_last_admins(studio: Studio, ada: Client) -> None:
    ben = studio.client("Ben")
    assert note(ada, ada.post(f"/admin/people/{studio.people['Ben'].id}/close")) == "The account is closed. What it said stays."
    assert ben.get("/me").status_code == 303, "the session ends at once"
    assert ">closed<" in ada.get("/admin/people").text
    assert "the last admin" in alert(ada.post(f"/admin/people/{studio.people['Ada'].id}/close"))
    assert "no account 99" in alert(ada.post("/admin/people/99/close"))
    assert ada.get("/admin").status_code == 200


def test_ai_labelers_stand_apart(studio: Studio, ada: Client) -> None:
    assert "AI labelers" not in ada.get("/admin/people").text
    robot = people.add_ai(studio.store, "judge-7b").id
    assert "not asked yet" in ada.get("/admin/people").text
    with studio.store.write() as connection:
        orders = [{"letter": letter} for letter in "ABAABA"]
        studio.store.log(connection, "judged", robot, assignment=1, orders=orders)
    before, after = ada.get("/admin/people").text.split("AI labelers")
    assert "judge-7b" not in before
    assert "judge-7b" in after
    assert re.search(r"67 % <small[^>]*>2 of 3<", after)


def test_the_log_is_paged_and_filtered(studio: Studio, ada: Client) -> None:
    with studio.store.write() as connection:
        for i in range(150):
            studio.store.log(connection, "probe", studio.people["Ben"].id, number=i)
    shown = ada.get("/admin/log?kind=probe").text
    assert "150 events" in shown
    assert "number: 149" in shown
    assert "number: 49<" not in shown
    assert "kind=probe&amp;page=2" in shown
    assert "number: 49<" in ada.get("/admin/log?kind=probe&page=2").text


# --- text is data ----------------------------------------------------------------------------------------------------


def test_no_text_becomes_markup(studio: Studio, ada: Client) -> None:
    store, ben = studio.store, studio.people["Ben"].id
    number = tasks.make_project(store, EVIL, EVIL, overlap=2, gold_share=0, attributes=[EVIL, "b"])
    tasks.revise_guidelines(store, number, f"2 {EVIL}")
    row = {EVIL: EVIL, "nested": [EVIL]}
    work = [
        Work("pair", EVIL, (Text(EVIL, EVIL, {EVIL: EVIL}), Text(f"b{EVIL}")), criterion=EVIL, warning=EVIL),
        Work("vet", "", row=row), Work("red_team", EVIL, kind="red_team"), Work("likert", EVIL, (Text(EVIL),)),
    ]  # fmt: skip
    one, vet, *_ = tasks.add(store, number, work)
    with store.write() as connection:
        connection.execute(labeler.update().where(labeler.c.id == ben).values(strata={EVIL: EVIL}))
        connection.execute(labeler.update().where(labeler.c.id == studio.people["Cleo"].id).values(name=EVIL))
    for who in (ben, studio.people["Cleo"].id):
        while (task := assignment.next_task(store, number, who)) is not None:
            with store.read() as connection:
                kind = connection.scalar(select(item.c.task).where(item.c.id == task.item_id))
            payload = {
                "pair": {"cannot_judge": EVIL} if who == ben else {"tie": True, "comment": EVIL}, "red_team": {"text": EVIL},
                "vet": {"verdict": "reject", "reason": EVIL} if who == ben else {"verdict": "accept"},
                "likert": {"scores": {EVIL: 1 if who == ben else 5, "b": None}},
            }[str(kind)]  # fmt: skip
            labeled.answer(store, task, who, payload)
    skipped = labeled.lease(store, labeled.project(store, "pair"), ben)
    assignment.skip(store, skipped.assignment_id, ben, EVIL)
    tasks.halt(store, one, EVIL)
    adjudication.rule(store, vet, studio.people["Ada"].id, {"verdict": "edit", "row": row}, EVIL)
    pages = ["/admin", HERE, f"{HERE}/items", f"{HERE}/quality", f"{HERE}/disputes", f"{HERE}/disputes?names=shown",
             "/admin/people",
             "/admin/log", *(f"{HERE}/items/{number}" for number in ids(studio)),
             f"/admin/projects/2/items/{skipped.item_id}"]  # fmt: skip
    for path in pages:
        response = ada.get(path)
        assert response.status_code == 200, path
        assert "<img src=x" not in response.text, path
        assert "<script>document" not in response.text, path
        assert "&lt;script&gt;document" in response.text, f"{path} shows the text as it is"
    for path, form in (("/admin/projects", PROJECT | {"name": EVIL}), (f"{HERE}/items/{one}/gold", {"verdict": EVIL}),
                       (f"{HERE}/settings", SETTINGS | {"overlap": EVIL}),
                       ("/admin/people/invite", {"days": EVIL})):  # fmt: skip
        response = ada.post(path, form)
        assert (response.status_code, "<img src=x" in response.text) == (400, False), path


def test_fields_that_are_missing_or_files_are_read_as_nothing() -> None:
    from starlette.datastructures import FormData, UploadFile

    form = FormData([("a", " x\r\ny "), ("b", UploadFile(io.BytesIO(b"z"), filename="f")), ("csrf", "token")])
    assert [admin_fields.text(form, name) for name in ("a", "b", "c")] == ["x\ny", "", ""]
    assert admin_fields.typed(form) == {"a": " x\r\ny "}
    with pytest.raises(UserError, match=r"U\+0000"):
        admin_fields.text(FormData([("a", "\0")]), "a")
