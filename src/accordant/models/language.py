"""A causal language model as the trainer sees it: hidden states first, logits only where a token counts."""

from __future__ import annotations

import inspect
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedTokenizerBase

from accordant.models.load import ModelConfig, device, load_causal, load_tokenizer
from accordant.models.new_tokens import FrozenRows, NewTokens, extend
from accordant.models.precision import Precision, resolve
from accordant.ops.logprob import chunked_logp
from accordant.ops.masked import position_ids
from accordant.types import UserError


def autocast(precision: Precision) -> AbstractContextManager[Any]:
    """bfloat16 arithmetic over float32 weights, or nothing."""
    return torch.autocast(device().type, torch.bfloat16) if precision == "bfloat16" else nullcontext()


def base_of(model: nn.Module) -> Any:
    """The Hugging Face model under a PEFT wrapper, or the model itself."""
    return model.get_base_model() if hasattr(model, "peft_config") else model  # type: ignore[operator]


def trunk_of(model: nn.Module) -> nn.Module:
    """The part that ends in hidden states, without the language-model or scalar head."""
    trunk: nn.Module = base_of(model).base_model
    return trunk


def trunk_arguments(trunk: nn.Module, mask: Tensor) -> dict[str, Tensor]:
    """Attention mask, and positions that count real tokens for the families that take positions (ALiBi takes none)."""
    arguments = {"attention_mask": mask.long()}
    if "position_ids" in inspect.signature(trunk.forward).parameters:
        arguments["position_ids"] = position_ids(mask)
    return arguments


def require_pair(path: str, module: nn.Module, tokenizer: PreTrainedTokenizerBase) -> None:
    """Raises UserError for a tokenizer with more tokens than the model has."""
    size = base_of(module).get_output_embeddings().weight.shape[0]
    if len(tokenizer) > size:
        raise UserError(f"{path}: the tokenizer has {len(tokenizer)} tokens, the model only {size}: not a pair")


def require_same_logits(path: str, module: nn.Module, ours: Tensor, theirs: Tensor) -> None:
    """Raises UserError where logits from hidden states are not those that the model gives by itself."""
    if not torch.allclose(ours, theirs, atol=1e-4, rtol=1e-3):
        raise UserError(
            f"{path}: {type(base_of(module)).__name__} changes its logits behind the language-model head in a way "
            "that is not known here; its log-probabilities would be wrong"
        )


def context_of(config: Any) -> int:
    """Longest text in tokens, 0 where the configuration states no limit."""
    return int(getattr(config, "max_position_embeddings", 0) or getattr(config, "n_positions", 0) or 0)


class LanguageModel:
    """Weights, tokenizer and precision of one causal language model.

    Use `LanguageModel.load(cfg)`. `module` is the Hugging Face (or PEFT) model; nothing of it is copied. `frozen`: rows of its
    embeddings that training leaves as they are.
    """

    def __init__(
        self, module: nn.Module, tokenizer: PreTrainedTokenizerBase, precision: Precision, frozen: FrozenRows | None = None
    ) -> None:
        self.module = module
        self.frozen = frozen
        self.tokenizer = tokenizer
        self.precision = precision
        self.trunk = trunk_of(module)
        self.config = base_of(module).config.get_text_config()
        self.vocabulary = int(self.config.vocab_size)
        self.context = context_of(self.config)

    @classmethod
    def load(
        cls, cfg: ModelConfig, seed: int = 0, precision: Precision | None = None, new: NewTokens | None = None
    ) -> LanguageModel:
        """Load weights and tokenizer, with new tokens if given; `precision` given (by a resumed run) is not measured."""
        tokenizer = load_tokenizer(cfg.path, cfg.trust_remote_code)
        module = load_causal(cfg, seed, new and partial(extend, tokenizer=tokenizer, new=new))
        require_pair(cfg.path, module, tokenizer)
        # In float32, so that what is judged is the formula and not bfloat16's rounding.
        cls(module, tokenizer, "float32").check_head(cfg.path)
        return cls(module, tokenizer, precision or resolve(cfg.precision, module), FrozenRows.of(module, tokenizer, new))

    def hidden(self, ids: Tensor, mask: Tensor) -> Tensor:
        """Last hidden states, (B, L) -> (B, L, H). Left and right padding give real tokens the same states."""
        with autocast(self.precision):
            out = self.trunk(input_ids=ids, use_cache=False, **trunk_arguments(self.trunk, mask))
        states: Tensor = out.last_hidden_state
        return states

    def head(self, hidden: Tensor) -> Tensor:
        """Hidden states (..., H) to logits (..., V), float32, with the scalings that some families put behind the head."""
        with autocast(self.precision):
            logits: Tensor = base_of(self.module).get_output_embeddings()(hidden)
        logits = logits.float()
        if scale := getattr(self.config, "logit_scale", None):
            logits = logits * scale
        if divisor := getattr(self.config, "logits_scaling", None):
            logits = logits / divisor
        if cap := getattr(self.config, "final_logit_softcapping", None):
            logits = torch.tanh(logits / cap) * cap
        return logits

    def logp(
        self, ids: Tensor, mask: Tensor, target_mask: Tensor, temperature: float = 1.0, hidden: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Log-probability of each target token given those before it, and the entropy of the choice.

        Args:
            ids: (B, L) int64. mask: (B, L) bool, real tokens.
            target_mask: (B, L) bool, the tokens to predict; never the first column.
            temperature: the sampling temperature.
            hidden: (B, L, H) from `hidden`, if it is at hand.

        Returns:
            logp and entropy, (B, L) float32 in nats, 0 outside `target_mask`.
        """
        hidden = self.hidden(ids, mask) if hidden is None else hidden
        wanted = target_mask[:, 1:]
        logp, entropy = chunked_logp(
            hidden[:, :-1][wanted], self.head, ids[:, 1:][wanted], temperature, vocabulary=self.vocabulary
        )
        blank = torch.zeros(ids.shape, dtype=torch.float32, device=ids.device)
        where = target_mask.clone()
        where[:, 0] = False
        return blank.masked_scatter(where, logp), blank.masked_scatter(where, entropy)

    @torch.no_grad()
    def check_head(self, path: str) -> None:
        """`head(hidden(x))` must be the model's own logits; a family that does more behind its head is refused, not guessed."""
        ids = torch.arange(1, 9, device=device())[None] % self.vocabulary
        mask = torch.ones_like(ids, dtype=torch.bool)
        training = self.module.training
        self.module.eval()
        ours = self.head(self.hidden(ids, mask))
        with autocast(self.precision):
            theirs = self.module(input_ids=ids, **trunk_arguments(self.trunk, mask)).logits.float()
        self.module.train(training)
        require_same_logits(path, self.module, ours, theirs)
