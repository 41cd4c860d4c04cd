"""What is on the wire for texts and numbers that clients stumble over."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from typing import Any

import httpx
import pytest

from accordant.apps.chat.answer import Ended, Event, Finished, Said, Started, Token
from accordant.apps.chat.ask import ChatRequest, CompletionRequest, asked
from accordant.apps.chat.wire import Wire

CHAT = {"model": "m", "messages": [{"role": "user", "content": "x"}], "logprobs": True}
PLAIN = {"model": "m", "prompt": "x", "logprobs": 1}


async def given(events: Sequence[Event]) -> AsyncIterator[Event]:
    for event in events:
        yield event


def sent(events: Sequence[Event], chat: bool = True) -> bytes:
    """The bytes of a stream."""

    async def together() -> str:
        wanted = asked(ChatRequest, CHAT)[0] if chat else asked(CompletionRequest, PLAIN)[0]
        return "".join([piece async for piece in Wire(wanted, Started(1, 0), 0).stream(given(events))])

    return asyncio.run(together()).encode()


@pytest.mark.parametrize("text", ["a\u2028b", "a\u2029b", "a\x85b", "a\r\nb\n\nc", "a\x0b\x0c\x1c\x1eb", "é漢🙂"])
def test_a_client_that_reads_lines_reads_each_piece_whole(text: str) -> None:
    """Python's idea of where a line ends is wider than that of server-sent events, and httpx goes by it."""
    response = httpx.Response(200, content=sent([Said(0, text, ()), Ended(0, "stop"), Finished(1)]))
    lines = [line for line in response.iter_lines() if line]
    assert all(line.startswith("data: ") for line in lines)
    assert lines[-1] == "data: [DONE]"
    chunks = [json.loads(line.removeprefix("data: ")) for line in lines[:-1]]
    assert "".join(chunk["choices"][0]["delta"].get("content", "") for chunk in chunks) == text


def test_a_token_without_any_chance_has_a_number_that_json_knows() -> None:
    """OpenAI's own way: -9999."""

    def refuse(constant: str) -> Any:
        raise AssertionError(f"{constant} is no JSON")

    impossible = -float("inf")
    events = [Said(0, "a", (Token("a", 0, -0.5, (("a", -0.5), ("b", impossible))),)), Ended(0, "length"), Finished(1)]
    for chat in (True, False):
        first = sent(events, chat).decode().split("\n\n")[int(chat)]
        said = json.loads(first.removeprefix("data: "), parse_constant=refuse)["choices"][0]["logprobs"]
        if chat:
            assert [other["logprob"] for other in said["content"][0]["top_logprobs"]] == [-0.5, -9999.0]
            assert said["content"][0]["logprob"] == -0.5
        else:
            assert said["top_logprobs"] == [{"a": -0.5, "b": -9999.0}]
            assert said["token_logprobs"] == [-0.5]
