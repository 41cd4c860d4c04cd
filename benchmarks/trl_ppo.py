"""One run of TRL's PPO trainer for `ppo_stories.py`, in an interpreter that has TRL. Prints one line of JSON."""

from __future__ import annotations

import contextlib
import json
import sys
import time
from collections import deque
from pathlib import Path

from datasets import Dataset
from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification, AutoTokenizer, TrainerCallback
from trl.experimental.ppo import PPOConfig, PPOTrainer


class StopAt(TrainerCallback):
    """Ends training when the mean reward of the last ten batches reaches the target; remembers when."""

    def __init__(self, target: float) -> None:
        self.target, self.scores, self.began, self.rows = target, deque(maxlen=10), time.monotonic(), 0

    def on_log(self, args, state, control, logs=None, **_):  # noqa: ARG002
        if logs and "objective/scores" in logs:
            self.scores.append(logs["objective/scores"])
            self.rows += args.batch_size
            if len(self.scores) == 10 and sum(self.scores) / 10 >= self.target:
                raise StopIteration


def main(job: dict) -> None:
    data = job["data"]
    tokenizer = AutoTokenizer.from_pretrained(f"{data}/models/stories260k", padding_side="left")
    prompts = [json.loads(line)["prompt"] for line in Path(job["prompts"]).read_text().splitlines()]
    rows = Dataset.from_dict({"input_ids": [tokenizer(p)["input_ids"] for p in prompts]})

    def scalar() -> object:
        return AutoModelForSequenceClassification.from_pretrained(f"{data}/models/stories_sentiment_rm", num_labels=1)

    policy = AutoModelForCausalLM.from_pretrained(f"{data}/models/stories260k")
    config = PPOConfig(
        output_dir=job["out"] + ".trl", per_device_train_batch_size=64, gradient_accumulation_steps=1, num_mini_batches=4,
        num_ppo_epochs=4, total_episodes=64 * job["batches"], response_length=48, temperature=1.0, learning_rate=job["lr"],
        kl_coef=job["kl_coef"], num_sample_generations=0, report_to=[], logging_steps=1, seed=job["seed"], bf16=False,
        use_cpu=True, save_strategy="no",
    )  # fmt: skip
    stop = StopAt(job["target"])
    trainer = PPOTrainer(
        args=config, processing_class=tokenizer, model=policy, ref_model=None, reward_model=scalar(), value_model=scalar(),
        train_dataset=rows, eval_dataset=rows.select(range(8)), callbacks=[stop],
    )  # fmt: skip
    stop.began = time.monotonic()
    with contextlib.suppress(StopIteration):
        trainer.train()
    seconds = time.monotonic() - stop.began
    policy.save_pretrained(job["out"])
    tokenizer.save_pretrained(job["out"])
    print(json.dumps({"seconds": seconds, "responses": stop.rows, "reached": sum(stop.scores) / max(1, len(stop.scores))}))


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
