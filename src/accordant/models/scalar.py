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


def _positions_taken(module: nn.Module) -> int:
    """Positions that are never a token's: RoBERTa's family counts from behind its padding id."""
    tables = (m for name, m in module.named_modules() if name.endswith("position_embeddings") and isinstance(m, nn.Embedding))
    return next((table.padding_idx + 1 for table in tables if table.padding_idx is not None), 0)


class ScalarModel:
    """Weights, tokenizer and precision of a sequence classifier.

    Causal families are read at the last real token, found from the mask and never guessed from the padding id (pad may equal
    EOS). Encoders pool as they were built to. The head runs in float32.
    """

    def __init__(self, module: nn.Module, tokenizer: PreTrainedTokenizerBase, precision: Precision) -> None:
        self.module = module
        self.tokenizer = tokenizer
        self.precision = precision
        self.causal = hasattr(base_of(module), "score")
        self.context = context_of(base_of(module).config.get_text_config()) - _positions_taken(module)
        # BERT tells the two texts of its frame apart by type, too. Text is read literally, so a separator is the frame's own.
        types = getattr(base_of(module).config, "type_vocab_size", 0) or 0
        self.separator: int | None = tokenizer.sep_token_id if not self.causal and types > 1 else None
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

    def logits(self, ids: Tensor, mask: Tensor) -> Tensor:
        """One row of numbers per text: (N, L) int64 and bool -> (N, labels) float32."""
        module: Any = self.module
        if not self.causal:
            arguments = {"input_ids": ids, "attention_mask": mask.long()}
            if self.separator is not None:
                closed = (ids == self.separator).long()
                arguments["token_type_ids"] = (closed.cumsum(1) - closed).clamp(max=1) * mask
            with autocast(self.precision):
                return module(**arguments).logits.float()  # type: ignore[no-any-return]
        trunk = trunk_of(module)
        with autocast(self.precision):
            hidden = trunk(input_ids=ids, use_cache=False, **trunk_arguments(trunk, mask)).last_hidden_state
        return self.score_at(hidden, last_index(mask)[:, None])[:, 0]

    def score_at(self, hidden: Tensor, index: Tensor) -> Tensor:
        """The head at chosen positions: hidden (N, L, H), index (N, K) -> (N, K, labels) float32."""
        rows = torch.arange(len(hidden), device=hidden.device)[:, None]
        head = scalar_head(base_of(self.module)) if not hasattr(self.module, "peft_config") else base_of(self.module).score
        with torch.autocast(hidden.device.type, enabled=False):
            return head(hidden[rows, index].float())  # type: ignore[no-any-return]
