"""FED: one model of all attributes, cross-validated by dialogue, against the mean rating of each attribute.

    ACCORDANT_DATA=PATH python benchmarks/fed_folds.py --encoder FOLDER [--folds 5] [--epochs 4] [--lr 2e-4] [--out runs/fed]

The 500 items (375 answers with 9 attributes, 125 whole dialogues with 11 others) are dealt to folds by dialogue: items of
which one begins as the other does are of one dialogue. A fold's model learns from the other folds' items, a tenth of their
dialogues set aside to choose the best weights. Its prediction of the left-out items is compared with the mean of the
training items' ratings.

Printed for each attribute: mean squared error of both in the ratings' own units, the difference with a 95 % interval that
resamples dialogues (below 0: the model is better), and Spearman's rank correlation of prediction and rating.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
from encoders import Floats, folds, scores, train, without_dropout


def dialogues(rows: list[Any]) -> list[int]:
    """The dialogue of each row: rows are together where the turns before one answer are how the other begins."""
    turns = [(*row.prompt, row.completion) for row in rows]
    home = list(range(len(rows)))

    def find(i: int) -> int:
        while home[i] != i:
            i = home[i]
        return i

    for i, row in enumerate(rows):
        begin = row.prompt
        for j in range(len(rows)):
            if turns[j][: len(begin)] == begin:
                home[find(j)] = find(i)
    return [find(i) for i in range(len(rows))]


def predictions(
    args: argparse.Namespace, rows: list[Any], groups: list[int], encoder: str
) -> tuple[list[str], Floats, Floats, Floats]:
    """Attributes, and (N, A) each: what was rated (nan where missing), the models' and the baseline's predictions."""
    from accordant.data.ratings import Scale
    from accordant.data.rows import write_jsonl
    from accordant.models.checkpoint import read_meta

    names = Scale.of(rows).names
    rated = np.array([[row.scores.get(name, np.nan) for name in names] for row in rows])
    model, baseline = np.full_like(rated, np.nan), np.full_like(rated, np.nan)
    fold = folds(groups, args.folds, seed=0)
    for k in range(args.folds):
        out = args.out / f"fold{k}"
        out.mkdir(parents=True, exist_ok=True)
        inside = np.flatnonzero(fold != k)
        held = folds([groups[i] for i in inside], 10, seed=k) == 0
        for name, some in (("train", inside[~held]), ("validation", inside[held])):
            write_jsonl(out / f"{name}.jsonl", [rows[i] for i in some])
        checkpoint = train("reward_regression", out, {
            "model": {"path": encoder, "precision": args.precision}, "data": str(out / "train.jsonl"),
            "validation": str(out / "validation.jsonl"), "rows_per_step": 16, "epochs": args.epochs, "seed": k,
            "tokens_per_microbatch": 1024, "save_every": 10**6, "on_long": "drop",
            "optim": {"lr": args.lr, "eps": 1e-6, "warmup": 0.1, "weight_decay": 0.01},
        })  # fmt: skip
        meta = read_meta(str(checkpoint))
        test = np.flatnonzero(fold == k)
        fits = [i for i in test if _fits(rows[i], checkpoint)]
        said = scores(checkpoint, [(rows[i].prompt, rows[i].completion) for i in fits], args.precision)
        model[fits] = said * meta["target_sd"] + meta["target_mean"]
        baseline[test] = np.nanmean(rated[inside], axis=0)
        result = json.loads((out / "reward_regression" / "result.json").read_text())
        print(
            f"fold {k}: {result['rows']} items ({result['left_out']} too long), {len(test)} to test "
            f"({len(test) - len(fits)} too long), best at step {result['best_step']} of {result['steps']}, "
            f"validation {result['validation']}, {result['train_seconds']:.0f} s",
            flush=True,
        )
    return list(names), rated, model, baseline


def _fits(row: Any, checkpoint: Path) -> bool:
    """Whether the item is within the model's context: nothing is cut."""
    from transformers import AutoConfig, AutoTokenizer

    from accordant.data.template import Template

    context = AutoConfig.from_pretrained(checkpoint).max_position_embeddings
    template = Template(AutoTokenizer.from_pretrained(checkpoint), context)
    return len(template.encode_scored(row.prompt, row.completion, True).ids) <= context


def report(
    names: list[str], rated: Floats, model: Floats, baseline: Floats, groups: list[int], levels: list[bool]
) -> dict[str, Any]:
    """A line for each attribute, and the verdict."""
    from scipy.stats import spearmanr

    from accordant.stats.intervals import paired_ci

    found: dict[str, Any] = {}
    print(f"{'attribute':26} {'n':>4} {'baseline':>9} {'model':>7} {'difference (95 %)':>28} {'Spearman':>9}")
    order = sorted(range(len(names)), key=lambda a: (not levels[a], names[a]))
    for a in order:
        there = ~np.isnan(rated[:, a]) & ~np.isnan(model[:, a])
        errors = [(side[there, a] - rated[there, a]) ** 2 for side in (baseline, model)]
        low, high = paired_ci(*errors, groups=np.array(groups)[there])
        rank = float(spearmanr(model[there, a], rated[there, a]).statistic)
        verdict = "better" if high < 0 else "worse" if low > 0 else "not told apart"
        gain = float(errors[1].mean() - errors[0].mean())
        print(
            f"{names[a]:26} {there.sum():4d} {errors[0].mean():9.3f} {errors[1].mean():7.3f} "
            f"{gain:+9.3f} ({low:+.3f} to {high:+.3f}) {rank:9.2f}  {verdict}"
        )
        found[names[a]] = {
            "n": int(there.sum()), "baseline": float(errors[0].mean()), "model": float(errors[1].mean()), "difference": gain,
            "low": low, "high": high, "spearman": rank, "verdict": verdict,
        }  # fmt: skip
    return found


def measure(args: argparse.Namespace, data: str) -> dict[str, Any]:
    from accordant.data import sources

    args.out.mkdir(parents=True, exist_ok=True)
    rows = sources.load("fed", Path(data) / "data" / "fed-ratings" / "fed_data.json")
    groups = dialogues(rows)
    encoder = without_dropout(args.encoder, args.out / "encoder") if args.no_dropout else args.encoder
    print(f"{len(rows)} items of {len(set(groups))} dialogues, {args.folds} folds")
    names, rated, model, baseline = predictions(args, rows, groups, encoder)
    answers = {name for row in rows if "Fluent" in row.scores for name in row.scores}
    return report(names, rated, model, baseline, groups, [name in answers for name in names])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--encoder", required=True, help="BERT-family checkpoint")
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--epochs", type=float, default=4.0)
    parser.add_argument("--lr", type=float, default=2e-4)
    parser.add_argument("--no-dropout", action="store_true", help="train a copy of the encoder without dropout")
    parser.add_argument("--precision", default="auto")
    parser.add_argument("--out", type=Path, default=Path("runs/fed_folds"))
    args = parser.parse_args()
    data = os.environ.get("ACCORDANT_DATA")
    if not data:
        sys.exit("ACCORDANT_DATA is not set: give the folder with data/fed-ratings (docs/data.md)")
    found = measure(args, data)
    (args.out / "fed_folds.json").write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
