"""Each kind of human feedback taught to a tiny model: what people said is what the scores say afterwards."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoConfig, AutoModelForSequenceClassification

from accordant.data.template import Template
from accordant.models.checkpoint import read_meta
from accordant.models.load import ModelConfig
from accordant.models.scalar import ScalarModel
from accordant.rewards import ModelReward, load
from accordant.rewards.scoring import score_tokens
from accordant.stages import offline
from accordant.types import Answer, UserError
from builders import byte_level_tokenizer, wordpiece_tokenizer
from tasks import COLOURS, metrics, run_stage, weights, write_rows
from tiny import tiny_encoder, tiny_llama

LORA = [None, {"rank": 4, "alpha": 16.0}]
FULL_AND_LORA = pytest.mark.parametrize("lora", LORA, ids=["all weights", "LoRA"])


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tiny_llama(tmp_path_factory.mktemp("start"), byte_level_tokenizer(), initializer_range=0.05)
    return {"path": str(folder), "precision": "float32"}


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tiny_encoder(
        tmp_path_factory.mktemp("encoder"), wordpiece_tokenizer(), "bert", initializer_range=0.05, hidden_dropout_prob=0.0
    )
    return {"path": str(folder), "precision": "float32"}


def learn(kind: str, folder: Path, model: dict[str, Any], rows: Path, lora: dict[str, Any] | None = None, **values: Any) -> Any:
    settings: dict[str, Any] = {"rows_per_step": 6, "epochs": 30, "optim": {"lr": 1e-2 if lora else 5e-3}, "seed": 1}
    own = model | ({"lora": lora} if lora else {})
    return run_stage(kind, folder, model=own, data=str(rows), **(settings | values))


def rewards(result: dict[str, Any], *texts: tuple[str, str], **knobs: Any) -> list[float]:
    return load(ModelReward(path=result["checkpoint"], **knobs))([Answer(p, c, True) for p, c in texts]).tolist()


def question(thing: str) -> str:
    return f"what colour is {thing}?"


# --- rankings ---------------------------------------------------------------------------------------------------------

WORDS = {"": 1, " perhaps": 2, " maybe": 2, " not": 3, " never": None}
"""What comes before the colour, and its rank: plain is best, two are tied, the last is marked F."""


def rankings(path: Path) -> Path:
    """Of two to five answers, listed in another order each time."""
    rows = []
    for i, (thing, colour) in enumerate(COLOURS.items()):
        words = list(WORDS)[i % 5 :] + list(WORDS)[: i % 5]
        words = words[: 3 + i % 3] if i else ["", " not"]
        rows.append({
            "prompt": question(thing), "completions": [f"{word} {colour}" for word in words],
            "ranks": [WORDS[word] for word in words],
        })  # fmt: skip
    return write_rows(path, rows)


@FULL_AND_LORA
@pytest.mark.parametrize("kind", ["reward_kwise", "reward_plackett_luce"])
def test_rankings_with_ties_and_rejects(kind: str, lora: dict[str, Any] | None, start: dict[str, Any], tmp_path: Path) -> None:
    """Rankings of two to five answers share a step, and the scores order the answers of each as they were ranked."""
    result = learn(kind, tmp_path / "run", start, rankings(tmp_path / "rows.jsonl"), lora, epochs=40)
    assert result["train"]["accuracy"] == 1
    assert result["shared_prompts"] is True
    for thing, colour in list(COLOURS.items())[2::3]:  # those of five answers
        plain, perhaps, maybe, no, never = rewards(result, *((question(thing), f"{word} {colour}") for word in WORDS))
        assert plain > max(perhaps, maybe)
        assert min(perhaps, maybe) > no > never


def test_rejects_that_are_excluded_teach_nothing(start: dict[str, Any], tmp_path: Path) -> None:
    """Which answers were marked F, and what they say, changes no weight but by rounding: shared rows are cut elsewhere."""
    found = []
    for text in (" never", " always"):
        rows = [{"prompt": question(k), "completions": [f" not {v}", f"{text} {v}", f" {v}"], "ranks": [2, None, 1]}
                for k, v in COLOURS.items()]  # fmt: skip
        folder = tmp_path / text.strip()
        result = learn("reward_kwise", folder, start, write_rows(tmp_path / "rows.jsonl", rows), epochs=3,
                       algo={"rejects": "exclude"})  # fmt: skip
        found.append(weights(result["checkpoint"]))
    for name in found[0]:
        torch.testing.assert_close(found[0][name], found[1][name], atol=1e-5, rtol=0)


@FULL_AND_LORA
@pytest.mark.parametrize("kind", ["reward_kwise", "reward_plackett_luce"])
def test_rankings_of_unequal_length_train_the_same_model_in_shared_rows(
    kind: str, lora: dict[str, Any] | None, start: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = rankings(tmp_path / "rows.jsonl")
    values: dict[str, Any] = {"epochs": 4, "rows_per_step": 4, "tokens_per_microbatch": 150, "optim": {"lr": 1e-3}}
    shared = learn(kind, tmp_path / "shared", start, rows, lora, **values)
    monkeypatch.setattr(offline, "shares_prompts", lambda model, items: False)  # noqa: ARG005
    plain = learn(kind, tmp_path / "plain", start, rows, lora, **values)
    assert (shared["shared_prompts"], plain["shared_prompts"]) == (True, False)
    one, other = weights(shared["checkpoint"]), weights(plain["checkpoint"])
    for name in one:
        torch.testing.assert_close(one[name], other[name], atol=1e-4, rtol=0)
    assert sum(float((one[name] - other[name]).abs().sum()) for name in one) / sum(x.numel() for x in one.values()) < 1e-6
    for mine, theirs in zip(metrics(tmp_path / "shared"), metrics(tmp_path / "plain"), strict=True):
        assert mine == pytest.approx(theirs, abs=1e-3)


# --- ratings ----------------------------------------------------------------------------------------------------------

TRUTH, WARMTH = {"": 9.0, " not": 2.0}, {"": 1.5, " friend": 4.5}
"""Two attributes on scales of 1 to 10 and of 1 to 5, each decided by a word of its own."""


def rated() -> list[tuple[str, str, dict[str, float]]]:
    return [
        (question(thing), f"{no}{kind} {colour}", {"truth": TRUTH[no], "warmth": WARMTH[kind]})
        for thing, colour in COLOURS.items() for no in TRUTH for kind in WARMTH
    ]  # fmt: skip


@FULL_AND_LORA
def test_two_attributes_of_which_many_ratings_are_missing(
    lora: dict[str, Any] | None, start: dict[str, Any], tmp_path: Path
) -> None:
    """Both are recovered on their own scales, for the answers too whose rating of it nobody gave."""
    rows = [
        {"prompt": p, "completion": c, "scores": {k: s for j, (k, s) in enumerate(scores.items()) if (i + j) % 3}}
        for i, (p, c, scores) in enumerate(rated())
    ]
    result = learn("reward_regression", tmp_path / "run", start, write_rows(tmp_path / "rows.jsonl", rows), lora,
                   rows_per_step=12, epochs=50, optim={"lr": 1e-2, "schedule": "constant"})  # fmt: skip
    assert re.search(r"16 of 48 ratings are missing", (tmp_path / "run" / "log.txt").read_text())
    model, meta = ScalarModel.load(ModelConfig(path=result["checkpoint"])), read_meta(result["checkpoint"])
    names = list(model.labels.values())
    assert names == ["truth", "warmth"]
    template = Template(model.tokenizer, 64)
    out = score_tokens(model, [template.encode_scored(p, c, True) for p, c, _ in rated()], 10_000)
    back = out * torch.tensor(meta["target_sd"]) + torch.tensor(meta["target_mean"])
    asked = torch.tensor([[scores["truth"], scores["warmth"]] for _, _, scores in rated()])
    unseen = torch.tensor([[(i + j) % 3 == 0 for j in range(2)] for i in range(len(asked))])
    for column, spread in ((0, 7.0), (1, 3.0)):
        error = (back - asked)[:, column].abs()
        assert float(error[~unseen[:, column]].max()) < 0.2 * spread, column
        assert float(error[unseen[:, column]].mean()) < 0.25 * spread, column  # half of what the mean rating is off
    one_by_one = [rewards(result, (p, c), attribute=name)[0] for p, c, _ in rated()[:4] for name in names]
    expected = (out - torch.tensor(meta["score_mean"])) / torch.tensor(meta["score_sd"])
    assert one_by_one == pytest.approx(expected[:4].flatten().tolist(), abs=1e-4)
    assert rewards(result, *((p, c) for p, c, _ in rated()[:4])) == pytest.approx(expected[:4].mean(1).tolist(), abs=1e-4)
    with pytest.raises(UserError, match="has no attribute 'trut'; did you mean 'truth'"):
        rewards(result, ("a", " b"), attribute="trut")


def test_a_model_of_several_outputs_is_no_critic_and_no_start_for_pairs(start: dict[str, Any], tmp_path: Path) -> None:
    from accordant.models.critic import CriticConfig, load_critic
    from accordant.models.language import LanguageModel

    rows = [{"prompt": p, "completion": c, "scores": s} for p, c, s in rated()]
    result = learn("reward_regression", tmp_path / "run", start, write_rows(tmp_path / "rows.jsonl", rows), epochs=1)
    with pytest.raises(UserError, match="has 2 outputs, and a critic has one"):
        load_critic(CriticConfig(path=result["checkpoint"]), LanguageModel.load(ModelConfig(**start)))
    pairs = write_rows(tmp_path / "pairs.jsonl", [{"prompt": "a", "chosen": " b", "rejected": " c"}])
    with pytest.raises(UserError, match="has the outputs truth, warmth, and these rows need reward"):
        learn("reward_pairwise", tmp_path / "pairs", {"path": result["checkpoint"]}, pairs)


# --- pairs and thumbs -------------------------------------------------------------------------------------------------


@FULL_AND_LORA
def test_thumbs(lora: dict[str, Any] | None, start: dict[str, Any], tmp_path: Path) -> None:
    rows = [
        {"prompt": question(k), "completion": f"{word} {v}", "up": not word}
        for k, v in COLOURS.items()
        for word in ("", " not")
    ]
    result = learn("reward_classifier", tmp_path / "run", start, write_rows(tmp_path / "rows.jsonl", rows), lora, epochs=40)
    assert result["train"]["accuracy"] == 1
    for thing, colour in COLOURS.items():
        up, down = rewards(result, (question(thing), f" {colour}"), (question(thing), f" not {colour}"))
        assert up > down + 1


def test_pairs_with_ties(start: dict[str, Any], tmp_path: Path) -> None:
    """Answers that were judged equally good come out close together, and far from what both are better than."""
    rows = []
    for k, v in COLOURS.items():
        rows += [{"prompt": question(k), "chosen": a, "rejected": f" not {v}"} for a in (f" {v}", f" perhaps {v}")]
        rows.append({"prompt": question(k), "chosen": f" {v}", "rejected": f" perhaps {v}", "tie": True})
    path = write_rows(tmp_path / "rows.jsonl", rows)
    with pytest.raises(UserError, match=r"6 of 18 pairs are ties, .* set algo.ties=1 "):
        learn("reward_pairwise", tmp_path / "refused", start, path)
    result = learn("reward_pairwise", tmp_path / "run", start, path, algo={"ties": 1.0})
    assert result["train"]["accuracy"] == 1
    for thing, colour in COLOURS.items():
        one, other, wrong = rewards(result, *((question(thing), f"{word} {colour}") for word in ("", " perhaps", " not")))
        assert abs(one - other) < 0.35 * (min(one, other) - wrong)


@FULL_AND_LORA
@pytest.mark.parametrize("kind", ["reward_kwise", "reward_regression"])
def test_an_encoder_learns_them_as_well(
    kind: str, lora: dict[str, Any] | None, encoder: dict[str, Any], tmp_path: Path
) -> None:
    """A cross-encoder with a fresh head; and what it learnt is in the checkpoint that plain transformers reads."""
    rows = [{"prompt": p, "completion": c, "scores": s} for p, c, s in rated()]
    path = rankings(tmp_path / "rows.jsonl") if kind == "reward_kwise" else write_rows(tmp_path / "rows.jsonl", rows)
    result = learn(kind, tmp_path / "run", encoder, path, lora, epochs=40, rows_per_step=6)
    assert result["shared_prompts"] is False
    last = result["train"]
    assert last["accuracy"] == 1 if kind == "reward_kwise" else last["absolute_error"] < 0.3
    texts = [(question("leaf"), "green"), (question("leaf"), "not green")]
    tokenizer = wordpiece_tokenizer()
    theirs = AutoModelForSequenceClassification.from_pretrained(result["checkpoint"]).eval()
    with torch.no_grad():
        raw = torch.cat([theirs(**tokenizer(*text, return_tensors="pt")).logits for text in texts])
    meta = read_meta(result["checkpoint"])
    expected = ((raw - torch.tensor(meta["score_mean"])) / torch.tensor(meta["score_sd"])).mean(1)
    found = rewards(result, *texts)
    assert found == pytest.approx(expected.tolist(), abs=1e-4)
    assert found[0] > found[1] + 0.5


# --- validation -------------------------------------------------------------------------------------------------------


SILENT: dict[str, tuple[str, list[dict[str, Any]], list[dict[str, Any]], str]] = {
    "ties that are impossible": (
        "reward_pairwise", [{"prompt": "a", "chosen": " b", "rejected": " c"}],
        [{"prompt": "d", "chosen": " e", "rejected": " f", "tie": True}], "1 of 1 pairs are ties",
    ),
    "rankings without an order": (
        "reward_kwise", [{"prompt": "a", "completions": [" b", " c"], "ranks": [1, 2]}],
        [{"prompt": "d", "completions": [" e", " f"], "ranks": [1, 1]}], "none of the 1 rankings",
    ),
    "a third class": (
        "reward_classifier", [{"text": "a", "label": 0}, {"text": "b", "label": 1}],
        [{"text": "c", "label": 0}, {"text": "d", "label": 1}, {"text": "e", "label": 2}], "the labels are [0, 1, 2]",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", SILENT)
def test_rows_to_validate_on_have_to_say_something(case: str, start: dict[str, Any], tmp_path: Path) -> None:
    """By an infinite, a constant or a meaningless loss the first weights would stay the best ones, without a word."""
    kind, rows, held, message = SILENT[case]
    place = write_rows(tmp_path / "held.jsonl", held)
    with pytest.raises(UserError, match=re.escape(f"validation={place}: {message}")):
        learn(kind, tmp_path / "run", start, write_rows(tmp_path / "rows.jsonl", rows), validation=str(place))


def test_over_long_rows_to_validate_on_are_named(start: dict[str, Any], tmp_path: Path) -> None:
    rows = [{"prompt": "a", "chosen": " b", "rejected": " c"}]
    held = write_rows(tmp_path / "held.jsonl", [*rows, {"prompt": "a", "chosen": " 7q" * 60, "rejected": " c"}])
    data = write_rows(tmp_path / "rows.jsonl", rows)
    learn("reward_pairwise", tmp_path / "run", start, data, epochs=1, max_length=60, on_long="drop", validation=str(held))
    said = (tmp_path / "run" / "log.txt").read_text()
    assert f"1 rows (left out: 1 rows over 60 tokens: {held}:2" in said


def test_a_single_rating_has_no_spread(start: dict[str, Any], tmp_path: Path) -> None:
    """Its score is normalised to 0 by its own mean, in its own unit."""
    data = write_rows(tmp_path / "rows.jsonl", [{"prompt": "a", "completion": " b", "scores": {"zest": 3}}])
    result = learn("reward_regression", tmp_path / "run", start, data, epochs=1)
    assert read_meta(result["checkpoint"])["score_sd"] == [1.0]
    assert rewards(result, ("a", " b")) == pytest.approx([0.0], abs=1e-4)


def test_an_attribute_that_only_long_rows_rate_is_refused(start: dict[str, Any], tmp_path: Path) -> None:
    rows = [{"prompt": "a", "completion": " b", "scores": {"zest": 3}}]
    rows += [{"prompt": "a", "completion": " 7q" * 60, "scores": {"zest": 2, "calm": 1}}]
    data = write_rows(tmp_path / "rows.jsonl", rows)
    with pytest.raises(UserError, match="all rows that rate 'calm' are too long and left out: raise max_length"):
        learn("reward_regression", tmp_path / "run", start, data, epochs=1, max_length=60, on_long="drop")


def test_ratings_name_the_output_of_a_reward_model_that_they_go_on_from(start: dict[str, Any], tmp_path: Path) -> None:
    """Else a report could not tell that the model was trained on this attribute, and would have no errors for it."""
    pair = write_rows(tmp_path / "pairs.jsonl", [{"prompt": "a", "chosen": " b", "rejected": " c"}])
    first = learn("reward_pairwise", tmp_path / "first", start, pair, epochs=1)
    data = write_rows(tmp_path / "r.jsonl", [{"prompt": "a", "completion": f" {x}", "scores": {"zest": x}} for x in (1, 2, 4)])
    second = learn("reward_regression", tmp_path / "second", {"path": first["checkpoint"]}, data, epochs=1)
    assert AutoConfig.from_pretrained(second["checkpoint"]).label2id == {"zest": 0}
    run_stage("evaluate_reward", tmp_path / "check", model={"path": second["checkpoint"]}, data=str(data))
    (found,) = json.loads((tmp_path / "check" / "reward_model.json").read_text())["attributes"]
    assert found["own_output"] is True
    assert found["rmse"]["baseline"] == pytest.approx((14 / 9) ** 0.5)  # of 1, 2, 4 around 7/3
