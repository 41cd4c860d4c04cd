"""TRL's own trainers take the files that are written for them: each is built on one and does one step.

Runs where TRL can be imported (1.16 has been tried), in the environment or from a folder that PYTHONPATH names. Skipped
elsewhere, unless ACCORDANT_TRL is set: then it must be there.
"""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path
from typing import Any

import datasets
import pytest
import torch
from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification, PreTrainedTokenizerFast

from accordant.feedback import people, tasks
from accordant.feedback.assignment import next_task, submit
from accordant.feedback.store import Store
from accordant.feedback.tasks import Text, Work
from accordant.stages.feedback_files import How, write
from accordant.types import Message
from tiny import tiny_classifier, tiny_llama

if importlib.util.find_spec("trl") is None:
    if os.environ.get("ACCORDANT_TRL"):
        pytest.fail("TRL is not installed (pip install 'trl>=1.16,<2')", pytrace=False)
    pytest.skip("TRL is not installed (pip install 'trl>=1.16,<2')", allow_module_level=True)

pytestmark = pytest.mark.filterwarnings("ignore")  # TRL's notices are not about our files
ANSWERS = ("the red kite", "the old mill", "the green door")


@pytest.fixture
def chatty(tokenizer: PreTrainedTokenizerFast) -> Any:
    """The tokenizer with a chat template that marks what the assistant says, as TRL wants it."""
    own = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer.backend_tokenizer, eos_token=tokenizer.eos_token, pad_token=tokenizer.pad_token,
        bos_token=tokenizer.bos_token,
    )  # fmt: skip
    own.chat_template = (
        "{% for message in messages %}[{{ message['role'] }}]\n{{ message['content'] }}"
        "{% if message['role'] == 'assistant' %}{{ eos_token }}{% endif %}\n{% endfor %}"
        "{% if add_generation_prompt %}[assistant]\n{% endif %}"
    )
    return own


@pytest.fixture(params=["text", "messages"])
def files(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """An export of ranked, rated and written answers to four prompts, of which one labeler has judged all."""

    def prompt(i: int) -> Any:
        text = f"what flew over number {i}?"
        return text if request.param == "text" else (Message("system", "be brief"), Message("user", text))

    with Store.open(tmp_path / "store.db") as store:
        number = tasks.make_project(store, "p", "", gold_share=0.0, attributes=("quality",))
        texts = tuple(map(Text, ANSWERS))
        tasks.add(store, number, [
            work for i in range(4) for work in (
                Work("rank", prompt(i), texts), Work("pair", prompt(i), texts[:2]), Work("demonstration", prompt(i)),
                Work("thumb", prompt(i), texts[:1]), Work("thumb", prompt(i), texts[1:2]),
            )
        ])  # fmt: skip
        who = people.add_ai(store, "judge").id
        n = 0
        while (task := next_task(store, number, who)) is not None:
            n += 1
            ids, payload = sorted(task.display), {}
            if len(ids) == 3:
                payload = {"groups": [[ids[0]], [ids[1]]], "rejected": [ids[2]]}
            elif len(ids) == 2:
                payload = {"better": ids[1], "grade": "better"}
            elif len(ids) == 1:
                payload = {"up": n % 2 == 0}
            else:
                payload = {"text": "a kite flew over it"}
            submit(store, task.assignment_id, who, payload, f"u{n}", 1)
        counts = write(store, number, tmp_path / "out", How(shape="trl", margins="large", rejects="lose", ai=True))
    assert counts == {"pairs": 4 * 3 + 4, "thumbs": 8, "demonstrations": 4}
    return tmp_path / "out"


def load(file: Path, tmp_path: Path) -> Any:
    return datasets.load_dataset("json", data_files=str(file), split="train", cache_dir=str(tmp_path / "cache"))


def settings(tmp_path: Path, **more: Any) -> dict[str, Any]:
    return {
        "output_dir": str(tmp_path / "trainer"), "max_steps": 1, "per_device_train_batch_size": 4, "report_to": "none",
        "use_cpu": True, "bf16": False, "logging_steps": 1, "save_strategy": "no", "disable_tqdm": True, "learning_rate": 1e-2,
        "gradient_checkpointing": False,
    } | more  # fmt: skip


def moves(trainer: Any) -> None:
    """One step with a finite loss that changes the weights."""
    before = [p.detach().clone() for p in trainer.model.parameters()]
    loss = trainer.train().training_loss
    assert 0 < loss < 100
    assert any(not torch.equal(old, new) for old, new in zip(before, trainer.model.parameters(), strict=True))


def causal(tmp_path: Path, tokenizer: Any) -> Any:
    return AutoModelForCausalLM.from_pretrained(tiny_llama(tmp_path / "llama", tokenizer))


def test_reward_trainer(files: Path, tmp_path: Path, chatty: Any) -> None:
    from trl import RewardConfig, RewardTrainer

    model = AutoModelForSequenceClassification.from_pretrained(tiny_classifier(tmp_path / "scores", chatty))
    args = RewardConfig(**settings(tmp_path, per_device_train_batch_size=16, max_length=None))
    trainer = RewardTrainer(
        model=model, args=args, train_dataset=load(files / "pairs.jsonl", tmp_path), processing_class=chatty
    )
    (batch,) = trainer.get_train_dataloader()
    assert sorted(batch["margin"].tolist()) == [0.0] * 12 + [2.0] * 4  # of rankings none, of "better" 2 on the large scale
    assert batch["input_ids"].shape[0] == 32
    moves(trainer)


def test_dpo_trainer(files: Path, tmp_path: Path, chatty: Any) -> None:
    from trl import DPOConfig, DPOTrainer

    rows = load(files / "pairs.jsonl", tmp_path)
    args = DPOConfig(**settings(tmp_path, max_length=None))
    moves(DPOTrainer(model=causal(tmp_path, chatty), args=args, train_dataset=rows, processing_class=chatty))


def test_kto_trainer(files: Path, tmp_path: Path, chatty: Any) -> None:
    from trl import KTOConfig, KTOTrainer

    rows = load(files / "thumbs.jsonl", tmp_path)
    assert set(rows["label"]) == {True, False}
    args = KTOConfig(**settings(tmp_path, max_length=None))
    moves(KTOTrainer(model=causal(tmp_path, chatty), args=args, train_dataset=rows, processing_class=chatty))


def test_sft_trainer(files: Path, tmp_path: Path, chatty: Any) -> None:
    from trl import SFTConfig, SFTTrainer

    rows = load(files / "demonstrations.jsonl", tmp_path)
    args = SFTConfig(**settings(tmp_path, max_length=None))
    moves(SFTTrainer(model=causal(tmp_path, chatty), args=args, train_dataset=rows, processing_class=chatty))
