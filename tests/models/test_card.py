"""A checkpoint's README.md says what is known of its data and lineage, and nothing else."""

from __future__ import annotations

from pathlib import Path

import yaml

from accordant.models.card import card
from accordant.models.checkpoint import CARD, ancestry, save_checkpoint
from accordant.models.language import LanguageModel
from tiny import scalar_model

DATA = {"source": "dolly", "file": "d.jsonl", "rows": 12, "licence": "CC-BY-SA-3.0", "sha256": "ab" * 32}
EARLIER = {"algo": "sft", "data": [{"source": "file", "file": "a|b.jsonl", "rows": 3, "licence": "unknown", "sha256": ""}]}


def test_all_that_is_known_is_told() -> None:
    text = card({"algo": "ppo", "base": "owner/model", "data": [DATA], "earlier": [EARLIER]}, "LlamaForCausalLM")
    front = yaml.safe_load(text.split("---")[1])
    assert front == {"library_name": "transformers", "tags": ["accordant", "ppo"], "base_model": "owner/model"}
    assert "- Base model: owner/model\n- Algorithm: ppo" in text
    assert f"| dolly | d.jsonl | 12 | CC-BY-SA-3.0 | {'ab' * 32} |" in text
    assert "training 1: sft" in text
    assert "| file | a\\|b.jsonl | 3 | unknown | unknown |" in text
    assert "AutoModelForCausalLM.from_pretrained(FOLDER)" in text


def test_nothing_is_told_that_is_not_known() -> None:
    text = card({}, "BertForSequenceClassification")
    assert "Base model" not in text
    assert "Data" not in text
    assert "Algorithm" not in text
    assert "None" not in text
    assert "AutoModelForSequenceClassification" in text
    assert "AutoModelForSeq2SeqLM" in card({}, "T5ForConditionalGeneration")
    assert "base_model" not in card({"base": "my_folder"}, "LlamaForCausalLM")


def test_the_card_lies_in_the_checkpoint_and_its_code_loads_it(
    llama: LanguageModel, llama_folder: Path, tmp_path: Path
) -> None:
    reward = scalar_model(llama_folder)
    for name, model in (("policy", llama), ("reward", reward)):
        folder = tmp_path / name
        save_checkpoint(folder, model.module, model.tokenizer, {"algo": name, "data": [DATA]})
        text = (folder / CARD).read_text()
        assert "| dolly | d.jsonl | 12 |" in text
        code = text.split("```python\n")[1].split("```")[0].replace("FOLDER", repr(str(folder)))
        loaded: dict[str, object] = {}
        exec(code, loaded)
        assert type(loaded["model"]).__name__ == type(model.module).__name__


def test_a_checkpoint_knows_what_it_came_from(llama: LanguageModel, tmp_path: Path) -> None:
    assert ancestry("owner/model") == {"base": "owner/model"}
    first, second = tmp_path / "one", tmp_path / "two"
    first.mkdir()
    assert ancestry(first) == {"base": "one"}
    save_checkpoint(first, llama.module, llama.tokenizer, {"algo": "sft", "data": [DATA], "base": "owner/model", "eos": True})
    assert ancestry(first) == {"base": "owner/model", "earlier": [{"algo": "sft", "data": [DATA]}]}
    save_checkpoint(second, llama.module, llama.tokenizer, {"algo": "dpo", **ancestry(first)})
    known = {"base": "owner/model", "earlier": [{"algo": "sft", "data": [DATA]}, {"algo": "dpo"}]}
    assert ancestry(second) == known
    save_checkpoint(second, llama.module, llama.tokenizer, {"algo": "sft"})
    assert ancestry(second) == {"earlier": [{"algo": "sft"}]}, "a model made from scratch has no base"
