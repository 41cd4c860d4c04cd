"""Rows of any shape with a model's scores beside them: what `accordant reward score` writes.

The output has the input's records in their order, each with every field that it had. A record whose text is longer than the
model's context is named and gets null, because nothing is cut and beyond its context a model's numbers mean nothing.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Literal, TypeAlias

from torch import Tensor

from accordant.data.loaded import Loaded
from accordant.data.reading import came
from accordant.data.rows import all_good, check
from accordant.data.template import LongRows
from accordant.stages.reader import Reader
from accordant.types import Pair, Ranking, Row, UserError

Watch: TypeAlias = "Callable[[str, int], AbstractContextManager[Callable[[int], None]]]"
Score: TypeAlias = "float | None"


class Scorer:
    """The numbers that are written for a text: `score`, and the score of each attribute where there are several.

    Args:
        reader: the model.
        output: of several outputs the one that is the score.
        raw: a reward model's score as it stands; else (score - mean) / sd with the constants of its training.

    Raises:
        UserError: there is no such output; there are several classes and none is named; or `raw` changes nothing.
    """

    def __init__(self, reader: Reader, output: str | None, raw: bool) -> None:
        self.reader, self.output = reader, output
        if raw and not reader.is_reward_model:
            raise UserError(f"{reader.path} is a classifier, whose scores are its own numbers anyway; leave --raw out")
        self.normalise = not raw and reader.is_reward_model
        if output is not None:
            reader.column(output)
        elif len(reader.names) > 1 and not reader.is_reward_model:
            raise UserError(
                f"{reader.path} has the labels {', '.join(reader.names)}: say whose logit is the score with --label"
            )
        self.attributes = reader.names if reader.is_reward_model and len(reader.names) > 1 and output is None else []

    def __call__(self, logits: Tensor) -> tuple[list[float], list[dict[str, Score]]]:
        """From the raw outputs (B, outputs): the score of each text, and its score by attribute."""
        numbers = self.reader.normalised(logits) if self.normalise else logits
        columns = slice(None) if self.output is None else [self.reader.column(self.output)]
        each = [dict(zip(self.reader.names, map(_finite, row), strict=True)) for row in numbers.tolist()]
        return numbers[:, columns].mean(1).tolist(), each


def score_file(
    path: str, scorer: Scorer, name: str = "score", *, on_long: Literal["null", "error"] = "null",
    tokens_per_microbatch: int = 32_768, watch: Watch = lambda label, total: nullcontext(lambda more: None),  # noqa: ARG005
) -> tuple[list[dict[str, Any]], LongRows]:  # fmt: skip
    """The file's records with their scores, and those that are too long for the model.

    An answer or a text gets `score`; a pair `score_chosen`, `score_rejected` and `score_difference`; a ranking a list `score`,
    in the order of its answers; a record that holds several rows lists of these. A model of several attributes adds the same
    with `_by_attribute`.

    Raises:
        UserError: rows are bad or say nothing to score; a field is called as a score would be; a row is too long and `on_long`
            is "error".
    """
    found = check(path)
    rows = all_good(path, list(found.rows), found.complaints)
    tokens = [scorer.reader.encode(row) for row in rows]
    fits = [[scorer.reader.fits(text) for text in texts] for texts in tokens]
    lengths = [max(len(text.ids) for text in texts) for texts in tokens]
    long = LongRows(
        scorer.reader.template.max_length,
        tuple((row.source, n) for row, n, ok in zip(rows, lengths, fits, strict=True) if not all(ok)),
    )
    if long.count and on_long == "error":
        raise UserError(f"{long}; shorten them, use a model with a longer context, or leave --on-long error out")
    flat = [text for texts, ok in zip(tokens, fits, strict=True) for text, here in zip(texts, ok, strict=True) if here]
    scores: list[float] = []
    each: list[dict[str, Score]] = []
    if flat:
        with watch("scoring", len(flat)) as done:
            scores, each = scorer(scorer.reader.logits(flat, tokens_per_microbatch, done))
    scored = iter(zip(scores, each, strict=True))
    new: list[dict[str, Any]] = []
    for row, ok in zip(rows, fits, strict=True):
        numbers = [next(scored) if here else (None, None) for here in ok]
        fields = _named(row, [_finite(number) for number, _ in numbers], name)
        if scorer.attributes:
            fields |= {f"{key}_by_attribute": value for key, value in _by_attribute(row, numbers, name).items()}
        new.append(fields)
    return _joined(found, new), long


def _named(row: Row, numbers: Sequence[Any], name: str) -> dict[str, Any]:
    """The scores of a row's texts under the names that its kind gives them."""
    if isinstance(row, Ranking):
        return {name: list(numbers)}
    if not isinstance(row, Pair):
        return {name: numbers[0]}
    chosen, rejected = numbers
    difference = None if chosen is None or rejected is None else chosen - rejected
    return {f"{name}_chosen": chosen, f"{name}_rejected": rejected, f"{name}_difference": difference}


def _by_attribute(row: Row, numbers: Sequence[tuple[Any, Any]], name: str) -> dict[str, Any]:
    values = [each for _, each in numbers]
    if isinstance(row, Pair):
        return {f"{name}_chosen": values[0], f"{name}_rejected": values[1]}
    return {name: values if isinstance(row, Ranking) else values[0]}


def _finite(number: Score) -> Score:
    return number if number is not None and math.isfinite(number) else None


def _joined(found: Loaded, new: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The file's own records, each with its new fields; lists of them where it holds several rows."""
    owned: dict[int, list[dict[str, Any]]] = {}
    for record, fields in zip(found.kept, new, strict=True):
        owned.setdefault(id(record.fields), []).append(fields)
    joined = []
    for row, own in came(found, found.rows):
        several = owned.pop(id(own))
        fields = several[0] if len(several) == 1 else {key: [one[key] for one in several] for key in several[0]}
        for key in fields:
            if key in own:
                raise UserError(f"{row.source}: the rows have a field {key!r} already; name the new one with --as")
        joined.append({**own, **fields})
    return joined
