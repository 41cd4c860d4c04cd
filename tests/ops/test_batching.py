from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from accordant.ops.batching import microbatches, minibatches, move, pad_rows, take, take_rollout
from accordant.types import Batch
from steps import random_rollout, random_valued


@given(st.lists(st.tuples(st.integers(1, 50), st.integers(1, 4)), max_size=20), st.integers(1, 200))
def test_microbatches_partition_the_items_within_the_budget(items: list[tuple[int, int]], budget: int) -> None:
    lengths, rows = [n for n, _ in items], [r for _, r in items]
    parts = microbatches(lengths, budget, rows)
    assert sorted(i for part in parts for i in part) == list(range(len(items)))
    for part in parts:
        padded = max(lengths[i] for i in part) * sum(rows[i] for i in part)
        assert padded <= budget or len(part) == 1
    order = [lengths[i] for part in parts for i in part]
    assert order == sorted(order, reverse=True)


def test_microbatches_refuse_lists_of_unequal_length() -> None:
    with pytest.raises(ValueError, match="2 lengths but 1"):
        microbatches([3, 4], 10, [1])


@given(st.integers(1, 8), st.integers(1, 4), st.integers(0, 99))
def test_minibatches_partition_the_rows_and_never_tear_a_group(groups: int, samples: int, seed: int) -> None:
    group = torch.arange(groups).repeat_interleave(samples)
    for parts in (d for d in range(1, groups + 1) if groups % d == 0):
        index = minibatches(group, parts, torch.Generator().manual_seed(seed))
        assert torch.cat(index).sort().values.tolist() == list(range(groups * samples))
        owners = [set(group[rows].tolist()) for rows in index]
        assert [len(owner) for owner in owners] == [groups // parts] * parts
        assert all(rows.tolist() == sorted(rows.tolist()) for rows in index)


@pytest.mark.parametrize(("parts", "nearest"), [(0, 1), (4, 3), (5, 6), (7, 6), (99, 6)])
def test_parts_that_do_not_divide_are_refused_with_the_nearest(parts: int, nearest: int) -> None:
    with pytest.raises(ValueError, match=rf"{parts} minibatches.* 6 groups.* {nearest}$"):
        minibatches(torch.arange(6), parts, torch.Generator())


def test_take_cuts_every_tensor_of_a_nested_record() -> None:
    step = random_valued(random_rollout([3, 1, 2, 3]))
    part = take(step, torch.tensor([2, 0]), slice(0, 2))
    assert torch.equal(part.value, step.value[[2, 0], :2])
    assert torch.equal(part.scored.ref_logp, step.scored.ref_logp[[2, 0], :2])
    assert torch.equal(part.scored.reward, step.scored.reward[[2, 0]])
    rows_only = take(step.scored.rollout, torch.tensor([1]))
    assert torch.equal(rows_only.ids, step.scored.rollout.ids[[1]])
    assert rows_only.prompt_length == step.scored.rollout.prompt_length


def test_pad_rows_fills_right_and_left() -> None:
    rows = [[1, 2, 3], [4]]
    assert pad_rows(rows, 0).tolist() == [[1, 2, 3], [4, 0, 0]]
    assert pad_rows(rows, 9, left=True).tolist() == [[1, 2, 3], [9, 9, 4]]
    assert pad_rows([[True], []], False, dtype=torch.bool).tolist() == [[True], [False]]


def test_take_rollout_drops_the_columns_that_no_row_uses() -> None:
    rollout = random_rollout([4, 2, 1, 3], prompt=3)  # rows 1 and 3 have prompts of two tokens
    part = take_rollout(rollout, torch.tensor([1, 3]))
    assert part.prompt_length == 2
    assert torch.equal(part.ids, rollout.ids[[1, 3], 1:6])
    assert torch.equal(part.mask, rollout.mask[[1, 3], 1:6])
    assert torch.equal(part.response_mask, rollout.response_mask[[1, 3], :3])
    assert torch.equal(part.logp, rollout.logp[[1, 3], :3])
    assert torch.equal(part.group, rollout.group[[1, 3]])


def test_move_reaches_every_tensor() -> None:
    step = random_valued(random_rollout([2, 1]))
    moved = move(step, torch.device("meta"))
    assert {t.device.type for t in (moved.value, moved.scored.reward, moved.scored.rollout.ids)} == {"meta"}
    batch = Batch(*(torch.zeros(1, 1, dtype=torch.bool) for _ in range(3)), extra={"weight": torch.ones(1)})
    assert move(batch, torch.device("meta")).extra["weight"].device.type == "meta"
