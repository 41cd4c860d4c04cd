"""One run of TRL's reward trainer for `reward_trainer.py`, in an interpreter that has TRL. Prints one line of JSON."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

from datasets import Dataset
from transformers import AutoModelForSequenceClassification, AutoTokenizer
from trl import RewardConfig, RewardTrainer


def main(job: dict) -> None:
    folder = Path(job["folder"])
    rows = json.loads((folder / "ids.json").read_text())
    for row in rows:
        row["length"] = max(len(row["chosen_ids"]), len(row["rejected_ids"]))
    model = AutoModelForSequenceClassification.from_pretrained(folder / "model", num_labels=1)
    config = RewardConfig(
        output_dir=job["out"], per_device_train_batch_size=job["batch"],
        gradient_accumulation_steps=max(1, job["pairs"] // job["batch"]), num_train_epochs=1, learning_rate=job["optim"]["lr"],
        adam_epsilon=job["optim"]["eps"], max_grad_norm=1.0, bf16=True, use_cpu=True, activation_checkpointing=False,
        train_sampling_strategy="group_by_length", length_column_name="length", max_length=None, remove_unused_columns=False,
        dataloader_num_workers=0, dataloader_pin_memory=False, report_to=[], save_strategy="no", logging_steps=1,
        disable_tqdm=True, seed=job["seed"],
    )  # fmt: skip
    trainer = RewardTrainer(
        model=model, args=config, train_dataset=Dataset.from_list(rows),
        processing_class=AutoTokenizer.from_pretrained(folder / "model"),
    )  # fmt: skip
    tokens = {"padded": 0, "real": 0}

    def count(_module, _args, given) -> None:
        tokens["padded"] += given["input_ids"].numel()
        tokens["real"] += int(given["attention_mask"].sum())

    model.register_forward_pre_hook(count, with_kwargs=True)
    used = time.process_time()
    done = trainer.train()
    used = time.process_time() - used
    losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    print(json.dumps({"seconds": done.metrics["train_runtime"], "cpu": used, "pairs": len(rows), "loss": losses[-1], **tokens}))


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
