"""HH-RLHF: does a reward model beat "the shorter answer wins"? Several seeds on one fixed split, with a paired interval.

    ACCORDANT_DATA=PATH python benchmarks/hh_seeds.py --encoder FOLDER [--seeds 5] [--lr 1e-4] [--epochs 1] [--out runs/hh]

The split is by prompt and the same for all seeds: 290 prompts to test, 150 to validate, the rest to train. A seed draws the
head and the order of the rows. Each seed keeps the best weights on the validation pairs, and is measured once on the test
pairs. The interval resamples test prompts (and, once more, prompts and seeds); all seeds are measured on the same pairs, so
their mean is compared pair by pair with the rule.

Faulty pairs, and pairs over the encoder's context, are left out and counted. `--train-tokens` leaves longer pairs out of
training only, to save time. `--first` names pair files to train on before (one stage, the same settings).
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

SPLIT = {"test": 290, "validation": 150}


def split_pairs(data: str, encoder: str, out: Path) -> dict[str, list[Any]]:
    """The good pairs that fit into the encoder, cut by prompt and written to files."""
    from transformers import AutoConfig, AutoTokenizer

    from accordant.data import sources
    from accordant.data.rows import write_jsonl
    from accordant.data.split import split
    from accordant.data.template import Template, encode_all

    found = sources.check("hh-rlhf", Path(data) / "data" / "hh-rlhf" / "train.jsonl")
    context = AutoConfig.from_pretrained(encoder).max_position_embeddings
    _, long = encode_all(list(found.rows), Template(AutoTokenizer.from_pretrained(encoder), context), "drop")
    over = {source for source, _ in long.rows}
    rows = [row for row in found.rows if row.source not in over]
    parts = split(rows, SPLIT, seed=0)
    for name, some in parts.items():
        write_jsonl(out / f"{name}.jsonl", some)
    counts = ", ".join(f"{name} {len(some)}" for name, some in parts.items())
    print(
        f"{len(found.rows)} good pairs, {sum(c.rows for c in found.complaints)} faulty, {len(over)} over {context} tokens: "
        f"{counts}",
        flush=True,
    )
    return parts


def shorter_wins(pairs: list[Any]) -> Floats:
    """1 where the chosen answer has fewer characters, 1/2 where both have equally many."""
    return np.array([_right(len(pair.rejected), len(pair.chosen)) for pair in pairs])


def right(checkpoint: Path, pairs: list[Any], precision: str) -> Floats:
    """1 where the chosen answer scores higher, 1/2 for equal scores."""
    answers = [(pair.prompt, text) for pair in pairs for text in (pair.chosen, pair.rejected)]
    score = scores(checkpoint, answers, precision)[:, 0]
    return np.array([_right(chosen, rejected) for chosen, rejected in zip(score[::2], score[1::2], strict=True)])


def _right(a: float, b: float) -> float:
    return 0.5 if a == b else float(a > b)


def settings(args: argparse.Namespace, seed: int, **more: Any) -> dict[str, Any]:
    return {
        "rows_per_step": args.rows_per_step, "epochs": args.epochs, "tokens_per_microbatch": 1024, "save_every": 10**6,
        "max_length": args.train_tokens, "on_long": "drop", "seed": seed, "validate_every": args.validate_every,
        "optim": {"lr": args.lr, "eps": 1e-6, "warmup": 0.1, "weight_decay": 0.01}, **more,
    }  # fmt: skip


def report(wins: list[Floats], rule: Floats, groups: list[int]) -> dict[str, Any]:
    """Each seed and their mean against the rule, with the paired interval over prompts."""
    from accordant.stats.intervals import paired_ci

    rows = [(f"seed {seed}", win) for seed, win in enumerate(wins)] + [("all seeds", np.mean(wins, axis=0))]
    found: dict[str, Any] = {"rule": float(rule.mean()), "n": len(rule)}
    print(f"shorter wins: {rule.mean():.3f} on {len(rule)} test pairs of {len(set(groups))} prompts")
    for name, win in rows:
        low, high = paired_ci(rule, win, groups=groups)
        print(f"{name:10} {win.mean():.3f}, {win.mean() - rule.mean():+.3f} against the rule ({low:+.3f} to {high:+.3f})")
        found[name] = {"accuracy": float(win.mean()), "gain": float(win.mean() - rule.mean()), "low": low, "high": high}
    if len(wins) > 1:
        low, high = over_seeds_too(np.array(wins) - rule, groups)
        print(f"the same with the seeds resampled as well as the prompts: {low:+.3f} to {high:+.3f}")
        found["all seeds"] |= {"low_over_seeds": low, "high_over_seeds": high}
    return found


def over_seeds_too(gains: Floats, groups: list[int], n: int = 2000) -> tuple[float, float]:
    """The bootstrap interval of the mean gain, (seeds, pairs), when seeds are a sample as prompts are: both are redrawn."""
    ids, place = np.unique(groups, return_inverse=True)
    total = np.stack([np.bincount(place, gain) for gain in gains])  # (seeds, prompts)
    count = np.bincount(place)
    rng = np.random.default_rng(0)
    drawn = np.empty(n)
    for i in range(n):
        seeds, prompts = rng.integers(len(gains), size=len(gains)), rng.integers(len(ids), size=len(ids))
        drawn[i] = total[np.ix_(seeds, prompts)].sum() / (len(seeds) * count[prompts].sum())
    low, high = np.quantile(drawn, [0.025, 0.975])
    return float(low), float(high)


def measure(args: argparse.Namespace, data: str) -> dict[str, Any]:
    """Train every seed and compare."""
    from accordant.data.split import key

    out = args.out
    out.mkdir(parents=True, exist_ok=True)
    encoder = without_dropout(args.encoder, out / "encoder") if args.no_dropout else args.encoder
    parts = split_pairs(data, encoder, out)
    test = parts["test"]
    wins = []
    for seed in range(args.seeds):
        start = encoder
        for i, path in enumerate(args.first):
            before = settings(args, seed, model=_model(start, args), data=path)
            start = str(train("reward_pairwise", out / f"first{i}_{seed}", before))
        files = {"data": str(out / "train.jsonl"), "validation": str(out / "validation.jsonl")}
        checkpoint = train("reward_pairwise", out / f"seed{seed}", settings(args, seed, model=_model(start, args), **files))
        wins.append(right(checkpoint, test, args.precision))
        result = json.loads((out / f"seed{seed}" / "reward_pairwise" / "result.json").read_text())
        print(
            f"seed {seed}: {result['rows']} pairs ({result['left_out']} longer ones left out), best at step "
            f"{result['best_step']} of {result['steps']}, validation {result['validation']}, {result['train_seconds']:.0f} s, "
            f"test {wins[-1].mean():.3f}",
            flush=True,
        )
    ids = {k: i for i, k in enumerate(dict.fromkeys(map(key, test)))}
    return report(wins, shorter_wins(test), [ids[key(pair)] for pair in test])


def _model(path: str, args: argparse.Namespace) -> dict[str, Any]:
    return {"path": path, "precision": args.precision}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--encoder", required=True, help="BERT-family checkpoint, or a classifier to go on from")
    parser.add_argument(
        "--first", action="append", default=[], metavar="FILE", help="pairs to train on before; may be repeated"
    )
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--lr", type=float, default=1e-4)
    parser.add_argument("--epochs", type=float, default=1.0)
    parser.add_argument("--rows-per-step", type=int, default=16)
    parser.add_argument("--validate-every", type=int, default=None, help="steps; by default after each epoch")
    parser.add_argument("--train-tokens", type=int, default=None, help="longest row in training; by default the context")
    parser.add_argument("--no-dropout", action="store_true", help="train a copy of the encoder without dropout")
    parser.add_argument("--precision", default="auto")
    parser.add_argument("--out", type=Path, default=Path("runs/hh_seeds"))
    args = parser.parse_args()
    data = os.environ.get("ACCORDANT_DATA")
    if not data:
        sys.exit("ACCORDANT_DATA is not set: give the folder with data/hh-rlhf (docs/data.md)")
    found = measure(args, data)
    (args.out / "hh_seeds.json").write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
