"""Rewards as callables: which label, which text, in which order; and what is said where one does not fit."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from accordant.rewards import ClassifierReward, ModelReward, WorldReward, load
from accordant.rewards.scoring import score_tokens
from accordant.types import Answer, Message, Tokens, UserError
from accordant.world.judge import judge
from builders import encoder_tokenizer
from tiny import scalar_model, tiny_classifier

ANSWERS = [
    Answer("the kite", text, finished) for text in (" flew", " ran over the old mill", " is red") for finished in (True, False)
]


@pytest.fixture(scope="module")
def judge_of_three(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An encoder with three labels, as text classifiers on the hub are."""
    names = {0: "toxic", 1: "neutral", 2: "kind"}
    return tiny_classifier(tmp_path_factory.mktemp("bert"), encoder_tokenizer(), "bert", labels=3, id2label=names)


def by_transformers(folder: Path, texts: list[str]) -> torch.Tensor:
    model = AutoModelForSequenceClassification.from_pretrained(folder).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    with torch.no_grad():
        return torch.cat([model(torch.tensor([tokenizer(text).input_ids])).logits for text in texts])


@pytest.mark.parametrize(("label", "column"), [("toxic", 0), ("kind", 2)])
def test_the_reward_is_the_logit_of_the_named_label(label: str, column: int, judge_of_three: Path) -> None:
    reward = load(ClassifierReward(path=str(judge_of_three), label=label, eos=False))
    expected = by_transformers(judge_of_three, [a.prompt + a.completion for a in ANSWERS])[:, column]
    torch.testing.assert_close(reward(ANSWERS), expected, atol=1e-5, rtol=1e-5)


def test_a_classifier_may_read_the_answer_alone(judge_of_three: Path) -> None:
    reward = load(ClassifierReward(path=str(judge_of_three), label="kind", reads="answer"))
    expected = by_transformers(judge_of_three, [a.completion for a in ANSWERS])[:, 2]
    torch.testing.assert_close(reward(ANSWERS), expected, atol=1e-5, rtol=1e-5)
    chat = Answer((Message("user", "the kite"),), " flew", True)
    torch.testing.assert_close(reward([chat]), expected[:1], atol=1e-5, rtol=1e-5)


def test_answers_do_not_depend_on_their_neighbours(judge_of_three: Path) -> None:
    """One by one, all at once, or backwards: the order and the padding of the micro-batches change nothing."""
    path = str(judge_of_three)
    reward = load(ClassifierReward(path=path, label="kind"))
    one_by_one = torch.cat([reward([answer]) for answer in ANSWERS])
    torch.testing.assert_close(reward(ANSWERS), one_by_one, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(reward(ANSWERS[::-1]).flip(0), one_by_one, atol=1e-5, rtol=1e-5)
    small = load(ClassifierReward(path=path, label="kind", tokens_per_microbatch=16))
    torch.testing.assert_close(small(ANSWERS), one_by_one, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(
    ("label", "message"),
    [(None, "labels toxic, neutral, kind: say which one is the reward"), ("kinds", "no label 'kinds'; did you mean 'kind'")],
)
def test_the_label_has_to_be_one_of_the_classifier(label: str | None, message: str, judge_of_three: Path) -> None:
    with pytest.raises(UserError, match=message):
        load(ClassifierReward(path=str(judge_of_three), label=label))


def test_a_single_output_has_a_name_too(classifier_folder: Path) -> None:
    """Another label than the one asked for would be another reward, perhaps the opposite one."""
    path = str(classifier_folder)
    assert torch.equal(load(ClassifierReward(path=path))(ANSWERS), load(ClassifierReward(path=path, label="LABEL_0"))(ANSWERS))
    with pytest.raises(UserError, match="no label 'positive'"):
        load(ClassifierReward(path=path, label="positive"))


def test_messages_need_a_classifier_that_reads_answers(judge_of_three: Path) -> None:
    reward = load(ClassifierReward(path=str(judge_of_three), label="kind"))
    with pytest.raises(UserError, match="set reads: answer"):
        reward([Answer((Message("user", "hello"),), " hi", True)])


def test_a_classifier_is_no_reward_model_trained_on_pairs(judge_of_three: Path) -> None:
    with pytest.raises(UserError, match="use kind: classifier"):
        load(ModelReward(path=str(judge_of_three)))


def test_a_language_model_is_no_classifier(llama_folder: Path) -> None:
    with pytest.raises(UserError, match="scores would be random"):
        load(ClassifierReward(path=str(llama_folder)))


def test_nothing_beyond_the_context_is_scored(judge_of_three: Path) -> None:
    reward = load(ClassifierReward(path=str(judge_of_three), label="kind"))
    with pytest.raises(UserError, match=r"has \d+ tokens and the scoring model's context is 64: lower max_new_tokens"):
        reward([Answer("the kite", " red and" * 40, True)])


def test_an_encoder_reads_a_text_in_its_own_frame(tmp_path: Path) -> None:
    """As BERT's do: a class and a separator token around it, and no EOS at all."""
    tokenizer = encoder_tokenizer()
    folder = tiny_classifier(tmp_path, tokenizer, "bert")
    expected = by_transformers(folder, [a.prompt + a.completion for a in ANSWERS])[:, 0]
    torch.testing.assert_close(load(ClassifierReward(path=str(folder)))(ANSWERS), expected, atol=1e-5, rtol=1e-5)


def test_scores_come_in_the_order_of_the_rows(judge_of_three: Path) -> None:
    """Rows of falling lengths, so that sorting by length turns them around."""
    model = scalar_model(judge_of_three)
    rows = [Tokens(tuple(range(10, 10 + n)), (False,) * n) for n in (9, 7, 5, 3, 1)]
    together = score_tokens(model, rows, 12)
    alone = torch.cat([score_tokens(model, [row], 1000) for row in rows])
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=1e-5)


def test_the_world_is_judged_exactly() -> None:
    prompt = "Record: hour five, city Rome.\nUser: What is the hour?\nAgent:"
    answers = [Answer(prompt, text, True) for text in (" The record says hour five.", " The record says hour six.", "")]
    assert load(WorldReward())(answers).tolist() == pytest.approx([judge(prompt, a.completion).utility for a in answers])
    assert load(WorldReward(measure="toxic"))(answers).tolist() == [0, 0, 0]
    with pytest.raises(UserError, match="plain text"):
        load(WorldReward())([Answer((Message("user", "hello"),), " hi", True)])
