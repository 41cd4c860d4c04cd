"""Nobody keeps another one out by wrong passwords, and nobody guesses on and on."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

import httpx
import pytest

from accordant.apps.studio.app import make_app
from accordant.apps.studio.settings import Settings
from accordant.apps.studio.sign_ins import ADDRESS, QUARTER, SLOW, SignIns
from accordant.feedback import people
from accordant.feedback.store import Store
from clock import Clock

MOST = 4


@pytest.fixture
def tries(clock: Clock) -> SignIns:
    return SignIns(MOST, lambda: clock() / 1000)


def test_a_name_is_refused_at_one_address_alone_and_for_a_quarter_of_an_hour(tries: SignIns, clock: Clock) -> None:
    for _ in range(MOST):
        assert tries.refused("Ada", "1.1.1.1") == 0
        tries.failed("Ada", "1.1.1.1")
    assert tries.refused(" ADA ", "1.1.1.1") == pytest.approx(QUARTER)
    assert tries.refused("Ada", "2.2.2.2") == tries.refused("Ben", "1.1.1.1") == 0
    clock.minutes(QUARTER / 60)
    assert tries.refused("Ada", "1.1.1.1") == 0


def test_an_address_is_refused_whatever_names_it_tries(tries: SignIns) -> None:
    for n in range(ADDRESS * MOST):
        assert tries.refused("Ben", "1.1.1.1") == 0
        tries.failed(f"name {n}", "1.1.1.1")
    assert tries.refused("Ben", "1.1.1.1") > 0
    assert tries.refused("Ben", "2.2.2.2") == 0


def test_a_name_that_many_addresses_fail_at_waits_and_is_never_refused(tries: SignIns, clock: Clock) -> None:
    waits = []
    for n in range(20 * MOST):
        waits.append(tries.delay("Ada"))
        tries.failed("ada", f"1.1.1.{n}")
    (few, short), (many, long) = SLOW
    assert waits == [0.0] * few * MOST + [short] * (many - few) * MOST + [long] * (20 - many) * MOST
    assert tries.refused("Ada", "9.9.9.9") == 0
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
            assert asyncio.run(post(f"1.1.1.{n % 3}", "wrong wrong")) == 400
        assert not any(slept)
        assert asyncio.run(post("9.9.9.9", "long enough")) == 303
        assert slept[-1] == SLOW[0][1]
        for _ in range(MOST):
            last = asyncio.run(post("1.1.1.1", "wrong wrong"))
        assert last == 429
        assert asyncio.run(post("9.9.9.9", "long enough")) == 303
