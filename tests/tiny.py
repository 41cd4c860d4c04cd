"""Tiny, seeded Hugging Face checkpoints of the families that open models use, in folders as real ones would be.

Their weights are drawn wide (standard deviation 0.3), so that next-token distributions differ from uniform and from
one another. Left out: anything that would have to be trained or downloaded.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForCausalLM,
    AutoModelForMaskedLM,
    AutoModelForSeq2SeqLM,
    AutoModelForSequenceClassification,
    PretrainedConfig,
    PreTrainedTokenizerBase,
)

from accordant.models.actor import Actor
from accordant.models.generate import Sampling, generate
from accordant.models.language import LanguageModel
from accordant.models.load import ModelConfig
from accordant.models.scalar import ScalarModel
from accordant.types import ActorCriticOut, Rollout, Scored, Valued

WIDTH, LAYERS, HEADS, CONTEXT = 32, 2, 2, 64

_ROTARY: dict[str, Any] = {
    "hidden_size": WIDTH,
    "intermediate_size": 48,
    "num_hidden_layers": LAYERS,
    "num_attention_heads": HEADS,
    "num_key_value_heads": 1,
    "head_dim": WIDTH // HEADS,
    "max_position_embeddings": CONTEXT,
    "initializer_range": 0.3,
}
FAMILIES: dict[str, dict[str, Any]] = {
    "llama": _ROTARY,
    "mistral": _ROTARY | {"sliding_window": None},
    "qwen2": {name: value for name, value in _ROTARY.items() if name != "head_dim"},
    "gemma": _ROTARY,
    "gemma2": _ROTARY | {"final_logit_softcapping": 3.0, "sliding_window": CONTEXT, "query_pre_attn_scalar": 16},
    "cohere": {name: value for name, value in _ROTARY.items() if name != "head_dim"} | {"logit_scale": 0.5},
    "granite": {name: value for name, value in _ROTARY.items() if name != "head_dim"} | {"logits_scaling": 2.0},
    "gpt2": {"n_embd": WIDTH, "n_layer": LAYERS, "n_head": HEADS, "n_positions": CONTEXT, "initializer_range": 0.3},
    "gpt_neox": {
        "hidden_size": WIDTH,
        "intermediate_size": 48,
        "num_hidden_layers": LAYERS,
        "num_attention_heads": HEADS,
        "max_position_embeddings": CONTEXT,
        "initializer_range": 0.3,
    },
    "opt": {
        "hidden_size": WIDTH,
        "word_embed_proj_dim": WIDTH,
        "ffn_dim": 48,
        "num_hidden_layers": LAYERS,
        "num_attention_heads": HEADS,
        "max_position_embeddings": CONTEXT,
        "init_std": 0.3,
    },
    "bloom": {"hidden_size": WIDTH, "n_layer": LAYERS, "n_head": HEADS, "initializer_range": 0.3},
}
"""`AutoConfig.for_model` arguments of each family. Gemma 2, Cohere and Granite put something behind the LM head."""


_HALVES: dict[str, Any] = {"d_model": WIDTH, "decoder_start_token_id": 3}
SEQ2SEQ: dict[str, dict[str, Any]] = {
    "t5": _HALVES | {"d_kv": 16, "d_ff": 48, "num_layers": LAYERS, "num_heads": HEADS, "initializer_factor": 2.0},
    "t5, untied": _HALVES
    | {"d_kv": 16, "d_ff": 48, "num_layers": LAYERS, "num_heads": HEADS, "tie_word_embeddings": False}
    | {"feed_forward_proj": "gated-gelu"},
    "bart": _HALVES
    | {"encoder_ffn_dim": 48, "decoder_ffn_dim": 48, "encoder_layers": LAYERS, "decoder_layers": LAYERS}
    | {"encoder_attention_heads": HEADS, "decoder_attention_heads": HEADS, "max_position_embeddings": CONTEXT}
    | {"init_std": 0.3},
}
"""Encoder-decoders: relative positions and a scale before the head, no scale, and absolute positions with a bias behind it."""


def tiny_seq2seq(folder: Path, tokenizer: PreTrainedTokenizerBase, family: str = "t5", seed: int = 0, **config: Any) -> Path:
    """Write an encoder-decoder of `family` with its tokenizer into `folder`; returns `folder`."""
    torch.manual_seed(seed)
    fields = SEQ2SEQ[family] | {
        "vocab_size": len(tokenizer),
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
    }
    built = AutoConfig.for_model(family.partition(",")[0], **(fields | config))
    return _saved(AutoModelForSeq2SeqLM.from_config(built), tokenizer, folder)


def tiny_config(family: str, tokenizer: PreTrainedTokenizerBase, **config: Any) -> PretrainedConfig:
    """A configuration of `family` that fits `tokenizer`; `config` overrides single fields."""
    fields = FAMILIES[family] | {
        "vocab_size": len(tokenizer),
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
    }
    return AutoConfig.for_model(family, **(fields | config))


def tiny_causal(folder: Path, tokenizer: PreTrainedTokenizerBase, family: str = "llama", seed: int = 0, **config: Any) -> Path:
    """Write a causal language model of `family` with its tokenizer into `folder`; returns `folder`."""
    torch.manual_seed(seed)
    model = AutoModelForCausalLM.from_config(tiny_config(family, tokenizer, **config))
    return _saved(model, tokenizer, folder)


def tiny_llama(folder: Path, tokenizer: PreTrainedTokenizerBase, seed: int = 0, **config: Any) -> Path:
    """The Llama of `tiny_causal`."""
    return tiny_causal(folder, tokenizer, "llama", seed, **config)


def tiny_classifier(
    folder: Path,
    tokenizer: PreTrainedTokenizerBase,
    family: str = "llama",
    labels: int = 1,
    seed: int = 0,
    **config: Any,
) -> Path:
    """Write a sequence classifier with `labels` outputs into `folder`; `family` may also be `bert`."""
    torch.manual_seed(seed)
    built = tiny_bert_config(tokenizer, **config) if family == "bert" else tiny_config(family, tokenizer, **config)
    built.num_labels = labels
    return _saved(AutoModelForSequenceClassification.from_config(built), tokenizer, folder)


def tiny_bert_config(tokenizer: PreTrainedTokenizerBase, **config: Any) -> PretrainedConfig:
    """An encoder, as text classifiers use it."""
    fields = {
        "vocab_size": len(tokenizer),
        "hidden_size": WIDTH,
        "intermediate_size": 48,
        "num_hidden_layers": LAYERS,
        "num_attention_heads": HEADS,
        "max_position_embeddings": CONTEXT,
        "initializer_range": 0.3,
        "pad_token_id": tokenizer.pad_token_id,
    }
    return AutoConfig.for_model("bert", **(fields | config))


_ENCODER: dict[str, Any] = {
    "hidden_size": WIDTH,
    "intermediate_size": 48,
    "num_hidden_layers": LAYERS,
    "num_attention_heads": HEADS,
    "max_position_embeddings": CONTEXT,
    "initializer_range": 0.3,
}
ENCODERS: dict[str, dict[str, Any]] = {
    "bert": _ENCODER,
    "roberta": _ENCODER | {"max_position_embeddings": CONTEXT + 2, "type_vocab_size": 1},
    "albert": _ENCODER | {"embedding_size": 16},
    "deberta-v2": _ENCODER
    | {
        "relative_attention": True,
        "position_buckets": 8,
        "pos_att_type": ["p2c", "c2p"],
        "share_att_key": True,
        "norm_rel_ebd": "layer_norm",
        "position_biased_input": False,
        "type_vocab_size": 0,
        "pooler_hidden_size": WIDTH,
    },
    "longformer": _ENCODER | {"max_position_embeddings": CONTEXT + 2, "attention_window": [8] * LAYERS, "type_vocab_size": 1},
    "distilbert": {
        "dim": WIDTH,
        "hidden_dim": 48,
        "n_layers": LAYERS,
        "n_heads": HEADS,
        "max_position_embeddings": CONTEXT,
        "initializer_range": 0.3,
    },
    "modernbert": _ENCODER | {"local_attention": 8, "global_attn_every_n_layers": 2},
}
"""The same for encoders. RoBERTa and Longformer keep two positions for themselves; all of them read 64 tokens."""


def encoder_config(family: str, tokenizer: PreTrainedTokenizerBase, **config: Any) -> PretrainedConfig:
    """A configuration of an encoder that fits `tokenizer`; `config` overrides single fields."""
    fields = ENCODERS[family] | {"vocab_size": len(tokenizer), "pad_token_id": tokenizer.pad_token_id}
    for name in ("bos", "eos", "cls", "sep"):
        fields[f"{name}_token_id"] = getattr(tokenizer, f"{name}_token_id")
    return AutoConfig.for_model(family, **(fields | config))


def tiny_encoder(
    folder: Path,
    tokenizer: PreTrainedTokenizerBase,
    family: str = "bert",
    kind: str = "base",
    seed: int = 0,
    **config: Any,
) -> Path:
    """Write an encoder with its tokenizer into `folder`; `kind`: base, masked (a masked language model) or classifier."""
    auto: Any = {"base": AutoModel, "masked": AutoModelForMaskedLM, "classifier": AutoModelForSequenceClassification}[kind]
    torch.manual_seed(seed)
    return _saved(auto.from_config(encoder_config(family, tokenizer, **config)), tokenizer, folder)


def _saved(model: Any, tokenizer: PreTrainedTokenizerBase, folder: Path) -> Path:
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def language_model(folder: Path, **config: Any) -> LanguageModel:
    """Load a checkpoint in float32; `config` are further fields of `ModelConfig`, such as `lora`."""
    return LanguageModel.load(ModelConfig(path=str(folder), precision="float32", **config))


def scalar_model(folder: Path, **config: Any) -> ScalarModel:
    """Load a classifier, or a causal checkpoint with a fresh head, in float32."""
    return ScalarModel.load(ModelConfig(path=str(folder), precision="float32", **config))


def random_prompts(lengths: Sequence[int], vocabulary: int, seed: int = 0, first_id: int = 10) -> list[list[int]]:
    """Token rows of the given lengths, without special tokens."""
    noise = torch.Generator().manual_seed(seed)
    return [torch.randint(first_id, vocabulary, (n,), generator=noise).tolist() for n in lengths]


def tilt(model: LanguageModel, tokens: Sequence[int], by: float) -> None:
    """Add `by` to the logits of `tokens`, so that a tiny model ends early (or never)."""
    plain, bias = model.head, torch.zeros(model.vocabulary)
    bias[list(tokens)] = by
    model.head = lambda hidden: plain(hidden) + bias  # type: ignore[method-assign]


def sample(
    model: LanguageModel,
    lengths: Sequence[int] = (3, 7, 5),
    samples: int = 4,
    new: int = 8,
    temperature: float = 1.0,
    stop_ids: Sequence[int] = range(100),
    seed: int = 0,
) -> Rollout:
    """A rollout of random prompts; as a quarter of the vocabulary stops, responses have all lengths up to `new`."""
    prompts = random_prompts(lengths, model.vocabulary, seed)
    how = Sampling(max_new_tokens=new, temperature=temperature, stop_ids=tuple(stop_ids))
    return generate(model, prompts, samples, how, torch.Generator().manual_seed(seed))


def step_for(actor: Actor, rollout: Rollout, temperature: float = 1.0) -> Valued:
    """What the trainer hands to an algorithm before its first optimiser step; rewards are the response lengths."""
    with torch.no_grad():
        out = actor.forward(rollout, temperature)
    assert isinstance(out, ActorCriticOut)
    reward = rollout.response_mask.sum(1).float()
    return Valued(Scored(rollout, reward, out.logp, actor.reference_logp(rollout, temperature)), out.value)
