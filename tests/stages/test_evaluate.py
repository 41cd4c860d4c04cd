"""A policy against the one it started from: nothing changed means nothing found, and a change is measured."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM

from accordant.types import UserError
from tasks import COLOURS, pairs, run_stage, write_rows

NEW = 24


def compare(world: dict[str, Any], after: str, folder: Path, **values: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    result = run_stage(
        "evaluate", folder, before={"path": world["policy"]}, after={"path": after}, prompts=world["evaluation_prompts"],
        reward={"kind": "world"}, max_new_tokens=NEW, **values,
    )  # fmt: skip
    return result, json.loads((folder / "evaluation.json").read_text())["policy"]


@pytest.fixture(scope="module")
def moved(world: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> str:
    """The policy after a little more training on other text."""
    folder = tmp_path_factory.mktemp("moved")
    result = run_stage(
        "sft",
        folder,
        model={"path": world["policy"]},
        data=world["documents"],
        rows_per_step=8,
        max_steps=3,
        optim={"lr": 3e-3},
    )
    return str(result["checkpoint"])


def test_a_model_against_itself(world: dict[str, Any], tmp_path: Path) -> None:
    result, policy = compare(
        world, world["policy"], tmp_path, gold={"kind": "world"}, toxicity={"kind": "world", "measure": "toxic"}
    )
    assert result["kl"] == 0
    assert result["win_rate"] == 0.5
    for gain in (policy["reward_gain"], policy["gold_gain"]):
        assert gain["mean"] == 0
        assert gain["ci95"] == [0, 0]
    assert result["toxicity_before"] == result["toxicity_after"]
    samples = json.loads((tmp_path / "samples.json").read_text())
    assert len(samples) == result["n"] == 40
    assert all(sample["before"] == sample["after"] for sample in samples)
    # The report's examples are the first, not the best.
    assert json.loads((tmp_path / "evaluation.json").read_text())["examples"] == samples[:10]


def test_kl_is_the_summed_log_ratio_of_the_new_answers(world: dict[str, Any], moved: str, tmp_path: Path) -> None:
    """The mean over prompts of log p(answer) - log q(answer), from transformers' own forward pass of both models."""
    temperature = 0.8
    heard: list[Any] = []
    from accordant.stages import evaluate

    real = evaluate._listen
    patch = pytest.MonkeyPatch()
    patch.setattr(evaluate, "_listen", lambda *a: heard.append(real(*a)) or heard[-1])
    result, policy = compare(world, moved, tmp_path, temperature=temperature)
    patch.undo()
    rollout = heard[1].rollout
    logp = []
    for path in (moved, world["policy"]):
        model = AutoModelForCausalLM.from_pretrained(path).eval()
        total = []
        for ids, mask in zip(rollout.ids, rollout.mask, strict=True):
            row, length = ids[mask], int(mask[: rollout.prompt_length].sum())
            with torch.no_grad():
                table = (model(row[None]).logits[0].double() / temperature).log_softmax(-1)
            total.append(sum(float(table[t - 1, row[t]]) for t in range(length, len(row))))
        logp.append(total)
    expected = [p - q for p, q in zip(*logp, strict=True)]
    assert result["kl"] == pytest.approx(sum(expected) / len(expected), rel=1e-4)
    assert result["kl"] > 0
    low, high = policy["kl_ci95"]
    assert low <= result["kl"] <= high


def test_gains_are_paired_by_prompt(world: dict[str, Any], moved: str, tmp_path: Path) -> None:
    result, policy = compare(world, moved, tmp_path)
    samples = json.loads((tmp_path / "samples.json").read_text())
    gains = [s["reward_after"] - s["reward_before"] for s in samples]
    assert policy["reward_gain"]["mean"] == pytest.approx(sum(gains) / len(gains), abs=1e-6)
    wins = [(g > 0) + 0.5 * (g == 0) for g in gains]
    assert result["win_rate"] == pytest.approx(sum(wins) / len(wins))
    assert result["gold_gain"] is None  # no better judge was named
    assert samples[0]["gold_before"] is None


def test_one_prompt_has_no_spread(world: dict[str, Any], moved: str, tmp_path: Path) -> None:
    rows = Path(world["evaluation_prompts"]).read_text().splitlines(keepends=True)
    (tmp_path / "one.jsonl").write_text(rows[0])
    result, policy = compare(world | {"evaluation_prompts": str(tmp_path / "one.jsonl")}, moved, tmp_path / "run")
    assert result["n"] == 1
    assert policy["before"]["reward_sd"] is None


def test_models_with_different_tokenizers_cannot_be_compared(world: dict[str, Any], llama_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="different tokenizers"):
        compare(world, str(llama_folder), tmp_path)


def test_prompts_of_another_world(world: dict[str, Any], tmp_path: Path) -> None:
    rows = write_rows(tmp_path / "rows.jsonl", [{"prompt": f"what colour is {thing}?"} for thing in COLOURS])
    with pytest.raises(UserError, match="world"):
        compare(world | {"evaluation_prompts": str(rows)}, world["policy"], tmp_path / "run")


# --- reward models ----------------------------------------------------------------------------------------------------


def test_a_reward_model_is_not_measured_on_rows_that_judge_nothing(llama_folder: Path, tmp_path: Path) -> None:
    trained = run_stage(
        "reward_pairwise",
        tmp_path / "rm",
        model={"path": str(llama_folder)},
        data=str(pairs(tmp_path / "pairs.jsonl")),
        max_steps=1,
    )
    rows = write_rows(tmp_path / "chats.jsonl", [{"prompt": "q", "completion": " a"}])
    with pytest.raises(UserError, match="measured on pairs, rankings, ratings, thumbs or labelled texts, found Chat rows"):
        run_stage("evaluate_reward", tmp_path / "run", model={"path": trained["checkpoint"]}, data=str(rows))


def test_a_language_model_is_not_measured_as_a_reward_model(llama_folder: Path, tmp_path: Path) -> None:
    rows = pairs(tmp_path / "pairs.jsonl")
    with pytest.raises(UserError, match="scores would be random"):
        run_stage("evaluate_reward", tmp_path / "run", model={"path": str(llama_folder)}, data=str(rows))
