"""29. Each PPO epoch draws a fresh permutation of the minibatches, and the same seed draws the same one."""

from __future__ import annotations

import torch

from accordant.ops.batching import minibatches
from accordant.seeds import generator

GROUP = torch.arange(12).repeat_interleave(2)


def epoch(seed: int, step: int, number: int) -> list[list[int]]:
    return [rows.tolist() for rows in minibatches(GROUP, 4, generator(seed, "minibatches", step, number))]


def test_epochs_and_steps_differ_and_repeat_with_the_seed() -> None:
    drawn = [epoch(0, step, number) for step in range(3) for number in range(4)]
    assert len({str(d) for d in drawn}) == len(drawn)
    assert drawn == [epoch(0, step, number) for step in range(3) for number in range(4)]
    assert drawn[0] != epoch(1, 0, 0)


def test_within_one_stream_two_draws_differ() -> None:
    noise = torch.Generator().manual_seed(0)
    first, second = (torch.cat(minibatches(GROUP, 4, noise)).tolist() for _ in range(2))
    assert first != second
    assert sorted(first) == sorted(second) == list(range(24))
