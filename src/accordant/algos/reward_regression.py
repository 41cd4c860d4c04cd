"""A reward model from ratings: one output per attribute, least squares on standardised scores, missing ratings masked.

The targets are the ratings less the attribute's mean over its standard deviation, measured on the training rows and stored in
the checkpoint, so that scales of 1 to 5 and of 1 to 10 weigh alike and an output can be read as a rating again.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from accordant import config
from accordant.algos.sft import pad_tokens
from accordant.types import Batch, Metrics, ScoreOut, Sums, TokenRating

ROWS = ("Rating",)
HEAD = "scalar"


class Config(config.Config):
    """Knobs of the loss."""

    huber: float | None = config.knob(
        None, "errors beyond this count linearly (Huber 1964), for ratings with slips; none = squares throughout",
        "standard deviations", gt=0,
    )  # fmt: skip


def check(items: Sequence[TokenRating], cfg: Config) -> str:  # noqa: ARG001  (the contract's second argument)
    missing = sum(score != score for item in items for score in item.scores)
    return f"{missing} of {sum(len(item.scores) for item in items)} ratings are missing and masked" if missing else ""


def collate(items: Sequence[TokenRating], pad_id: int) -> Batch:
    """Right-padded rows; `extra`: target and rated, (N, A)."""
    target = torch.tensor([item.scores for item in items])
    return pad_tokens([item.tokens for item in items], pad_id, target=target.nan_to_num(0.0), rated=~target.isnan())


def counts(batch: Batch) -> dict[str, float]:
    """Ratings that are there."""
    return {"error": float(batch.extra["rated"].sum())}


def loss(out: ScoreOut, batch: Batch, cfg: Config) -> tuple[Sums, Metrics]:
    """sum of (output - target)^2 / 2 over the ratings that are there; with Huber's bend where it is asked for."""
    rated = batch.extra["rated"]
    error = (out.score - batch.extra["target"])[rated]
    square = error**2 / 2
    if cfg.huber is not None:
        square = torch.where(error.abs() <= cfg.huber, square, cfg.huber * (error.abs() - cfg.huber / 2))
    n = float(rated.sum())
    return {"error": square.sum()}, {
        "error": (float(square.detach().sum()), n), "absolute_error": (float(error.detach().abs().sum()), n)
    }  # fmt: skip
