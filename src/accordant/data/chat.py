"""What a tokenizer's chat template writes: the text, where each assistant's turn begins and ends, and what ends it.

The template is asked and never parsed. The beginning of a turn is where the text that asks for it ends, which is where
sampling starts from; its end is the control token that the template writes behind it. Templates with generation markers
({% generation %}) say themselves what to train on, as `apply_chat_template(..., return_assistant_tokens_mask=True)` does.

Left out: tools and documents, which some templates take beside the messages.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeAlias

from accordant.types import MADE, Message, Source, UserError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

Span: TypeAlias = "tuple[int, int]"
"""Characters of a rendered conversation, the end excluded."""

_PROBE = (Message("user", "question"), Message("assistant", "ANSWER"))
_MARKED = re.compile(r"\{%[-+]?\s*generation\s*[-+]?%\}")


@dataclass(frozen=True)
class ChatFormat:
    """The chat template of one tokenizer."""

    tokenizer: PreTrainedTokenizerBase

    def render(self, messages: Sequence[Message], *, answering: bool, source: Source) -> str:
        """The template's text; `answering`: up to where the assistant's next turn begins.

        Raises:
            UserError: there is no chat template, or it refuses these messages.
        """
        return self._rendered(messages, answering, source)[0]

    @property
    def marked(self) -> bool:
        """Whether the template has generation markers."""
        return bool(_MARKED.search(self.tokenizer.chat_template or ""))

    @cached_property
    def lead(self) -> str:
        """The space that some templates (Llama 2's) write before an answer, but not at the end of a prompt."""
        between = self._probed[0]
        return between if between.isspace() else ""

    @cached_property
    def end(self) -> tuple[str, int | None]:
        """What closes an assistant's turn: the text before its end token (Llama 2's space), and that token's id.

        `("", None)` where the template writes no control token behind an answer.
        """
        behind = self._probed[1]
        for i in self.tokenizer(behind, add_special_tokens=False, verbose=False)["input_ids"]:
            if i in self.control:
                return behind.partition(self.tokenizer.convert_ids_to_tokens(i))[0], i
        return "", None

    @cached_property
    def control(self) -> frozenset[int]:
        """Ids of the control tokens: those that text may spell but not write."""
        added = {i for i, token in self.tokenizer.added_tokens_decoder.items() if token.special}
        return frozenset(added | set(self.tokenizer.all_special_ids))

    def trained(self, messages: Sequence[Message], source: Source) -> tuple[bool, ...]:
        """Which tokens of `render(messages, answering=True)` the assistant wrote: its turns, each with its end token.

        With generation markers it is what they enclose, and the end token also where they leave it out: a model has to learn
        to stop.

        Raises:
            UserError: the template writes a turn differently once more turns follow, so that no single row shows every turn
                what sampling will show it; it writes no end token; a turn spells a control token; or the tokenizer has no
                offsets.
        """
        text, marks = self._rendered(messages, True, source)
        if not self.tokenizer.is_fast:
            raise UserError(
                f"{source}: turns=all needs a fast tokenizer, which knows the place of each token in the text, and this one is "
                f"a {type(self.tokenizer).__name__}; set turns=last"
            )
        encoded = self.tokenizer(text, add_special_tokens=False, return_offsets_mapping=True, verbose=False)
        ids, offsets = encoded["input_ids"], encoded["offset_mapping"]
        mask = [False] * len(ids)
        for number, asked, answered in self._turns(messages, text, source):
            span = len(asked), len(answered)
            given = self.tokenizer(asked, add_special_tokens=False, verbose=False)["input_ids"]
            inside = [i for i in _tokens_in(offsets, span) if i >= _begin(given, ids)]
            ends = [i for i in inside if ids[i] in self.control]
            self._check_turn(number, messages[number], bool(ends), source)
            first, last = inside[0], ends[-1]
            if self.marked:
                overlap = [mark for mark in marks if mark[0] < span[1] and span[0] < mark[1]]
                enclosed = [i for mark in overlap for i in _tokens_in(offsets, mark)]
                if not enclosed:
                    continue  # the template says that this turn teaches nothing
                first, last = enclosed[0], max(last, enclosed[-1])
            mask[first : last + 1] = [True] * (last + 1 - first)
        return tuple(mask)

    def _turns(self, messages: Sequence[Message], text: str, source: Source) -> Iterator[tuple[int, str, str]]:
        """The assistant's turns: index of the message, the text up to where sampling starts, and up to the turn's end."""
        for number, message in enumerate(messages):
            if message.role != "assistant":
                continue
            asked = self.render(messages[:number], answering=True, source=source)
            answered = self.render(messages[: number + 1], answering=False, source=source)
            for longer, shorter in ((answered, asked), (text, answered)):
                if not longer.startswith(shorter):
                    at = next((i for i, (a, b) in enumerate(zip(longer, shorter, strict=False)) if a != b), len(longer))
                    raise UserError(
                        f"{source}: turns=all, but the chat template writes the assistant's turn (message {number + 1}) in "
                        f"another way once more follows: {shorter[at : at + 30]!r} becomes {longer[at : at + 30]!r}, as "
                        "templates do that strip earlier thinking; set turns=last, or a chat template that keeps every turn "
                        "as it was"
                    )
            yield number, asked, answered

    def _check_turn(self, number: int, message: Message, ended: bool, source: Source) -> None:
        if not ended:
            raise UserError(
                f"{source}: turns=all, but the chat template writes no end token behind the assistant's turn (message "
                f"{number + 1}), so a model could not learn to stop there; set turns=last, or write the end-of-sequence token "
                "there in the chat template"
            )
        names = map(str, self.tokenizer.convert_ids_to_tokens(sorted(self.control)))
        if spelled := [name for name in names if name in message.content]:
            raise UserError(
                f"{source}: turns=all, but the assistant's turn (message {number + 1}) spells the control token "
                f"{spelled[0]!r}, which would be learnt in the middle of an answer; remove it from the text, or set turns=last"
            )

    @cached_property
    def _probed(self) -> tuple[str, str]:
        """What stands before and behind an answer, from where the prompt ends."""
        start = self.render(_PROBE[:1], answering=True, source=MADE)
        whole = self.render(_PROBE, answering=False, source=MADE)
        before, _, behind = whole.removeprefix(start).partition(_PROBE[1].content)
        return before, behind

    def _rendered(self, messages: Sequence[Message], answering: bool, source: Source) -> tuple[str, list[Span]]:
        """The text, and what generation markers enclose."""
        from jinja2 import TemplateError
        from transformers.utils.chat_template_utils import render_jinja_template

        template = self.tokenizer.chat_template
        if template is None:
            raise UserError(
                f"{source}: the prompt is a list of messages, but the tokenizer has no chat template; set "
                "`tokenizer.chat_template`, use an instruction-tuned model's tokenizer, or give the prompt as text, as "
                "style=transcript does"
            )
        turns: list[Any] = [{"role": message.role, "content": message.content} for message in messages]
        try:
            if not self.marked:
                text = self.tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=answering)
                return str(text), []
            texts, marks = render_jinja_template(
                [turns], chat_template=self.tokenizer.get_chat_template(), return_assistant_tokens_mask=True,
                add_generation_prompt=answering, **self.tokenizer.special_tokens_map,
            )  # fmt: skip
            return str(texts[0]), [(int(a), int(b)) for a, b in marks[0]]
        except TemplateError as error:
            roles = ", ".join(message.role for message in messages)
            raise UserError(
                f"{source}: the tokenizer's chat template refuses these messages ({roles}): {error}; reorder or merge "
                "the turns as it says"
            ) from error


def _tokens_in(offsets: Sequence[Span], span: Span) -> list[int]:
    """Tokens that lie within the characters."""
    return [i for i, (a, b) in enumerate(offsets) if a >= span[0] and b <= span[1]]


def _begin(given: Sequence[int], ids: Sequence[int]) -> int:
    """Where an answer begins that follows these ids. A token that holds the end of them and its beginning is given, too.

    Offsets alone do not show such a token: byte-level tokenizers leave the leading space out of them.
    """
    differs = next((i for i, (a, b) in enumerate(zip(given, ids, strict=False)) if a != b), None)
    return len(given) if differs is None else differs + 1
