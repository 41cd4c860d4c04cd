"""New tokens that start at a meaning: the embedding of "###STOP###" is the mean, or the sum, of those of "stop" and "talking".

Both embeddings get the new rows: the one that reads a token and, where the two are not tied, the one that writes it. The
tokens are part of the tokenizer and are recognised wherever a text spells them, also in completions.

Left out: new tokens without a description; a random start teaches slower, and a description is quickly written.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import torch
from tokenizers import AddedToken
from torch import Tensor, nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from accordant.types import UserError


@dataclass(frozen=True)
class NewTokens:
    """Tokens by their spelling, each with the words that say what it means, and how their embeddings become one."""

    descriptions: Mapping[str, str]
    init: Literal["mean", "sum"] = "mean"
    trained: bool = True


def add(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, new: NewTokens) -> tuple[int, ...]:
    """Add the tokens to the tokenizer and the model, and return their ids.

    A vocabulary that is padded with rows of no token (as many are, for speed) gives those rows first; one that is not grows by
    just the new tokens, and one that was padded to a multiple of 8 to 128 grows to a multiple of the same.

    Raises:
        UserError: a token is empty or already known, or its description has no words.
    """
    meaning = {token: _meaning(tokenizer, token, words) for token, words in new.descriptions.items()}
    old, known = model.get_input_embeddings().weight.shape[0], len(tokenizer)
    # Not "special": those are text where answers spell them, and these are there to be written.
    tokenizer.add_tokens([AddedToken(token, special=False, normalized=False) for token in meaning])
    if len(tokenizer) > old:
        _grow(model, len(tokenizer), _multiple(old) if old > known else 1, old)
    ids = tuple(int(i) for i in tokenizer.convert_tokens_to_ids(list(meaning)))
    with torch.no_grad():
        for table in _tables(model):
            for i, words in zip(ids, meaning.values(), strict=True):
                row = table[list(words)]
                table[i] = row.sum(0) if new.init == "sum" else row.mean(0)
    return ids


def extend(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, new: NewTokens) -> dict[str, list[int]]:
    """`add`, and which rows of which modules LoRA is to train beside its adapters: peft's `trainable_token_indices`."""
    ids = add(model, tokenizer, new)
    return lora_rows(model, ids) if new.trained else {}


class FrozenRows:
    """Rows of the embeddings that keep their values while the others are trained.

    Without gradient they are not in its norm; and they are put back after each step, because weight decay needs no gradient.
    """

    def __init__(self, module: nn.Module, ids: tuple[int, ...]) -> None:
        self._rows = torch.tensor(ids)
        self._held = [(table, table[list(ids)].detach().clone()) for table in _tables(module)]
        for table, _ in self._held:
            table.register_hook(self._without)

    @classmethod
    def of(cls, module: nn.Module, tokenizer: PreTrainedTokenizerBase, new: NewTokens | None) -> FrozenRows | None:
        """The rows of new tokens that are not to be trained; None where there are none, or LoRA freezes all others, too."""
        if new is None or new.trained or hasattr(module, "peft_config"):
            return None
        return cls(module, tuple(tokenizer.convert_tokens_to_ids(list(new.descriptions))))

    @torch.no_grad()
    def put_back(self) -> None:
        """Undo what an optimiser step did to these rows."""
        for table, values in self._held:
            table[self._rows.to(table.device)] = values

    def _without(self, gradient: Tensor) -> Tensor:
        return gradient.index_fill(0, self._rows.to(gradient.device), 0.0)


def lora_rows(model: PreTrainedModel, ids: tuple[int, ...]) -> dict[str, list[int]]:
    """These rows of both embeddings, by the modules' names."""
    wanted = {id(model.get_input_embeddings()), id(model.get_output_embeddings())}
    if _tied(model):
        # peft ties the output's rows to the input's by itself.
        wanted = {id(model.get_input_embeddings())}
    return {name: list(ids) for name, module in model.named_modules() if id(module) in wanted}


def _meaning(tokenizer: PreTrainedTokenizerBase, token: str, words: str) -> tuple[int, ...]:
    if not token or token in tokenizer.get_vocab():
        raise UserError(f"new_tokens: {token!r} is " + ("already a token: choose another spelling" if token else "empty"))
    ids = tuple(tokenizer(words.strip(), add_special_tokens=False, verbose=False)["input_ids"])
    if not ids:
        raise UserError(
            f'new_tokens: {token!r} has no description; say what it means, for example {{"{token}": "stop talking"}}'
        )
    return ids


def _multiple(size: int) -> int:
    """The largest of 128, 64, ..., 8 that divides a padded vocabulary, else 1."""
    return next((m for m in (128, 64, 32, 16, 8) if size % m == 0), 1)


def _grow(model: PreTrainedModel, size: int, multiple: int, old: int) -> None:
    """More rows in all that is as long as the vocabulary; those that no token has become copies of an old such row."""
    # The rows are overwritten: what transformers would draw for them needs no covariance of the whole table.
    model.resize_token_embeddings(size, pad_to_multiple_of=multiple if multiple > 1 else None, mean_resizing=False)
    with torch.no_grad():
        for table in _tables(model):
            table[old:] = table[old - 1]


def _tables(model: Any) -> list[Tensor]:
    """All that has a row for each token: embeddings, the output matrix and its bias. Tied ones come once."""
    found = [model.get_input_embeddings().weight]
    head = model.get_output_embeddings()
    if head is not None:
        found += [] if head.weight is found[0] else [head.weight]
        found += [] if getattr(head, "bias", None) is None else [head.bias]
    return found


def _tied(model: Any) -> bool:
    head = model.get_output_embeddings()
    return head is None or head.weight is model.get_input_embeddings().weight
