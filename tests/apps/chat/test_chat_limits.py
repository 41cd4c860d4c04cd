"""What is too long, too large, malformed or unknown, and what of it goes to the log."""

from __future__ import annotations

import json
import logging
from typing import Any

import httpx
import openai
import pytest
from talking import ASK, FOREVER, LONG, Endpoint, endpoint

from accordant.apps.chat.app import Door
from accordant.apps.chat.served import Served
from accordant.types import Message, Prompt


def turns(n: int, system: bool = True) -> list[dict[str, str]]:
    """A system message and n questions, all but the last with its answer; every message is about seven tokens."""
    told = [{"role": "system", "content": "be"}] * system
    for i in range(n):
        told += [{"role": "user", "content": f"{i} and"}, {"role": "assistant", "content": f"{i} is"}]
    return told[:-1]


def test_history_that_is_too_long_loses_its_oldest_turns(
    server: Endpoint, short: Served, caplog: pytest.LogCaptureFixture
) -> None:
    def send(messages: list[dict[str, str]], **more: Any) -> httpx.Response:
        return server.post("/chat/completions", {"model": "short", "messages": messages, "seed": 1, "max_tokens": 8, **more})

    def length(messages: list[dict[str, str]]) -> int:
        return len(short.template.encode_prompt(Prompt(tuple(Message(**one) for one in messages))))  # type: ignore[arg-type]

    messages = turns(9)
    kept = [messages[:1] + messages[start:] for start in range(1, len(messages), 2)]
    fitting = next(one for one in kept if length(one) + 8 <= 128)
    assert 6 <= len(fitting) < len(messages) - 2, "some turns go, and some stay"
    response = send(messages)
    assert response.headers["x-accordant-dropped-messages"] == str(len(messages) - len(fitting))
    assert response.json()["usage"]["prompt_tokens"] == length(fitting)
    assert response.json()["choices"] == send(fitting).json()["choices"]
    assert "x-accordant-dropped-messages" not in send(fitting).headers
    assert f"short: the oldest {len(messages) - len(fitting)} messages of a request were left out" in caplog.text
    # A limit that is only large takes no more than a quarter of the context from the history.
    quarter = next(one for one in kept if length(one) + 32 <= 128)
    assert 4 <= len(quarter) < len(fitting)
    assert send(messages, max_tokens=FOREVER).json()["usage"]["prompt_tokens"] == length(quarter)
    streamed = send(messages, stream=True)
    assert streamed.headers["x-accordant-dropped-messages"] == str(len(messages) - len(fitting))


def test_a_turn_that_is_too_long_is_refused(server: Endpoint, client: openai.OpenAI, short: Served) -> None:
    for messages in ([{"role": "user", "content": "the red " * 80}], [*turns(3), {"role": "user", "content": "the red " * 80}]):
        with pytest.raises(
            openai.BadRequestError, match=r"has \d+ tokens, and the context of short is 128.*shorten it"
        ) as error:
            client.chat.completions.create(model="short", messages=messages)  # type: ignore[arg-type]
        assert error.value.code == "context_length_exceeded"
        assert error.value.param == "messages"
    with pytest.raises(openai.BadRequestError, match="the context of base is 64") as long:
        client.completions.create(model="base", prompt="the red " * 80)
    assert long.value.param == "prompt"
    # What only just fits is answered up to the context's end.
    words = "a" * 140
    while len(prompt := short.template.encode_prompt(Prompt((Message("user", words),)))) >= 128:
        words = words[:-1]
    answer = server.post("/chat/completions", {"model": "short", "messages": [{"role": "user", "content": words}]}).json()
    assert answer["usage"]["prompt_tokens"] == len(prompt) > 120
    assert answer["usage"]["completion_tokens"] == 128 - len(prompt)
    assert answer["choices"][0]["finish_reason"] == "length"


def test_a_body_that_is_too_large(parrot: Served) -> None:
    door = Door(("127.0.0.1",), body_bytes=1000)
    large = json.dumps({**LONG, "user": "x" * 1000}).encode()
    with endpoint([parrot], door) as server:
        for content in (large, iter([large[:600], large[600:]])):
            response = httpx.post(server.url + "/chat/completions", content=content)
            assert response.status_code == 413
            assert "send less at once" in response.json()["error"]["message"]


@pytest.mark.parametrize(
    ("sent", "words"),
    [
        (b"{", "the request is no JSON"), (b"[]", "must be an object"), (b"\xff", "is no JSON"), (b"", "is no JSON"),
        (b'{"temperature": NaN}', "NaN, which is no number"), (b'{"model": "\\ud800"}', "half of a character"),
        (b"[" * 100_000, "levels deep"),
    ],
)  # fmt: skip
def test_what_is_no_request(server: Endpoint, sent: bytes, words: str) -> None:
    response = httpx.post(server.url + "/chat/completions", content=sent)
    assert response.status_code == 400
    assert words in response.json()["error"]["message"]


def test_a_wrong_value_is_not_repeated_at_length(server: Endpoint) -> None:
    response = server.post("/chat/completions", {**LONG, "messages": "x" * 100_000})
    assert response.status_code == 400
    assert "'messages' = 'xxx" in response.text
    assert len(response.content) < 3000


def test_unknown_fields_are_ignored_and_told_once(parrot: Served, caplog: pytest.LogCaptureFixture) -> None:
    with endpoint([parrot]) as server, server.client() as client:
        plain = client.chat.completions.create(model="parrot", max_tokens=3, user="me", **ASK)
        assert "which is not known" not in caplog.text
        for _ in range(3):
            answer = client.chat.completions.create(model="parrot", max_tokens=3, logit_bias={"5": 1}, **ASK)
            assert answer.choices == plain.choices
        assert caplog.text.count("the field 'logit_bias', which is not known here and ignored") == 1
        for i in range(2):
            many = {f"x{i}-{k}": 1 for k in range(150)}
            server.post("/chat/completions", {"model": "nobody", "messages": ASK["messages"], **many})
        assert caplog.text.count("which is not known") == 200


def test_nothing_that_people_write_is_logged(parrot: Served, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "accordant")
    with endpoint([parrot], Door(key="k3y-of-the-server")) as server:
        headers = {"authorization": "Bearer k3y-of-the-server"}
        for body in (
            {"messages": [{"role": "user", "content": "my secret"}]},
            {"messages": "my secret"},
            {"prompt": "my secret"},
        ):
            server.post("/chat/completions", {"model": "parrot", "max_tokens": 2, **body}, headers=headers)
    ours = "\n".join(record.getMessage() for record in caplog.records if record.name.startswith("accordant"))
    assert "secret" not in ours
    assert "k3y" not in ours
