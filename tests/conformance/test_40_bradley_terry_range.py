"""40. Bradley-Terry through log-sigmoid and a float32 head: a gap of 1e4 gives a finite loss and a finite gradient.

So do its relatives: with ties, K-wise, Plackett-Luce, ratings and thumbs; and an encoder's head is in float32 as well.
"""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import PreTrainedTokenizerFast

from accordant import algos
from accordant.algos import reward_pairwise
from accordant.models.load import ModelConfig, scalar_head
from accordant.models.scalar import ScalarModel
from accordant.types import ScoreOut, TokenLabel, TokenPair, TokenRanking, TokenRating, Tokens
from builders import wordpiece_tokenizer
from tiny import random_prompts, scalar_model, tiny_classifier, tiny_encoder

ONE = Tokens((1, 2), (False, True), 1)


@pytest.mark.parametrize(("gap", "loss", "slope"), [(1e4, 0.0, 0.0), (-1e4, 1e4, -1.0)])
def test_any_gap_is_finite(gap: float, loss: float, slope: float) -> None:
    batch = reward_pairwise.collate([TokenPair(ONE, ONE, 0.0, 1.0)], 0)
    score = torch.tensor([gap, 0.0], requires_grad=True)
    sums, _ = reward_pairwise.loss(ScoreOut(score[:, None]), batch, reward_pairwise.Config())
    sums["preference"].backward()
    assert float(sums["preference"].detach()) == pytest.approx(loss)
    assert score.grad is not None
    assert score.grad.tolist() == [slope, -slope]


TIED = TokenPair(ONE, ONE, 0.0, 1.0, tie=True)
SURE = TokenRanking((ONE,) * 3, (0, 1, 1), (False, False, True))
EXTREMES: list[tuple[str, Any, dict[str, Any], list[float], float, list[float]]] = [
    ("reward_pairwise", TokenPair(ONE, ONE, 0.0, 1.0), {"ties": 1.0}, [-1e4, 0.0], 1e4, [-1.0, 1.0]),
    # A tie at a gap of d costs d / 2 - log nu: either score is pulled to the other, with half the force of a wrong pair.
    ("reward_pairwise", TIED, {"ties": 1.0}, [1e4, 0.0], 5e3, [0.5, -0.5]),
    ("reward_kwise", SURE, {}, [-1e4, 0.0, 1e4], 1.5e4, [-1.0, 0.5, 0.5]),
    ("reward_kwise", SURE, {"rejects": "exclude"}, [-1e4, 0.0, 1e4], 1e4, [-1.0, 1.0, 0.0]),
    ("reward_plackett_luce", SURE, {}, [-1e4, 0.0, 1e4], 2e4, [-1.0, 0.0, 1.0]),
    ("reward_plackett_luce", SURE, {"rejects": "exclude"}, [-1e4, 0.0, 1e4], 1e4, [-1.0, 1.0, 0.0]),
    ("reward_regression", TokenRating(ONE, (0.0,)), {"huber": 2.0}, [1e4], 2e4 - 2, [2.0]),
    ("reward_classifier", TokenLabel(ONE, 0), {}, [1e4], 1e4, [1.0]),
]


@pytest.mark.parametrize(("name", "item", "knobs", "scores", "loss", "slopes"), EXTREMES)
def test_so_are_the_other_losses(
    name: str, item: Any, knobs: dict[str, Any], scores: list[float], loss: float, slopes: list[float]
) -> None:
    algo, score = algos.load(name), torch.tensor(scores, requires_grad=True)
    sums, _ = algo.loss(ScoreOut(score[:, None]), algo.collate([item], 0), algo.Config(**knobs))
    first = next(iter(sums.values()))
    first.backward()
    assert float(first.detach()) == pytest.approx(loss, rel=1e-6)
    assert score.grad is not None
    assert score.grad.tolist() == pytest.approx(slopes, abs=1e-6)


def test_the_head_of_an_encoder_runs_in_float32_too(tmp_path: Path) -> None:
    """Its own forward would run it in bfloat16, whose scores near 1 are a hundredth apart."""
    tokenizer = wordpiece_tokenizer()
    folder = tiny_encoder(tmp_path, tokenizer, "bert", "classifier", num_labels=1)
    model = ScalarModel(scalar_model(folder).module.eval(), tokenizer, "bfloat16")
    head, states = scalar_head(model.module), []
    head.register_forward_pre_hook(lambda _, inputs: states.append(inputs[0]))
    ids = torch.tensor(random_prompts((6,) * 64, len(tokenizer)))
    with torch.no_grad():
        scores = model.logits(ids, torch.ones_like(ids, dtype=torch.bool)).flatten()
    exact = states[-1].double() @ head.weight.detach().double().T + head.bias.detach().double()
    torch.testing.assert_close(scores.double(), exact.flatten(), atol=1e-6, rtol=1e-6)
    assert states[0].dtype == torch.bfloat16  # so that the trunk did run in it


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
