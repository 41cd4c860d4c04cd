"""How often one may try a password: refused by where the tries come from, slowed down by whom they are for.

Locking a name would let anybody keep its owner out. So failures lock only an address, and a name at one address; tries for a
name that many addresses fail at wait a few seconds first, its owner's, too, who then gets in. A try counts as failed from its
beginning until it succeeds: of tries that are made side by side, all would else be looked at before the first has failed. Left
out: limits that several servers share, and a limit on all names together.
"""

from __future__ import annotations

import ipaddress
import time
from collections.abc import Callable

from accordant.apps.studio.guard import Limiter
from accordant.feedback.people import LONGEST_NAME

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

    def begin(self, name: str, address: str) -> float:
        """Seconds until this address may try this name again; 0 if it may now, and then the try is counted.

        Called from one thread, as the event loop does: nothing may be counted between the look and the count.
        """
        keys = (self._pairs, _pair(name, address)), (self._addresses, _network(address))
        waits = max(limiter.wait(key, count=False) for limiter, key in keys)
        if not waits:
            for limiter, key in keys:
                limiter.wait(key)
        return waits

    def delay(self, name: str) -> float:
        """Seconds that a try for this name waits before it is looked at, wherever it comes from."""
        return max((seconds for limiter, seconds in self._names if limiter.wait(_known(name), count=False)), default=0.0)

    def failed(self, name: str) -> None:
        """After `begin`: the password was wrong."""
        for limiter, _ in self._names:
            limiter.wait(_known(name))

    def succeeded(self, name: str, address: str) -> None:
        """After `begin`: the try was no failure."""
        self._pairs.take_back(_pair(name, address))
        self._addresses.take_back(_network(address))


def _known(name: str) -> str:
    """The name as it is counted. No account has a longer one, and what is kept of a request must not be as long as it likes."""
    return name.strip().lower()[:LONGEST_NAME]


def _pair(name: str, address: str) -> str:
    return f"{_network(address)} {_known(name)}"


def _network(address: str) -> str:
    """An IPv6 address without its last 64 bits, which whoever has one chooses freely; others as they are."""
    try:
        found = ipaddress.IPv6Address(address)
    except ValueError:
        return address
    return str(found.ipv4_mapped or ipaddress.IPv6Network((int(found) >> 64 << 64, 64)))
