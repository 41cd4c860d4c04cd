"""What the log says of AI labelers: how often their choice survives that the two answers change places.

A comparison that is asked in both orders is logged as two orders with the letter that was chosen in each (`stages.ai_labels`).
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from sqlalchemy import select

from accordant.feedback.schema import event
from accordant.feedback.store import Store

_SAME = {("A", "B"), ("B", "A"), ("C", "C")}  # letters of one choice: what is A in the one order is B in the other


@dataclass(frozen=True)
class Consistency:
    """Of the comparisons that could be read in both orders, those with one choice."""

    consistent: int
    comparisons: int


def consistency(store: Store) -> dict[int, Consistency]:
    """By labeler; absent is who never compared anything readable."""
    same: Counter[int] = Counter()
    read: Counter[int] = Counter()
    query = select(event.c.labeler_id, event.c.what).where(event.c.kind == "judged")
    with store.read() as connection:
        for who, what in connection.execute(query):
            letters = [order["letter"] for order in what["orders"]]
            for pair in zip(letters[::2], letters[1::2], strict=True):
                if None not in pair:
                    read[who] += 1
                    same[who] += pair in _SAME
    return {who: Consistency(same[who], count) for who, count in read.items()}
