"""The events of an answer in OpenAI's words: one object, or a stream of chunks."""

from __future__ import annotations

import json
import secrets
from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from typing import Any

from accordant.apps.chat.answer import Ended, Event, Finished, Said, Started, Token
from accordant.apps.chat.ask import Asked
from accordant.apps.chat.refusal import Refusal

Object = dict[str, Any]


class Wire:
    """How the answer to one request is written. `created`: seconds since 1970."""

    def __init__(self, asked: Asked, started: Started, created: int) -> None:
        self._asked = asked
        self._started = started
        self._head: Object = {
            "id": f"{'chatcmpl' if asked.chat else 'cmpl'}-{secrets.token_hex(12)}", "created": created, "model": asked.model,
        }  # fmt: skip

    async def whole(self, events: AsyncIterator[Event]) -> Object:
        """The answer as one object, once it is over."""
        texts: defaultdict[int, str] = defaultdict(str)
        tokens: defaultdict[int, list[Token]] = defaultdict(list)
        reasons, drawn = {}, 0
        async for event in events:
            match event:
                case Said(index=index):
                    texts[index] += event.text
                    tokens[index] += event.tokens
                case Ended():
                    reasons[event.index] = event.reason
                case Finished():
                    drawn = event.tokens
        choices = []
        for i in range(self._asked.request.n):
            text = {"message": {"role": "assistant", "content": texts[i]}} if self._asked.chat else {"text": texts[i]}
            choices.append({"index": i, **text, "logprobs": self._logprobs(tokens[i]), "finish_reason": reasons[i]})
        kind = "chat.completion" if self._asked.chat else "text_completion"
        return {**self._head, "object": kind, "choices": choices, "usage": self._usage(drawn)}

    async def stream(self, events: AsyncIterator[Event]) -> AsyncIterator[str]:
        """Server-sent events: a role for each answer, pieces, ends, tokens if asked for, [DONE]. An error ends them."""
        if self._asked.chat:
            for i in range(self._asked.request.n):
                yield self._chunk(i, {"role": "assistant", "content": ""})
        try:
            async for event in events:
                match event:
                    case Said():
                        yield self._chunk(event.index, {"content": event.text}, tokens=event.tokens)
                    case Ended():
                        yield self._chunk(event.index, {}, reason=event.reason)
                    case Finished() if self._asked.counted:
                        yield _data({**self._chunk_head(), "choices": [], "usage": self._usage(event.tokens)})
        except Refusal as refusal:
            yield _data(refusal.body)
            return
        yield "data: [DONE]\n\n"

    def _chunk(self, index: int, delta: Object, *, tokens: Sequence[Token] = (), reason: str | None = None) -> str:
        text = {"delta": delta} if self._asked.chat else {"text": delta.get("content", "")}
        logprobs = self._logprobs(tokens) if tokens else None
        usage = {"usage": None} if self._asked.counted else {}
        choice = {"index": index, **text, "logprobs": logprobs, "finish_reason": reason}
        return _data({**self._chunk_head(), "choices": [choice], **usage})

    def _chunk_head(self) -> Object:
        return {**self._head, "object": "chat.completion.chunk" if self._asked.chat else "text_completion"}

    def _usage(self, drawn: int) -> Object:
        before = self._started.prompt_tokens
        return {"prompt_tokens": before, "completion_tokens": drawn, "total_tokens": before + drawn}

    def _logprobs(self, tokens: Sequence[Token]) -> Object | None:
        if self._asked.logprobs is None:
            return None
        if self._asked.chat:
            return {"content": [_entry(token) for token in tokens], "refusal": None}
        return {
            "tokens": [token.text for token in tokens], "token_logprobs": [_number(token.logp) for token in tokens],
            "top_logprobs": [{text: _number(logp) for text, logp in token.alternatives} for token in tokens],
            "text_offset": [token.start for token in tokens],
        }  # fmt: skip


def _entry(token: Token) -> Object:
    others = [{"token": text, "logprob": _number(logp), "bytes": _bytes(text)} for text, logp in token.alternatives]
    return {"token": token.text, "logprob": _number(token.logp), "bytes": _bytes(token.text), "top_logprobs": others}


def _number(logp: float) -> float:
    """JSON has no infinity; -9999 is what OpenAI writes for a token without any chance."""
    return max(logp, -9999.0)


def _bytes(text: str) -> list[int] | None:
    """None for a part of a character: its bytes are not told."""
    return None if "\ufffd" in text else list(text.encode())


def _data(value: Object) -> str:
    # All in ASCII: some clients take U+0085 and U+2028 for the end of a line, and with it of what they parse.
    return f"data: {json.dumps(value)}\n\n"
