"""44: nothing but the text tells a reward model which answer was chosen: not the order, the place in the batch, or a tie."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import PreTrainedTokenizerFast

from accordant.data.template import Template
from accordant.evaluation.reward_report import pair_report
from accordant.types import Pair
from tasks import metrics, run_stage, write_rows


def test_both_answers_are_encoded_alike(tokenizer: PreTrainedTokenizerFast) -> None:
    template = Template(tokenizer, 64)
    one = template.encode_pair(Pair("what colour?", " red", " not blue"))
    other = template.encode_pair(Pair("what colour?", " not blue", " red"))
    assert (one.chosen, one.rejected) == (other.rejected, other.chosen)


def test_equal_answers_teach_nothing(llama_folder: Path, tmp_path: Path) -> None:
    """Chosen and rejected are the same text: accuracy is one half and the loss log 2, however long it trains."""
    rows = write_rows(
        tmp_path / "rows.jsonl", [{"prompt": f"q{i}", "chosen": f" {w}", "rejected": f" {w}"} for i, w in enumerate("abcd")]
    )
    run_stage(
        "reward_pairwise", tmp_path / "run", model={"path": str(llama_folder)}, data=str(rows), rows_per_step=2, epochs=8,
        optim={"lr": 1e-2},
    )  # fmt: skip
    for row in metrics(tmp_path / "run"):
        assert row["accuracy"] == 0.5
        assert row["preference"] == pytest.approx(float(torch.tensor(2.0).log()), abs=1e-6)


def test_a_coin_is_right_half_of_the_time() -> None:
    """Labels by chance, scores by chance: accuracy and calibration find nothing, though `chosen` always comes first."""
    noise, n = np.random.default_rng(0), 1000
    chosen, rejected = noise.normal(size=(2, n)) * 0.01
    scores = np.concatenate([chosen, rejected])
    report = pair_report(chosen, rejected, np.ones(n), np.arange(n), scores, noise.normal(size=2 * n))
    assert abs(report["heldout_accuracy"] - 0.5) < 0.06  # four standard errors
    assert report["ece"] < 0.06
    assert abs(report["length_correlation"]) < 0.1
