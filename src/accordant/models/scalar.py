"""A model that gives a text one number: reward models and classifiers."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedTokenizerBase

from accordant.models.language import autocast, base_of, context_of, trunk_arguments, trunk_of
from accordant.models.load import ModelConfig, load_scalar, load_tokenizer, scalar_head
from accordant.models.precision import Precision, resolve
from accordant.ops.masked import last_index


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
        self.context = context_of(base_of(module).config.get_text_config())
        self.labels: dict[int, str] = dict(base_of(module).config.id2label)

    @classmethod
    def load(
        cls, cfg: ModelConfig, pad_id: int | None = None, labels: int = 1, seed: int = 0, precision: Precision | None = None
    ) -> ScalarModel:
        """A trained classifier, or a causal checkpoint with a fresh head of `labels` outputs."""
        tokenizer = load_tokenizer(cfg.path, cfg.trust_remote_code)
        fallback = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else tokenizer.eos_token_id or 0
        module = load_scalar(cfg, fallback if pad_id is None else pad_id, labels, seed)
        return cls(module, tokenizer, precision or resolve(cfg.precision, module))

    def logits(self, ids: Tensor, mask: Tensor) -> Tensor:
        """One row of numbers per text: (N, L) int64 and bool -> (N, labels) float32."""
        module: Any = self.module
        if not self.causal:
            with autocast(self.precision):
                return module(input_ids=ids, attention_mask=mask.long()).logits.float()  # type: ignore[no-any-return]
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
