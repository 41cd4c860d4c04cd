"""How good answers are and who is right, over HTTP: the page of quality, disputes and rulings."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import labeled
import pytest
from crowd import answer_all
from managed import HERE, alert, ids, note

from accordant.apps.studio.admin_quality import measured
from accordant.feedback import adjudication, assignment, inspection, overview, people, tasks
from accordant.feedback.schema import labeler
from accordant.stats.intervals import Estimate

if TYPE_CHECKING:
    from conftest import Client, Studio


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
    found = re.search(r'"Discrimination".*?<span>(\S+) <small class="muted">(\S+) to (\S+)</small>', rows["Ben"])
    assert found
    value, low, high = map(float, found.groups())
    assert low < value < high
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
    assert '<span title="no item has two ratings' in shown


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
        ("alpha_interval", Estimate(-0.1, -0.2, -0.001, 9), "-0.10", "-0.20 to 0.00", "No better than chance"),
        ("alpha_ordinal", Estimate(0.01, -0.17, 0.22, 9), "0.01", "-0.17 to 0.22", "Cannot be told from chance"),
        ("w", Estimate(0.45, 0.2, 0.4, 9), "0.45", "0.20 to 0.40", "Fair accord"),
        ("tau_b", Estimate(-0.5, -0.6, 0.4, 9), "-0.50", "-0.60 to 0.40", "Cannot be told from chance"),
        ("tau_b", Estimate(-0.5, -0.6, -0.2, 9), "-0.50", "-0.60 to -0.20", "Reversed accord"),
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
        ("{", "no JSON"), ("[1]", "no object"), ("[" * 100_000, "nested more than 20 levels deep"),
        ('{"tie": 1}', "`tie` must be true"),
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
