"""What holds for every kind of reward: finite float32 numbers, one per answer, in order, whatever the answers' company."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any, get_args

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from accordant.config import Config, build, knob
from accordant.rewards import LOADERS, Reward, RewardConfig, load
from accordant.types import Answer, Message, UserError
from builders import byte_level_tokenizer, encoder_tokenizer
from tasks import write_rows
from tiny import tiny_classifier, tiny_encoder

RULES = """
def ends(prompt: str, completion: str, finished: bool) -> float:
    return len(completion) / (1 + len(prompt)) - (not finished)


def ends_of(answers):
    return [0.5 * a.completion.count("e") + (not a.finished) for a in answers]
"""
RECORD = "Record: hour five, city Rome.\nUser: What is the hour?\nAgent:"


class Holder(Config):
    """A place for any reward."""

    reward: RewardConfig = knob(..., "the reward")


def reward_of(**values: Any) -> Reward:
    return load(build(Holder, {"reward": values}).reward)


@pytest.fixture(scope="module")
def rewards(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Reward]:
    """Every kind, some in several ways."""
    place = tmp_path_factory.mktemp("rewards")
    chat = byte_level_tokenizer(chat=True)
    scored = tiny_classifier(place / "scored", chat)
    meta = {"algo": "reward_pairwise", "reads": "prompt and answer", "max_length": 64, "eos": True}
    (scored / "accordant.json").write_text(json.dumps(meta | {"score_mean": [0.3], "score_sd": [2.0]}))
    three = {"id2label": {0: "toxic", 1: "neutral", 2: "kind"}}
    bert = tiny_encoder(place / "bert", encoder_tokenizer(), "bert", "classifier", **three)
    rules = place / "rules.py"
    rules.write_text(RULES)
    reference = str(
        write_rows(place / "rows.jsonl", [{"prompt": "the kite", "completion": f" flew {'e ' * n}"} for n in range(4)])
    )
    model = {"kind": "model", "path": str(scored)}
    toxic = {"kind": "classifier", "path": str(bert), "label": "toxic", "reads": "answer", "output": "log_odds"}
    short = {"kind": "length", "unit": "characters", "at_least": 2, "at_most": 4}
    gate = {"kind": "safety_gate", "safety": toxic, "helpfulness": model, "risky_patterns": ["kite"], "threshold": 0.5}
    kinds: dict[str, dict[str, Any]] = {
        "model": model,
        "classifier": toxic,
        "classifier, chat": {"kind": "classifier", "path": str(tiny_classifier(place / "plain", chat))},
        "classifier, two texts": toxic | {"reads": "two texts", "output": "log_probability"},
        "combine": {
            "kind": "combine",
            "parts": {"a": {"reward": model}, "b": {"reward": short, "weight": -0.5, "whiten": {"mean": -3, "sd": 2}}},
            "whiten": {"reference": reference},
        },
        "safety_gate": gate | {"whiten": {"reference": reference}},
        "safety_gate, gated": gate | {"measure": "gated"},
        "rule": {"kind": "rule", "function": f"{rules}:ends"},
        "rule, batched": {"kind": "rule", "function": f"{rules}:ends_of", "batched": True},
        "length": short,
        "length, tokens": {"kind": "length", "unit": "tokens", "at_most": 0, "tokenizer": str(scored)},
        "repetition": {"kind": "repetition", "n": 1},
        "contains": {"kind": "contains", "texts": ["e"], "patterns": ["[a-c]"]},
        "world": {"kind": "world"},
    }
    return {name: reward_of(**values) for name, values in kinds.items()}


NAMES = [
    "model", "classifier", "classifier, chat", "classifier, two texts", "combine", "safety_gate", "safety_gate, gated", "rule",
    "rule, batched", "length", "length, tokens", "repetition", "contains", "world",
]  # fmt: skip
texts = st.one_of(st.just(""), st.just(" "), st.text("ab e\n", max_size=8), st.text(max_size=4))


def answers_for(name: str) -> st.SearchStrategy[list[Answer]]:
    """Prompts as text and as messages, empty answers and cut ones; the world's judge knows its own prompts alone."""
    prompts = ["the kite", "a boat", (Message("user", "the kite"),), (Message("user", "is it?"), Message("assistant", "no"))]
    chosen = st.sampled_from([RECORD] if name == "world" else prompts)
    # The last message asks: an assistant's turn before the answer is followed by another question.
    asked = chosen.map(lambda p: (*p, Message("user", "why")) if isinstance(p, tuple) and len(p) == 2 else p)
    return st.lists(st.builds(Answer, asked, texts, st.booleans()), min_size=1, max_size=6)


def test_every_kind_is_there(rewards: dict[str, Reward]) -> None:
    assert list(rewards) == NAMES
    assert {name.partition(",")[0] for name in NAMES} == set(LOADERS)
    kinds = get_args(get_args(RewardConfig)[0])
    assert {kind.model_fields["kind"].default for kind in kinds} == set(LOADERS)


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=15)
@given(data=st.data())
def test_an_answer_is_worth_the_same_in_any_company(name: str, rewards: dict[str, Reward], data: st.DataObject) -> None:
    answers = data.draw(answers_for(name))
    reward = rewards[name]
    whole = reward(answers)
    assert whole.dtype == torch.float32
    assert whole.shape == (len(answers),)
    assert bool(whole.isfinite().all())
    order = list(range(len(answers)))
    random.Random(data.draw(st.integers(0, 99))).shuffle(order)
    cut = data.draw(st.integers(0, len(answers)))
    turned = [answers[i] for i in order]
    split = torch.cat([reward(turned[:cut]), reward(turned[cut:])])
    torch.testing.assert_close(split, whole[order], atol=2e-5, rtol=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_no_answers_give_no_numbers(name: str, rewards: dict[str, Reward]) -> None:
    assert rewards[name]([]).shape == (0,)


def test_answers_are_told_apart(rewards: dict[str, Reward]) -> None:
    """A reward that gave each answer the same number would pass all of the above."""
    answers = [Answer("a boat", text, True) for text in ("", " a", " e e e e", " the old red mill and the sea")]
    for name in set(NAMES) - {"world", "safety_gate, gated"}:
        assert len({round(x, 4) for x in rewards[name](answers).tolist()}) > 1, name
    assert (
        rewards["world"]([Answer(RECORD, " The record says hour five.", True), Answer(RECORD, "", True)]).unique().numel() == 2
    )


def test_a_number_that_is_none_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tiny_classifier(tmp_path, byte_level_tokenizer())
    monkeypatch.setattr("accordant.rewards.classifier.score_tokens", lambda *_: torch.tensor([[0.5], [float("inf")]]))
    with pytest.raises(UserError, match=r"the reward of an answer is inf \(kind: classifier\): ' fell'"):
        reward_of(kind="classifier", path=str(folder))([Answer("the kite", " flew", True), Answer("the kite", " fell", True)])


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"kind": "combin", "parts": {}}, r"'reward\.kind' = 'combin' is not one of .*; did you mean 'combine'\?"),
        ({"kind": "combine", "parts": {}}, r"'reward\.parts' = \{\}: .*at least 1 item"),
        ({"kind": "combine"}, r"'reward\.parts' is required"),
        (
            {"kind": "combine", "parts": {"a": {"reward": {"kind": "world"}, "weight": 0}}},
            r"'reward\.parts\.a\.weight' = 0: a part of weight 0 is computed for nothing: leave it out",
        ),
        (
            {"kind": "combine", "parts": {"a": {"reward": {"kind": "wrld"}}}},
            r"'reward\.parts\.a\.reward\.kind' = 'wrld'.*'world'",
        ),
        (
            {"kind": "combine", "parts": {"a": {"reward": {"kind": "world"}, "wieght": 1}}},
            r"unknown key 'reward\.parts\.a\.wieght'; did you mean 'weight'",
        ),
        (
            {"kind": "combine", "parts": {"a": {"reward": {"kind": "world", "mesure": "toxic"}}}},
            r"unknown key 'reward\.parts\.a\.reward\.mesure'; did you mean 'measure'",
        ),
        (
            {"kind": "combine", "parts": {"a": {"reward": {"kind": "world"}}}, "whiten": True},
            r"write reward\.whiten\.reference=",
        ),
        (
            {"kind": "combine", "parts": {"a": {"reward": {"kind": "world"}}}, "whiten": {"mean": 1}},
            r"'reward\.whiten': give either reference or both mean and sd, found mean=1\.0",
        ),
        ({"kind": "length"}, "'reward': neither at_least nor at_most is given"),
        ({"kind": "length", "at_least": 5, "at_most": 3}, "at_most=3 is below at_least=5"),
        ({"kind": "length", "at_most": 3, "unit": "tokens"}, "unit: tokens needs a tokenizer"),
        ({"kind": "contains"}, "neither texts nor patterns are given"),
        ({"kind": "contains", "patterns": ["a("]}, r"'a\(' is no regular expression"),
        ({"kind": "contains", "patterns": ["a*"]}, r"'a\*' is found in an empty text"),
        ({"kind": "contains", "texts": [""]}, "'' is found in an empty text"),
        ({"kind": "rule", "function": "rules.py"}, r"'reward\.function' = 'rules\.py': write file\.py:function"),
        ({"kind": "rule", "function": "rules.py:two words"}, r"write file\.py:function"),
    ],
)
def test_what_cannot_be_meant_is_said(values: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        build(Holder, {"reward": values})
