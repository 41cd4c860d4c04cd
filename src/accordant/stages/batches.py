"""The rows of a step -> micro-batches -> what the model says about them; shared by training and validation.

Rows of similar length come together, within the step. Two layouts save tokens where the model gives the same numbers that way,
which is asked once per run (`Layout.of`): answers that share their prompt, and short rows packed into one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from types import ModuleType
from typing import TypeAlias

import torch

from accordant.models.language import LanguageModel
from accordant.models.load import device
from accordant.models.packed import packed_hidden
from accordant.models.scalar import ScalarModel
from accordant.models.seq2seq import Seq2SeqModel
from accordant.models.shared import shared_length, shared_logits
from accordant.ops.batching import microbatches, move
from accordant.ops.packing import first_fit
from accordant.types import Batch, LanguageOut, ScoreOut, TokenLabel, TokenPair, TokenRanking, TokenRating, Tokens

Item: TypeAlias = Tokens | TokenLabel | TokenRating | TokenPair | TokenRanking
Model: TypeAlias = LanguageModel | Seq2SeqModel | ScalarModel

INTO = "packed_into"  # of a batch's extra numbers: the packed row of each plain one
WORTH = 0.95  # packing has to leave at most this share of the padded tokens


@dataclass(frozen=True)
class Layout:
    """How items lie in memory, the same for the whole run; by default each text in a row of its own."""

    shared: bool = False
    packed: bool = False


def batches(items: Sequence[Item], model: Model, algo: ModuleType, budget: int, layout: Layout) -> list[Batch]:
    """Micro-batches of at most `budget` padded tokens (a row that is longer by itself comes alone)."""
    out: list[Batch] = []
    for some in _by_answers(items):
        if layout.packed and (rows := _packed(some, budget)):
            out += [_packed_batch(some, part, model, algo) for part in rows]
            continue
        counts, lengths = zip(*(_size(item, layout.shared) for item in some), strict=True)
        parts = microbatches(lengths, budget, counts)
        out += [move(algo.collate([some[i] for i in part], model.tokenizer.pad_token_id), device()) for part in parts]
    return out


def forward(model: Model, batch: Batch, layout: Layout) -> LanguageOut | ScoreOut:
    """The model's view of a micro-batch."""
    if isinstance(model, ScalarModel):
        if layout.shared:
            return ScoreOut(shared_logits(model, batch.ids, batch.mask, batch.extra["prompt_length"]))
        return ScoreOut(model.logits(batch.ids, batch.mask))
    if isinstance(model, LanguageModel) and INTO in batch.extra:
        hidden = packed_hidden(model, batch.ids, batch.mask, batch.extra[INTO])
        return LanguageOut(model.logp(batch.ids, batch.mask, batch.loss_mask, hidden=hidden)[0])
    return LanguageOut(model.logp(batch.ids, batch.mask, batch.loss_mask)[0])


def texts(item: Item) -> tuple[Tokens, ...]:
    """All that a model reads of an item."""
    match item:
        case TokenPair(answers=answers) | TokenRanking(answers=answers):
            return answers
        case TokenLabel(tokens=tokens) | TokenRating(tokens=tokens):
            return (tokens,)
        case _:
            return (item,)


def _by_answers(items: Sequence[Item]) -> list[list[Item]]:
    """Items with equally many answers together: a batch is a table of K answers to N prompts."""
    groups: dict[int, list[Item]] = {}
    for item in items:
        groups.setdefault(len(texts(item)), []).append(item)
    return list(groups.values())


def _size(item: Item, shared: bool) -> tuple[int, int]:
    """How many rows an item brings into a micro-batch, and the tokens of its longest."""
    read = texts(item)
    if shared and len(read) > 1:
        return 1, shared_length(read)
    return len(read), max(len(text.ids) for text in read)


def _packed(items: Sequence[Item], budget: int) -> list[list[list[int]]]:
    """Micro-batches of packed rows, each the indices of its items; empty where packing saves nothing worth a mask.

    No packed row is longer than the longest plain one, so no attention gets longer than it has to be.
    """
    lengths = [len(texts(item)[0].ids) for item in items]
    rows = first_fit(lengths, max(lengths))
    used = [sum(lengths[i] for i in row) for row in rows]
    parts = microbatches(used, budget)
    padded = sum(len(part) * max(used[row] for row in part) for part in parts)
    plain = sum(len(part) * max(lengths[i] for i in part) for part in microbatches(lengths, budget))
    return [[rows[row] for row in part] for part in parts] if padded <= WORTH * plain else []


def _packed_batch(items: Sequence[Item], rows: Sequence[Sequence[int]], model: Model, algo: ModuleType) -> Batch:
    """The plain batch of all items in these rows, and which row each of them goes into."""
    batch = algo.collate([items[i] for row in rows for i in row], model.tokenizer.pad_token_id)
    into = torch.tensor([number for number, row in enumerate(rows) for _ in row])
    return move(replace(batch, extra={**batch.extra, INTO: into}), device())
