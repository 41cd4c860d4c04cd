"""Token ids -> the text that rewards, judges and people read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


def decode_completion(
    tokenizer: PreTrainedTokenizerBase, prompt: Sequence[int], response: Sequence[int], finished: bool
) -> str:
    """The text that `response` adds to `prompt`, without the stop token that ended it.

    Decoded together with the prompt, because many tokenizers strip the space in front of a text: " there was" after "Once"
    would come back as "there was". Special tokens that the policy wrote inside its answer stay visible: a reward must see them.
    """
    body = list(response[:-1] if finished else response)
    head = _decode(tokenizer, prompt)
    whole = _decode(tokenizer, [*prompt, *body])
    # A response may complete a character that the prompt left open; then the texts share no clean boundary.
    return whole[len(head) :] if whole.startswith(head) else _decode(tokenizer, body)


def _decode(tokenizer: PreTrainedTokenizerBase, ids: Sequence[int]) -> str:
    return str(tokenizer.decode(list(ids), skip_special_tokens=False, clean_up_tokenization_spaces=False))
