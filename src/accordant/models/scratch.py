"""A new small language model and its tokenizer, from nothing but text."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from accordant.config import Config, knob
from accordant.models.language import LanguageModel
from accordant.models.load import device
from accordant.models.precision import Precision, resolve
from accordant.seeds import derive
from accordant.types import Chat, Document, Row, UserError

BOS, EOS, PAD = "<s>", "</s>", "<pad>"


class ScratchConfig(Config):
    """The shape of a new Llama. Parameters: about 12 x layers x hidden^2 + vocabulary x hidden."""

    vocabulary: int = knob(512, "tokens of the byte-level BPE tokenizer that is trained on the rows", "tokens", ge=260)
    hidden: int = knob(128, "hidden size", ge=8)
    layers: int = knob(4, "transformer layers", ge=1)
    heads: int = knob(4, "attention heads", ge=1)
    context: int = knob(256, "longest row that it will ever see", "tokens", ge=8)


def make(cfg: ScratchConfig, rows: Sequence[Row], seed: int, precision: Precision | None = None) -> LanguageModel:
    """Train the tokenizer on the rows' text and draw the weights.

    Raises:
        UserError: the hidden size is not a multiple of the heads.
    """
    if cfg.hidden % (2 * cfg.heads):
        raise UserError(f"scratch.hidden={cfg.hidden} must be a multiple of 2 x scratch.heads={cfg.heads} (rotary positions)")
    tokenizer = train_tokenizer([_text(row) for row in rows], cfg.vocabulary)
    tokenizer.model_max_length = cfg.context
    torch.manual_seed(derive(seed, "scratch"))
    module = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(tokenizer), hidden_size=cfg.hidden, intermediate_size=3 * cfg.hidden,
            num_hidden_layers=cfg.layers, num_attention_heads=cfg.heads, num_key_value_heads=cfg.heads,
            max_position_embeddings=cfg.context, tie_word_embeddings=True,
            bos_token_id=tokenizer.bos_token_id, eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id,
        )
    ).to(device())  # fmt: skip
    return LanguageModel(module, tokenizer, precision or resolve("auto", module))


def train_tokenizer(texts: Sequence[str], vocabulary: int) -> PreTrainedTokenizerFast:
    """A byte-level BPE tokenizer that puts BOS in front; any text survives a round trip."""
    raw = Tokenizer(models.BPE())
    raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    raw.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary, special_tokens=[PAD, BOS, EOS], show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )  # fmt: skip
    raw.train_from_iterator(texts, trainer)
    raw.post_processor = processors.TemplateProcessing(single=f"{BOS} $A", special_tokens=[(BOS, raw.token_to_id(BOS))])
    return PreTrainedTokenizerFast(tokenizer_object=raw, bos_token=BOS, eos_token=EOS, pad_token=PAD)


def _text(row: Row) -> str:
    if isinstance(row, Document):
        return row.text
    if isinstance(row, Chat) and isinstance(row.prompt, str):
        return row.prompt + row.completion
    raise UserError(f"{row.source}: a new tokenizer learns from plain text, found a {type(row).__name__} row with messages")
