"""Who answers prompts: checkpoints, one or several, and a model behind an endpoint. Each answer remembers its writer and how it
was sampled."""

from __future__ import annotations

import hashlib
import json
import threading
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from accordant.data.template import Template, encode_all, ensure_pad
from accordant.feedback.tasks import Text
from accordant.models.generate import Sampling, generate, stop_ids
from accordant.models.language import LanguageModel
from accordant.models.load import ModelConfig
from accordant.seeds import derive, generator
from accordant.stages.endpoint import Endpoint, EndpointConfig, Refused, Reply
from accordant.stages.text import answers as answers_of
from accordant.types import Prompt, UserError

_HOPELESS = 20  # prompts that are refused before anything is answered: then it is not the prompts


@dataclass(frozen=True)
class Asked:
    """How often each prompt is answered, and how. `max_new_tokens` in tokens; temperature > 0."""

    samples: int
    max_new_tokens: int
    temperature: float
    seed: int

    def sampling(self, seed: int, sample: int, finished: bool) -> dict[str, object]:
        """What is kept beside an answer."""
        return {
            "temperature": self.temperature, "max_new_tokens": self.max_new_tokens, "seed": seed, "sample": sample,
            "finished": finished,
        }  # fmt: skip


def from_checkpoint(cfg: ModelConfig, asked: Asked, rows: Sequence[Prompt], *, purpose: Sequence[str]) -> list[list[Text]]:
    """The checkpoint's answers to each prompt; `purpose` names the stream of chance."""
    model = LanguageModel.load(cfg, asked.seed)
    ensure_pad(model.tokenizer)
    prompts = encode_all(rows, Template(model.tokenizer, model.context or 1 << 20))[0]
    sampling = Sampling(asked.max_new_tokens, asked.temperature, stop_ids(model))
    rollout = generate(model, prompts, asked.samples, sampling, generator(asked.seed, *purpose))
    grouped: dict[int, list[Text]] = defaultdict(list)
    said = answers_of(model.tokenizer, rows, prompts, rollout)
    for group, answer in zip(rollout.group.tolist(), said, strict=True):
        own = grouped[group]
        own.append(Text(answer.completion, cfg.path, asked.sampling(asked.seed, len(own), answer.finished)))
    return [grouped[i] for i in range(len(rows))]


@dataclass(frozen=True)
class Answered:
    """Each prompt's answers, fewer where requests were refused; and of every such request the prompt's place and the reason."""

    texts: list[list[Text]]
    refused: list[str]


def from_endpoint(
    cfg: EndpointConfig, asked: Asked, rows: Sequence[Prompt], kept: Path, done: Callable[[], None] = lambda: None
) -> Answered:
    """The endpoint's answers to each prompt.

    Args:
        kept: file that holds the answers as they come. Those in it are not asked for again.
        done: called after each.

    Raises:
        UserError: as `Endpoint.chat` does; and where requests are refused and not one was answered, of 20 prompts or of all.
    """
    refused: dict[tuple[int, int], Refused] = {}

    def ask(place: tuple[int, int]) -> Text | None:
        i, sample = place
        seed = derive(asked.seed, "endpoint", i, sample) % 2**31  # some servers count in 32 bits
        key = _key(cfg.model, asked.max_new_tokens, asked.temperature, seed, rows[i].prompt)
        try:
            reply = answers.said.get(key) or answers.keep(key, endpoint.chat(
                rows[i].prompt, max_tokens=asked.max_new_tokens, temperature=asked.temperature, seed=seed
            ))  # fmt: skip
        except Refused as error:
            refused[place] = error
            if not answers.said and len({row for row, _ in list(refused)}) >= _HOPELESS:
                raise _all_refused(refused) from error
            return None
        finally:
            done()
        return Text(reply.text, cfg.model, asked.sampling(seed, sample, reply.finished) | {"endpoint": cfg.url})

    places = [(i, sample) for i in range(len(rows)) for sample in range(asked.samples)]
    with _Answers(kept) as answers, Endpoint(cfg) as endpoint:
        try:
            said = endpoint.each(ask, places)
        except UserError as error:
            if not answers.said:
                raise
            raise UserError(
                f"{error}; {len(answers.said):,} answers came and are kept: the same command goes on from them"
            ) from error
        if refused and not answers.said:
            raise _all_refused(refused)
    texts: list[list[Text]] = [[] for _ in rows]
    for (i, _), text in zip(places, said, strict=True):
        texts[i] += [] if text is None else [text]
    return Answered(texts, [f"{rows[i].source}: {refused[i, sample].why}" for i, sample in sorted(refused)])


def _all_refused(refused: Mapping[tuple[int, int], Refused]) -> UserError:
    return UserError(f"{refused[min(refused)]}; so were all {len(refused)} requests so far, and none was answered")


def _key(*what: object) -> str:
    """What an answer is an answer to."""
    return hashlib.sha256(repr(what).encode(errors="backslashreplace")).hexdigest()


class _Answers:
    """What an endpoint has said so far, in a file: who goes on with a run that had to stop pays for nothing twice."""

    def __init__(self, path: Path) -> None:
        # A last line without its end was cut by a kill or a full disk; it is asked for again.
        data = path.read_bytes() if path.is_file() else b""
        whole = data[: data.rfind(b"\n") + 1]
        self.said = {row["key"]: Reply(row["text"], row["finished"]) for row in map(json.loads, whole.splitlines())}
        self._file = path.open("ab")
        self._file.truncate(len(whole))
        self._turn = threading.Lock()

    def __enter__(self) -> _Answers:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def keep(self, key: str, reply: Reply) -> Reply:
        with self._turn:
            self._file.write(json.dumps({"key": key, **asdict(reply)}).encode() + b"\n")
            self._file.flush()
            self.said[key] = reply
        return reply
