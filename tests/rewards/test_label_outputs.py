"""What a classifier says about a label: logits, probabilities and log-odds, against transformers' own pipeline."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer, TextClassificationPipeline

from accordant.rewards import ClassifierReward, load
from accordant.rewards.classifier import label_output
from accordant.types import Answer, Message, UserError
from builders import byte_level_tokenizer, encoder_tokenizer, wordpiece_tokenizer
from tiny import tiny_classifier, tiny_encoder

NAMES = {0: "toxic", 1: "neutral", 2: "kind"}
ANSWERS = [Answer("the kite", text, True) for text in (" flew", " ran over the old mill", " is red")]


def classifier(folder: Path, labels: int, **config: Any) -> Path:
    names = {"id2label": {i: NAMES[i] for i in range(labels)}, "label2id": {NAMES[i]: i for i in range(labels)}}
    return tiny_encoder(folder, encoder_tokenizer(), "bert", "classifier", **names, **config)


def by_pipeline(folder: Path, label: str) -> list[float]:
    """The label's probability as everybody else computes it."""
    model = AutoModelForSequenceClassification.from_pretrained(folder).eval()
    pipeline = TextClassificationPipeline(model=model, tokenizer=AutoTokenizer.from_pretrained(folder), device="cpu")
    found = [pipeline(answer.prompt + answer.completion, top_k=None) for answer in ANSWERS]
    return [next(one["score"] for one in scores if one["label"] == label) for scores in found]


@pytest.mark.parametrize(
    ("labels", "label", "config"),
    [
        (3, "toxic", {}),
        (3, "kind", {"problem_type": "multi_label_classification"}),
        (2, "neutral", {"problem_type": "single_label_classification"}),
        (1, "toxic", {}),
    ],
)
def test_probabilities_are_those_of_transformers(labels: int, label: str, config: dict[str, str], tmp_path: Path) -> None:
    path = str(classifier(tmp_path, labels, **config))
    p = by_pipeline(tmp_path, label)
    expected = {
        "probability": p,
        "log_probability": [math.log(x) for x in p],
        "log_odds": [math.log(x / (1 - x)) for x in p],
    }
    for output, values in expected.items():
        reward = load(ClassifierReward(path=path, label=label, output=output))  # type: ignore[arg-type]
        assert reward(ANSWERS).tolist() == pytest.approx(values, abs=2e-5), output


def test_the_outputs_by_hand() -> None:
    """Logits log 1, log 2, log 5 are the probabilities 1/8, 2/8, 5/8; alone, label 2 has 5/6."""
    logits = torch.tensor([[1.0, 2.0, 5.0]]).log()
    for output, together, alone in (
        ("logit", math.log(5), math.log(5)),
        ("probability", 5 / 8, 5 / 6),
        ("log_probability", math.log(5 / 8), math.log(5 / 6)),
        ("log_odds", math.log(5 / 3), math.log(5)),
    ):
        assert label_output(logits, 2, output, False).tolist() == pytest.approx([together]), output
        assert label_output(logits, 2, output, True).tolist() == pytest.approx([alone]), output


def test_log_odds_stay_finite_where_a_probability_rounds_to_one() -> None:
    logits = torch.tensor([[100.0, -100.0], [-100.0, 100.0]])
    assert label_output(logits, 0, "log_odds", False).tolist() == [200, -200]
    assert label_output(logits, 0, "log_probability", False).tolist() == [0, -200]
    assert label_output(logits, 0, "log_probability", True).tolist() == pytest.approx([0, -100])


def test_a_regression_has_no_probabilities(tmp_path: Path) -> None:
    path = str(classifier(tmp_path, 1, problem_type="regression"))
    assert load(ClassifierReward(path=path))(ANSWERS).shape == (3,)
    with pytest.raises(UserError, match="is a regression, whose outputs have no probability: use output: logit"):
        load(ClassifierReward(path=path, output="probability"))


def test_two_texts_are_framed_as_the_tokenizer_frames_them(tmp_path: Path) -> None:
    """Types included: prompt and answer as one text get another score."""
    tokenizer = wordpiece_tokenizer()
    tiny_encoder(tmp_path, tokenizer, "bert", "classifier", num_labels=1)
    model = AutoModelForSequenceClassification.from_pretrained(tmp_path).eval()
    with torch.no_grad():
        expected = torch.cat([model(**tokenizer(a.prompt, a.completion, return_tensors="pt")).logits[:, 0] for a in ANSWERS])
    got = load(ClassifierReward(path=str(tmp_path), reads="two texts"))(ANSWERS)
    torch.testing.assert_close(got, expected, atol=1e-5, rtol=1e-5)
    assert not torch.allclose(load(ClassifierReward(path=str(tmp_path)))(ANSWERS), expected, atol=1e-3)


def test_two_texts_need_a_frame(classifier_folder: Path) -> None:
    with pytest.raises(UserError, match="no encoder with a frame for two texts"):
        load(ClassifierReward(path=str(classifier_folder), reads="two texts"))


def test_a_conversation_is_read_as_the_chat_template_writes_it(tmp_path: Path) -> None:
    """Up to the token that closes the turn; a cut answer has none."""
    tokenizer = byte_level_tokenizer(chat=True)
    folder = tiny_classifier(tmp_path, tokenizer)
    model = AutoModelForSequenceClassification.from_pretrained(folder).eval()
    chat = (Message("user", "the kite"),)

    def expected(text: str) -> float:
        with torch.no_grad():
            return float(model(torch.tensor([tokenizer(text, add_special_tokens=False).input_ids])).logits)

    reward = load(ClassifierReward(path=str(folder)))
    got = reward([Answer(chat, "it flew", True), Answer(chat, "it flew", False)]).tolist()
    written = "<s>[user]\nthe kite\n[assistant]\nit flew"
    assert got == pytest.approx([expected(written + "</s>"), expected(written)], abs=1e-5)
    assert got[0] != pytest.approx(got[1], abs=1e-3)


def test_an_empty_answer_is_its_end_alone(classifier_folder: Path) -> None:
    model = AutoModelForSequenceClassification.from_pretrained(classifier_folder).eval()
    tokenizer = AutoTokenizer.from_pretrained(classifier_folder)
    with torch.no_grad():
        expected = float(model(torch.tensor([[tokenizer.eos_token_id]])).logits)
    reward = load(ClassifierReward(path=str(classifier_folder), reads="answer"))
    assert reward([Answer("the kite", "", True), Answer("the kite", "", False)]).tolist() == pytest.approx(
        [expected] * 2, abs=1e-5
    )
