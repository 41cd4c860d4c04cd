"""Rows laid end to end, worked by hand; what may look at what, by brute force; first fit decreasing."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from accordant.ops.packing import first_fit, pack_rows

IDS = torch.tensor([[7, 8, 0], [9, 0, 0], [4, 5, 6]])
MASK = torch.tensor([[1, 1, 0], [1, 0, 0], [1, 1, 1]], dtype=torch.bool)
LENGTHS = st.lists(st.integers(1, 9), min_size=1, max_size=12)


def test_three_rows_in_two_by_hand() -> None:
    rows = pack_rows(IDS, MASK, torch.tensor([0, 0, 1]))
    assert rows.ids.tolist() == [[7, 8, 9], [4, 5, 6]]
    assert rows.positions.tolist() == [[0, 1, 0], [0, 1, 2]]
    assert rows.segment.tolist() == [[0, 0, 1], [2, 2, 2]]
    assert rows.attention()[0, 0].tolist() == [[True, False, False], [True, True, False], [False, False, True]]
    assert rows.unpack(rows.ids)[MASK].tolist() == IDS[MASK].tolist()


def test_padding_looks_at_nothing_real_and_nothing_real_looks_at_it() -> None:
    rows = pack_rows(IDS, MASK, torch.tensor([1, 0, 1]))
    assert rows.segment.tolist() == [[1, -1, -1, -1, -1], [0, 0, 2, 2, 2]]
    attention = rows.attention()[0, 0]
    assert attention[0].tolist() == [True, False, False, False, False]
    assert not attention[1:, 0].any()
    assert attention.any(dim=1).all()


@given(lengths=LENGTHS, data=st.data())
def test_every_token_sees_the_tokens_before_it_in_its_row_and_no_others(lengths: list[int], data: st.DataObject) -> None:
    into = data.draw(st.lists(st.integers(0, 3), min_size=len(lengths), max_size=len(lengths)))
    into = [sorted(set(into)).index(row) for row in into]
    width = max(lengths)
    mask = torch.arange(width) < torch.tensor(lengths)[:, None]
    ids = torch.where(mask, torch.arange(1, 1 + mask.numel()).view_as(mask), 0)  # every token another one
    rows = pack_rows(ids, mask, torch.tensor(into))
    attention = rows.attention()[:, 0]
    flat = rows.ids.flatten().tolist()
    for row, length in enumerate(lengths):
        for t in range(length):
            at = flat.index(int(ids[row, t]))
            m, w = divmod(at, rows.ids.shape[1])
            assert m == into[row]
            assert int(rows.positions[m, w]) == t
            assert rows.ids[m][attention[m, w]].tolist() == ids[row, : t + 1].tolist()
    assert sorted(i for i in flat if i) == sorted(ids[mask].tolist())
    assert torch.equal(rows.unpack(rows.ids)[mask], ids[mask])


@pytest.mark.parametrize(
    ("ids", "mask", "into", "message"),
    [
        (IDS, MASK, torch.tensor([0, 1]), "3 rows but"),
        (IDS, MASK & False, torch.tensor([0, 0, 0]), "at least one token"),
        (IDS, MASK.flip(1), torch.tensor([0, 0, 0]), "padding on the right"),
        (IDS, MASK.long(), torch.tensor([0, 0, 0]), "mask"),
    ],
)
def test_mistakes_fail_loudly(ids: torch.Tensor, mask: torch.Tensor, into: torch.Tensor, message: str) -> None:
    with pytest.raises((ValueError, TypeError), match=message):
        pack_rows(ids, mask, into)


def test_first_fit_by_hand() -> None:
    assert first_fit([5, 2, 3, 4], 6) == [[0], [3, 1], [2]]
    assert first_fit([5, 1, 3, 3], 6) == [[0, 1], [2, 3]]
    assert first_fit([9, 2], 6) == [[0], [1]]
    assert first_fit([], 6) == []


@given(lengths=LENGTHS)
def test_first_fit_places_each_item_once_and_within_the_capacity(lengths: list[int]) -> None:
    capacity = max(lengths)
    rows = first_fit(lengths, capacity)
    assert sorted(i for row in rows for i in row) == list(range(len(lengths)))
    used = [sum(lengths[i] for i in row) for row in rows]
    assert max(used) <= capacity
    # No two rows would fit into one: a later row was opened because none had room for its first item.
    assert all(a + b > capacity for i, a in enumerate(used) for b in used[i + 1 :])


def first_fit_by_search(lengths: list[int], capacity: int) -> list[list[int]]:
    """The rule word by word: each, longest first, into the first row that has room for it."""
    rows: list[list[int]] = []
    for i in sorted(range(len(lengths)), key=lambda i: -lengths[i]):
        for row in rows:
            if sum(lengths[k] for k in row) + lengths[i] <= capacity:
                row.append(i)
                break
        else:
            rows.append([i])
    return rows


@given(st.lists(st.integers(0, 40), max_size=70), st.integers(0, 45))
def test_first_fit_is_the_rule(lengths: list[int], capacity: int) -> None:
    assert first_fit(lengths, capacity) == first_fit_by_search(lengths, capacity)
