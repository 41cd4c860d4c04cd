"""An encoder-decoder as the trainer sees it: the prompt in the encoder, the answer in the decoder, logits where a token counts.

It takes the same batches as `models.language.LanguageModel`, rows of a prompt with its answer, and answers with the same
log-probabilities: everything before a row's first target is the encoder's, everything from there on the decoder's. The decoder
starts from the checkpoint's own start token.

Left out: sampling, and so online training; a reading of the hidden states by a value head.
"""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor, nn
from transformers import PreTrainedTokenizerBase

from accordant.models.language import autocast, base_of, require_pair, require_same_logits
from accordant.models.load import ModelConfig, device, load_seq2seq, load_tokenizer
from accordant.models.new_tokens import FrozenRows, NewTokens, extend
from accordant.models.precision import Precision, resolve
from accordant.ops.logprob import chunked_logp
from accordant.types import UserError


class Seq2SeqModel:
    """Weights, tokenizer and precision of one encoder-decoder.

    Use `Seq2SeqModel.load(cfg)`. `context` limits the prompt and the answer each; 0 where positions are relative (T5).
    """

    def __init__(
        self, module: nn.Module, tokenizer: PreTrainedTokenizerBase, precision: Precision, frozen: FrozenRows | None = None
    ) -> None:
        self.module = module
        self.frozen = frozen
        self.tokenizer = tokenizer
        self.precision = precision
        self.config = base_of(module).config
        self.vocabulary = int(self.config.vocab_size)
        self.context = int(getattr(self.config, "max_position_embeddings", 0) or 0)

    @classmethod
    def load(
        cls, cfg: ModelConfig, seed: int = 0, precision: Precision | None = None, new: NewTokens | None = None
    ) -> Seq2SeqModel:
        """Load weights and tokenizer, with new tokens if given; `precision` given (by a resumed run) is not measured."""
        tokenizer = load_tokenizer(cfg.path, cfg.trust_remote_code)
        module = load_seq2seq(cfg, seed, new and partial(extend, tokenizer=tokenizer, new=new))
        if base_of(module).config.decoder_start_token_id is None:
            raise UserError(
                f"{cfg.path}: config.json names no decoder_start_token_id, so an answer has nothing to begin with; add it (T5 "
                "uses the padding token's id)"
            )
        require_pair(cfg.path, module, tokenizer)
        cls(module, tokenizer, "float32").check_head(cfg.path)
        return cls(module, tokenizer, precision or resolve(cfg.precision, module), FrozenRows.of(module, tokenizer, new))

    def hidden(self, source: Tensor, source_mask: Tensor, written: Tensor, written_mask: Tensor) -> Tensor:
        """The decoder's last hidden states, (B, T, H), behind each of the start token and the answer's tokens but the last.

        Args:
            source, source_mask: (B, S) int64 and bool, the prompt. written, written_mask: (B, T), the answer.
        """
        base = base_of(self.module)
        start = torch.full_like(written[:, :1], int(self.config.decoder_start_token_id))
        with autocast(self.precision):
            read = base.get_encoder()(input_ids=source, attention_mask=source_mask.long()).last_hidden_state
            out = base.get_decoder()(
                input_ids=torch.cat([start, written[:, :-1]], dim=1), attention_mask=written_mask.long(),
                encoder_hidden_states=read, encoder_attention_mask=source_mask.long(), use_cache=False,
            )  # fmt: skip
        states: Tensor = out.last_hidden_state
        return states

    def head(self, hidden: Tensor) -> Tensor:
        """Hidden states (..., H) to logits (..., V), float32: T5's scale before the head, BART's bias behind it."""
        base = base_of(self.module)
        if getattr(self.config, "scale_decoder_outputs", False):
            hidden = hidden * self.config.d_model**-0.5
        with autocast(self.precision):
            logits: Tensor = base.get_output_embeddings()(hidden)
        logits = logits.float()
        bias = getattr(base, "final_logits_bias", None)
        return logits if bias is None else logits + bias[0]

    def logp(self, ids: Tensor, mask: Tensor, target_mask: Tensor, temperature: float = 1.0) -> tuple[Tensor, Tensor]:
        """Log-probability of each target token given the prompt and the targets before it, and the entropy of the choice.

        Args:
            ids: (B, L) int64, a prompt and its answer; padding on either side.
            mask: (B, L) bool, real tokens.
            target_mask: (B, L) bool, the answer: in each row the real tokens from the first target on.
            temperature: the sampling temperature.

        Returns:
            logp and entropy, (B, L) float32 in nats, 0 outside `target_mask`.

        Raises:
            ValueError: a row has no target, or a real token behind its first target is none.
        """
        answer = target_mask.long().cumsum(dim=1) > 0
        if not bool(target_mask.any(dim=1).all()) or bool((answer & mask & ~target_mask).any()):
            raise ValueError("the targets of a row must be all of its real tokens from the first target on")
        source, source_mask = _gathered(ids, mask & ~answer)
        written, written_mask = _gathered(ids, target_mask)
        hidden = self.hidden(source, source_mask, written, written_mask)
        logp, entropy = chunked_logp(
            hidden[written_mask], self.head, written[written_mask], temperature, vocabulary=self.vocabulary
        )
        blank = torch.zeros(ids.shape, dtype=torch.float32, device=ids.device)
        return blank.masked_scatter(target_mask, logp), blank.masked_scatter(target_mask, entropy)

    @torch.no_grad()
    def check_head(self, path: str) -> None:
        """`head(hidden(x))` must be the model's own logits; a family that does more around its head is refused, not guessed."""
        ids = torch.arange(1, 9, device=device())[None] % self.vocabulary
        mask = torch.ones_like(ids, dtype=torch.bool)
        training = self.module.training
        self.module.eval()
        ours = self.head(self.hidden(ids, mask, ids, mask))
        with autocast(self.precision):
            theirs = base_of(self.module)(input_ids=ids, attention_mask=mask.long(), labels=ids).logits.float()
        self.module.train(training)
        require_same_logits(path, self.module, ours, theirs)


def _gathered(ids: Tensor, wanted: Tensor) -> tuple[Tensor, Tensor]:
    """The wanted tokens of each row moved to its left, in order: (B, L) -> (B, W) ids and their mask."""
    width = int(wanted.sum(dim=1).max())
    order = (~wanted).long().argsort(dim=1, stable=True)[:, : max(1, width)]
    return ids.gather(1, order), wanted.gather(1, order)
