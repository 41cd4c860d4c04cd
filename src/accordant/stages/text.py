"""Responses as text, for the stages that read what a model wrote."""

from __future__ import annotations

from collections.abc import Sequence

from transformers import PreTrainedTokenizerBase

from accordant.data.decode import decode_completion
from accordant.types import Answer, Prompt, Rollout


def completions(tokenizer: PreTrainedTokenizerBase, prompts: Sequence[Sequence[int]], rollout: Rollout) -> list[str]:
    """The text of every response of a rollout whose group g answers `prompts[g]`."""
    lengths = rollout.response_mask.sum(1).tolist()
    rows = zip(rollout.group.tolist(), rollout.response_ids.tolist(), lengths, rollout.finished.tolist(), strict=True)
    return [decode_completion(tokenizer, prompts[g], ids[:n], finished) for g, ids, n, finished in rows]


def answers(
    tokenizer: PreTrainedTokenizerBase, rows: Sequence[Prompt], prompts: Sequence[Sequence[int]], rollout: Rollout
) -> list[Answer]:
    """What rewards and judges read: each response with its prompt's text and whether it ended by itself."""
    texts = completions(tokenizer, prompts, rollout)
    owners = zip(rollout.group.tolist(), texts, rollout.finished.tolist(), strict=True)
    return [Answer(rows[g].prompt, text, finished) for g, text, finished in owners]
