"""How often one may try a password: refused by where the tries come from, slowed down by whom they are for.

Locking a name would let anybody keep its owner out. So failures lock only an address, and a name at one address; tries for a
name that many addresses fail at wait a few seconds first, its owner's, too, who then gets in. Left out: limits that several
servers share, and a limit on all names together.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from accordant.apps.studio.guard import Limiter

QUARTER = 900  # seconds
ADDRESS = 3
"""An address may fail so many times as often as a name at it: an office has one address and several people."""
SLOW = ((2, 2.0), (10, 8.0))
"""A name that failed so many times as often as one address may, and the seconds that the next try then waits."""


class SignIns:
    """Failed sign-ins of the last quarter of an hour; `most` of one name from one address."""

    def __init__(self, most: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._pairs = Limiter(most, QUARTER, clock)
        self._addresses = Limiter(ADDRESS * most, QUARTER, clock)
        self._names = [(Limiter(times * most, QUARTER, clock), seconds) for times, seconds in SLOW]

    def refused(self, name: str, address: str) -> float:
        """Seconds until this address may try this name again; 0 if it may now."""
        return max(self._pairs.wait(_pair(name, address), count=False), self._addresses.wait(address, count=False))

    def delay(self, name: str) -> float:
        """Seconds that a try for this name waits before it is looked at, wherever it comes from."""
        return max((seconds for limiter, seconds in self._names if limiter.wait(_known(name), count=False)), default=0.0)

    def failed(self, name: str, address: str) -> None:
        self._pairs.wait(_pair(name, address))
        self._addresses.wait(address)
        for limiter, _ in self._names:
            limiter.wait(_known(name))


def _known(name: str) -> str:
    return name.strip().lower()


def _pair(name: str, address: str) -> str:
    return f"{address} {_known(name)}"
