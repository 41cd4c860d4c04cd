"""From a request to the events of its answer: what is said, when it is sure, and why it ended."""

from __future__ import annotations

import logging
import math
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Literal, TypeAlias

from accordant.apps.chat.ask import Asked
from accordant.apps.chat.refusal import OURS, Refusal
from accordant.apps.chat.served import Served
from accordant.data.deltas import Deltas, StopStrings, Vocabulary
from accordant.models.stream import Drawn, stream
from accordant.seeds import generator

_log = logging.getLogger("accordant.chat")
Reason: TypeAlias = Literal["stop", "length"]


@dataclass(frozen=True)
class Token:
    """A token as it is told: its text, where that begins in the answer, log-probability in nats, and the likeliest tokens."""

    text: str
    start: int
    logp: float
    alternatives: tuple[tuple[str, float], ...]


@dataclass(frozen=True)
class Started:
    """The first tokens are drawn. `dropped`: messages that the context had no room for."""

    prompt_tokens: int
    dropped: int


@dataclass(frozen=True)
class Said:
    """A piece of answer `index`, never taken back, with the tokens that begin in it."""

    index: int
    text: str
    tokens: tuple[Token, ...]


@dataclass(frozen=True)
class Ended:
    """Answer `index` is over: by itself or at a stop string, or at a limit."""

    index: int
    reason: Reason


@dataclass(frozen=True)
class Finished:
    """All answers are over. `tokens`: how many were drawn, those that are not shown included."""

    tokens: int


Event: TypeAlias = "Started | Said | Ended | Finished"


def answer(served: Served, asked: Asked, dropped: Callable[[], bool], late: Callable[[], bool]) -> Iterator[Event]:
    """Everything that becomes of a request, in order.

    Args:
        dropped: whether nobody wants the answer any more; looked at after each token, and then there are no more events.
        late: whether the time is over; then what is not ended ends as at a length limit.

    Raises:
        Refusal, UserError: the request cannot be answered; before the first event, but for a model that gives no probabilities.
    """
    fitted = served.fit(asked.prompt, asked.max_tokens)
    if fitted.dropped:
        _log.warning(
            "%s: the oldest %d messages of a request were left out, as its context is %d tokens",
            served.name, fitted.dropped, served.context,
        )  # fmt: skip
    how = asked.decoding(min(asked.max_tokens or fitted.room, fitted.room), served.stop_ids)
    choices = [_Choice(i, served.vocabulary, fitted.ids, asked) for i in range(asked.request.n)]
    over: set[int] = set()
    started = False
    with closing(stream(served.model, fitted.ids, len(choices), how, generator(asked.seed, "chat"), over)) as steps:
        for step in steps:
            if any(math.isnan(drawn.logp) for drawn in step):
                raise Refusal(
                    500, f"{served.name} gives no probabilities (nan), so nothing can be drawn: serve another checkpoint",
                    "model_broken", kind=OURS,
                )  # fmt: skip
            if not started:
                started = True
                yield Started(len(fitted.ids), fitted.dropped)
            for drawn in step:
                yield from choices[drawn.row].add(drawn)
            if dropped():
                return
            if late():
                _log.warning("%s: an answer was cut at its time limit, after %d tokens", served.name, choices[0].count)
                break
            over.update(choice.index for choice in choices if choice.over)
    for choice in choices:
        if not choice.over:
            yield from choice.end("length")
    yield Finished(sum(choice.count for choice in choices))


class _Choice:
    """One of a request's answers as it grows. `count`: tokens so far."""

    def __init__(self, index: int, vocabulary: Vocabulary, prompt: Sequence[int], asked: Asked) -> None:
        self.index = index
        self.over = False
        self.count = 0
        self._vocabulary = vocabulary
        self._deltas = Deltas(vocabulary, prompt)
        self._stops = StopStrings(asked.request.stop)
        self._told = asked.logprobs is not None
        self._waiting: deque[Token] = deque()  # tokens whose text is held back
        self._decoded = 0  # characters, those that are held back for a stop string included
        self._said = 0

    def add(self, drawn: Drawn) -> Iterator[Event]:
        self.count += 1
        if drawn.ends:
            yield from self.end("stop")
            return
        if self._told and drawn.token not in self._vocabulary.control:
            others = tuple((self._vocabulary.spelled(token), logp) for token, logp in drawn.alternatives)
            self._waiting.append(Token(self._vocabulary.spelled(drawn.token), self._decoded, drawn.logp, others))
        piece = self._deltas.add(drawn.token)
        self._decoded += len(piece)
        yield from self._say(self._stops.add(piece))
        if self._stops.met:
            self.over = True
            yield Ended(self.index, "stop")

    def end(self, reason: Reason) -> Iterator[Event]:
        """Say what was held back; a stop string in it is the reason then."""
        yield from self._say(self._stops.add(self._deltas.end()) + self._stops.end(), last=True)
        self.over = True
        yield Ended(self.index, "stop" if self._stops.met else reason)

    def _say(self, text: str, last: bool = False) -> Iterator[Event]:
        self._said += len(text)
        tokens = []
        while self._waiting and (self._waiting[0].start < self._said or (last and not self._stops.met)):
            tokens.append(self._waiting.popleft())
        if text or tokens:
            yield Said(self.index, text, tuple(tokens))
