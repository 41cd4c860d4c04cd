"""How unsure reward models are of the order of an item's answers: what people should be asked first.

Of an item with two answers or more: the entropy of "the first of two is better", in bits, averaged over its pairs. With several
models the probability is their mean, so that where they contradict each other, each sure of itself, is uncertain, too (the
predictive entropy of an ensemble: Gal et al. 2017, arXiv 1703.02910, eq. 1). Items with one answer have no order, and keep
their priority.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from itertools import combinations
from typing import TypeAlias

import torch
from sqlalchemy import select
from torch import Tensor

from accordant.data.template import LongRows
from accordant.feedback.answers import completions_of, prompt_of, source_of
from accordant.feedback.schema import item, prompt
from accordant.feedback.store import Store
from accordant.models.load import ModelConfig
from accordant.stages.reader import Reader
from accordant.types import Ranking, Source, Tokens, UserError

Watch: TypeAlias = "Callable[[str, int], AbstractContextManager[Callable[[int], None]]]"


def uncertainty(
    store: Store, project_id: int, models: Sequence[str], *, output: str | None = None, tokens_per_microbatch: int = 32_768,
    watch: Watch = lambda label, total: nullcontext(lambda more: None),  # noqa: ARG005
) -> tuple[dict[int, float], LongRows]:  # fmt: skip
    """By item a number from 0 (all models are sure of every pair) to 1 (they toss coins), and the items that are too long.

    Args:
        models: checkpoint folders or hub names of reward models. Their scores are differences of log-odds, as the pairwise
            losses make them; of a model that was trained on ratings they are only in the right order.
        output: of models with several outputs the one that is the score.

    Raises:
        UserError: no model is given or one has no trained head; no item has two answers; every item is too long.
    """
    if not models:
        raise UserError("no reward model is given: name one or several with --model")
    rows = _rows(store, project_id)
    if not rows:
        raise UserError("no open item of this project has two answers or more, so there is no order to be unsure of")
    votes: dict[int, list[Tensor]] = {}
    long: dict[int, tuple[Source, int]] = {}
    limit = 0
    for path in models:
        reader = Reader.load(ModelConfig(path=path))
        reader.check_output(output)
        tokens = {number: reader.encode(row) for number, row in rows.items()}
        fits = {number: texts for number, texts in tokens.items() if all(map(reader.fits, texts))}
        for number in tokens.keys() - fits.keys():
            limit = reader.template.max_length
            long[number] = (rows[number].source, max(len(text.ids) for text in tokens[number]))
        with watch(f"scoring with {path}", sum(map(len, fits.values()))) as done:
            for number, scores in _scores(reader, fits, output, tokens_per_microbatch, done).items():
                votes.setdefault(number, []).append(_wins(scores))
    found = {number: _entropy(torch.stack(each)) for number, each in sorted(votes.items()) if number not in long}
    if not found:
        raise UserError(
            f"all {len(rows)} items have an answer that is too long for a model: {LongRows(limit, tuple(long.values()))}"
        )
    return found, LongRows(limit, tuple(long[number] for number in sorted(long)))


def _rows(store: Store, project_id: int) -> dict[int, Ranking]:
    """The items that can be handed out and have an order, each as a ranking that says nothing yet."""
    query = select(item.c.id, prompt.c.content).join(prompt, prompt.c.id == item.c.prompt_id)
    with store.read() as connection:
        texts = completions_of(connection, project_id)
        open_ones = query.where(item.c.project_id == project_id, item.c.halted.is_(None), item.c.gold.is_(None))
        return {
            row.id: Ranking(prompt_of(row.content), tuple(one.text for one in texts[row.id]), (), (), source=source_of(row.id))
            for row in connection.execute(open_ones.order_by(item.c.id))
            if len(texts[row.id]) > 1
        }


def _scores(
    reader: Reader, tokens: dict[int, list[Tokens]], output: str | None, tokens_per_microbatch: int, done: Callable[[int], None]
) -> dict[int, Tensor]:
    """The scores of each item's answers, (K,) each."""
    if not tokens:
        return {}
    flat = [text for texts in tokens.values() for text in texts]
    scores = reader.score(reader.logits(flat, tokens_per_microbatch, done), output)
    return dict(zip(tokens, scores.split([len(texts) for texts in tokens.values()]), strict=True))


def _wins(scores: Tensor) -> Tensor:
    """(K,) scores -> (C(K, 2),) probabilities that the first of two is better, float64."""
    first, second = zip(*combinations(range(len(scores)), 2), strict=True)
    return torch.sigmoid((scores[list(first)] - scores[list(second)]).double())


def _entropy(wins: Tensor) -> float:
    """(M, pairs) probabilities of M models -> the mean binary entropy of their mean, in bits."""
    mean = wins.mean(0)
    both = torch.stack([mean, 1 - mean])
    return float(torch.special.entr(both).sum(0).mean() / torch.log(torch.tensor(2.0, dtype=torch.float64)))
