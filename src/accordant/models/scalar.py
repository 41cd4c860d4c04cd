"""A model that gives a text one number: reward models and classifiers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedTokenizerBase

from accordant.models.language import autocast, base_of, context_of, trunk_arguments, trunk_of
from accordant.models.load import ModelConfig, load_scalar, load_tokenizer, scalar_head
from accordant.models.precision import Precision, resolve
from accordant.ops.masked import last_index
from accordant.types import UserError


def _positions_taken(module: nn.Module) -> int:
    """Positions that are never a token's: RoBERTa's family counts from behind its padding id."""
    tables = (m for name, m in module.named_modules() if name.endswith("position_embeddings") and isinstance(m, nn.Embedding))
    return next((table.padding_idx + 1 for table in tables if table.padding_idx is not None), 0)


def _type_separator(tokenizer: PreTrainedTokenizerBase) -> int | None:
    """The token behind which the second of two texts begins, where the tokenizer gives that one a type of its own.

    BERT's does. RoBERTa's calls all tokens 0, also for a model whose table has two types, and without a separator there is one
    text only. Text is read literally, so a separator in a row is always the frame's own.
    """
    separator = tokenizer.sep_token_id
    if separator is None or tokenizer.cls_token_id is None:
        return None
    pair = tokenizer("a", "b", return_token_type_ids=True, verbose=False)
    given = pair["token_type_ids"]
    if not any(given):
        return None
    if given != token_types(torch.tensor([pair["input_ids"]]), separator)[0].tolist():
        raise UserError(
            f"{type(tokenizer).__name__} gives two texts the types {given}, which are not 0 up to the first separator and 1 "
            "behind it: this family cannot read a prompt with its answer"
        )
    return separator


def token_types(ids: Tensor, separator: int) -> Tensor:
    """(N, L) int64: 0 up to the first separator and 1 behind it, as BERT's tokenizer types two texts."""
    closed = (ids == separator).long()
    return (closed.cumsum(1) - closed).clamp(max=1)


class ScalarModel:
    """Weights, tokenizer and precision of a sequence classifier.

    Causal families are read at the last real token, found from the mask and never guessed from the padding id (pad may equal
    EOS). Encoders pool as they were built to. The last linear layer runs in float32.
    """

    def __init__(self, module: nn.Module, tokenizer: PreTrainedTokenizerBase, precision: Precision) -> None:
        self.module = module
        self.tokenizer = tokenizer
        self.precision = precision
        self.causal = hasattr(base_of(module), "score")
        self.context = context_of(base_of(module).config.get_text_config()) - _positions_taken(module)
        types = getattr(base_of(module).config, "type_vocab_size", 0) or 0
        self.separator = _type_separator(tokenizer) if not self.causal and types > 1 else None
        self.sharing = "padded"  # `models.shared.shares_prompts` finds out how answers can share their prompt
        self.labels: dict[int, str] = dict(base_of(module).config.id2label)

    @classmethod
    def load(
        cls, cfg: ModelConfig, outputs: Sequence[str] = ("reward",), seed: int = 0, precision: Precision | None = None
    ) -> ScalarModel:
        """A trained classifier, or another checkpoint with a fresh head of these outputs."""
        tokenizer = load_tokenizer(cfg.path, cfg.trust_remote_code)
        pad = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else tokenizer.eos_token_id or 0
        module = load_scalar(cfg, pad, outputs, seed)
        return cls(module, tokenizer, precision or resolve(cfg.precision, module))

    def call_outputs(self, names: Sequence[str]) -> None:
        """Give the outputs these names, in order; a checkpoint that is saved has them, too."""
        config: Any = base_of(self.module).config
        config.id2label = self.labels = dict(enumerate(names))
        config.label2id = {name: i for i, name in self.labels.items()}

    def logits(self, ids: Tensor, mask: Tensor) -> Tensor:
        """One row of numbers per text: (N, L) int64 and bool -> (N, labels) float32."""
        module: Any = self.module
        if not self.causal:
            arguments = {"input_ids": ids, "attention_mask": mask.long()}
            if self.separator is not None:
                arguments["token_type_ids"] = token_types(ids, self.separator) * mask
            return self._framed_logits(arguments)
        trunk = trunk_of(module)
        with autocast(self.precision):
            hidden = trunk(input_ids=ids, use_cache=False, **trunk_arguments(trunk, mask)).last_hidden_state
        return self.score_at(hidden, last_index(mask)[:, None])[:, 0]

    def _framed_logits(self, arguments: dict[str, Tensor]) -> Tensor:
        """An encoder's own pooling in its precision, then the head in float32 in the place of the model's own."""
        head = scalar_head(base_of(self.module))
        seen: list[Tensor] = []
        watch = head.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
        try:
            with autocast(self.precision):
                self.module(**arguments)
        finally:
            watch.remove()
        with torch.autocast(seen[0].device.type, enabled=False):
            return head(seen[0].float())  # type: ignore[no-any-return]

    def score_at(self, hidden: Tensor, index: Tensor) -> Tensor:
        """The head at chosen positions: hidden (N, L, H), index (N, K) -> (N, K, labels) float32."""
        rows = torch.arange(len(hidden), device=hidden.device)[:, None]
        head = scalar_head(base_of(self.module)) if not hasattr(self.module, "peft_config") else base_of(self.module).score
        with torch.autocast(hidden.device.type, enabled=False):
            return head(hidden[rows, index].float())  # type: ignore[no-any-return]
