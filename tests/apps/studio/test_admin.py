"""The admin's pages over HTTP: who may see them, projects, people and the log; and that text stays text."""

from __future__ import annotations

import io
import re
from typing import TYPE_CHECKING, Any

import labeled
import pytest
from fastapi.routing import APIRoute
from labeled import EVIL
from managed import HERE, PROJECT, SETTINGS, alert, ids, note
from sqlalchemy import func, select

from accordant.apps.studio import admin, admin_fields
from accordant.feedback import adjudication, assignment, overview, people, tasks
from accordant.feedback.schema import event, item, labeler
from accordant.feedback.tasks import Text, Work
from accordant.types import UserError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from conftest import Client, Studio


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


def test_a_new_password_and_an_invitation_taken_back(studio: Studio, ada: Client) -> None:
    ben = studio.client("Ben")
    shown = ada.post(f"/admin/people/{studio.people['Ben'].id}/password").text
    password = re.search(r'readonly value="([^"]+)"', shown).group(1)  # type: ignore[union-attr]
    assert "A new password for Ben" in shown
    assert ben.get("/me").status_code == 303, "the session ends at once"
    assert people.sign_in(studio.store, "Ben", password).name == "Ben"
    assert password not in ada.get("/admin/people").text
    assert "no account 99" in alert(ada.post("/admin/people/99/password"))
    ada.post("/admin/people/invite", {"role": "labeler", "days": "7"})
    (open_one,) = overview.invitations(studio.store)
    assert "taken back" in note(ada, ada.post(f"/admin/people/invitations/{open_one.id}/revoke"))
    assert overview.invitations(studio.store) == []
    assert "used already" in alert(ada.post(f"/admin/people/invitations/{open_one.id}/revoke"))


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
