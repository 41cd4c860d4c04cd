"""A real endpoint for the tests: uvicorn in a thread over loaded models, asked by the real `openai` client."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import httpx
import openai

from accordant.apps.chat.app import Door
from accordant.apps.chat.serve import door_of, make_server
from accordant.apps.chat.served import Served
from accordant.apps.chat.worker import Worker
from accordant.apps.listen import listen

FOREVER = 1 << 19  # tokens; at thousands a second no test lives to see the end
ASK: dict[str, Any] = {"messages": [{"role": "user", "content": "hello"}], "seed": 3}
LONG = {**ASK, "model": "parrot", "max_tokens": FOREVER}
PATIENCE = 30.0  # seconds that a test waits for what must happen; nothing waits when it has


def until(condition: Callable[[], bool]) -> None:
    """Wait for it."""
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, "it never came true"
        time.sleep(0.002)


@dataclass
class Endpoint:
    """A running endpoint. `url` ends with /v1."""

    url: str
    workers: dict[str, Worker]
    stop: Callable[[], None]

    def client(self, key: str = "none", retries: int = 0) -> openai.OpenAI:
        return openai.OpenAI(base_url=self.url, api_key=key, max_retries=retries, timeout=PATIENCE)

    def post(self, path: str, body: Any, **options: Any) -> httpx.Response:
        return httpx.post(self.url + path, json=body, timeout=PATIENCE, **options)


@contextmanager
def endpoint(
    models: Sequence[Served], door: Door | None = None, max_waiting: int = 8, max_seconds: float = 600.0
) -> Iterator[Endpoint]:
    """Serve until the block ends."""
    with listen("127.0.0.1", 0) as listener, ExitStack() as stack:
        workers = [stack.enter_context(Worker(one, max_waiting, max_seconds)) for one in models]
        server = make_server(workers, door or door_of("127.0.0.1", None))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        until(lambda: server.started or not thread.is_alive())

        def stop() -> None:
            server.should_exit = True
            thread.join(PATIENCE)
            assert not thread.is_alive()

        yield Endpoint(
            f"http://127.0.0.1:{listener.getsockname()[1]}/v1", {worker.served.name: worker for worker in workers}, stop
        )
        stop()
