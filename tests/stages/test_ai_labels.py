"""A model as a labeler: both orders are asked, only what survives them counts, and people notice nothing of it."""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Callable
from itertools import permutations
from pathlib import Path
from typing import Any

import pytest
import torch
from sqlalchemy import select
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedTokenizerFast

from accordant.feedback import people, schema, tasks
from accordant.feedback.answers import Said, said
from accordant.feedback.assignment import next_task, submit
from accordant.feedback.backup import backup
from accordant.feedback.store import Store
from accordant.feedback.tasks import Text, Work
from accordant.models.load import ModelConfig
from accordant.stages import ai_labels
from accordant.stages.ai_labels import AiLabelsConfig, Tally
from accordant.stages.endpoint import EndpointConfig
from accordant.stages.judges import by_checkpoint, read_letter
from accordant.types import Message, UserError
from chat_server import ChatServer, Raw, chat_server
from chat_server import said as reply
from tiny import tiny_llama

ABC = tuple(map(Text, ("good", "fair", "poor")))
WORTH = {"good": 2, "fair": 1, "poor": 0}
_ANSWERS = re.compile(r"\[Answer A\]\n(.*)\n\[End of answer A\]\n\n\[Answer B\]\n(.*)\n\[End of answer B\]", re.DOTALL)
_OPTIONS = re.compile(r"\[Answer\]\n(.*)\n\[End of answer\]\n\nA: (.*)\nB: (.*)\n", re.DOTALL)


def project(store: Store, *work: Work, **options: Any) -> int:
    number = tasks.make_project(store, "taste", "Be fair.", **({"gold_share": 0.0, "overlap": 1} | options))
    tasks.add(store, number, work)
    return number


def by_worth(question: str) -> str:
    """Chooses by what the answers are worth."""
    if found := _ANSWERS.search(question):
        a, b = (WORTH[text] for text in found.groups())
        return "A" if a > b else "B" if a < b else "C"
    text, a, _ = _OPTIONS.search(question).groups()  # type: ignore[union-attr]
    return "A" if (WORTH[text] > 0) == (a == "It is a good answer.") else "B"


def judged(store: Store, choose: Callable[[str], str], **more: Any) -> tuple[Tally, ChatServer]:
    def answer(body: Any) -> Any:
        (turn,) = body["messages"]
        return reply(choose(turn["content"]))

    with chat_server(answer) as server:
        endpoint = EndpointConfig(url=server.url, model="big", retries=0)
        return ai_labels.run(AiLabelsConfig(project="taste", name="judge", endpoint=endpoint, **more), store), server


def told(store: Store, kind: str) -> list[dict[str, Any]]:
    with store.read() as connection:
        query = select(schema.event.c.what).where(schema.event.c.kind == kind).order_by(schema.event.c.id)
        return list(connection.scalars(query))


def by_text(one: Said) -> list[list[str]]:
    texts = {completion.id: completion.text for completion in one.completions}
    return [sorted(texts[i] for i in group) for group in one.payload["groups"]]


EVERYTHING = (
    Work("pair", "q", (ABC[2], ABC[0])),
    Work("pair", "q", (Text("poor"), Text("poor"))),
    *(Work("rank", "q", tuple(order)) for order in permutations(ABC)),
    Work("rank", "q", (*ABC, Text("fair"))),
    Work("thumb", "q", ABC[:1]),
    Work("thumb", "q", ABC[2:]),
    Work("likert", "q", ABC[:1]), Work("demonstration", "q"), Work("red_team", "q"), Work("vet", "q", row={"text": "x"}),
)  # fmt: skip


def test_what_a_consistent_judge_says(store: Store) -> None:
    number = project(store, *EVERYTHING)
    tally, server = judged(store, by_worth)
    assert tally.answers == {"pair": 2, "rank": 7, "thumb": 2}
    assert (tally.comparisons, tally.consistency, tally.unreadable, tally.skipped) == (1 + 1 + 6 * 3 + 6 + 2, 1.0, 0, 0)
    assert len(server.requests) == 2 * tally.comparisons
    assert said(store, number) == []  # never among people's
    answers = said(store, number, ai=True)
    assert {(one.labeler, one.kind) for one in answers} == {("judge", "ai")}
    pairs, ranks = ([one for one in answers if one.task == task] for task in ("pair", "rank"))
    texts = {completion.id: completion.text for completion in pairs[0].completions}
    assert (texts[pairs[0].payload["better"]], pairs[0].payload["grade"]) == ("good", "better")
    assert pairs[1].payload == {"tie": True}
    assert [by_text(one) for one in ranks] == [[["good"], ["fair"], ["poor"]]] * 6 + [[["good"], ["fair", "fair"], ["poor"]]]
    assert [one.payload for one in answers if one.task == "thumb"] == [{"up": True}, {"up": False}]
    asked = {hashlib.sha256(body["messages"][0]["content"].encode()).hexdigest() for _, body in server.requests}
    assert {order["sha256"] for event in told(store, "judged") for order in event["orders"]} == asked
    # Nothing is left: the same command asks nothing more.
    again, silent = judged(store, by_worth)
    assert (dict(again.answers), again.consistency, silent.requests) == ({}, None, [])


@pytest.mark.parametrize("letter", ["A", "B"])
def test_a_judge_that_goes_by_the_place_says_nothing(store: Store, letter: str) -> None:
    number = project(store, *EVERYTHING)
    tally, _ = judged(store, lambda _: letter)
    assert tally.consistency == 0.0
    assert (tally.answers, tally.skipped) == ({"pair": 2, "rank": 7}, 2)
    for one in said(store, number, ai=True):
        assert one.payload == {"tie": True} if one.task == "pair" else len(one.payload["groups"]) == 1


def test_only_what_survives_the_exchange_counts(store: Store) -> None:
    """The judge knows the good from the others, and prefers the first of the other two."""

    def choose(question: str) -> str:
        texts = _ANSWERS.search(question).groups()  # type: ignore[union-attr]
        return by_worth(question) if "good" in texts else "A"

    number = project(store, Work("rank", "q", ABC))
    tally, _ = judged(store, choose)
    (one,) = said(store, number, ai=True)
    assert by_text(one) == [["good"], ["fair", "poor"]]
    assert (tally.comparisons, tally.consistency) == (3, pytest.approx(2 / 3))


def test_a_circle_is_a_tie(store: Store) -> None:
    beats = {("good", "fair"), ("fair", "poor"), ("poor", "good")}

    def choose(question: str) -> str:
        return "A" if _ANSWERS.search(question).groups() in beats else "B"  # type: ignore[union-attr]

    number = project(store, Work("rank", "q", ABC))
    tally, _ = judged(store, choose)
    (one,) = said(store, number, ai=True)
    assert by_text(one) == [["fair", "good", "poor"]]
    assert tally.consistency == 1.0


def test_replies_that_cannot_be_read(store: Store) -> None:
    number = project(store, *EVERYTHING[:1], Work("rank", "q", ABC), Work("thumb", "q", ABC[:1]))
    tally, _ = judged(store, lambda _: "Both have merits.")
    assert (tally.comparisons, tally.unreadable, tally.consistency, tally.skipped) == (5, 5, None, 1)
    assert [set(one.payload) for one in said(store, number, ai=True)] == [{"cannot_judge"}] * 2
    assert told(store, "skip")[0]["reason"] == "the judge contradicts itself, or cannot be read"


def test_one_unreadable_comparison_of_a_ranking_is_a_tie(store: Store) -> None:
    def choose(question: str) -> str:
        found = _ANSWERS.search(question).groups()  # type: ignore[union-attr]
        return "hm" if found == ("fair", "poor") else by_worth(question)

    number = project(store, Work("rank", "q", ABC))
    tally, _ = judged(store, choose)
    (one,) = said(store, number, ai=True)
    assert by_text(one) == [["good"], ["fair", "poor"]]
    assert (tally.comparisons, tally.unreadable, tally.consistency) == (3, 1, 1.0)


def test_the_log_holds_both_orders_and_the_question(store: Store) -> None:
    work = Work("pair", (Message("system", "be brief"), Message("user", "q")), ABC[:2], criterion="which is kinder?")
    number = project(store, work)
    _, server = judged(store, by_worth)
    asked = {hashlib.sha256(body["messages"][0]["content"].encode()).hexdigest(): body for _, body in server.requests}
    ((straight, turned),) = (event["orders"] for event in told(store, "judged"))
    (one,) = said(store, number, ai=True)
    assert (straight["a"], straight["b"]) == (turned["b"], turned["a"]) == one.display
    assert {straight["sha256"], turned["sha256"]} == set(asked)
    assert {straight["letter"], turned["letter"]} == {"A", "B"}
    assert (straight["raw"], turned["raw"]) == (straight["letter"], turned["letter"])
    question = asked[straight["sha256"]]["messages"][0]["content"]
    texts = {completion.id: completion.text for completion in one.completions}
    assert _ANSWERS.search(question).groups() == tuple(texts[i] for i in one.display)  # type: ignore[union-attr]
    for words in ("which is kinder?", "system: be brief\n\nuser: q", "[Guidelines]\nBe fair.\n[End of guidelines]"):
        assert words in question
    assert "good" not in question.partition("[Answer A]")[0]
    (started,) = told(store, "judge")
    assert (started["model"], started["guidelines"], started["project"]) == ("big", 1, number)
    assert "Which answer is better?" in started["compare"]
    assert {body["temperature"] for body in asked.values()} == {0.0}
    tasks.revise_guidelines(store, number, "")
    tasks.add(store, number, [work, work])
    tally, server = judged(store, by_worth, limit=1)
    assert tally.answers.total() == 1
    assert "[Guidelines]" not in server.requests[0][1]["messages"][0]["content"]
    assert told(store, "judge")[1]["guidelines"] is None


@pytest.mark.parametrize(("said_by_it", "logged"), [("A \ud800", "A \\ud800"), ("A\0", "A\\u0000")])
def test_what_no_store_keeps_of_a_reply_is_spelt_out_in_the_log(
    store: Store, tmp_path: Path, said_by_it: str, logged: str
) -> None:
    project(store, *EVERYTHING[:1])
    tally, _ = judged(store, lambda _: said_by_it)
    assert (tally.comparisons, tally.unreadable) == (1, 0)
    (event,) = told(store, "judged")
    assert [(order["letter"], order["raw"]) for order in event["orders"]] == [("A", logged)] * 2
    assert backup(store, tmp_path / "b.zip")["event"] > 0


@pytest.mark.parametrize(("text", "wanted"), [("Be fair.", False), (" \n", True)])
def test_guidelines_are_left_out_where_asked_or_where_they_say_nothing(store: Store, text: str, wanted: bool) -> None:
    number = project(store, Work("pair", "q", ABC[:2]))
    tasks.revise_guidelines(store, number, text)
    _, server = judged(store, by_worth, guidelines=wanted)
    assert server.requests
    assert not any("[Guidelines]" in body["messages"][0]["content"] for _, body in server.requests)
    assert told(store, "judge")[0]["guidelines"] is None


def test_people_have_all_their_places_and_blind_each_other_still(store: Store) -> None:
    number = project(store, *EVERYTHING[:1])
    ana = people.join(store, people.invite(store), "Ana", "long enough").id
    judged(store, by_worth)
    task = next_task(store, number, ana)
    assert task is not None
    submit(store, task.assignment_id, ana, {"tie": True}, "u", 1)
    tally, _ = judged(store, by_worth)
    assert tally.answers.total() == 0
    assert [one.labeler for one in said(store, number)] == ["Ana"]
    assert {one.labeler for one in said(store, number, ai=True)} == {"Ana", "judge"}
    with pytest.raises(UserError, match="'Ana' is a person's account"):
        ai_labels.run(AiLabelsConfig(project="taste", name="Ana", model=ModelConfig(path="x")), store)


def test_a_judge_that_fails_is_taken_up_again(store: Store) -> None:
    number = project(store, *EVERYTHING[:1], *EVERYTHING[:1], *EVERYTHING[:1])
    credit = [2]

    def answer(body: Any) -> Any:
        credit[0] -= 1
        return reply(by_worth(body["messages"][0]["content"])) if credit[0] >= 0 else Raw(400, "no credit left")

    with chat_server(answer) as server:
        endpoint = EndpointConfig(url=server.url, model="big", retries=0, parallel=1)
        with pytest.raises(UserError, match="no credit left"):
            ai_labels.run(AiLabelsConfig(project="taste", name="judge", endpoint=endpoint), store)
    assert len(said(store, number, ai=True)) == 1
    tally, _ = judged(store, by_worth)
    assert tally.answers == {"pair": 2}
    assert len({one.item_id for one in said(store, number, ai=True)}) == 3


def test_one_judge_must_be_given(store: Store) -> None:
    project(store)
    both: dict[str, Any] = {"endpoint": EndpointConfig(url="http://h/v1", model="m"), "model": ModelConfig(path="x")}
    for values in ({}, both):
        with pytest.raises(UserError, match="give one of the two"):
            ai_labels.run(AiLabelsConfig(project="taste", name="judge", **values), store)


@pytest.mark.parametrize("template", [None, "{% for m in messages %}[{{ m['role'] }}]{{ m['content'] }}\n{% if m['role'] == "
                                      "'assistant' %}{{ eos_token }}{% endif %}{% endfor %}"
                                      "{% if add_generation_prompt %}[assistant]{% endif %}"])  # fmt: skip
def test_a_checkpoint_chooses_what_it_finds_more_probable(
    template: str | None, tmp_path: Path, tokenizer: PreTrainedTokenizerFast
) -> None:
    """Against transformers: the probability of A against B as the next token after the question."""
    folder = tiny_llama(tmp_path / "llama", tokenizer, max_position_embeddings=256)
    own = AutoTokenizer.from_pretrained(folder)
    own.chat_template = template
    own.save_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder).eval()
    questions = [f"which is better, {a} or {b}? Answer:" for a, b in (("red", "green"), ("old", "small"), ("kite", "door"))]
    with by_checkpoint(ModelConfig(path=str(folder), precision="float32")) as judge:
        chosen = judge(questions)
    for question, one in zip(questions, chosen, strict=True):
        text = question if template is None else f"[user]{question}\n[assistant]"
        lead = " " if template is None else ""
        a, b = (own(text + lead + letter, add_special_tokens=template is None)["input_ids"] for letter in "AB")
        same = next(i for i, (x, y) in enumerate(zip(a, b, strict=True)) if x != y)
        with torch.no_grad():
            logits = model(torch.tensor([a[:same]])).logits[0, -1]
        expected = torch.softmax(logits[[a[same], b[same]]], 0)[0].item()
        assert one.raw == pytest.approx(expected, abs=1e-5)
        assert one.letter == ("A" if expected > 0.5 else "B")
    assert len({one.letter for one in chosen} | {round(float(one.raw), 6) for one in chosen}) > 2


def test_a_checkpoint_that_finds_both_as_probable_prefers_neither(tmp_path: Path, tokenizer: PreTrainedTokenizerFast) -> None:
    folder = tiny_llama(tmp_path / "llama", tokenizer, max_position_embeddings=256)
    model = AutoModelForCausalLM.from_pretrained(folder)
    torch.nn.init.zeros_(model.get_output_embeddings().weight)
    model.save_pretrained(folder)
    with by_checkpoint(ModelConfig(path=str(folder), precision="float32")) as judge:
        (one,) = judge(["which is better? Answer:"])
    assert (one.letter, one.raw) == ("C", 0.5)


def test_a_checkpoint_labels(store: Store, tmp_path: Path, tokenizer: PreTrainedTokenizerFast) -> None:
    number = project(store, *EVERYTHING)
    folder = tiny_llama(tmp_path / "llama", tokenizer, max_position_embeddings=2048)
    values: dict[str, Any] = {"project": "taste", "name": "small judge", "model": ModelConfig(path=str(folder))}
    tally = ai_labels.run(AiLabelsConfig(**values), store)
    assert tally.answers.total() + tally.skipped == 11
    assert tally.consistency is not None
    orders = [order for event in told(store, "judged") for order in event["orders"]]
    assert all(
        order["letter"] == ("A" if order["raw"] > 0.5 else "B") for order in orders if not math.isclose(order["raw"], 0.5)
    )
    assert len(said(store, number, ai=True)) == tally.answers.total()
    short = tiny_llama(tmp_path / "short", tokenizer)
    values |= {"name": "short", "model": ModelConfig(path=str(short))}
    with pytest.raises(UserError, match="leave the guidelines out, or take a judge with a longer context"):
        ai_labels.run(AiLabelsConfig(**values), store)


@pytest.mark.parametrize(
    ("text", "letter"),
    [
        ("A", "A"), (" b.", None), ("(B)", "B"), ("**C**\n", "C"), ("Answer: A", "A"), ("The answer is B.", "B"),
        ("I think the better answer is A because it is short.", None), ("My verdict: B", "B"), ("", None), ("AB", None),
        ("A is better than B", None), ("Answer: A or answer: B", None), ("The answer is A good one", None), ("D", None),
        ("Choice: [[C]]", "C"), ("Good. Answer: B, clearly.", "B"), ("Answer: B. A is longer.", None), ("answer: a", None),
    ],
)  # fmt: skip
def test_letters_are_read_and_never_guessed(text: str, letter: str | None) -> None:
    assert read_letter(text) == letter
