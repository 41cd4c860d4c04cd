"""PPO side by side with TRL's, on the same model, reward model, prompts and machine.

    ACCORDANT_DATA=PATH python benchmarks/ppo_stories.py --trl-python OTHER/bin/python [--repeats 3]

Accordant runs `pipelines/positive_stories_yardstick.yaml` as it stands. TRL runs in an interpreter of its own (`pip install
trl==1.10.0`), with its PPO trainer, batch 64, 4 epochs of 4 minibatches, and stops when the mean reward of its last ten batches
reaches the target. Both policies are then measured by the same code: 512 fresh responses to held-out prompts.

Printed for each: seconds of PPO, mean reward, and KL against the frozen model in nats per response.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
SPEC = HERE.parent / "pipelines" / "positive_stories_yardstick.yaml"


def accordant(*words: str) -> None:
    command = "from accordant.cli import main; main()"
    subprocess.run([sys.executable, "-c", command, *words], check=True, stdout=subprocess.DEVNULL)


def ours(data: str, out: Path, seed: int) -> dict[str, float]:
    """The yardstick pipeline; seconds are those of the PPO steps."""
    accordant("run", str(SPEC), f"data={data}", f"seed={seed}", "--out", str(out))
    policy = json.loads((out / "policy" / "result.json").read_text())
    return measured(out / "evaluation") | {"seconds": policy["train_seconds"], "responses": policy["responses"]}


def trl(
    data: str, out: Path, seed: int, python: str, prompts: Path, test: Path, settings: dict[str, float]
) -> dict[str, float]:
    """TRL's PPO, then our measurement of its checkpoint."""
    out.mkdir(parents=True, exist_ok=True)
    job = {"data": data, "prompts": str(prompts), "out": str(out / "checkpoint"), "seed": seed, **settings}
    done = subprocess.run([python, str(HERE / "trl_ppo.py"), json.dumps(job)], check=True, capture_output=True, text=True)
    result = json.loads(done.stdout.strip().splitlines()[-1])
    model = f"{data}/models/stories260k"
    accordant(
        "evaluate", f"before.path={model}", f"after.path={out / 'checkpoint'}", f"prompts={test}", f"seed={seed}",
        "reward.kind=classifier", f"reward.path={data}/models/stories_sentiment_rm", "--out", str(out / "measured"),
    )  # fmt: skip
    return measured(out / "measured" / "evaluate") | result


def measured(folder: Path) -> dict[str, float]:
    result = json.loads((folder / "result.json").read_text())
    return {"reward": result["reward_after"], "kl": result["kl"]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trl-python", help="interpreter with TRL installed; without it only Accordant runs")
    parser.add_argument("--repeats", type=int, default=3, help="seeds, run in turn")
    parser.add_argument("--target", type=float, default=1.9, help="mean reward at which TRL stops")
    parser.add_argument("--lr", type=float, default=3e-5)
    parser.add_argument("--kl-coef", type=float, default=0.2)
    parser.add_argument("--batches", type=int, default=100, help="TRL's batches of 64 over which its learning rate falls to 0")
    args = parser.parse_args()
    data = os.environ.get("ACCORDANT_DATA")
    if not data:
        sys.exit("ACCORDANT_DATA is not set: give the folder with the stories data and models (docs/data.md)")
    data = str(Path(data).resolve())
    settings = {"lr": args.lr, "kl_coef": args.kl_coef, "target": args.target, "batches": args.batches}
    rows: dict[str, list[dict[str, float]]] = {"accordant": [], "trl": []}
    with tempfile.TemporaryDirectory() as folder:
        for seed in range(args.repeats):
            out = Path(folder) / f"accordant{seed}"
            rows["accordant"].append(ours(data, out, seed))
            show("accordant", seed, rows["accordant"][-1])
            if args.trl_python:
                prompts, test = out / "prompts" / "train.jsonl", out / "prompts" / "test.jsonl"
                where = Path(folder) / f"trl{seed}"
                rows["trl"].append(trl(data, where, seed, args.trl_python, prompts, test, settings))
                show("trl", seed, rows["trl"][-1])
    for name, runs in rows.items():
        if runs:
            show(name, "median", {key: statistics.median(run[key] for run in runs) for key in runs[0]})


def show(name: str, seed: object, row: dict[str, float]) -> None:
    print(
        f"{name:10} seed {seed!s:6} {row['seconds']:7.1f} s  {row['responses']:6.0f} responses  "
        f"reward {row['reward']:+.2f}  KL {row['kl']:.2f} nats",
        flush=True,
    )


if __name__ == "__main__":
    main()
