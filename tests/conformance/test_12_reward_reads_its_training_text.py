"""12: the reward model scores an answer of a rollout exactly as it scored the same text in training."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from transformers import AutoModelForSequenceClassification

from accordant.data.template import Template
from accordant.models.checkpoint import read_meta
from accordant.models.load import ModelConfig
from accordant.models.scalar import ScalarModel
from accordant.rewards import ClassifierReward, ModelReward, load
from accordant.rewards.scoring import score_tokens
from accordant.types import Answer, Labelled, Message, Pair
from builders import wordpiece_tokenizer
from tasks import COLOURS, labelled, pairs, run_stage
from tiny import tiny_encoder

TEXTS = [(f"what colour is {thing}?", f" {colour}", f" not {colour}") for thing, colour in COLOURS.items()]


@pytest.fixture(scope="module")
def reward_model(llama_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    place = tmp_path_factory.mktemp("rm")
    result = run_stage(
        "reward_pairwise", place / "run", model={"path": str(llama_folder)}, data=str(pairs(place / "rows.jsonl")), epochs=2,
        rows_per_step=3, optim={"lr": 1e-3},
    )  # fmt: skip
    return str(result["checkpoint"])


def test_pairs(reward_model: str) -> None:
    model = ScalarModel.load(ModelConfig(path=reward_model))
    meta = read_meta(reward_model)
    template = Template(model.tokenizer, int(meta["max_length"]))
    trained = [template.encode_pair(Pair(*text)) for text in TEXTS]
    raw = score_tokens(model, [p.chosen for p in trained] + [p.rejected for p in trained], 10_000)[:, 0]
    answers = [Answer(t[0], t[1], True) for t in TEXTS] + [Answer(t[0], t[2], True) for t in TEXTS]
    rolled = load(ModelReward(path=reward_model))(answers)
    torch.testing.assert_close(rolled, (raw - meta["score_mean"][0]) / meta["score_sd"][0], atol=1e-5, rtol=1e-5)


def test_its_bare_logit_as_a_classifier_reads_the_same_text(reward_model: str) -> None:
    """The prompt's first answer word is a continuation, which prompt and answer glued together tokenise otherwise."""
    meta = read_meta(reward_model)
    answers = [Answer(prompt, text, finished) for prompt, text, _ in TEXTS for finished in (True, False)]
    answers += [Answer("glue", "d to its prompt", True)]
    normalised = load(ModelReward(path=reward_model))(answers)
    raw = load(ClassifierReward(path=reward_model))(answers)
    torch.testing.assert_close(raw, normalised * meta["score_sd"][0] + meta["score_mean"][0], atol=1e-4, rtol=1e-4)


def test_a_cut_answer_gets_no_forged_end(reward_model: str) -> None:
    """An unfinished answer is scored at its last word: as transformers scores the bare ids."""
    model = AutoModelForSequenceClassification.from_pretrained(reward_model).eval()
    meta = read_meta(reward_model)
    template = Template(ScalarModel.load(ModelConfig(path=reward_model)).tokenizer, 64)
    reward = load(ModelReward(path=reward_model))
    prompt, text, _ = TEXTS[0]
    ids = template.encode_pair(Pair(prompt, text, " x")).chosen.ids
    for finished, row in ((True, ids), (False, ids[:-1])):
        with torch.no_grad():
            expected = model(torch.tensor([row])).logits[0, 0]
        got = reward([Answer(prompt, text, finished)])[0] * meta["score_sd"][0] + meta["score_mean"][0]
        torch.testing.assert_close(got, expected, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("ends", [True, False])
def test_labelled_texts(ends: bool, llama_folder: Path, tmp_path: Path) -> None:
    """With and without EOS behind the text: the checkpoint says which, and the reward follows."""
    rows = labelled(tmp_path / "rows.jsonl")
    result = run_stage(
        "reward_classifier", tmp_path / "run", model={"path": str(llama_folder)}, data=str(rows), max_steps=1, eos=ends
    )
    model = ScalarModel.load(ModelConfig(path=result["checkpoint"]))
    template = Template(model.tokenizer, 64, scored_eos=ends)
    trained = score_tokens(model, [template.encode_labelled(Labelled("apple is red", 1)).tokens], 10_000)[:, 0]
    rolled = load(ClassifierReward(path=result["checkpoint"]))([Answer("apple", " is red", True)])
    torch.testing.assert_close(rolled, trained, atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize("messages", [False, True], ids=["text", "messages"])
def test_a_cross_encoder(messages: bool, tmp_path: Path) -> None:
    """Prompt and answer in the frame of its tokenizer, in training as in a rollout, whatever spaces a policy puts between."""
    encoder = tiny_encoder(tmp_path / "encoder", wordpiece_tokenizer())
    result = run_stage(
        "reward_pairwise", tmp_path / "run", model={"path": str(encoder), "precision": "float32"},
        data=str(pairs(tmp_path / "rows.jsonl")), epochs=2, rows_per_step=3, optim={"lr": 1e-3},
    )  # fmt: skip
    model, meta = ScalarModel.load(ModelConfig(path=result["checkpoint"])), read_meta(result["checkpoint"])
    template = Template(model.tokenizer, int(meta["max_length"]))
    asked = [(Message("user", p),) if messages else p for p, _, _ in TEXTS]
    trained = [template.encode_pair(Pair(p, c, r)).chosen for p, (_, c, r) in zip(asked, TEXTS, strict=True)]
    raw = score_tokens(model, trained, 10_000)[:, 0]
    reward = load(ModelReward(path=result["checkpoint"], precision="float32"))
    for finished in (True, False):  # an encoder's frame closes every text, and says nothing about its end
        rolled = reward([Answer(p, c, finished) for p, (_, c, _) in zip(asked, TEXTS, strict=True)])
        torch.testing.assert_close(rolled, (raw - meta["score_mean"][0]) / meta["score_sd"][0], atol=1e-5, rtol=1e-5)
    tight = reward([Answer(p, c.strip(), True) for p, (_, c, _) in zip(asked, TEXTS, strict=True)])
    torch.testing.assert_close(tight, rolled, atol=1e-5, rtol=1e-5)
    text = f"user: {TEXTS[0][0]}" if messages else TEXTS[0][0]
    assert trained[0].ids == tuple(wordpiece_tokenizer()(text, TEXTS[0][1])["input_ids"])
