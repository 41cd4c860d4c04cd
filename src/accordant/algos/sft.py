"""Supervised fine-tuning: the mean negative log-likelihood of the tokens that are trained on.

On `Document` rows that is every token (pretraining, domain adaptation), on `Chat` rows the completion and its end alone, or all
the assistant's turns with their ends. The mean is over tokens of the whole optimiser step, so a long answer counts for more
than a short one, as it does in pretraining.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from accordant import config
from accordant.ops.batching import pad_rows
from accordant.ops.masked import masked_sum
from accordant.types import Batch, LanguageOut, Metrics, Sums, Tokens, UserError

ROWS = ("Chat", "Document")
HEAD = "language"


class Config(config.Config):
    """No knobs: what is trained on is the template's decision, by the stage's `turns`."""


def check(items: Sequence[Tokens], cfg: Config) -> str:  # noqa: ARG001  (the contract's arguments)
    """Raises UserError where no token is trained on."""
    silent = sum(not any(item.loss_mask[1:]) for item in items)
    if silent == len(items):
        raise UserError(
            f"none of the {len(items)} rows has a token to train on: sft needs a language model's tokenizer, not an encoder's, "
            "and texts of more than one token"
        )
    return f"{silent} rows have no token to train on" if silent else ""


def collate(items: Sequence[Tokens], pad_id: int) -> Batch:
    """Right-padded rows."""
    return pad_tokens(items, pad_id)


def pad_tokens(items: Sequence[Tokens], pad_id: int, **extra: Tensor) -> Batch:
    """Token rows as a `Batch`: ids, the mask of real tokens, the mask of trained ones."""
    import torch

    return Batch(
        ids=pad_rows([item.ids for item in items], pad_id),
        mask=pad_rows([[True] * len(item.ids) for item in items], False, dtype=torch.bool),
        loss_mask=pad_rows([item.loss_mask for item in items], False, dtype=torch.bool),
        extra=extra,
    )


def counts(batch: Batch) -> dict[str, float]:
    """Trained tokens; the first column has nothing before it and is never one."""
    return {"nll": float(batch.loss_mask[:, 1:].sum())}


def loss(out: LanguageOut, batch: Batch, cfg: Config) -> tuple[Sums, Metrics]:  # noqa: ARG001  (the contract's third argument)
    """-sum log p(token | tokens before it) over trained tokens, in nats."""
    mask = batch.loss_mask.clone()
    mask[:, 0] = False
    nll = -masked_sum(out.logp, mask)
    return {"nll": nll}, {"nll": (float(nll.detach()), counts(batch)["nll"])}
