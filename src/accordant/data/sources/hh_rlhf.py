"""Anthropic's transcripts of helpfulness and harmlessness."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from accordant.data import fields as want
from accordant.data import rows
from accordant.data.fields import Bad, Fields
from accordant.data.loaded import Loaded
from accordant.data.sources.loaded import Map
from accordant.data.transcript import messages
from accordant.types import Pair


def hh_rlhf(path: str | Path, *, map: Map = None) -> Loaded:
    r"""HH-RLHF (Bai et al. 2022, arXiv 2204.05862): `chosen` and `rejected` are whole transcripts with one prompt.

    The prompt is what comes before the last "\n\nAssistant:", and it must be the same in both; it becomes turns. Two turns of
    one speaker in a row become one.

    Args:
        path: the JSONL file (also .jsonl.gz), or "hub:Anthropic/hh-rlhf:train".
        map: {theirs: ours} renames fields first.

    Example row: `Pair((Message("user", "Is it raining?"),), "Yes, take a coat.", "Who knows.")`. Licence: MIT.
    """

    def convert(fields: Fields) -> Iterator[dict[str, Any]]:
        transcripts = [want.answer_text(fields, name) for name in ("chosen", "rejected")]
        if any("\n\nAssistant:" not in transcript for transcript in transcripts):
            raise Bad('a transcript has no "\\n\\nAssistant:" turn; give both up to the assistant\'s last answer')
        shared, *answers = want.shared_prefix(*transcripts)
        turns = messages(shared.removesuffix("\n\nAssistant:"), "the prompt")
        said = [answer.strip() for answer in answers]
        if any("\n\nHuman:" in answer for answer in answers):
            raise Bad("a transcript ends with a Human turn; it must end with the assistant's answer")
        if turns[-1]["role"] == "assistant":  # The answer goes on with what the assistant had begun to say.
            begun = turns.pop()["content"]
            said = [f"{begun}\n\n{answer}" for answer in said]
        if not turns:
            raise Bad("the prompt has no Human turn; give the transcript from its beginning")
        yield {"prompt": turns, "chosen": said[0], "rejected": said[1]}

    return rows.convert(path, convert, Pair, map, needs=("chosen", "rejected"))
