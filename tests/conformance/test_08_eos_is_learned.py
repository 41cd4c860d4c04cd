"""8: supervised fine-tuning teaches a model to stop: EOS is part of the loss, with a padding token of its own and without."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from builders import byte_level_tokenizer
from tasks import COLOURS, chats, run_stage, write_rows
from tiny import tiny_llama


@pytest.mark.parametrize("pad", [True, False])
def test_after_the_answer_comes_the_end(pad: bool, tmp_path: Path) -> None:
    """Without a padding token EOS pads, too; masking it out of the loss would unlearn the end."""
    tokenizer = byte_level_tokenizer(pad=pad)
    start = tiny_llama(tmp_path / "start", tokenizer, initializer_range=0.05)
    result = run_stage(
        "sft", tmp_path / "sft", model={"path": str(start)}, data=str(chats(tmp_path / "rows.jsonl")), rows_per_step=6,
        epochs=30, optim={"lr": 1e-2},
    )  # fmt: skip
    model, saved = (
        AutoModelForCausalLM.from_pretrained(result["checkpoint"]),
        AutoTokenizer.from_pretrained(result["checkpoint"]),
    )
    for thing, colour in COLOURS.items():
        ids = saved(f"what colour is {thing}? {colour}", return_tensors="pt").input_ids
        with torch.no_grad():
            assert float(model(ids).logits[0, -1].softmax(-1)[saved.eos_token_id]) > 0.5


@pytest.mark.parametrize("turns", ["last", "all"])
def test_a_turn_ends_with_the_chat_templates_own_token(turns: str, tmp_path: Path) -> None:
    """Where that is not EOS (Gemma's), and in the middle of a conversation too if all turns are trained on."""
    tokenizer = byte_level_tokenizer()
    tokenizer.add_special_tokens({"additional_special_tokens": ["<end>"]})
    tokenizer.chat_template = "{% for m in messages %}{{ m['role'] + ':' + m['content'] + '<end>' }}{% endfor %}" + (
        "{% if add_generation_prompt %}{{ 'assistant:' }}{% endif %}"
    )
    start = tiny_llama(tmp_path / "start", tokenizer, initializer_range=0.05)
    rows = [
        {"messages": [{"role": role, "content": text} for role, text in zip(("user", "assistant") * 2, texts, strict=True)]}
        for texts in ((thing, colour, "sure?", "yes") for thing, colour in COLOURS.items())
    ]
    result = run_stage(
        "sft", tmp_path / "sft", model={"path": str(start)}, data=str(write_rows(tmp_path / "rows.jsonl", rows)),
        rows_per_step=6, epochs=30, optim={"lr": 1e-2}, turns=turns,
    )  # fmt: skip
    model = AutoModelForCausalLM.from_pretrained(result["checkpoint"])
    end = tokenizer.convert_tokens_to_ids("<end>")
    for thing, colour in COLOURS.items():
        first = f"user:{thing}<end>assistant:{colour}"
        for before in (first, f"{first}<end>user:sure?<end>assistant:yes")[turns == "last" :]:
            ids = tokenizer(before, return_tensors="pt").input_ids
            with torch.no_grad():
                chance = model(ids).logits[0, -1].softmax(-1)
            assert float(chance[end]) > 0.5
            assert float(chance[tokenizer.eos_token_id]) < 0.1
