"""Reward-model training side by side with TRL's, on the same model, token rows, optimiser and machine.

    ACCORDANT_DATA=PATH python benchmarks/reward_trainer.py --trl-python OTHER/bin/python [--repeats 3] [--rows 512]

The model is a Llama of 29 million parameters with a scalar head, drawn at random by this script; its tokenizer is trained
on the same text. The rows are HH-RLHF pairs as token ids, none cut, and both sides get exactly these ids. Both take
optimiser steps of `--pairs` pairs, in bfloat16 autocast over float32 weights, with AdamW, one pass over the rows, and no
evaluation. Loading and tokenising are timed on neither side.

Accordant takes rows in random order and sorts only inside a step. TRL runs in an interpreter of its own (`pip install
"trl==1.16.*"`), without gradient checkpointing and with its length grouping, at each micro-batch size of `--trl-batches`;
the fastest counts. The two take turns, `--repeats` times.

Printed for each run: pairs a second, seconds of wall clock and of processor (compare these where other programs run, too), the
tokens that the model was given with and without padding, and the last loss.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
OPTIM = {"lr": 1e-4, "eps": 1e-8}
CONTEXT = 2048


def make_inputs(data: str, rows: int, vocabulary: int, folder: Path) -> None:
    """The model, its tokenizer, the pairs as rows (`pairs.jsonl`) and as ids (`ids.json`)."""
    import torch
    from transformers import LlamaConfig, LlamaForSequenceClassification

    from accordant.data.rows import check, write_jsonl
    from accordant.data.template import Template, encode_all
    from accordant.models.scratch import train_tokenizer
    from accordant.types import Pair

    pairs, faulty = check(Path(data) / "data" / "hh-rlhf" / "train.jsonl", Pair)
    tokenizer = train_tokenizer([str(pair.prompt) + pair.chosen for pair in pairs], vocabulary)
    tokenizer.model_max_length = CONTEXT
    torch.manual_seed(0)
    model = LlamaForSequenceClassification(
        LlamaConfig(
            vocab_size=len(tokenizer), hidden_size=512, intermediate_size=1408, num_hidden_layers=8, num_attention_heads=8,
            num_key_value_heads=8, max_position_embeddings=CONTEXT, num_labels=1, bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id,
        )
    )  # fmt: skip
    model.save_pretrained(folder / "model")
    tokenizer.save_pretrained(folder / "model")
    chosen = random.Random(0).sample(pairs, min(rows, len(pairs)))
    write_jsonl(folder / "pairs.jsonl", chosen)
    items, _ = encode_all(chosen, Template(tokenizer, CONTEXT))
    ids = [{"chosen_ids": item.chosen.ids, "rejected_ids": item.rejected.ids} for item in items]  # type: ignore[union-attr]
    (folder / "ids.json").write_text(json.dumps(ids))
    size = sum(p.numel() for p in model.parameters())
    plain = sum(len(row["chosen_ids"]) + len(row["rejected_ids"]) for row in ids)
    longest = max(len(row[name]) for row in ids for name in row)
    print(
        f"{len(ids)} of {len(pairs)} pairs ({len(faulty)} faulty ones left out), {plain} tokens in rows of their own, the "
        f"longest of {longest}; {size / 1e6:.1f} million parameters, {len(tokenizer)} tokens in the vocabulary",
        flush=True,
    )


def ours(job: dict[str, Any]) -> dict[str, float]:
    """One pass of the `reward_pairwise` stage's own trainer."""
    from accordant.config import build
    from accordant.data.template import Template, encode_all
    from accordant.models.language import trunk_of
    from accordant.models.shared import shared_length
    from accordant.stages import load, offline
    from accordant.stages.folder import StageFolder

    folder = Path(job["folder"])
    _, config_type, algo = load("reward_pairwise")
    cfg = build(config_type, {
        "model": {"path": str(folder / "model"), "precision": "bfloat16"}, "data": str(folder / "pairs.jsonl"),
        "rows_per_step": job["pairs"], "tokens_per_microbatch": job["tokens"], "seed": job["seed"],
        "optim": OPTIM, "save_every": 10**9,
    })  # fmt: skip
    rows = offline.read_rows(cfg.data, algo)
    model = offline.build_model(cfg, algo, rows, None, ("reward",))
    items, _ = encode_all(rows, Template(model.tokenizer, CONTEXT))
    trainer = offline.Trainer(cfg, StageFolder(Path(job["out"])), algo, model, items, [])
    padded = [0]

    def count(_module: object, args: tuple[Any, ...]) -> None:
        padded[0] += args[0].numel()

    trunk_of(model.module).get_input_embeddings().register_forward_pre_hook(count)  # type: ignore[operator]
    trainer.restore(None)
    began, used = time.monotonic(), time.process_time()
    trainer.train(began)
    seconds, used = time.monotonic() - began, time.process_time() - used
    real = sum(
        shared_length(item.answers) if trainer.shared else sum(len(answer.ids) for answer in item.answers) for item in items
    )
    loss = trainer.last["preference"]
    return {"seconds": seconds, "cpu": used, "pairs": len(items), "padded": padded[0], "real": real, "loss": loss}


def child(python: str, script: str, job: dict[str, Any], *words: str) -> dict[str, float]:
    done = subprocess.run([python, str(HERE / script), *words, json.dumps(job)], capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(done.stderr)
    return json.loads(done.stdout.strip().splitlines()[-1])


def show(name: str, turn: object, row: dict[str, float]) -> None:
    print(
        f"{name:24} run {turn!s:6} {row['pairs'] / row['seconds']:6.2f} pairs/s  {row['seconds']:7.1f} s  "
        f"{row['cpu']:7.1f} s of CPU  "
        f"{row['padded']:8.0f} tokens with padding, {row['real']:8.0f} without  last loss {row['loss']:.3f}",
        flush=True,
    )


def main() -> None:
    if sys.argv[1:2] == ["--ours"]:
        print(json.dumps(ours(json.loads(sys.argv[2]))))
        return
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trl-python", help="interpreter with TRL installed; without it only Accordant runs")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--rows", type=int, default=512, help="pairs of one pass, drawn at random")
    parser.add_argument("--pairs", type=int, default=64, help="pairs of one optimiser step, on both sides")
    parser.add_argument("--vocabulary", type=int, default=6000)
    parser.add_argument("--tokens", type=int, default=4096, help="Accordant's tokens_per_microbatch")
    parser.add_argument(
        "--trl-batches", default="1,2,4,8,16", help="TRL's micro-batch sizes to try, in pairs; the fastest stays"
    )
    args = parser.parse_args()
    data = os.environ.get("ACCORDANT_DATA")
    if not data:
        sys.exit("ACCORDANT_DATA is not set: give the folder with data/hh-rlhf (docs/data.md)")
    sizes = [int(size) for size in args.trl_batches.split(",")]
    runs: dict[str, list[dict[str, float]]] = {"accordant": [], "trl": []}
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        make_inputs(data, args.rows, args.vocabulary, folder)
        job = {"folder": place, "pairs": args.pairs, "tokens": args.tokens, "optim": OPTIM}

        def theirs(size: int, seed: int) -> dict[str, float]:
            row = child(args.trl_python, "trl_reward.py", job | {"batch": size, "seed": seed, "out": str(folder / "trl")})
            show(f"trl, {size} pairs at once", seed, row)
            return row

        best = sizes[0]
        if args.trl_python and len(sizes) > 1:
            tried = {size: theirs(size, 0)["seconds"] for size in sizes}
            best = min(tried, key=tried.__getitem__)
        for seed in range(args.repeats):
            out = {"seed": seed, "out": str(folder / f"ours{seed}")}
            runs["accordant"].append(child(sys.executable, "reward_trainer.py", job | out, "--ours"))
            show("accordant", seed, runs["accordant"][-1])
            if args.trl_python:
                runs["trl"].append(theirs(best, seed))
    summary(runs["accordant"], runs["trl"])


def summary(own: list[dict[str, float]], theirs: list[dict[str, float]]) -> None:
    """Medians of both, and the ratio of each turn."""
    for name, rows in (("accordant", own), ("trl", theirs)):
        if rows:
            show(name, "median", {key: statistics.median(row[key] for row in rows) for key in rows[0]})
    for what, name in (("seconds", "wall clock"), ("cpu", "processor time")) if theirs else ():
        ratios = [b[what] / a[what] for a, b in zip(own, theirs, strict=True)]
        turns = ", ".join(f"{ratio:.2f}" for ratio in ratios)
        print(f"Accordant trains {statistics.median(ratios):.2f} times the pairs by {name} (each turn: {turns})")


if __name__ == "__main__":
    main()
