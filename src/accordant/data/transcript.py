r"""Messages -> plain text in the form of Anthropic's transcripts, for models that have no chat template.

"\n\nHuman: ...\n\nAssistant:" is the prompt, " ..." its answer. Source: the HH-RLHF data of Bai et al. (2022),
arXiv 2204.05862.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TypeVar

from accordant.data.fields import Bad
from accordant.types import Chat, Pair, Prompt, Ranking, Rating, Row, Thumb

RowT = TypeVar("RowT", bound=Row)

_NAMES = {"system": "System", "user": "Human", "assistant": "Assistant"}
_TURN = re.compile(r"\n\n(Human|Assistant):")


def as_transcript(row: RowT) -> RowT:
    r"""The row with messages as text: `Chat((Message("user", "Hi"),), "Yes")` -> `Chat("\n\nHuman: Hi\n\nAssistant:", " Yes")`.

    Rows whose prompt is text already, and rows without a prompt, stay as they are.
    """
    if not isinstance(row, Prompt | Chat | Thumb | Rating | Pair | Ranking) or isinstance(row.prompt, str):
        return row
    prompt = "".join(f"\n\n{_NAMES[message.role]}: {message.content}" for message in row.prompt) + "\n\nAssistant:"
    match row:
        case Pair():
            return replace(row, prompt=prompt, chosen=f" {row.chosen}", rejected=f" {row.rejected}")
        case Ranking():
            return replace(row, prompt=prompt, completions=tuple(f" {completion}" for completion in row.completions))
        case Prompt():
            return replace(row, prompt=prompt)
        case _:
            return replace(row, prompt=prompt, completion=f" {row.completion}")


def messages(transcript: str, name: str) -> list[dict[str, str]]:
    r"""The turns of a transcript that begins with "\n\nHuman:" and ends with a human turn.

    Two turns of one speaker in a row become one, with an empty line between them. Raises `Bad` where the text is no such
    transcript; `name` is what the complaint calls it.
    """
    before, *parts = _TURN.split(transcript)
    if before.strip() or not parts:
        raise Bad(f'{name} does not begin with "\\n\\nHuman:"; give transcripts of "\\n\\nHuman: ...\\n\\nAssistant: ..."')
    turns: list[dict[str, str]] = []
    for speaker, text in zip(parts[::2], parts[1::2], strict=True):
        role, said = ("user" if speaker == "Human" else "assistant"), text.strip()
        if not said:
            raise Bad(f"{name} has an empty {speaker} turn; complete the transcript or delete the row")
        if turns and turns[-1]["role"] == role:
            turns[-1] = {"role": role, "content": f"{turns[-1]['content']}\n\n{said}"}
        else:
            turns.append({"role": role, "content": said})
    return turns
