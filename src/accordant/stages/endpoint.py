"""A model behind an OpenAI-compatible endpoint: `POST {url}/chat/completions`, one answer a request.

The key is read from the environment variable that the configuration names; it is in no configuration, file, log or message.
Busy servers, timeouts and broken connections are tried again, each time after a longer pause. What is left is said in the
server's own words: either it is about this one request (`Refused`), or the user's to put right. Requests run on an event loop
in a thread of its own: only there can a whole answer have a deadline, as the client's own limits are for each piece of it.

Left out: streaming, tools, several answers a request (`n`, which many servers lack).
"""

from __future__ import annotations

import asyncio
import json
import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar

import httpx

from accordant.config import REQUIRED, Config, knob
from accordant.feedback.kept import spelt
from accordant.types import Message, PromptText, UserError

A = TypeVar("A")
B = TypeVar("B")

_AGAIN = (408, 409, 425, 429, 500, 502, 503, 504)  # statuses that another try may change
_OF_ALL = (401, 402, 404, 405, 407, 410)  # of the other 4xx those that every request will get: no key, no money, no model
_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 30.0  # seconds
_QUOTED = 300  # characters of what a server says that a message repeats


class EndpointConfig(Config):
    """Where a model answers, and how patiently it is asked."""

    url: str = knob(REQUIRED, "address up to and with /v1, such as http://127.0.0.1:8000/v1", min_length=1)
    model: str = knob(REQUIRED, "the model's name there", min_length=1, max_length=500)
    key_env: str | None = knob(None, "name of the environment variable that holds the key; none: no key is sent")
    timeout: float = knob(120.0, "longest wait for one answer, from the connection to its last byte", "seconds", gt=0)
    retries: int = knob(5, "further tries where the server is busy or silent, after pauses that double", "requests", ge=0)
    parallel: int = knob(4, "requests at once", "requests", ge=1)


@dataclass(frozen=True)
class Reply:
    """What the model said. `finished`: it ended by itself; False: it was cut at the length limit, or otherwise."""

    text: str
    finished: bool


class Refused(UserError):
    """The server is there and has no usable answer to this request; to another it may have. `why`: without its address."""

    def __init__(self, message: str, why: str) -> None:
        super().__init__(message)
        self.why = why


class Endpoint:
    """An open connection. Use `with Endpoint(cfg) as endpoint`.

    `pause` waits that many seconds; another is for tests. Raises UserError for an address that is none or has a password in it,
    or where the variable that should hold the key is not set.
    """

    def __init__(self, cfg: EndpointConfig, pause: Callable[[float], object] | None = None) -> None:
        self.cfg = cfg
        self._ended = threading.Event()
        self._pause = pause or self._ended.wait
        self._key = None if cfg.key_env is None else key_from(cfg.key_env, "endpoint.key_env")
        self._address = f"{_checked(cfg.url)}/chat/completions"
        headers = {"Authorization": f"Bearer {self._key}"} if self._key else {}
        limits = httpx.Limits(max_connections=cfg.parallel, max_keepalive_connections=cfg.parallel)
        self._client = httpx.AsyncClient(headers=headers, timeout=None, limits=limits)  # the deadline is `_send`'s
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="endpoint", daemon=True)

    def __enter__(self) -> Endpoint:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self._close(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _close(self) -> None:
        left = asyncio.all_tasks() - {asyncio.current_task()}
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)
        await self._client.aclose()

    def chat(self, prompt: PromptText, *, max_tokens: int, temperature: float, seed: int) -> Reply:
        """One answer; a plain text is sent as a user's turn.

        Raises:
            Refused: the server refused this request, or answered nonsense.
            UserError: it will answer none like it, or was not to be reached in all tries.
        """
        turns = [Message("user", prompt)] if isinstance(prompt, str) else prompt
        body = {
            "model": self.cfg.model, "messages": [{"role": turn.role, "content": turn.content} for turn in turns],
            "max_tokens": max_tokens, "temperature": temperature, "seed": seed,
        }  # fmt: skip
        answer = self._post(body)
        try:
            choice = answer["choices"][0]
            text, reason = choice["message"]["content"], choice.get("finish_reason")
        except (KeyError, IndexError, TypeError, AttributeError):
            raise self._nothing(f"its answer has no choices[0].message.content: {self._quoted(json.dumps(answer))}") from None
        if text is not None and not isinstance(text, str):
            raise self._nothing(f"its answer is no text: {self._quoted(json.dumps(text))}")
        return Reply(text or "", reason in ("stop", None))

    def each(self, do: Callable[[A], B], what: Sequence[A]) -> list[B]:
        """`do` of each, in order, some at a time; the first error ends it."""
        with ThreadPoolExecutor(self.cfg.parallel) as pool:
            waiting = [pool.submit(do, one) for one in what]
            try:
                return [one.result() for one in waiting]
            except BaseException:
                self._ended.set()  # nobody pauses for another try
                pool.shutdown(wait=False, cancel_futures=True)
                raise

    def _post(self, body: dict[str, Any]) -> Any:
        why = ""
        for attempt in range(self.cfg.retries + 1):
            pause = min(_FIRST_PAUSE * 2**attempt, _LONGEST_PAUSE)
            try:
                response = asyncio.run_coroutine_threadsafe(self._send(body), self._loop).result()
            except TimeoutError:
                why = f"no answer within {self.cfg.timeout:g} s"
            except httpx.RequestError as error:
                why = f"not to be reached ({error or type(error).__name__})"
            else:
                if response.is_success:
                    return self._json(response)
                why = f"HTTP {response.status_code}: {self._quoted(_said(response))}"
                if response.is_client_error and response.status_code not in (*_AGAIN, *_OF_ALL):
                    raise self._nothing(why)
                if response.status_code not in _AGAIN:
                    raise self._failed(why)
                pause = _asked_to_wait(response) or pause
            if self._ended.is_set():
                break
            if attempt < self.cfg.retries:
                self._pause(pause)
        raise self._failed(f"{why}; given up after {self.cfg.retries + 1} tries: is the server up?")

    async def _send(self, body: dict[str, Any]) -> httpx.Response:
        async with asyncio.timeout(self.cfg.timeout):
            return await self._client.post(self._address, json=body)

    def _json(self, response: httpx.Response) -> Any:
        try:
            return response.json()
        except (ValueError, RecursionError):
            raise self._nothing(f"its answer is no JSON: {self._quoted(response.text)}") from None

    def _quoted(self, text: str) -> str:
        """What a server said, cut, and without the key, which some repeat when they do not know it."""
        text = spelt(text.replace(self._key, "(the key)") if self._key else text)
        return text if len(text) <= _QUOTED else text[:_QUOTED] + "..."

    def _failed(self, why: str) -> UserError:
        return UserError(self._told(why))

    def _nothing(self, why: str) -> Refused:
        return Refused(self._told(why), why)

    def _told(self, why: str) -> str:
        return f"endpoint {self._address}, model {self.cfg.model!r}: {why}"


def _checked(url: str) -> str:
    try:
        parts = httpx.URL(url)
    except httpx.InvalidURL as error:
        raise UserError(f"endpoint.url is {url!r} ({error}); give an address such as http://127.0.0.1:8000/v1") from error
    if parts.userinfo:
        raise UserError("endpoint.url has a password in it, which would be logged; put the key where endpoint.key_env names")
    if parts.scheme not in ("http", "https") or not parts.host:
        raise UserError(f"endpoint.url is {url!r}; give an address such as http://127.0.0.1:8000/v1")
    return url.rstrip("/")


def key_from(variable: str, named_by: str) -> str:
    """The key that an environment variable holds; `named_by`: the setting that names it. Raises UserError where it has none."""
    key = os.environ.get(variable, "").strip()
    if not key:
        raise UserError(f"{named_by} names the environment variable {variable}, which is not set: put the key into it")
    if not key.isascii() or not key.isprintable():
        raise UserError(f"the environment variable {variable} holds characters that no key has: copy it again")
    return key


def _said(response: httpx.Response) -> str:
    """What the server says about a refusal, in the shapes that servers use."""
    try:
        found = response.json()
    except (ValueError, RecursionError):
        return response.text or response.reason_phrase
    for name in ("error", "message", "detail"):
        if isinstance(found, dict) and name in found:
            found = found[name]
    return found if isinstance(found, str) else json.dumps(found)


def _asked_to_wait(response: httpx.Response) -> float | None:
    """The seconds of `Retry-After`; None where it is absent or a date."""
    said = response.headers.get("retry-after", "")
    return min(float(said), _LONGEST_PAUSE) if said.isdigit() else None
