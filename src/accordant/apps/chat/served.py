"""A model that is served: where it is found, what it is called, and how a request becomes its prompt."""

from __future__ import annotations

import json
import time
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from accordant.apps.chat.refusal import Refusal
from accordant.data.deltas import Vocabulary
from accordant.data.template import Template
from accordant.models.generate import stop_ids
from accordant.models.language import LanguageModel
from accordant.models.load import ModelConfig
from accordant.types import Message, Prompt, PromptText, Source, UserError

UNSTATED = 4096  # tokens of prompt and answer together, for a model that states no context
_REQUEST = Source("the request", 0)


@dataclass(frozen=True)
class Place:
    """A checkpoint, and the name under which it is served."""

    name: str
    path: str


def places(words: Sequence[str], names: Sequence[str]) -> list[Place]:
    """Each of `words` is a checkpoint folder, a stage's or a run's folder, or a hub name; `names` replace their own, in order.

    Raises:
        UserError: a run has no language model, a name is empty or given to two models, or there are more names than models.
    """
    if len(names) > len(words):
        raise UserError(f"--name is given {len(names)} times, but there are {len(words)} models: give one for each model")
    found = [_find(word) for word in words]
    named = [Place(name, place.path) for name, place in zip(names, found, strict=False)] + found[len(names) :]
    for place in named:
        if not place.name:
            raise UserError(f"a name is empty: give {place.path} a name of at least one character with --name")
    twice = [name for name, count in Counter(place.name for place in named).items() if count > 1]
    if twice:
        paths = ", ".join(place.path for place in named if place.name == twice[0])
        raise UserError(f"two models are called {twice[0]} ({paths}): give each a name of its own with --name, in their order")
    return named


def _find(word: str) -> Place:
    folder = Path(word)
    if (folder / "config.json").is_file():
        whole = folder.resolve()
        return Place(whole.parent.name if whole.name == "checkpoint" else whole.name, word)
    if (folder / "checkpoint" / "config.json").is_file():
        return Place(folder.resolve().name, str(folder / "checkpoint"))
    if (folder / "report.json").is_file():
        return Place(folder.resolve().name, _last_of_run(folder))
    return Place(word, word)  # a hub name, or nothing: loading says which


def _last_of_run(run: Path) -> str:
    """The checkpoint of the run's last stage that trained a model to talk."""
    report = run / "report.json"
    with _meant_as(report, "report of a run"):
        stages = json.loads(report.read_text(encoding="utf-8"))["stages"]
        configs = [run / stage["name"] / "checkpoint" / "config.json" for stage in stages]
    for config in reversed(configs):
        if config.is_file() and _talks(config):
            return str(config.parent)
    raise UserError(f"{run} is a run without a language model: name a checkpoint folder, or a run that trained a policy")


def _talks(config: Path) -> bool:
    with _meant_as(config, "configuration of a model"):
        said = json.loads(config.read_text(encoding="utf-8"))
        scores = any("SequenceClassification" in name for name in said.get("architectures") or [])
        return not scores and not said.get("is_encoder_decoder")


@contextmanager
def _meant_as(path: Path, what: str) -> Iterator[None]:
    """Raises UserError where the block finds something else in the file."""
    try:
        yield
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise UserError(
            f"{path} is no {what} ({type(error).__name__}: {error}): name a checkpoint folder, or a run that has ended"
        ) from error


@dataclass(frozen=True)
class Fitted:
    """A prompt that leaves room: its ids, how many tokens may follow, and how many messages were dropped to get there."""

    ids: tuple[int, ...]
    room: int
    dropped: int = 0


@dataclass(frozen=True)
class Served:
    """A loaded model. `stop_ids`: everything that ends its answers. `created`: when it was loaded, in seconds since 1970."""

    name: str
    model: LanguageModel
    template: Template
    vocabulary: Vocabulary
    stop_ids: tuple[int, ...]
    created: int

    @classmethod
    def load(cls, place: Place, trust_remote_code: bool = False) -> Served:
        """Raises UserError where there is no causal language model that can stop."""
        model = LanguageModel.load(ModelConfig(path=place.path, trust_remote_code=trust_remote_code))
        model.module.eval()
        stops = stop_ids(model)
        template = Template(model.tokenizer, 1 << 30)  # how long a prompt may be is judged below
        ends = tuple(sorted({*stops, template.closing}))
        return cls(place.name, model, template, Vocabulary(model.tokenizer), ends, int(time.time()))

    @property
    def context(self) -> int:
        return self.model.context or UNSTATED

    def fit(self, prompt: PromptText, wanted: int | None) -> Fitted:
        """The prompt's ids. Of messages the oldest turns are dropped, whole ones, until the rest leaves room for an answer.

        Room is `wanted` tokens, but no more than a quarter of the context: history is not given up for a limit that is only
        large. System messages at the beginning stay, and so does the last turn: a user's message with all behind it.

        Raises:
            Refusal: what cannot be dropped fills the context; or there are messages, and the tokenizer has no chat template.
            UserError: the prompt is empty, or the chat template refuses the messages.
        """
        if isinstance(prompt, str):
            return self._fitted(self._ids(prompt), 0, "prompt")
        if self.model.tokenizer.chat_template is None:
            raise Refusal(
                400,
                f"{self.name} has no chat template, so it cannot be told whose turn is whose: ask POST /v1/completions with a "
                "text, or serve a model whose tokenizer has one",
                "no_chat_template",
            )
        head = next((i for i, message in enumerate(prompt) if message.role != "system"), len(prompt))
        starts = [head, *(i for i in range(head + 1, len(prompt)) if prompt[i].role == "user")]
        room = max(1, min(wanted or self.context, self.context // 4))
        known: dict[int, tuple[int, ...]] = {}

        def fits(start: int) -> bool:
            known[start] = self._ids(prompt[:head] + prompt[start:])
            return len(known[start]) + room <= self.context

        first = 0 if fits(starts[0]) else bisect_left(starts, True, lo=1, key=fits)
        start = starts[min(first, len(starts) - 1)]
        return self._fitted(known[start], start - head, "messages")

    def _ids(self, prompt: PromptText | Sequence[Message]) -> tuple[int, ...]:
        return self.template.encode_prompt(Prompt(prompt if isinstance(prompt, str) else tuple(prompt), _REQUEST))

    def _fitted(self, ids: tuple[int, ...], dropped: int, field: str) -> Fitted:
        if len(ids) >= self.context:
            what = "the last turn, with the system message," if dropped else "the prompt"
            raise Refusal(
                400,
                f"{what} has {len(ids)} tokens, and the context of {self.name} is {self.context}, with the answer: shorten it",
                "context_length_exceeded", param=field,
            )  # fmt: skip
        return Fitted(ids, self.context - len(ids), dropped)
