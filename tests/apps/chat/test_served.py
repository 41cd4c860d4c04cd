"""Which checkpoint a word names, what it is called, and what ends its answers."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from accordant.apps.chat.served import UNSTATED, Place, Served, places
from accordant.types import UserError
from builders import CHAT_TEMPLATE, byte_level_tokenizer
from tiny import tiny_causal, tiny_llama

POLICY, SCORER = {"architectures": ["LlamaForCausalLM"]}, {"architectures": ["LlamaForSequenceClassification"]}
BOTH = {"architectures": ["T5ForConditionalGeneration"], "is_encoder_decoder": True}


def a_run(folder: Path, **stages: dict[str, object] | None) -> Path:
    """What a run leaves behind, of which only the names are read; None: a stage without a checkpoint."""
    for name, config in stages.items():
        place = folder / name / "checkpoint"
        place.mkdir(parents=True)
        if config is not None:
            (place / "config.json").write_text(json.dumps(config))
    (folder / "report.json").write_text(json.dumps({"stages": [{"name": name} for name in stages]}))
    return folder


def test_a_word_is_a_checkpoint_a_stage_a_run_or_a_hub_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = a_run(tmp_path / "mine", sft=POLICY, reward=SCORER, policy=POLICY, judge=SCORER, t5=BOTH, evaluation=None)
    (tmp_path / "bare").mkdir()
    (tmp_path / "bare" / "config.json").write_text("{}")
    words = {
        str(run): Place("mine", str(run / "policy" / "checkpoint")),
        str(run / "sft"): Place("sft", str(run / "sft" / "checkpoint")),
        str(run / "policy" / "checkpoint"): Place("policy", str(run / "policy" / "checkpoint")),
        f"{tmp_path}/bare/": Place("bare", f"{tmp_path}/bare/"),
        "owner/name": Place("owner/name", "owner/name"),
    }
    assert places(list(words), []) == list(words.values())
    monkeypatch.chdir(run / "policy" / "checkpoint")
    assert places(["."], []) == [Place("policy", ".")]


def test_names_are_given_in_order_and_never_twice(tmp_path: Path) -> None:
    one, two = (a_run(tmp_path / place / "x", policy=POLICY) for place in "ab")
    with pytest.raises(UserError, match=r"two models are called x \(.*a/x/.*, .*b/x/.*--name"):
        places([str(one), str(two)], [])
    assert [place.name for place in places([str(one), str(two)], ["before"])] == ["before", "x"]
    with pytest.raises(UserError, match="two models are called x"):
        places([str(one), str(two), "owner/x"], ["x", "x", "y"])
    with pytest.raises(UserError, match="--name is given 2 times, but there are 1 models"):
        places([str(one)], ["a", "b"])
    with pytest.raises(UserError, match=r"a name is empty: give .*a/x/policy/checkpoint a name"):
        places([str(one)], [""])


def test_a_run_that_cannot_talk(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is a run without a language model: name a checkpoint folder"):
        places([str(a_run(tmp_path, reward=SCORER, evaluation=None))], [])


@pytest.mark.parametrize("written", ["{", "[]", "{}", '{"stages": 3}', '{"stages": [{}]}', '{"stages": [{"name": 3}]}'])
def test_a_report_that_is_none(tmp_path: Path, written: str) -> None:
    (tmp_path / "report.json").write_text(written)
    with pytest.raises(UserError, match=r"report\.json is no report of a run .*: name a checkpoint folder"):
        places([str(tmp_path)], [])


@pytest.mark.parametrize("written", ["{", "[]"])
def test_a_stage_with_a_configuration_that_is_none(tmp_path: Path, written: str) -> None:
    run = a_run(tmp_path, policy=POLICY)
    (run / "policy" / "checkpoint" / "config.json").write_text(written)
    with pytest.raises(UserError, match=r"config\.json is no configuration of a model .*: name a checkpoint folder"):
        places([str(run)], [])


def test_everything_that_ends_a_turn_ends_an_answer(tmp_path: Path) -> None:
    """The tokenizer's end, those of the generation settings, and the token with which the chat template closes a turn."""
    tokenizer = byte_level_tokenizer(bos=True, chat=True)
    tokenizer.add_special_tokens({"additional_special_tokens": ["<turn_end>"]})
    tokenizer.chat_template = CHAT_TEMPLATE.replace("eos_token", "'<turn_end>'")
    folder = tiny_llama(tmp_path / "model", tokenizer)
    (folder / "generation_config.json").write_text(json.dumps({"eos_token_id": [17, 23]}))
    served = Served.load(Place("model", str(folder)))
    turn_end = tokenizer.convert_tokens_to_ids("<turn_end>")
    assert set(served.stop_ids) == {tokenizer.eos_token_id, 17, 23, turn_end}
    assert not served.model.module.training


def test_a_model_that_states_no_context_has_one_here(tmp_path: Path) -> None:
    served = Served.load(Place("bloom", str(tiny_causal(tmp_path, byte_level_tokenizer(), "bloom"))))
    assert served.model.context == 0
    fitted = served.fit("the red", None)
    assert len(fitted.ids) + fitted.room == served.context == UNSTATED
