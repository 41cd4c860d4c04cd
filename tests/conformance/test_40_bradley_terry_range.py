"""40. Bradley-Terry through log-sigmoid and a float32 head: a gap of 1e4 gives a finite loss and a finite gradient."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
import torch
from transformers import PreTrainedTokenizerFast

from accordant.algos import reward_pairwise
from accordant.models.load import ModelConfig, scalar_head
from accordant.models.scalar import ScalarModel
from accordant.types import ScoreOut, TokenPair, Tokens
from tiny import tiny_classifier


@pytest.mark.parametrize(("gap", "loss", "slope"), [(1e4, 0.0, 0.0), (-1e4, 1e4, -1.0)])
def test_any_gap_is_finite(gap: float, loss: float, slope: float) -> None:
    one = Tokens((1, 2), (False, True), 1)
    batch = reward_pairwise.collate([TokenPair(one, one, 0.0, 1.0)], 0)
    score = torch.tensor([gap, 0.0], requires_grad=True)
    sums, _ = reward_pairwise.loss(ScoreOut(score[:, None]), batch, reward_pairwise.Config())
    sums["preference"].backward()
    assert float(sums["preference"].detach()) == pytest.approx(loss)
    assert score.grad is not None
    assert score.grad.tolist() == [slope, -slope]


def test_the_head_runs_in_float32_whatever_the_trunk_does(tmp_path: Path, tokenizer: PreTrainedTokenizerFast) -> None:
    folder = tiny_classifier(tmp_path, tokenizer)
    model = ScalarModel.load(ModelConfig(path=str(folder), precision="bfloat16"))
    head = scalar_head(model.module)
    states: list[torch.Tensor] = []
    head.register_forward_pre_hook(lambda _, inputs: states.append(inputs[0]))
    rng = random.Random(0)
    ids = torch.tensor([[rng.randrange(10, 400) for _ in range(6)] for _ in range(3)])
    with torch.no_grad():
        scores = model.logits(ids, torch.ones_like(ids, dtype=torch.bool)).flatten()
    assert scores.dtype == states[0].dtype == torch.float32
    exact = states[0].double().reshape(3, -1) @ head.weight.detach().double().T
    torch.testing.assert_close(scores.double(), exact.flatten(), atol=1e-5, rtol=1e-5)
