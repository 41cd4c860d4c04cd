"""A thread for each model, which answers one request at a time; the others wait in a queue with an end.

The thread and the server's event loop meet in a `Job`: the thread puts events in, the loop takes them out, either may end it.
Left out: batching the answers of several requests; the time limit does not count the time in the queue.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import threading
import time
from collections import deque
from contextlib import suppress

from accordant.apps.chat.answer import Event, answer
from accordant.apps.chat.ask import Asked
from accordant.apps.chat.refusal import BUSY, OURS, Refusal, broken, gone
from accordant.apps.chat.served import Served
from accordant.types import UserError

_log = logging.getLogger("accordant.chat")
_LONGEST_WAIT = 60  # seconds that a client is asked to wait at most before it tries again
UNREAD = 4096
"""Events that may wait for a client that does not read; beyond, the answer ends, for each of them takes memory."""


class Job:
    """A request on its way; made on the event loop that takes its events."""

    def __init__(self, asked: Asked) -> None:
        self.asked = asked
        self.dropped = threading.Event()
        self._loop = asyncio.get_running_loop()
        self._events: asyncio.Queue[Event | Refusal] = asyncio.Queue()

    async def event(self) -> Event:
        """The next event. Raises Refusal once there will be none."""
        event = await self._events.get()
        if isinstance(event, Refusal):
            raise event
        return event

    @property
    def unread(self) -> int:
        return self._events.qsize()

    def drop(self) -> None:
        """Nobody waits for the answer any more: the model stops at the next token. To be called on the loop."""
        self.dropped.set()
        self._events.put_nowait(gone())

    def put(self, event: Event | Refusal) -> None:
        """From the model's thread."""
        with suppress(RuntimeError):  # the loop is closed: the server has ended, and nobody is there to hear
            self._loop.call_soon_threadsafe(self._events.put_nowait, event)


class Worker:
    """The thread of one model. `max_waiting`: requests that may wait for it; `max_seconds`: longest time for one answer.

    Use it as a context, which ends the thread.
    """

    def __init__(self, served: Served, max_waiting: int, max_seconds: float) -> None:
        self.served = served
        self._max_waiting = max_waiting
        self._max_seconds = max_seconds
        self._waiting: deque[Job] = deque()
        self._running: Job | None = None
        self._stopping = False
        self._changed = threading.Condition()
        self._took = 1.0  # seconds, of the last answer
        self._thread = threading.Thread(target=self._work, name=f"model {served.name}", daemon=True)
        self._thread.start()

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        self._thread.join()

    @property
    def idle(self) -> bool:
        """Whether nothing runs and nothing waits."""
        with self._changed:
            return self._running is None and not self._waiting

    def submit(self, job: Job) -> None:
        """Put a request into the queue. Raises Refusal where it is full (429), or the server is about to end (503)."""
        with self._changed:
            if self._stopping:
                raise _ending()
            self._waiting = deque(one for one in self._waiting if not one.dropped.is_set())
            # While nothing runs, the first in the queue does not wait: the thread is about to take it.
            if len(self._waiting) >= self._max_waiting + (self._running is None):
                wait = min(_LONGEST_WAIT, max(1, round(self._took)))
                raise Refusal(
                    429,
                    f"{self.served.name} is busy, and {self._max_waiting} requests wait for it, which is the most "
                    "(--max-waiting): try again later",
                    "queue_full", kind=BUSY, headers={"retry-after": str(wait)},
                )  # fmt: skip
            self._waiting.append(job)
            self._changed.notify_all()

    def stop(self) -> None:
        """End what runs at its next token, refuse what waits, and take nothing more; does not wait."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()

    def _work(self) -> None:
        while (job := self._next()) is not None:
            began = time.monotonic()
            try:
                self._answer(job, began + self._max_seconds)
            except Refusal as refusal:
                job.put(refusal)
            except UserError as error:
                job.put(Refusal(400, str(error)))
            except Exception:  # the thread has to live on for the other requests
                number = secrets.token_hex(4)
                _log.exception("error %s of model %s", number, self.served.name)
                job.put(broken(number))
            finally:
                with self._changed:
                    self._running = None
                    self._took = time.monotonic() - began

    def _next(self) -> Job | None:
        """The next request that somebody still waits for; None once the thread has to end."""
        with self._changed:
            while True:
                self._changed.wait_for(lambda: self._stopping or self._waiting)
                if self._stopping:
                    for job in self._waiting:
                        job.put(_ending())
                    self._waiting.clear()
                    return None
                job = self._waiting.popleft()
                if not job.dropped.is_set():
                    self._running = job
                    return job

    def _answer(self, job: Job, until: float) -> None:
        def dropped() -> bool:
            return self._stopping or job.dropped.is_set()

        for event in answer(self.served, job.asked, dropped, lambda: time.monotonic() > until):
            job.put(event)
            if job.unread > UNREAD:
                message = f"more than {UNREAD} pieces of the answer were not read: read a stream while it comes"
                raise Refusal(408, message, "read_too_slowly")
        if self._stopping:
            raise _ending()


def _ending() -> Refusal:
    return Refusal(503, "the server is about to end: try again once it is back", "shutting_down", kind=OURS)
