"""What every answer carries and what no request may exceed: security headers, the size of a body, the rate of asking.

Left out: limits that several servers share. Each process counts for itself.
"""

from __future__ import annotations

import re
import threading
import time
from collections import deque
from collections.abc import Callable

from starlette.datastructures import MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from accordant.apps.size import announced_too_large, counted, too_large
from accordant.apps.studio.settings import Settings

HEADERS = {
    # Nothing but our own files: a script in a completion has nowhere to run even if a page forgot to escape it.
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",
    "permissions-policy": "camera=(), microphone=(), geolocation=()",
    "cross-origin-opener-policy": "same-origin",
}
_UPLOAD = re.compile(r"/admin/projects/\d+/import")
_KEYS = 20_000  # callers that a limiter remembers before it forgets the idle ones


class Limiter:
    """At most `most` events of one key in any `seconds`."""

    def __init__(self, most: int, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self.most = most
        self.seconds = seconds
        self._clock = clock
        self._seen: dict[str, deque[float]] = {}
        self._lock = threading.Lock()

    def wait(self, key: str, *, count: bool = True) -> float:
        """Seconds until this key may go on, 0 if it may now; then it is counted, unless `count` is false."""
        now = self._clock()
        with self._lock:
            seen = self._seen.get(key, deque())
            while seen and seen[0] <= now - self.seconds:
                seen.popleft()
            if len(seen) >= self.most:
                return seen[0] + self.seconds - now
            if count:
                seen.append(now)
                self._seen[key] = seen
            if len(self._seen) > _KEYS:
                self._seen = {k: times for k, times in self._seen.items() if times and times[-1] > now - self.seconds}
            return 0.0

    def take_back(self, key: str) -> None:
        """One event less of this key: the last one that was counted."""
        with self._lock:
            if seen := self._seen.get(key):
                seen.pop()


class Guard:
    """ASGI middleware: headers on every answer; 413 for a body that is too large, counted as it comes and not as announced."""

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self.app = app
        self.settings = settings

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        limit = self.settings.upload_bytes if _UPLOAD.fullmatch(scope["path"]) else self.settings.body_bytes

        async def dressed(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers[name] = value
                # The address of a file changes with its content (`pages.static_root`); an error at one is no file.
                is_file = scope["path"].startswith("/static/") and message["status"] in (200, 304)
                headers["cache-control"] = "public, max-age=31536000, immutable" if is_file else "no-store"
            await send(message)

        if announced_too_large(scope, limit):
            await JSONResponse({"error": too_large(limit)}, 413)(scope, receive, dressed)
            return
        await self.app(scope, counted(receive, limit), dressed)
