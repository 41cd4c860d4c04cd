"""Rows as their tokens, piece by piece: what a model reads, and which of it is trained on.

What is shown is what `template` made, the loss mask itself and no account of it. Pieces of a text joined are the text as the
tokenizer decodes it; a token that holds a part of a character only has an empty piece, and the last of them the character.

Left out: colours, which are the command line's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from accordant.data.template import Encoded, Template, context_needed, encode_all
from accordant.types import Rating, Row, Thumb, TokenPair, TokenRanking, Tokens

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

NO_LIMIT = 1 << 30
"""A `Template`'s max_length where rows are only looked at."""


@dataclass(frozen=True, slots=True)
class Piece:
    """One token: its text, whether it is trained on, and whether it is a special token (an end, a turn's mark)."""

    text: str
    trained: bool
    special: bool


def sequences(row: Row, template: Template) -> list[tuple[str, Tokens]]:
    """Each sequence of tokens that the row becomes, with a name where there are several; no length is too long.

    Raises:
        UserError: the template cannot write the row (no chat template, an empty prompt).
    """
    match encoded := _encoded(row, template):
        case TokenPair():
            return [("chosen", encoded.chosen), ("rejected", encoded.rejected)]
        case TokenRanking():
            named = zip(encoded.answers, encoded.level, encoded.rejected, strict=True)
            return [("rejected" if marked else f"place {level + 1}", answer) for answer, level, marked in named]
        case Tokens():
            return [("", encoded)]
        case tuple():  # a prompt
            return [("", Tokens(encoded, (False,) * len(encoded), len(encoded)))]
        case _:
            return [("", encoded.tokens)]


def length(row: Row, template: Template) -> int:
    """Context that the row needs, in tokens, as training counts it: of its longest sequence, see `template.context_needed`.

    Raises:
        UserError: the template cannot write the row.
    """
    return context_needed(_encoded(row, template), template.encoder_decoder)


def _encoded(row: Row, template: Template) -> Encoded:
    if isinstance(row, Rating):  # read as a thumb is; to see its tokens, no scale of ratings has to be known
        row = Thumb(row.prompt, row.completion, up=True, source=row.source)
    (encoded,), _ = encode_all([row], template)
    return encoded


def pieces(tokens: Tokens, tokenizer: PreTrainedTokenizerBase) -> list[Piece]:
    """The tokens one by one, with the loss mask as it stands."""
    special = {id for id, token in tokenizer.added_tokens_decoder.items() if token.special} | set(tokenizer.all_special_ids)
    texts = _texts(tokens.ids, tokenizer)
    return [Piece(text, trained, id in special) for text, trained, id in zip(texts, tokens.loss_mask, tokens.ids, strict=True)]


def _texts(ids: Sequence[int], tokenizer: PreTrainedTokenizerBase) -> list[str]:
    """What each token adds to the text before it.

    Decoded behind the token before, since SentencePiece drops the space of a text's first word; and held back while the
    characters are incomplete.
    """

    def decode(some: Sequence[int]) -> str:
        return str(tokenizer.decode(list(some), skip_special_tokens=False, clean_up_tokenization_spaces=False))

    texts: list[str] = []
    start = shown = 0
    for index in range(len(ids)):
        before, now = decode(ids[start:shown]), decode(ids[start : index + 1])
        if now.endswith("\ufffd") and index + 1 < len(ids):
            texts.append("")
            continue
        texts.append(now[len(before) :])
        start, shown = shown, index + 1
    return texts


def bracketed(shown: Sequence[Piece]) -> str:
    """Without colours: each trained token in [brackets], each special one in «quotes»; line ends stay visible as a sign."""
    return "".join(_bracketed(piece) for piece in shown)


def _bracketed(piece: Piece) -> str:
    text = visible(f"«{piece.text}»" if piece.special else piece.text)
    return f"[{text}]" if piece.trained else text


def visible(text: str) -> str:
    """Line ends with a sign before them, so that a trained one is seen; other control characters as signs alone.

    Text that comes from elsewhere must not move the cursor, change colours or rename the window.
    """
    return text.translate(_SIGNS)


_SIGNS: Mapping[int, str] = {
    **{code: chr(0x2400 + code) for code in range(32) if chr(code) not in "\t\n"},
    **{code: f"\\x{code:x}" for code in range(0x7F, 0xA0)},
    ord("\n"): "\u21b5\n",
}
