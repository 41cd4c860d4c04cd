"""A reward model from labelled texts or thumbs: the logit of "good" is the reward (binary logistic regression).

The two-class special case of a text classifier: with one output, sigmoid(score) is the probability of label 1.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F

from accordant import config
from accordant.algos.sft import pad_tokens
from accordant.types import Batch, Metrics, ScoreOut, Sums, TokenLabel, UserError

ROWS = ("Labelled", "Thumb")
HEAD = "scalar"


class Config(config.Config):
    """Knobs of the loss."""

    label_smoothing: float = config.knob(0.0, "labels become s/2 and 1 - s/2, for labels that are sometimes wrong", ge=0, lt=1)


def check(items: Sequence[TokenLabel], cfg: Config) -> str:  # noqa: ARG001  (the contract's second argument)
    labels = sorted({item.label for item in items})
    if labels != [0, 1]:
        raise UserError(f"the labels are {labels}; a binary classifier learns from rows of label 0 and rows of label 1")
    return ""


def collate(items: Sequence[TokenLabel], pad_id: int) -> Batch:
    """Right-padded texts with their labels, float32."""
    labels = torch.tensor([float(item.label) for item in items])
    return pad_tokens([item.tokens for item in items], pad_id, label=labels)


def counts(batch: Batch) -> dict[str, float]:
    return {"bce": float(len(batch.ids))}


def loss(out: ScoreOut, batch: Batch, cfg: Config) -> tuple[Sums, Metrics]:
    """-sum y log sigmoid(score) + (1 - y) log sigmoid(-score), stable at any score."""
    label = batch.extra["label"]
    target = label * (1 - cfg.label_smoothing) + cfg.label_smoothing / 2
    score = out.score[:, 0]
    bce = F.binary_cross_entropy_with_logits(score, target, reduction="sum")
    right = ((score > 0) == (label > 0.5)).sum()
    n = float(len(label))
    return {"bce": bce}, {"bce": (float(bce.detach()), n), "accuracy": (float(right), n)}
