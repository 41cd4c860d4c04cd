"""A project's items over HTTP: the list, an item in full, gold, halting and priority."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import labeled
from crowd import say
from managed import HERE, alert, note

from accordant.feedback import adjudication, assignment, inspection, overview, tasks
from accordant.feedback.tasks import Text, Work

if TYPE_CHECKING:
    from conftest import Client, Studio


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
    ("likert", {}, "no attribute is rated"), ("likert", {"score-0": "x"}, "a score is 'x'"),
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
