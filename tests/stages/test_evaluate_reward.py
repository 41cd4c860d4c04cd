"""A whole reward-model report, on rows of every kind: what a score of a known habit must show, and what is refused."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from accordant.data.rows import read
from accordant.pipeline.report.html import render_reward_model
from accordant.pipeline.report.schema import check_reward_model
from accordant.stages.reader import Reader
from accordant.types import Tokens, UserError
from builders import byte_level_tokenizer, wordpiece_tokenizer
from tasks import COLOURS, labelled, pairs, run_stage, write_rows
from tiny import tiny_classifier, tiny_encoder

WORDS = ["red", "green tea", "blue!", "a black cat?", "white snow is cold", "gold!!"]


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> str:
    from tiny import tiny_llama

    return str(tiny_llama(tmp_path_factory.mktemp("llama"), byte_level_tokenizer(chat=True), max_position_embeddings=128))


@pytest.fixture(scope="module")
def trained(start: str, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., str]:
    """A reward model of one step, trained on rows of some kind; each is made once."""
    made: dict[str, str] = {}

    def make(kind: str, rows: list[dict[str, Any]]) -> str:
        if kind not in made:
            folder = tmp_path_factory.mktemp(kind)
            data = str(write_rows(folder / "rows.jsonl", rows))
            made[kind] = run_stage(kind, folder / "run", model={"path": start}, data=data, max_steps=1)["checkpoint"]
        return made[kind]

    return make


def scored_by(monkeypatch: pytest.MonkeyPatch, *rules: Callable[[str], float]) -> None:
    """Every model's outputs become what the rules say of the text that it reads, without the prompt."""

    def logits(self: Reader, rows: Sequence[Tokens], tokens_per_microbatch: int, done: Any = None) -> torch.Tensor:  # noqa: ARG001
        texts = [self.model.tokenizer.decode(row.ids[row.prompt_length :], skip_special_tokens=True) for row in rows]
        return torch.tensor([[rule(text) for rule in rules] for text in texts])

    monkeypatch.setattr(Reader, "logits", logits)


def report(folder: Path, model: str, data: Any, **values: Any) -> dict[str, Any]:
    """The stage's report, checked against the schema, and that a page can be made of it."""
    run_stage("evaluate_reward", folder, model={"path": model}, data=data, **values)
    found: dict[str, Any] = json.loads((folder / "reward_model.json").read_text())
    check_reward_model(found)
    assert not re.search(r"\b(None|nan|inf)\b", render_reward_model(found, "a reward model"))
    return found


PAIRS = [{"prompt": f"what is {k}?", "chosen": f" {v}!", "rejected": f" {v} or so"} for k, v in COLOURS.items()]
RANKINGS = [
    {"prompt": f"say {k}", "completions": [f" {v}", f" {v}!", f" {v}!!"], "ranks": ranks, "labeler": name}
    for k, v in COLOURS.items()
    for name, ranks in (("ana", [3, 2, 1]), ("ben", [1, 2, 2]))
]
RATINGS = [
    {"prompt": f"say {k}", "completion": f" {v}{'!' * i}", "scores": {"zest": 1.0 + i, "calm": 5.0 - i}}
    for i, (k, v) in enumerate(COLOURS.items())
]  # fmt: skip


def test_a_score_that_counts_exclamation_marks(
    trained: Callable[..., str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is right about every pair here; the report says how: three more marks are worth 3 / sd."""
    model = trained("reward_pairwise", PAIRS)
    scored_by(monkeypatch, lambda text: float(text.count("!")))
    ties = [{**row, "tie": True} for row in PAIRS[:2]]
    rows = write_rows(tmp_path / "rows.jsonl", [*PAIRS, *ties])
    found = report(tmp_path / "run", model, str(rows))
    assert (found["kind"], found["heldout_accuracy"], found["n"], found["ties"]["n"]) == ("Pair", 1, 6, 2)
    assert found["ties"]["gap"] == found["ties"]["gap_others"] == pytest.approx(2)  # half of the scores are 1, the others 0
    probes = {one["probe"]: one for one in found["probes"]}
    assert probes["exclamation"]["change"] == pytest.approx(6)  # 3 / 0.5
    assert probes["thanks"]["change"] == pytest.approx(2)
    assert (probes["exclamation"]["rises"], probes["capitals"]["change"]) == (1, 0)
    features = {one["feature"]: one["rho"] for one in found["features"]}
    assert features["exclamation marks"] == pytest.approx(1)
    assert any("“!!!” moves the score up by 6.0 sd" in said for said in found["suspicions"])
    assert found["by_source"] == [
        {"source": "rows.jsonl", "n": 6, "accuracy": 1.0, "ci95": [1.0, 1.0]}
    ]  # fmt: skip


def test_sources_and_turns(trained: Callable[..., str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = trained("reward_pairwise", PAIRS)
    scored_by(monkeypatch, lambda text: float("!" in text))
    talk = [
        {"role": "user", "content": "hello"}, {"role": "assistant", "content": "hi"}, {"role": "user", "content": "what now?"}
    ]  # fmt: skip
    long = [{"prompt": talk, "chosen": " go", "rejected": " go!"}, {"prompt": talk[:1], "chosen": "yes!", "rejected": "no"}]
    files = {"plain": str(write_rows(tmp_path / "a.jsonl", PAIRS)), "talks": str(write_rows(tmp_path / "b.jsonl", long))}
    found = report(tmp_path / "run", model, files, probes=0)
    assert [(one["source"], one["n"], one["accuracy"]) for one in found["by_source"]] == [("plain", 6, 1), ("talks", 2, 0.5)]
    assert [(one["turns"], one["n"], one["accuracy"]) for one in found["by_turns"]] == [("1", 7, 1), ("2", 1, 0)]
    assert found["probes"] == []


def test_rankings_and_their_labelers(trained: Callable[..., str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ana likes exclamation marks and Ben does not. The score agrees with Ana on 3 pairs of 3, with Ben on none of 2."""
    model = trained("reward_kwise", RANKINGS)
    scored_by(monkeypatch, lambda text: float(text.count("!")))
    found = report(tmp_path / "run", model, str(write_rows(tmp_path / "rows.jsonl", RANKINGS)), probes=0)
    assert (found["n"], found["heldout_accuracy"], found["ties"]["n"]) == (30, 18 / 30, 6)
    assert [(one["labeler"], one["n"], one["accuracy"]) for one in found["labelers"]] == [("ana", 18, 1), ("ben", 12, 0)]
    assert found["labelers"][0]["tau_b"]["value"] == pytest.approx(1)
    assert found["ranking"]["best_of_k"]["accuracy"] == 0.5
    assert [one["margin"] for one in found["by_margin"]] == ["margin 1", "margin 2"]
    assert any("“ben”" in said for said in found["suspicions"])


def test_ratings_come_back_on_their_own_scale(
    trained: Callable[..., str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An output of (rating - mean) / sd is a perfect rating; the other attribute's output says the mean always."""
    model = trained("reward_regression", RATINGS)
    meta = json.loads((Path(model) / "accordant.json").read_text())
    mean, sd = meta["target_mean"][1], meta["target_sd"][1]  # calm, zest
    scored_by(monkeypatch, lambda text: 0.0, lambda text: (1.0 + text.count("!") - mean) / sd)  # noqa: ARG005
    found = report(tmp_path / "run", model, str(write_rows(tmp_path / "rows.jsonl", RATINGS)), probes=4)
    calm, zest = found["attributes"]
    assert (calm["attribute"], zest["attribute"], zest["n"]) == ("calm", "zest", 6)
    assert zest["rmse"]["value"] == pytest.approx(0, abs=1e-5)
    assert zest["rmse"]["baseline"] == pytest.approx(sd, abs=1e-5)
    assert zest["spearman"]["value"] == pytest.approx(1)
    assert (calm["spearman"]["value"], calm["rmse"]["difference"]) == (None, pytest.approx(0, abs=1e-5))
    assert (found["heldout_accuracy"], found["ece"], found["n"]) == (None, None, 6)


def test_a_model_without_ratings_is_only_correlated(
    trained: Callable[..., str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = trained("reward_pairwise", PAIRS)
    scored_by(monkeypatch, lambda text: float(text.count("!")))
    same = [{**row, "prompt": "say it"} for row in RATINGS]
    found = report(tmp_path / "run", model, str(write_rows(tmp_path / "rows.jsonl", same)), probes=0)
    calm, zest = found["attributes"]
    assert (zest["spearman"]["value"], calm["spearman"]["value"]) == (pytest.approx(1), pytest.approx(-1))
    assert (zest["rmse"], zest["own_output"]) == (None, False)
    assert (zest["pairs"]["n"], zest["pairs"]["accuracy"], calm["pairs"]["accuracy"]) == (15, 1, 0)


def test_thumbs_have_classes_and_labelers(trained: Callable[..., str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [
        {
            "prompt": f"say {k}",
            "completion": f" {v}{'!' if i % 2 else ''}",
            "up": bool(i % 2) or i == 0,
            "labeler": "ab"[i // 3],
        }
        for i, (k, v) in enumerate(COLOURS.items())
    ]
    model = trained("reward_classifier", rows)
    scored_by(monkeypatch, lambda text: 2.0 * text.count("!") - 1)
    found = report(tmp_path / "run", model, str(write_rows(tmp_path / "rows.jsonl", rows)), probes=0)
    assert found["heldout_accuracy"] == pytest.approx(5 / 6)  # the first one's thumb is up without a mark
    assert found["classes"]["counts"] == {"0": 2, "1": 4}
    assert found["classes"]["auroc"]["value"] == pytest.approx((3 + 0.5) / 4)
    assert [(one["labeler"], one["accuracy"]) for one in found["labelers"]] == [("a", pytest.approx(2 / 3)), ("b", 1)]


@pytest.mark.parametrize(("output", "sign"), [(None, 1), ("LABEL_1", 1), ("LABEL_0", -1)])
def test_two_classes_are_told_apart_whichever_is_the_score(
    output: str | None, sign: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of two logits the larger one is the prediction, and the score is the log-odds of the class that is asked for."""
    model = str(tiny_classifier(tmp_path / "model", byte_level_tokenizer(), labels=2))
    scored_by(monkeypatch, lambda text: float("not" in text), lambda text: 0.5 + len(text) / 1000)
    rows = labelled(tmp_path / "rows.jsonl")
    found = report(tmp_path / "run", model, str(rows), output=output)
    assert found["heldout_accuracy"] == found["classes"]["auroc"]["value"] == 1
    assert found["by_turns"] == []
    change = {one["probe"]: one["change"] for one in found["probes"]}[
        "refusal"
    ]  # makes the text longer, so likelier of class 1
    assert change * sign > 0


def test_an_encoder_reads_pairs(tmp_path: Path) -> None:
    model = str(tiny_encoder(tmp_path / "encoder", wordpiece_tokenizer(), "bert"))
    data = str(pairs(tmp_path / "rows.jsonl"))
    made = run_stage("reward_pairwise", tmp_path / "rm", model={"path": model}, data=data, max_steps=1)["checkpoint"]
    assert report(tmp_path / "run", made, data, probes=6)["n"] == 6


# --- what is refused ----------------------------------------------------------------------------------------------------


def test_over_long_rows_are_named_and_never_cut(trained: Callable[..., str], tmp_path: Path) -> None:
    model = trained("reward_pairwise", PAIRS)
    long = {"prompt": "say", "chosen": " word" * 200, "rejected": " a"}
    data = str(write_rows(tmp_path / "rows.jsonl", [*PAIRS, long]))
    with pytest.raises(UserError, match=r"rows\.jsonl:7 .*on_long=drop"):
        report(tmp_path / "run", model, data)
    found = report(tmp_path / "run", model, data, on_long="drop", probes=0)
    assert (found["n"], found["left_out"]["n"]) == (6, 1)
    assert "rows.jsonl:7" in found["left_out"]["rows"]


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"a": PAIRS, "b": RATINGS}, "a Rating row after Pair rows"),
        ({"a": [{"prompt": "q", "completion": " a"}]}, "found Chat rows"),
        ({"a": [{**row, "tie": True} for row in PAIRS]}, "all 6 pairs are ties"),
        ({"a": [{"prompt": "q", "completions": [" a", " b"], "ranks": [1, 1]}]}, "tie everything"),
        ({"a": [{"text": "x", "label": 2}]}, "label 2, but .* 2 classes"),
    ],
)
def test_what_cannot_be_measured(files: dict[str, Any], message: str, trained: Callable[..., str], tmp_path: Path) -> None:
    data = {name: str(write_rows(tmp_path / f"{name}.jsonl", rows)) for name, rows in files.items()}
    with pytest.raises(UserError, match=message):
        report(tmp_path / "run", trained("reward_pairwise", PAIRS), data)


def test_an_unknown_output_is_named_before_anything_is_scored(trained: Callable[..., str], tmp_path: Path) -> None:
    data = str(write_rows(tmp_path / "rows.jsonl", RATINGS))
    with pytest.raises(UserError, match="no output 'zes'; did you mean 'zest'"):
        report(tmp_path / "run", trained("reward_regression", RATINGS), data, output="zes")


def test_a_score_that_is_no_number_is_named(
    trained: Callable[..., str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scored_by(monkeypatch, lambda text: float("nan") if "blue" in text else 0.0)
    data = str(write_rows(tmp_path / "rows.jsonl", PAIRS))
    with pytest.raises(UserError, match=r"rows\.jsonl:3: .*not a number"):
        report(tmp_path / "run", trained("reward_pairwise", PAIRS), data)


# --- how it reads -----------------------------------------------------------------------------------------------------


def test_a_reward_model_reads_what_its_reward_reads(trained: Callable[..., str], tmp_path: Path) -> None:
    """The scores of the report are those that reinforcement learning would get."""
    from accordant.models.load import ModelConfig
    from accordant.rewards import ModelReward, load
    from accordant.types import Answer

    path = trained("reward_pairwise", PAIRS)
    rows = read(write_rows(tmp_path / "rows.jsonl", PAIRS))
    reader = Reader.load(ModelConfig(path=path))
    ours = reader.normalised(reader.logits([text for row in rows for text in reader.encode(row)], 4096))[:, 0]
    reward = load(ModelReward(path=path))
    theirs = reward([Answer(row.prompt, text, True) for row in rows for text in (row.chosen, row.rejected)])
    assert torch.allclose(ours, theirs, atol=1e-5)


def test_a_classifier_reads_what_its_reward_reads(start: str, tmp_path: Path) -> None:
    from accordant.models.load import ModelConfig
    from accordant.rewards import ClassifierReward, load
    from accordant.types import Answer

    made = run_stage(
        "reward_classifier", tmp_path / "rm", model={"path": start}, data=str(labelled(tmp_path / "rows.jsonl")), max_steps=1
    )["checkpoint"]
    rows = read(write_rows(tmp_path / "pairs.jsonl", PAIRS))
    for reads in ("answer", "prompt and answer"):
        reader = Reader.load(ModelConfig(path=made), reads=reads)  # type: ignore[arg-type]
        ours = reader.logits([text for row in rows for text in reader.encode(row)], 4096)[:, 0]
        theirs = load(ClassifierReward(path=made, reads=reads))(  # type: ignore[arg-type]
            [Answer(row.prompt, text, True) for row in rows for text in (row.chosen, row.rejected)]
        )
        assert torch.allclose(ours, theirs, atol=1e-5)
