"""A real HTTP server that speaks as much of the OpenAI protocol as the tests need, on a free port of this machine."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass(frozen=True)
class Raw:
    """An answer as it goes over the wire."""

    status: int = 200
    body: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    cut: bool = False  # the connection breaks in the middle
    drip: float = 0.0  # seconds between two pieces, of a hundred that the whole answer comes in


@dataclass
class ChatServer:
    """`url` ends with /v1; `requests` holds what came in, as (headers, body)."""

    url: str
    requests: list[tuple[dict[str, str], Any]] = field(default_factory=list)


def said(text: str | None, finish: str | None = "stop") -> Raw:
    """A regular answer."""
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": finish}
    return Raw(body=json.dumps({"id": "x", "object": "chat.completion", "choices": [choice]}))


@contextmanager
def chat_server(answer: Callable[[Any], Raw]) -> Iterator[ChatServer]:
    """Serve until the block ends; `answer` gets each request's body."""
    lock = threading.Lock()
    ended = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            with lock:
                server.requests.append((dict(self.headers), body))
                raw = answer(body) if self.path == "/v1/chat/completions" else Raw(404, '{"detail": "Not Found"}')
            data = raw.body.encode()
            if raw.drip:
                self._drip(data, raw)
                return
            self.send_response(raw.status)
            self.send_header("Content-Length", str(len(data) + 10 * raw.cut))
            for name, value in raw.headers.items():
                self.send_header(name, value)
            self.end_headers()
            with suppress(BrokenPipeError):  # a client that would not wait
                self.wfile.write(data)
            if raw.cut:
                self.close_connection = True

        def _drip(self, data: bytes, raw: Raw) -> None:
            whole = f"HTTP/1.1 {raw.status} Slow\r\nContent-Length: {len(data)}\r\n\r\n".encode() + data
            size = -(-len(whole) // 100)
            with suppress(BrokenPipeError, ConnectionResetError):
                for start in range(0, len(whole), size):
                    self.wfile.write(whole[start : start + size])
                    ended.wait(raw.drip)

        def log_message(self, *_: Any) -> None:
            pass

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    http.daemon_threads = True
    server = ChatServer(f"http://127.0.0.1:{http.server_address[1]}/v1")
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server
    finally:
        ended.set()
        http.shutdown()
        thread.join()
        http.server_close()
