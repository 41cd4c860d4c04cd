"""Tokens as they come -> the text to show: in pieces that are never taken back, and that end before a stop string.

A token may end in the middle of a character or of a stop string, so a little is held back until it is sure: with byte-level
tokenizers a character that is not complete, with those that write unknown characters as bytes (`<0xE2>`) the whole run of
bytes, since a byte that does not fit turns all of its neighbours into U+FFFD.

`decode_completion` is for whole answers, and shows the control tokens that a policy wrote; here they have no text.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

_BYTE = re.compile(r"<0x[0-9A-F]{2}>")
_TORN = "\ufffd"  # what a decoder writes for bytes that are no character, or not yet


class Vocabulary:
    """What a tokenizer's tokens look like. Made once for a tokenizer: it reads the whole vocabulary."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase) -> None:
        self._tokenizer = tokenizer
        added = {i for i, token in tokenizer.added_tokens_decoder.items() if token.special}
        self.control = frozenset(added | set(tokenizer.all_special_ids))
        self.bytes = frozenset(i for token, i in tokenizer.get_vocab().items() if _BYTE.fullmatch(token))
        # Something to stand before a token, so that its leading space is not taken for the beginning of a text.
        self._before = tokenizer("a", add_special_tokens=False)["input_ids"][-1:]

    def text(self, ids: Sequence[int]) -> str:
        """The text of these tokens as the beginning of a text, control tokens written out."""
        return str(self._tokenizer.decode(list(ids), skip_special_tokens=False, clean_up_tokenization_spaces=False))

    def spelled(self, token: int) -> str:
        """One token as it is written within a text, such as " kite"."""
        return self.text([*self._before, token])[len(self.text(self._before)) :]


class Deltas:
    """The text of one answer, token by token.

    All that `add` and `end` give, joined, is the text which the tokens add to the prompt: its decoded text with them, less that
    without them. So the space before a first word is there where the prompt has text, as it is in `decode_completion`.
    """

    def __init__(self, vocabulary: Vocabulary, prompt: Sequence[int]) -> None:
        self._vocabulary = vocabulary
        # One token of the prompt is enough to say that this is no beginning. No byte, which would join those of the answer.
        self._ids = [i for i in prompt if i not in vocabulary.control and i not in vocabulary.bytes][-1:]
        self._given = len(vocabulary.text(self._ids))  # characters of the text of `_ids` that are known to the reader

    def add(self, token: int) -> str:
        """The text that is sure by now and was not given before; "" for a control token."""
        if token in self._vocabulary.control:
            return ""
        self._ids.append(token)
        if token in self._vocabulary.bytes:
            return ""
        text = self._vocabulary.text(self._ids)
        sure = len(text) - text.endswith(_TORN)
        piece, self._given = text[self._given : sure], max(self._given, sure)
        if self._given == len(text):  # nothing is held back: what comes needs only the last token before it
            self._ids = [token]
            self._given = len(self._vocabulary.text(self._ids))
        return piece

    def end(self) -> str:
        """What was held back, as there are no more tokens."""
        text = self._vocabulary.text(self._ids)
        piece, self._given = text[self._given :], len(text)
        return piece


class StopStrings:
    """Passes text on up to the first stop string, the one that begins first, however the text is cut into pieces."""

    def __init__(self, stops: Sequence[str]) -> None:
        if not all(stops):
            raise ValueError(f"a stop string has at least one character, found {list(stops)}")
        self._stops = tuple(stops)
        self._held = ""
        self.met = False

    def add(self, piece: str) -> str:
        """The text that is before every stop string whatever follows; "" once one is met."""
        if self.met:
            return ""
        text = self._held + piece
        found = min((place for stop in self._stops if (place := text.find(stop)) >= 0), default=len(text))
        begun = min((self._begun(text, stop) for stop in self._stops), default=len(text))
        # A stop string that is complete does not count yet while another, which begins before it, may still come.
        self.met = found < len(text) and found <= begun
        sure = min(found, begun)
        self._held = text[sure:]
        return text[:sure]

    def end(self) -> str:
        """What was held back, up to a stop string in it, as there is no more text."""
        if self.met:
            return ""
        found = [place for stop in self._stops if (place := self._held.find(stop)) >= 0]
        self.met = bool(found)
        piece, self._held = self._held[: min(found)] if found else self._held, ""
        return piece

    @staticmethod
    def _begun(text: str, stop: str) -> int:
        """Where the longest end of `text` begins that is a beginning of `stop`, but not all of it."""
        for place in range(max(0, len(text) - len(stop) + 1), len(text)):
            if stop.startswith(text[place:]):
                return place
        return len(text)
