"""A binary classifier on its test rows, with the threshold chosen on its validation rows.

    python benchmarks/threshold.py RUN [--reward reward] [--rows tweets]

RUN is the folder of a run such as `pipelines/hate_speech.yaml`: the checkpoint is that of its stage `reward`, the rows are
`validation.jsonl` and `test.jsonl` of its stage `tweets`. The threshold is the one with the best macro-F1 on the validation
rows; the test rows are looked at once. Printed: AUROC, macro-F1 and accuracy with bootstrap intervals, and what the same
threshold gives on the validation rows; beside them the figures of always answering with the more common class.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
from encoders import Floats, text_scores


def best_threshold(score: Floats, label: Floats) -> float:
    """The threshold with the best macro-F1, among the midpoints between neighbouring scores."""
    from accordant.stats.calibration import macro_f1

    order = np.unique(score)
    cuts = (order[1:] + order[:-1]) / 2
    if len(cuts) > 500:
        cuts = np.quantile(cuts, np.linspace(0, 1, 500))
    found = [macro_f1((score > cut).astype(int), label.astype(int)) for cut in cuts]
    return float(cuts[int(np.argmax(found))])


def measure(checkpoint: Path, validation: Path, test: Path) -> dict[str, float]:
    """AUROC, macro-F1 and accuracy on the test rows, each with its 95 % interval."""
    from accordant.data.rows import read
    from accordant.stats.calibration import auroc, macro_f1
    from accordant.stats.intervals import bootstrap_ci
    from accordant.types import Labelled

    held, rows = read(validation, Labelled), read(test, Labelled)
    score = text_scores(checkpoint, [row.text for row in (*held, *rows)])
    label = np.array([row.label for row in (*held, *rows)], dtype=np.float64)
    n = len(held)
    cut = best_threshold(score[:n], label[:n])
    statistics: dict[str, Callable[[Floats], float]] = {
        "auroc": lambda both: auroc(both[:, 0], both[:, 1] > 0.5),
        "macro_f1": lambda both: macro_f1((both[:, 0] > cut).astype(int), both[:, 1].astype(int)),
        "accuracy": lambda both: float(((both[:, 0] > cut) == (both[:, 1] > 0.5)).mean()),
    }
    both = np.stack([score, label], axis=1)
    found: dict[str, float] = {"threshold": cut, "validation_n": n, "n": len(rows), "positives": float(label[n:].mean())}
    for name, statistic in statistics.items():
        low, high = bootstrap_ci(both[n:], statistic, n=500)
        found |= {name: statistic(both[n:]), f"{name}_low": low, f"{name}_high": high}
        found[f"validation_{name}"] = statistic(both[:n])
    common = np.full(len(rows), round(found["positives"]))
    found["common_macro_f1"] = macro_f1(common, label[n:].astype(int))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, help="folder of the run")
    parser.add_argument("--reward", default="reward", help="the stage with the checkpoint")
    parser.add_argument("--rows", default="tweets", help="the stage with the rows")
    args = parser.parse_args()
    found = measure(
        args.run / args.reward / "checkpoint", args.run / args.rows / "validation.jsonl", args.run / args.rows / "test.jsonl"
    )
    for name in ("auroc", "macro_f1", "accuracy"):
        print(
            f"{name:9} {found[name]:.3f} ({found[f'{name}_low']:.3f} to {found[f'{name}_high']:.3f}) on {found['n']:.0f} test "
            f"rows; {found[f'validation_{name}']:.3f} on {found['validation_n']:.0f} validation rows"
        )
    print(
        f"threshold {found['threshold']:+.3f} on the logit; {found['positives']:.1%} of the test rows are of class 1, and "
        f"always answering with the common class has a macro-F1 of {found['common_macro_f1']:.3f}"
    )
    (args.run / "threshold.json").write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
