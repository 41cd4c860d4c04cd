"""An endpoint over a real connection: what is sent, what is tried again, and what is told."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from accordant.stages.endpoint import Endpoint, EndpointConfig, Refused, Reply
from accordant.types import Message, UserError
from chat_server import ChatServer, Raw, chat_server, said

KEY = "sk-very-secret-0123456789"
HOW = {"max_tokens": 7, "temperature": 0.5, "seed": 3}


def settings(url: str, **more: Any) -> EndpointConfig:
    return EndpointConfig(url=url, model="big", timeout=20.0, **more)


def ask(server: ChatServer, pauses: list[float] | None = None, **more: Any) -> Reply:
    with Endpoint(settings(server.url, **more), (pauses if pauses is not None else []).append) as endpoint:
        return endpoint.chat("hello", **HOW)


def scripted(*answers: Raw) -> Any:
    left: Iterator[Raw] = iter(answers)
    return lambda _: next(left)


def test_what_is_sent_and_what_comes_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_KEY", f" {KEY}\n")
    turns = (Message("system", "be kind"), Message("user", "hi"))
    answers = scripted(said(" yes", "stop"), said("cut", "length"), said(None), said("odd", None))
    with chat_server(answers) as server, Endpoint(settings(server.url + "/", key_env="MY_KEY")) as endpoint:
        replies = [endpoint.chat(prompt, **HOW) for prompt in ("hello", turns, "hello", "hello")]
    assert replies == [Reply(" yes", True), Reply("cut", False), Reply("", True), Reply("odd", True)]
    headers, body = server.requests[0]
    assert headers["Authorization"] == f"Bearer {KEY}"
    hello = [{"role": "user", "content": "hello"}]
    assert body == {"model": "big", "messages": hello, "max_tokens": 7, "temperature": 0.5, "seed": 3}
    assert server.requests[1][1]["messages"] == [{"role": "system", "content": "be kind"}, {"role": "user", "content": "hi"}]


def test_no_key_is_sent_unless_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    with chat_server(lambda _: said("x")) as server:
        ask(server)
    assert "Authorization" not in server.requests[0][0]


def test_busy_servers_are_asked_again_after_growing_pauses() -> None:
    pauses: list[float] = []
    busy = [Raw(503), Raw(500, "{}"), Raw(429, "{}", {"Retry-After": "7"}), Raw(429, "{}", {"Retry-After": "soon"})]
    with chat_server(scripted(*busy, Raw(body='{"choices', cut=True), said("at last"))) as server:
        assert ask(server, pauses).text == "at last"
    assert pauses == [0.5, 1.0, 7.0, 4.0, 8.0]
    assert len(server.requests) == 6


def test_pauses_have_an_end() -> None:
    pauses: list[float] = []
    with chat_server(lambda _: Raw(503, '{"error": {"message": "overloaded"}}', {"Retry-After": "86400"})) as server:
        with pytest.raises(UserError, match=r"HTTP 503: overloaded; given up after 3 tries"):
            ask(server, pauses, retries=2)
        pauses.clear()
    assert len(server.requests) == 3
    with chat_server(lambda _: Raw(503)) as server, pytest.raises(UserError, match="given up after 9 tries"):
        ask(server, pauses, retries=8)
    assert pauses == [0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0]
    assert sum(pauses) < 120


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (Raw(401, json.dumps({"error": {"message": f"Incorrect key: {KEY}."}})), "Incorrect key: (the key)."),
        (Raw(404, '{"error": "no model big"}'), "HTTP 404: no model big"),
        (Raw(422, '{"detail": [{"msg": "bad"}]}'), 'HTTP 422: [{"msg": "bad"}]'),
        (Raw(400, "x" * 290 + KEY), "x" * 290 + "(the key)"),
        (Raw(400, "<html>" + "y" * 1000), "y..."),
        (Raw(418), "HTTP 418: I'm a Teapot"),
        (Raw(302, "", {"Location": "http://127.0.0.1:1/"}), "HTTP 302"),
        (Raw(body="<html>"), "no JSON"),
        (Raw(body="[]"), "has no choices"),
        (Raw(body='{"choices": []}'), "has no choices"),
        (Raw(body='{"choices": [{"message": {"content": 3}}]}'), "is no text: 3"),
        (Raw(body='{"choices": [{"message": {"content": "x"}}]}', headers={"Content-Encoding": "gzip"}), "not to be reached"),
    ],
)  # fmt: skip
def test_what_cannot_be_used_is_said_in_a_word_and_without_the_key(
    answer: Raw, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MY_KEY", KEY)
    with chat_server(lambda _: answer) as server, pytest.raises(UserError) as error:
        ask(server, key_env="MY_KEY", retries=0)
    assert words in str(error.value)
    assert server.url in str(error.value)
    assert len(str(error.value)) < 600
    assert KEY[:12] not in str(error.value)
    assert len(server.requests) == 1


def test_no_server_at_all() -> None:
    with chat_server(lambda _: said("x")) as server:
        pass
    with pytest.raises(UserError, match=r"not to be reached .*given up after 2 tries: is the server up\?"):
        ask(server, retries=1)


def test_a_server_that_answers_too_late() -> None:
    waiting = threading.Event()

    def late(_: Any) -> Raw:
        waiting.wait(20)
        return said("late")

    with chat_server(late) as server:
        cfg = EndpointConfig(url=server.url, model="m", timeout=0.05, retries=0)
        with Endpoint(cfg) as endpoint, pytest.raises(UserError, match=r"no answer within 0\.05 s; given up after 1 tries"):
            endpoint.chat("hello", **HOW)
        waiting.set()


@pytest.mark.parametrize(
    "answer", [said("a whole answer, piece by piece"), Raw(503, "busy " * 20)], ids=["an answer", "a refusal"]
)
def test_the_limit_is_for_the_whole_answer_and_not_for_each_piece_of_it(answer: Raw) -> None:
    """The server needs five seconds in all, and never keeps anybody waiting for the next piece. Its headers drip, too."""
    pauses: list[float] = []
    with chat_server(lambda _: replace(answer, drip=0.05)) as server:
        cfg = EndpointConfig(url=server.url, model="m", timeout=0.5, retries=1)
        with (
            Endpoint(cfg, pauses.append) as endpoint,
            pytest.raises(UserError, match=r"no answer within 0\.5 s; given up after 2 "),
        ):
            endpoint.chat("hello", **HOW)
    assert pauses == [0.5]
    with chat_server(lambda _: replace(said("soon there"), drip=0.001)) as server:
        assert ask(server).text == "soon there"


DEEP = "[" * 100_000


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (Raw(400, '{"error": {"message": "content filter"}}'), "HTTP 400: content filter"),
        (Raw(403, '{"error": "flagged"}'), "HTTP 403: flagged"),
        (Raw(413, "too long"), "HTTP 413: too long"),
        (Raw(422, DEEP), "HTTP 422: [[["),
        (Raw(400, '{"error": "\\ud800"}'), "HTTP 400: \\ud800"),
        (Raw(body=DEEP), "its answer is no JSON: [[["),
        (Raw(body="<html>"), "its answer is no JSON"),
        (Raw(body='{"choices": []}'), "its answer has no choices"),
        (Raw(body='{"choices": [{"message": {"content": ["\\ud800"]}}]}'), 'its answer is no text: ["\\ud800"]'),
    ],
)
def test_what_is_about_one_request_says_so_and_can_be_printed(answer: Raw, words: str) -> None:
    with chat_server(lambda _: answer) as server, pytest.raises(Refused) as error:
        ask(server)
    assert error.value.why.startswith(words)
    assert str(error.value) == f"endpoint {server.url}/chat/completions, model 'big': {error.value.why}"
    assert str(error.value).encode()
    assert len(server.requests) == 1


@pytest.mark.parametrize("status", [301, 401, 402, 404, 405, 407, 410, 501])
def test_what_every_request_would_get_is_about_none(status: int) -> None:
    with chat_server(lambda _: Raw(status, "no")) as server, pytest.raises(UserError, match=f"HTTP {status}: no") as error:
        ask(server)
    assert not isinstance(error.value, Refused)
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("127.0.0.1:8000/v1", "give an address such as"),
        ("ftp://host/v1", "give an address such as"),
        ("http:///v1", "give an address such as"),
        ("http://host:port/v1", "give an address such as"),
        ("http://me:secret@host/v1", "has a password in it"),
    ],
)
def test_addresses_that_are_none(url: str, words: str) -> None:
    with pytest.raises(UserError, match=words) as error:
        Endpoint(settings(url))
    assert "secret" not in str(error.value)


@pytest.mark.parametrize(("value", "words"), [(None, "which is not set"), ("  ", "which is not set"), ("kéy", "no key has")])
def test_keys_that_are_none(value: str | None, words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MY_KEY", raising=False)
    if value is not None:
        monkeypatch.setenv("MY_KEY", value)
    with pytest.raises(UserError, match=words) as error:
        Endpoint(settings("http://h/v1", key_env="MY_KEY"))
    assert "MY_KEY" in str(error.value)
    assert "kéy" not in str(error.value)


def test_many_requests_keep_their_order_and_the_first_error_ends_them() -> None:
    def echo(body: Any) -> Raw:
        text = body["messages"][0]["content"]
        return Raw(400, "no sevens") if text == "7" else said(text * 2)

    with chat_server(echo) as server, Endpoint(settings(server.url, parallel=3)) as endpoint:
        assert endpoint.each(lambda n: endpoint.chat(str(n), **HOW).text, list(range(7))) == [str(n) * 2 for n in range(7)]
        with pytest.raises(UserError, match="no sevens"):
            endpoint.each(lambda n: endpoint.chat(str(n), **HOW).text, [7] + [8] * 200)
    assert len(server.requests) < 100
