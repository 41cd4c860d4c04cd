"""Several short rows in one, computed together without cross-talk: no attention from row to row, and positions that restart.

Padding is what it saves: a batch of rows is as wide as its longest, and a packed one is full. A causal model sees in each
packed row exactly what it would see in a row of its own. Models differ (sliding windows, ALiBi), so a caller first asks
`models.packed.packs_rows`, which compares both ways on the model itself.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from accordant.ops.checks import is_mask, same_shape


@dataclass(frozen=True)
class PackedRows:
    """N rows in M, right-padded to W tokens, and where each of their tokens went."""

    ids: Tensor  # (M, W) int64
    positions: Tensor  # (M, W) int64, restarting with every row
    segment: Tensor  # (M, W) int64: which of the N rows, -1 = padding
    place: Tensor  # (N, L) int64, index of each real token into the flat (M * W); 0 where the plain row is padding

    def attention(self) -> Tensor:
        """(M, 1, W, W) bool: True where the query (third axis) may look at the key (fourth axis)."""
        query, key = self.segment[:, :, None], self.segment[:, None, :]
        # Padding is a segment, too, so that no query looks at nothing: a row of only False is NaN in softmax, and NaN spreads.
        causal = torch.ones(self.ids.shape[1], self.ids.shape[1], dtype=torch.bool, device=self.ids.device).tril()
        return (causal & (query == key))[:, None]

    def unpack(self, values: Tensor) -> Tensor:
        """(M, W, ...) as the plain rows have it, (N, L, ...); what stands in their padding means nothing."""
        return values.flatten(0, 1)[self.place]


def pack_rows(ids: Tensor, mask: Tensor, into: Tensor) -> PackedRows:
    """Lay plain rows end to end. "a b", "c" and "d e f" into (0, 0, 1)::

        a b .                              a b c     positions  0 1 0     segment  0 0 1
        c . .     into  0 0 1     becomes  d e f                0 1 2              2 2 2
        d e f

    Args:
        ids: (N, L) int64, right-padded.
        mask: (N, L) bool, real tokens.
        into: (N,) int64, the packed row of each, from 0 to M - 1.

    Raises:
        ValueError: `into` has not one entry for each row; a row is empty; or it is not right-padded.
    """
    is_mask(mask=mask)
    same_shape(2, ids=ids, mask=mask)
    if into.shape != ids.shape[:1]:
        raise ValueError(f"{len(ids)} rows but {tuple(into.shape)} places: they must be equally many")
    length = mask.sum(dim=1)
    column = torch.arange(ids.shape[1], device=ids.device)
    if (length < 1).any() or ((column < length[:, None]) != mask).any():
        raise ValueError("every row needs at least one token, and its padding on the right")
    # Tokens before a row in its packed row: those of all earlier rows that went into the same one.
    same = (into[:, None] == into[None, :]).tril(diagonal=-1)
    before = (same * length[None, :]).sum(dim=1)
    packed, width = int(into.max()) + 1, int((before + length).max())
    flat = (into * width + before)[:, None] + column
    row = torch.arange(len(ids), device=ids.device)[:, None].expand_as(ids)

    def laid(values: Tensor, fill: int) -> Tensor:
        out = torch.full((packed * width,), fill, dtype=torch.long, device=ids.device)
        out[flat[mask]] = values[mask]
        return out.view(packed, width)

    # Padding gets id 0, which every vocabulary has; nothing looks at it.
    return PackedRows(laid(ids, 0), laid(column.expand_as(ids), 0), laid(row, -1), torch.where(mask, flat, 0))


def first_fit(lengths: Sequence[int], capacity: int) -> list[list[int]]:
    """Indices that go into one row of at most `capacity` tokens each: longest first, each into the first row with room for it.

    `first_fit([5, 2, 3, 4], 6) == [[0], [3, 1], [2]]`. At most 11/9 of the rows that the best packing needs, and one (Johnson
    1973). An item longer than `capacity` gets a row of its own.
    """
    size = 1 << max(0, len(lengths) - 1).bit_length()
    # room[size + r] is what row r has left, and room[k] the most that one of the rows below node k has. In a row that is not
    # begun there is room for everything, so that the first that fits always exists: n log n steps in all.
    room: list[float] = [math.inf] * (2 * size)
    rows: list[list[int]] = []
    for i in sorted(range(len(lengths)), key=lambda i: (-lengths[i], i)):
        node = 1
        while node < size:
            node = 2 * node if room[2 * node] >= lengths[i] else 2 * node + 1
        if node - size == len(rows):
            rows.append([])
            room[node] = capacity
        rows[node - size].append(i)
        room[node] -= lengths[i]
        while node > 1:
            node //= 2
            room[node] = max(room[2 * node], room[2 * node + 1])
    return rows
