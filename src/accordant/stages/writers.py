"""Who answers prompts: checkpoints, one or several, and a model behind an endpoint. Each answer remembers its writer and how it
was sampled."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from accordant.data.template import Template, encode_all, ensure_pad
from accordant.feedback.tasks import Text
from accordant.models.generate import Sampling, generate, stop_ids
from accordant.models.language import LanguageModel
from accordant.models.load import ModelConfig
from accordant.seeds import derive, generator
from accordant.stages.endpoint import Endpoint, EndpointConfig
from accordant.stages.text import answers
from accordant.types import Prompt


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
    said = answers(model.tokenizer, rows, prompts, rollout)
    for group, answer in zip(rollout.group.tolist(), said, strict=True):
        own = grouped[group]
        own.append(Text(answer.completion, cfg.path, asked.sampling(asked.seed, len(own), answer.finished)))
    return [grouped[i] for i in range(len(rows))]


def from_endpoint(
    cfg: EndpointConfig, asked: Asked, rows: Sequence[Prompt], done: Callable[[], None] = lambda: None
) -> list[list[Text]]:
    """The endpoint's answers to each prompt; `done` is called after each. Raises UserError as `Endpoint.chat` does."""

    def ask(place: tuple[int, int]) -> Text:
        i, sample = place
        seed = derive(asked.seed, "endpoint", i, sample) % 2**31  # some servers count in 32 bits
        reply = endpoint.chat(rows[i].prompt, max_tokens=asked.max_new_tokens, temperature=asked.temperature, seed=seed)
        done()
        return Text(reply.text, cfg.model, asked.sampling(seed, sample, reply.finished) | {"endpoint": cfg.url})

    with Endpoint(cfg) as endpoint:
        places = [(i, sample) for i in range(len(rows)) for sample in range(asked.samples)]
        said = endpoint.each(ask, places)
    return [said[i : i + asked.samples] for i in range(0, len(said), asked.samples)]
