"""How a scoring model reads rows: the one way from text to its numbers, for `evaluate_reward` and `accordant reward score`.

A model that Accordant trained reads what its `accordant.json` says: prompt and answer as its template writes them, or one text.
Any other sequence classifier gets prompt and answer as a reward model does, unless told otherwise (`reads`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from accordant.config import nearest
from accordant.data.template import Template, ensure_pad, framed
from accordant.models.checkpoint import read_meta
from accordant.models.load import ModelConfig, require_scores
from accordant.models.scalar import ScalarModel
from accordant.rewards.scoring import score_tokens
from accordant.types import Document, Labelled, Pair, Prompt, PromptText, Ranking, Row, Source, Thumb, Tokens, UserError

Reads = Literal["prompt and answer", "answer", "text"]
AT_ONCE = 256
"""Texts between two moves of the progress bar."""


@dataclass(frozen=True)
class Reader:
    """A scoring model with the way in which it reads."""

    path: str
    model: ScalarModel
    template: Template
    reads: Reads  # "text": prompt and answer as one text, as a classifier was trained on
    meta: dict[str, Any]  # of accordant.json; empty for a model that was trained elsewhere
    told: bool = False  # whether somebody asked for `reads`

    @classmethod
    def load(
        cls, cfg: ModelConfig, *, eos: bool | None = None, reads: Literal["prompt and answer", "answer"] | None = None
    ) -> Reader:
        """The model and its template.

        Args:
            cfg: the model.
            eos: whether texts end with EOS; None: as in training, no where that is unknown.
            reads: what is read of a row with an answer; None: as in training, both where that is unknown.

        Raises:
            UserError: the checkpoint has no trained head; or `eos` is given for an encoder, whose texts end in its own way.
        """
        require_scores(cfg)
        model = ScalarModel.load(cfg)
        ensure_pad(model.tokenizer)
        if eos is not None and framed(model.tokenizer):
            raise UserError(f"{cfg.path} is an encoder, whose texts end with its own token whatever eos says; leave eos out")
        meta = read_meta(cfg.path)
        ends = bool(meta.get("eos", False)) if eos is None else eos
        # A classifier's one text is written as such; "prompt and answer" asks for the same, both in one.
        own: Reads = "text" if meta.get("reads") == "text" and reads != "answer" else reads or "prompt and answer"
        return cls(
            cfg.path, model, Template(model.tokenizer, model.context or 1 << 20, scored_eos=ends), own, meta, reads is not None
        )

    @property
    def names(self) -> list[str]:
        """The model's outputs, in order."""
        return list(self.model.labels.values())

    @property
    def is_reward_model(self) -> bool:
        """Whether training stored the constants that normalise its scores."""
        return self.meta.get("reads") == "prompt and answer" and "score_mean" in self.meta

    def encode(self, row: Row) -> list[Tokens]:
        """Every text of a row that gets a score, in the order of `texts_of`.

        Raises:
            UserError: the row is a bare prompt; or it is a text without an answer, and `reads` was asked for.
        """
        if isinstance(row, Labelled | Document):
            if self.told:
                raise UserError(f"{row.source}: reads says what is read of an answer, and this is a bare text; leave reads out")
            return [self.text(row.text, row.source)]
        return [self.answer(row.prompt, text, row.source) for text in texts_of(row)]

    def replaced(self, row: Row, text: str) -> Tokens:
        """A row's answer (or its text) with other words."""
        if isinstance(row, Labelled | Document):
            return self.text(text, row.source)
        return self.answer(row.prompt, text, row.source)

    def check_output(self, output: str | None) -> None:
        """Raises UserError where `score` would, before anything is computed."""
        self.score(torch.zeros(1, len(self.names)), output)

    def answer(self, prompt: PromptText, completion: str, source: Source) -> Tokens:
        """A finished answer as the model reads it. Raises UserError for messages that a model of one text is to read."""
        if self.reads == "prompt and answer":
            return self.template.encode_thumb(Thumb(prompt, completion, True, source=source)).tokens
        if self.reads == "answer":
            return self.text(completion, source)
        if not isinstance(prompt, str):
            raise UserError(
                f"{source}: {self.path} reads one text, and this prompt is a list of messages: set reads to answer, or write "
                "the prompt as text"
            )
        return self.text(prompt + completion, source)

    def text(self, text: str, source: Source) -> Tokens:
        """A text that is classified as it stands."""
        return self.template.encode_labelled(Labelled(text, 0, source)).tokens

    def fits(self, tokens: Tokens) -> bool:
        """Whether the model's context holds it; nothing is cut."""
        return len(tokens.ids) <= self.template.max_length

    def logits(
        self, rows: Sequence[Tokens], tokens_per_microbatch: int, done: Callable[[int], None] = lambda _: None
    ) -> Tensor:
        """Raw outputs of every row in the given order, (B, outputs) float32; `done` hears how many more are scored."""
        order = sorted(range(len(rows)), key=lambda i: len(rows[i].ids))
        out = torch.empty(len(rows), len(self.names))
        for start in range(0, len(order), AT_ONCE):
            part = order[start : start + AT_ONCE]
            out[part] = score_tokens(self.model, [rows[i] for i in part], tokens_per_microbatch)
            done(len(part))
        return out

    def normalised(self, logits: Tensor) -> Tensor:
        """(score - mean) / sd of each output (B, outputs), with the constants that only a reward model's training stores."""
        return (logits - torch.tensor(self.meta["score_mean"])) / torch.tensor(self.meta["score_sd"])

    def column(self, name: str) -> int:
        """The place of a named output. Raises UserError with the nearest name."""
        if name not in self.names:
            raise UserError(f"{self.path} has no output {name!r}{nearest(name, self.names)}")
        return self.names.index(name)

    def score(self, logits: Tensor, output: str | None) -> Tensor:
        """One number per text, (B,) float32, from the raw outputs (B, outputs).

        The only output; of several attributes, in units of their spread, the one that `output` names, else their mean; of two
        classes the log-odds of the one that it names, else of the second; of more its logit.

        Raises:
            UserError: there is no such output, or there are several classes and none is named.
        """
        several = len(self.names) > 1
        if several and self.is_reward_model:
            logits = self.normalised(logits)
        chosen = None if output is None else self.column(output)
        if len(self.names) == 2 and not self.is_reward_model:
            return (logits[:, 1] - logits[:, 0]) * (-1.0 if chosen == 0 else 1.0)
        if chosen is not None:
            return logits[:, chosen]
        if several and not self.is_reward_model:
            raise UserError(f"{self.path} has the classes {', '.join(self.names)}: say with output which one is the score")
        return logits.mean(1)


def texts_of(row: Row) -> tuple[str, ...]:
    """The texts of a row that get a score: its answers in their order, chosen before rejected, or its one text.

    Raises:
        UserError: the row is a prompt without an answer.
    """
    match row:
        case Pair(chosen=chosen, rejected=rejected):
            return chosen, rejected
        case Ranking(completions=completions):
            return completions
        case Labelled(text=text) | Document(text=text):
            return (text,)
        case Prompt():
            raise UserError(f"{row.source}: a prompt without an answer has no score; give `completion`, or several as rankings")
        case _:
            return (row.completion,)
