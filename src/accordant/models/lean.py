"""The hidden states of scored tokens and of no others, from a trunk built like Llama's, with the fewest passes over memory.

Tokens are laid end to end (`ops.ragged`), with normalisation and rotary positions as one step each (`ops.fused`). Of the last
layer only keys and values are computed for all tokens: its queries, what follows its attention and its MLP are needed where a
score is read. Linear layers, adapters on them, and the MLP are the model's own.

Nothing here looks at the family's name. `is_lean` asks for the parts, and `models.shared.shares_prompts` compares the scores
with the model's own before this is used: a trunk that does more with the same parts gives other scores.

Left out: dropout, windows and soft caps, which the comparison would not always see, and so adapters with dropout.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from accordant.ops.fused import rms_norm, rotate
from accordant.ops.ragged import Block, RaggedRows, attend, blocks_of, last_blocks_of

PARTS = {
    "trunk": {"embed_tokens", "layers", "norm", "rotary_emb"},
    "layer": {"self_attn", "mlp", "input_layernorm", "post_attention_layernorm"},
    "attention": {"q_proj", "k_proj", "v_proj", "o_proj"},
}


def lean_hidden(trunk: Any, rows: RaggedRows, dtype: torch.dtype) -> Tensor:
    """The trunk's last hidden states at `rows.last`: (N * K, H), prompt by prompt. `dtype`: of what linear layers read."""
    hidden = trunk.embed_tokens(rows.ids)[0]  # (T, H)
    cos, sin = (x[0] for x in trunk.rotary_emb(hidden, rows.positions))
    every, scored, last = blocks_of(rows.segments), last_blocks_of(rows.segments), rows.last.flatten()
    for layer in trunk.layers[:-1]:
        hidden = _layer(layer, hidden, None, cos, sin, every, dtype)
    return _norm(trunk.norm, _layer(trunk.layers[-1], hidden, last, cos, sin, scored, dtype), hidden.dtype)


def _layer(
    layer: Any, hidden: Tensor, wanted: Tensor | None, cos: Tensor, sin: Tensor, blocks: Sequence[Block], dtype: torch.dtype
) -> Tensor:
    """One layer, (T, H) -> (T, H), or at the `wanted` tokens alone."""
    read = _norm(layer.input_layernorm, hidden, dtype)
    asking, residual, at = read, hidden, (cos, sin)
    if wanted is not None:
        asking, residual, at = read[wanted], hidden[wanted], (cos[wanted], sin[wanted])
    attention = layer.self_attn
    shape = (-1, attention.head_dim)
    query = rotate(attention.q_proj(asking).unflatten(-1, shape), *at)
    key = rotate(attention.k_proj(read).unflatten(-1, shape), cos, sin)
    value = attention.v_proj(read).unflatten(-1, shape).transpose(0, 1).contiguous()
    found = attend(query, key, value, blocks, attention.scaling)
    hidden = residual + attention.o_proj(found.transpose(0, 1).flatten(1))
    return hidden + layer.mlp(_norm(layer.post_attention_layernorm, hidden, dtype))  # type: ignore[no-any-return]


def _norm(module: Any, hidden: Tensor, dtype: torch.dtype) -> Tensor:
    return rms_norm(hidden, module.weight, module.variance_epsilon, dtype)


def is_lean(trunk: Any) -> bool:
    """Whether this may be tried: Llama's parts and no more, no dropout, no window and no soft cap."""
    config: Any = trunk.config
    wanted = ("attention_dropout", "sliding_window", "attn_logit_softcapping")
    drops = any(isinstance(module, nn.Dropout) and module.p for module in trunk.modules())
    if drops or any(getattr(config, name, None) for name in wanted) or not PARTS["trunk"] <= _children(trunk):
        return False
    return all(
        _children(layer) == PARTS["layer"] and _children(layer.self_attn) == PARTS["attention"] for layer in trunk.layers
    )


def _children(module: nn.Module) -> set[str]:
    return {name for name, _ in module.named_children()}
