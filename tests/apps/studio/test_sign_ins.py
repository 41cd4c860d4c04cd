"""Nobody keeps another one out by wrong passwords, and nobody guesses on and on."""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import httpx
import pytest
from fastapi import FastAPI

from accordant.apps.studio.app import make_app
from accordant.apps.studio.settings import Settings
from accordant.apps.studio.sign_ins import ADDRESS, QUARTER, SLOW, SignIns
from accordant.feedback import people
from accordant.feedback.store import Store
from clock import Clock

MOST = 4
T = TypeVar("T")


def run(what: Coroutine[Any, Any, T]) -> T:
    """In a thread of its own: in that of the tests a browser's event loop may be running."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, what).result()


@pytest.fixture
def tries(clock: Clock) -> SignIns:
    return SignIns(MOST, lambda: clock() / 1000)


def test_a_name_is_refused_at_one_address_alone_and_for_a_quarter_of_an_hour(tries: SignIns, clock: Clock) -> None:
    for _ in range(MOST):
        assert tries.begin("Ada", "1.1.1.1") == 0
    assert tries.begin(" ADA ", "1.1.1.1") == pytest.approx(QUARTER)
    assert tries.begin("Ada", "2.2.2.2") == tries.begin("Ben", "1.1.1.1") == 0
    clock.minutes(QUARTER / 60)
    assert tries.begin("Ada", "1.1.1.1") == 0


def test_what_succeeds_is_no_failure(tries: SignIns) -> None:
    for n in range(2 * ADDRESS * MOST):
        assert tries.begin(f"name {n % 2}", "1.1.1.1") == 0
        tries.succeeded(f"Name {n % 2}", "1.1.1.1")
    for _ in range(MOST):
        assert tries.begin("name 0", "1.1.1.1") == 0
    assert tries.begin("name 0", "1.1.1.1") > 0


def test_addresses_of_one_home_are_one_and_names_nobody_can_have_are_cut(tries: SignIns) -> None:
    """Whoever has an IPv6 address has 2^64 of them."""
    for n in range(MOST):
        assert tries.begin("Ada", f"2001:db8::{n:x}") == 0
    assert tries.begin("Ada", "2001:db8::ffff:1") > 0
    assert tries.begin("Ada", "2001:db8:0:1::1") == 0
    for host in range(2 * MOST):  # IPv4 as a server that listens on both says it
        assert tries.begin("Ada", f"::ffff:1.1.1.{host}") == 0
    assert tries.begin("Ada", "") == 0
    for n in range(MOST):
        assert tries.begin("x" * 200 + str(n), "3.3.3.3") == 0
    assert tries.begin("x" * 10**6, "3.3.3.3") > 0


def test_an_address_is_refused_whatever_names_it_tries(tries: SignIns) -> None:
    for n in range(ADDRESS * MOST):
        assert tries.begin(f"name {n}", "1.1.1.1") == 0
    assert tries.begin("Ben", "1.1.1.1") > 0
    assert tries.begin("Ben", "2.2.2.2") == 0


def test_a_name_that_many_addresses_fail_at_waits_and_is_never_refused(tries: SignIns, clock: Clock) -> None:
    waits = []
    for _ in range(20 * MOST):
        waits.append(tries.delay("Ada"))
        tries.failed("ada")
    (few, short), (many, long) = SLOW
    assert waits == [0.0] * few * MOST + [short] * (many - few) * MOST + [long] * (20 - many) * MOST
    assert tries.begin("Ada", "9.9.9.9") == 0
    assert tries.delay("Ben") == 0
    clock.minutes(QUARTER / 60)
    assert tries.delay("Ada") == 0


def test_an_admin_gets_in_while_somebody_elsewhere_guesses(tmp_path: Path, quick_passwords: None) -> None:  # noqa: ARG001
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    async def post(address: str, password: str) -> int:
        transport = httpx.ASGITransport(app, client=(address, 1))
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
            page = (await client.get("/sign-in")).text
            found = re.search(r'name="csrf" value="([^"]+)"', page)
            assert found is not None
            said = {"csrf": found[1], "name": "Ada", "password": password}
            return (await client.post("/sign-in", data=said)).status_code

    with Store.open(tmp_path / "store.db") as store:
        people.make_admin(store, "Ada", "long enough")
        app = make_app(store, Settings(sign_ins_per_quarter=MOST))
        app.state.sleep = sleep
        for n in range(SLOW[0][0] * MOST):
            assert run(post(f"1.1.1.{n % 3}", "wrong wrong")) == 400
        assert not any(slept)
        assert run(post("9.9.9.9", "long enough")) == 303
        assert slept[-1] == SLOW[0][1]
        for _ in range(MOST):
            last = run(post("1.1.1.1", "wrong wrong"))
        assert last == 429
        for _ in range(2 * MOST):
            assert run(post("9.9.9.9", "long enough")) == 303


def test_tries_side_by_side_are_no_way_around_the_limit(tmp_path: Path, quick_passwords: None) -> None:  # noqa: ARG001
    async def guess(app: FastAPI) -> Counter[int]:
        transport = httpx.ASGITransport(app, client=("1.1.1.1", 1))
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
            found = re.search(r'name="csrf" value="([^"]+)"', (await client.get("/sign-in")).text)
            assert found is not None
            said = {"csrf": found[1], "name": "Ada"}
            sent = [client.post("/sign-in", data={**said, "password": f"wrong {n:05}"}) for n in range(10 * MOST)]
            return Counter(answer.status_code for answer in await asyncio.gather(*sent))

    with Store.open(tmp_path / "store.db") as store:
        people.make_admin(store, "Ada", "long enough")
        found = run(guess(make_app(store, Settings(sign_ins_per_quarter=MOST))))
    assert found == {400: MOST, 429: 9 * MOST}
