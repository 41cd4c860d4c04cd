"""13: policy and reward model may have different tokenizers: the reward reads text, through its own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from accordant.models.checkpoint import read_meta
from accordant.stages import online
from accordant.types import Answer
from builders import byte_level_tokenizer, metaspace_tokenizer, wordpiece_tokenizer
from tasks import pairs, prompts, run_stage, write_rows
from tiny import tiny_encoder, tiny_llama


def test_the_reward_model_reads_through_its_own_tokenizer(
    llama_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tiny_llama(tmp_path / "other", metaspace_tokenizer(), seed=1, max_position_embeddings=160)
    trained = run_stage(
        "reward_pairwise", tmp_path / "rm", model={"path": str(other)}, data=str(pairs(tmp_path / "rows.jsonl")), max_steps=1
    )
    seen: list[tuple[list[Answer], torch.Tensor]] = []
    real = online.Loop.rewards

    def spy(loop: online.Loop, said: list[Answer], rollout: Any) -> Any:
        out = real(loop, said, rollout)
        seen.append((said, out[0]))
        return out

    monkeypatch.setattr(online.Loop, "rewards", spy)
    run_stage(
        "ppo", tmp_path / "ppo", model={"path": str(llama_folder)}, prompts=str(prompts(tmp_path / "p.jsonl")),
        reward={"kind": "model", "path": trained["checkpoint"]}, steps=1, prompts_per_step=8, max_new_tokens=6,
    )  # fmt: skip
    tokenizer = AutoTokenizer.from_pretrained(trained["checkpoint"])
    model = AutoModelForSequenceClassification.from_pretrained(trained["checkpoint"]).eval()
    meta = read_meta(trained["checkpoint"])
    answers, rewards = seen[0]
    assert len(answers) == 8
    for answer, reward in zip(answers, rewards, strict=True):
        ids = tokenizer(f"{answer.prompt}{answer.completion}").input_ids + [tokenizer.eos_token_id] * answer.finished
        with torch.no_grad():
            score = model(torch.tensor([ids])).logits[0, 0]
        torch.testing.assert_close(reward, (score - meta["score_mean"][0]) / meta["score_sd"][0], atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize("messages", [False, True], ids=["text", "messages"])
def test_an_encoder_judges_a_causal_policy(messages: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The policy writes behind its chat template or behind bare text; the encoder reads words in a frame of its own."""
    policy = tiny_llama(tmp_path / "policy", byte_level_tokenizer(chat=True), max_position_embeddings=128)
    encoder = tiny_encoder(tmp_path / "encoder", wordpiece_tokenizer(), max_position_embeddings=160)
    trained = run_stage(
        "reward_pairwise", tmp_path / "rm", model={"path": str(encoder), "precision": "float32"},
        data=str(pairs(tmp_path / "rows.jsonl")), max_steps=1,
    )  # fmt: skip
    asked = [f"tell me about the {word}" for word in ("kite", "boat", "mill", "rain")]
    rows = [{"prompt": [{"role": "user", "content": text}] if messages else text} for text in asked]
    seen: list[tuple[list[Answer], torch.Tensor]] = []
    real = online.Loop.rewards

    def spy(loop: online.Loop, said: list[Answer], rollout: Any) -> Any:
        out = real(loop, said, rollout)
        seen.append((said, out[0]))
        return out

    monkeypatch.setattr(online.Loop, "rewards", spy)
    run_stage(
        "ppo", tmp_path / "ppo", model={"path": str(policy)}, prompts=str(write_rows(tmp_path / "p.jsonl", rows)),
        reward={"kind": "model", "path": trained["checkpoint"], "precision": "float32"}, steps=1, prompts_per_step=4,
        max_new_tokens=6,
    )  # fmt: skip
    tokenizer = AutoTokenizer.from_pretrained(trained["checkpoint"])
    model = AutoModelForSequenceClassification.from_pretrained(trained["checkpoint"]).eval()
    meta, (answers, rewards) = read_meta(trained["checkpoint"]), seen[0]
    assert len(answers) == 4
    for answer, reward in zip(answers, rewards, strict=True):
        words = answer.prompt if isinstance(answer.prompt, str) else f"user: {answer.prompt[0].content}"
        assert words.removeprefix("user: ") in asked
        frame = tokenizer(words, answer.completion.strip(), split_special_tokens=True, return_tensors="pt")
        with torch.no_grad():
            score = model(**frame).logits[0, 0]
        torch.testing.assert_close(reward, (score - meta["score_mean"][0]) / meta["score_sd"][0], atol=1e-3, rtol=1e-3)
