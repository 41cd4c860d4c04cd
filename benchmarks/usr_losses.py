"""USR: the K-wise loss and the pairwise loss on the same rankings and the same split by context.

    ACCORDANT_DATA=PATH python benchmarks/usr_losses.py --encoder FOLDER [--seeds 1] [--epochs 3] [--lr 2e-4] [--out runs/usr]

Six answers to each of 60 contexts, ranked by the mean of three people's overall ratings. 20 contexts are for testing, 6
choose the best weights, the rest trains; contexts with an answer over the encoder's length are left out and counted.
`reward_kwise` takes 2 contexts a step, `reward_pairwise` the same rankings as C(6, 2) pairs, with as many pairs a step as 2
contexts have on average, so that both take equally many steps. Ties between ratings are in no pair.

Printed: the share of test pairs that each orders as people did, and the difference, with intervals that resample contexts.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
from encoders import Floats, scores, train, without_dropout

SPLIT = {"test": 20, "validation": 6}


def split_rankings(data: str, encoder: str, out: Path) -> tuple[dict[str, list[Any]], dict[str, list[Any]]]:
    """Rankings and pairs by split, written to files."""
    from transformers import AutoConfig, AutoTokenizer

    from accordant.data import sources
    from accordant.data.convert import Rules, convert
    from accordant.data.rows import write_jsonl
    from accordant.data.split import split
    from accordant.data.template import Template, encode_all

    rows = sources.load("usr", Path(data) / "data" / "usr-ratings" / "topical_chat.json", what="rankings")
    context = AutoConfig.from_pretrained(encoder).max_position_embeddings
    _, long = encode_all(rows, Template(AutoTokenizer.from_pretrained(encoder), context), "drop")
    over = {source for source, _ in long.rows}
    parts = split([row for row in rows if row.source not in over], SPLIT, seed=0)
    pairs = {name: list(convert(some, "pairs", Rules(ties="drop")).rows) for name, some in parts.items()}
    for name in parts:
        write_jsonl(out / f"{name}_rankings.jsonl", parts[name])
        write_jsonl(out / f"{name}_pairs.jsonl", pairs[name])
    counts = ", ".join(f"{name} {len(parts[name])} contexts with {len(pairs[name])} pairs" for name in parts)
    print(f"{len(rows)} contexts, {len(over)} over {context} tokens: {counts}", flush=True)
    return parts, pairs


def right(checkpoint: Path, rankings: list[Any], precision: str) -> tuple[Floats, list[int]]:
    """For each pair of answers that people told apart: 1 where the scores order it so, 1/2 if equal; and its context."""
    from accordant.stats.rankings import levels

    score = scores(checkpoint, [(row.prompt, text) for row in rankings for text in row.completions], precision)[:, 0]
    wins, home, start = [], [], 0
    for n, row in enumerate(rankings):
        level, own = levels(row), score[start : start + len(row.completions)]
        start += len(own)
        for a in range(len(own)):
            for b in range(len(own)):
                if level[a] < level[b]:
                    wins.append(0.5 if own[a] == own[b] else float(own[a] > own[b]))
                    home.append(n)
    return np.array(wins), home


def measure(args: argparse.Namespace, data: str) -> dict[str, Any]:
    """Train both losses with every seed and compare them pair by pair."""
    from accordant.stats.intervals import bootstrap_ci, paired_ci

    args.out.mkdir(parents=True, exist_ok=True)
    encoder = without_dropout(args.encoder, args.out / "encoder") if args.no_dropout else args.encoder
    parts, pairs = split_rankings(data, encoder, args.out)
    per_step = {"kwise": args.contexts, "pairwise": round(args.contexts * len(pairs["train"]) / len(parts["train"]))}
    wins: dict[str, list[Floats]] = {loss: [] for loss in args.losses}
    home: list[int] = []
    for seed in range(args.seeds):
        for loss in args.losses:
            rows = {"kwise": "rankings", "pairwise": "pairs"}[loss]
            out = args.out / f"{loss}{seed}"
            checkpoint = train(f"reward_{loss}", out, {
                "model": {"path": encoder, "precision": args.precision}, "data": str(args.out / f"train_{rows}.jsonl"),
                "validation": str(args.out / f"validation_{rows}.jsonl"), "rows_per_step": per_step[loss], "seed": seed,
                "epochs": args.epochs, "tokens_per_microbatch": 2048, "save_every": 10**6,
                "optim": {"lr": args.lr, "eps": 1e-6, "warmup": 0.1, "weight_decay": 0.01},
            })  # fmt: skip
            win, home = right(checkpoint, parts["test"], args.precision)
            wins[loss].append(win)
            done = json.loads((out / f"reward_{loss}" / "result.json").read_text())
            print(
                f"{loss:8} seed {seed}: best at step {done['best_step']} of {done['steps']}, validation {done['validation']}, "
                f"{done['train_seconds']:.0f} s, test {win.mean():.3f}",
                flush=True,
            )
    found: dict[str, Any] = {"n": len(home), "contexts": len(set(home))}
    means = {loss: np.mean(some, axis=0) for loss, some in wins.items()}
    for loss, mean in means.items():
        low, high = bootstrap_ci(mean, groups=home)
        print(f"{loss:8} {mean.mean():.3f} ({low:.3f} to {high:.3f}) of {len(home)} test pairs in {len(set(home))} contexts")
        found[loss] = {"accuracy": float(mean.mean()), "low": low, "high": high}
    if len(means) < 2:
        return found
    low, high = paired_ci(means["pairwise"], means["kwise"], groups=home)
    gain = float((means["kwise"] - means["pairwise"]).mean())
    print(f"K-wise less pairwise: {gain:+.3f} ({low:+.3f} to {high:+.3f})")
    return found | {"difference": gain, "low": low, "high": high}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--encoder", required=True, help="BERT-family checkpoint")
    parser.add_argument("--losses", nargs="+", choices=["kwise", "pairwise"], default=["kwise", "pairwise"])
    parser.add_argument("--contexts", type=int, default=2, help="contexts of one step")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--epochs", type=float, default=3.0)
    parser.add_argument("--lr", type=float, default=2e-4)
    parser.add_argument("--no-dropout", action="store_true", help="train a copy of the encoder without dropout")
    parser.add_argument("--precision", default="auto")
    parser.add_argument("--out", type=Path, default=Path("runs/usr_losses"))
    args = parser.parse_args()
    data = os.environ.get("ACCORDANT_DATA")
    if not data:
        sys.exit("ACCORDANT_DATA is not set: give the folder with data/usr-ratings (docs/data.md)")
    found = measure(args, data)
    (args.out / "usr_losses.json").write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
