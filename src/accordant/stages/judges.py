"""Models that choose between A and B: behind an endpoint by what they write, checkpoints by what they would write next."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal, TypeAlias

import torch

from accordant.data.template import Template, ensure_pad
from accordant.feedback.kept import spelt
from accordant.models.language import LanguageModel
from accordant.models.load import ModelConfig
from accordant.stages.endpoint import Endpoint, EndpointConfig
from accordant.types import Chat, Message, UserError

Letter: TypeAlias = Literal["A", "B", "C"]

_LETTER = re.compile(r"\W*([ABC])\W*")
_ALONE = re.compile(r"\b[ABC]\b")
_SENTENCE = re.compile(r"\b(?i:answer|verdict|choice|option)(?:\s+is)?\W+([ABC])(?:\W*$|[^\s\w])")


@dataclass(frozen=True)
class Chosen:
    """What a model chose; None: what it wrote could not be read. `raw` is what it wrote (`spelt`), or the probability of A."""

    letter: Letter | None
    raw: str | float


Judge: TypeAlias = "Callable[[Sequence[str]], list[Chosen]]"
"""Questions that end by asking for A, B or C -> a choice for each."""


def read_letter(text: str) -> Letter | None:
    """The one letter that a reply is, or that it says its answer, verdict or choice is.

    None where it is no such reply, or names several letters: the "A" of "A good one" is not taken for a choice.
    """
    found = _LETTER.fullmatch(text) or _SENTENCE.search(text)
    return found[1] if found and len(set(_ALONE.findall(text))) == 1 else None  # type: ignore[return-value]


@contextmanager
def by_endpoint(
    cfg: EndpointConfig, max_new_tokens: int, seed: int, pause: Callable[[float], object] | None = None
) -> Iterator[Judge]:
    """A judge that is asked at temperature 0 and replies in words. Raises UserError as `Endpoint.chat` does."""

    def ask(question: str) -> Chosen:
        reply = endpoint.chat(question, max_tokens=max_new_tokens, temperature=0.0, seed=seed)
        return Chosen(read_letter(reply.text), spelt(reply.text))

    with Endpoint(cfg, pause) as endpoint:
        yield lambda questions: endpoint.each(ask, questions)


@contextmanager
def by_checkpoint(cfg: ModelConfig) -> Iterator[Judge]:
    """A judge whose choice is the more probable of A and B as the next token; C is not among them.

    Where the tokenizer begins A and B with the same tokens, the first ones that differ are compared.
    """
    model = LanguageModel.load(cfg)
    model.module.eval()
    ensure_pad(model.tokenizer)
    template = Template(model.tokenizer, model.context or 1 << 20)
    yield lambda questions: [_chosen(model, template, question) for question in questions]


def _chosen(model: LanguageModel, template: Template, question: str) -> Chosen:
    talks = model.tokenizer.chat_template is not None
    prompt = (Message("user", question),) if talks else question
    rows = [template.encode_chat(Chat(prompt, letter if talks else f" {letter}")) for letter in "AB"]
    if len(rows[0].ids) > template.max_length:
        raise UserError(
            f"a question to the judge has {len(rows[0].ids)} tokens and the model reads {template.max_length}: leave the "
            "guidelines out, or take a judge with a longer context"
        )
    first = next(i for i, (a, b) in enumerate(zip(rows[0].ids, rows[1].ids, strict=False)) if a != b)
    ids = torch.tensor([rows[0].ids[:first]], device=next(model.module.parameters()).device)
    with torch.no_grad():
        logits = model.head(model.hidden(ids, torch.ones_like(ids, dtype=torch.bool))[:, -1])[0]
    gap = float(logits[rows[0].ids[first]] - logits[rows[1].ids[first]])
    return Chosen("A" if gap > 0 else "B" if gap < 0 else "C", 1 / (1 + math.exp(-max(-700.0, min(700.0, gap)))))
