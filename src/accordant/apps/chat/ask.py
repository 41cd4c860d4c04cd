"""What a client may ask, and what it means: OpenAI's fields, and `top_k` and `repetition_penalty` as other servers take them.

Left out: tools, images and sound, `response_format`, `logit_bias`, `echo`, `suffix`, `best_of`; a field that is not known is
ignored and told to the log. Of several prompts in one request of completions none is answered: one request, one prompt.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, ConfigDict

from accordant.config import REQUIRED, Config, build, knob
from accordant.models.stream import Decoding
from accordant.types import Message, PromptText, UserError

MOST_CHOICES, MOST_STOPS, LONGEST_STOP, MOST_ALTERNATIVES = 16, 4, 1000, 20
GREEDY = 1e-5  # a temperature below it is 0: dividing by it would leave the range of float32


def _stops(value: Any) -> list[str]:
    stops = [value] if isinstance(value, str) else value
    if not isinstance(stops, list) or not all(isinstance(one, str) and 0 < len(one) <= LONGEST_STOP for one in stops):
        raise ValueError(f"give a text or a list of texts, each of 1 to {LONGEST_STOP} characters")
    if len(stops) > MOST_STOPS:
        raise ValueError(f"these are {len(stops)} stop strings, and at most {MOST_STOPS} are taken: leave some out")
    return stops


def _content(value: Any) -> str:
    """A text, or a list of parts that are texts, each a paragraph."""
    if isinstance(value, str):
        return value
    if not isinstance(value, list) or not value:
        raise ValueError('give a text, or a list of parts such as {"type": "text", "text": "..."}')
    for part in value:
        if not isinstance(part, dict) or part.get("type") != "text" or not isinstance(part.get("text"), str):
            raise ValueError('only parts such as {"type": "text", "text": "..."} are read: send no images, sounds or files')
    return "\n".join(part["text"] for part in value)


def _prompt(value: Any) -> str:
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    if not isinstance(value, str):
        raise ValueError("give one text: a request has one prompt, and token ids are not taken")
    return value


class _Asked(Config):
    model_config = ConfigDict(strict=True, extra="ignore")


class Turn(_Asked):
    """One message."""

    role: Literal["system", "developer", "user", "assistant"] = knob(REQUIRED, "who says it; developer is system")
    content: Annotated[str, BeforeValidator(_content)] = knob(REQUIRED, "what is said")


class StreamOptions(_Asked):
    """How an answer is streamed."""

    include_usage: bool = knob(False, "a last chunk counts the tokens")


class _Request(_Asked):
    model: str = knob(REQUIRED, "name of a model that is served")
    n: int = knob(1, "answers", ge=1, le=MOST_CHOICES)
    temperature: float = knob(1.0, "0 is the likeliest token each time", ge=0, le=2)
    top_p: float = knob(1.0, "likeliest tokens of this probability together", ge=0, le=1)
    top_k: int = knob(0, "likeliest tokens; 0 and -1: all", ge=-1)
    repetition_penalty: float = knob(1.0, "divides logits of tokens that were there", ge=0.1, le=10)
    presence_penalty: float = knob(0.0, "taken off a token's logit once it was said", ge=-2, le=2)
    frequency_penalty: float = knob(0.0, "taken off a token's logit each time it was said", ge=-2, le=2)
    stop: Annotated[list[str], BeforeValidator(_stops)] = knob([], "an answer ends before any of these")
    seed: int | None = knob(None, "the same seed gives the same answer")
    stream: bool = knob(False, "the answer comes in pieces")
    stream_options: StreamOptions | None = knob(None, "only of a stream")
    user: str | None = knob(None, "taken and not used")


class ChatRequest(_Request):
    """Body of `POST /v1/chat/completions`."""

    messages: list[Turn] = knob(REQUIRED, "the turns so far", min_length=1)
    max_tokens: int | None = knob(None, "longest answer", "tokens", ge=1)
    max_completion_tokens: int | None = knob(None, "its newer name", "tokens", ge=1)
    logprobs: bool = knob(False, "tell the log-probability of each token")
    top_logprobs: int | None = knob(None, "and those of the likeliest", ge=0, le=MOST_ALTERNATIVES)


class CompletionRequest(_Request):
    """Body of `POST /v1/completions`."""

    prompt: Annotated[str, BeforeValidator(_prompt)] = knob(REQUIRED, "the text to go on from")
    max_tokens: int = knob(16, "longest answer", "tokens", ge=1)
    logprobs: int | None = knob(None, "tell the log-probability of each token and of so many of the likeliest", ge=0, le=5)


@dataclass(frozen=True)
class Asked:
    """A request that can be answered. `logprobs`: how many alternatives are told with each token; None: nothing is."""

    model: str
    prompt: PromptText
    request: _Request
    max_tokens: int | None
    logprobs: int | None
    seed: int

    @property
    def chat(self) -> bool:
        return not isinstance(self.prompt, str)

    @property
    def counted(self) -> bool:
        """Whether a stream ends with the number of tokens."""
        return self.request.stream_options is not None and self.request.stream_options.include_usage

    def decoding(self, max_new_tokens: int, stop_ids: tuple[int, ...]) -> Decoding:
        wanted = self.request
        return Decoding(
            max_new_tokens=max_new_tokens, stop_ids=stop_ids,
            temperature=wanted.temperature if wanted.temperature >= GREEDY else 0.0,
            top_k=max(wanted.top_k, 0), top_p=wanted.top_p, repetition_penalty=wanted.repetition_penalty,
            presence_penalty=wanted.presence_penalty, frequency_penalty=wanted.frequency_penalty,
            alternatives=self.logprobs or 0,
        )  # fmt: skip


def asked(kind: type[ChatRequest] | type[CompletionRequest], body: Mapping[str, Any]) -> tuple[Asked, list[str]]:
    """The request, and the names of fields that are not known; null is the same as absent.

    Raises:
        UserError: a value has the wrong type or is out of its range, with the value and the range.
    """
    given = {name: value for name, value in body.items() if value is not None}
    request = build(kind, given, "the request")
    if request.stream_options is not None and not request.stream:
        raise UserError("stream_options are of a stream: set stream to true, or leave them out")
    prompt: PromptText
    if isinstance(request, ChatRequest):
        prompt = tuple(Message("system" if turn.role == "developer" else turn.role, turn.content) for turn in request.messages)
        longest, logprobs = _longest(request), _alternatives(request)
    else:
        prompt, longest, logprobs = request.prompt, request.max_tokens, request.logprobs
    seed = secrets.randbits(63) if request.seed is None else request.seed
    return Asked(request.model, prompt, request, longest, logprobs, seed), sorted(set(given) - set(kind.model_fields))


def _longest(request: ChatRequest) -> int | None:
    old, new = request.max_tokens, request.max_completion_tokens
    if old is not None and new is not None and old != new:
        raise UserError(f"max_tokens is {old} and max_completion_tokens {new}, two names of one limit: give one of them")
    return new if old is None else old


def _alternatives(request: ChatRequest) -> int | None:
    if request.top_logprobs is not None and not request.logprobs:
        raise UserError(f"top_logprobs is {request.top_logprobs}, but logprobs is not true: set it, or leave top_logprobs out")
    return (request.top_logprobs or 0) if request.logprobs else None
