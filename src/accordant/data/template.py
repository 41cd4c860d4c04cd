"""Text -> token ids: the only place that decides what a model reads and which tokens it is trained on.

A prompt and its completion are tokenised apart, so that the prompt's ids are exactly those that sampling will start
from, and the boundary between what is given and what is learnt is a token boundary. The completion is tokenised as the
continuation that it is: SentencePiece-like tokenizers put a space before every text, which would tear a word in two.

The beginning-of-sequence token (BOS) appears once where the tokenizer adds it; a chat template is taken at its word,
since servers do so too, and nothing is added to it. The end-of-sequence token (EOS) closes each completion once: it is
where sampling stops. The answer to messages is closed as the chat template closes a turn (Gemma's <end_of_turn>). Text that
spells a control token is data and never becomes one, except in prompts, which people hand over already formatted. Nothing is
ever cut.

Of a conversation the last answer is trained on, or all of them (`turns="all"`): the tokens are the same, the mask says which.

An encoder's tokenizer frames a text in a class and a separator token of its own. A text to be classified is read in that
frame, as the classifier was trained on it, and a prompt with its answer in the frame of two texts; messages become lines that
name their roles, unless the tokenizer has a chat template. Such a tokenizer need not have an EOS.

An encoder-decoder reads the prompt on one side and writes the answer on the other, each as its tokenizer writes a text.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Literal, TypeAlias, TypeVar

from accordant.data.chat import ChatFormat
from accordant.data.files import first_few
from accordant.data.ratings import Scale
from accordant.stats.rankings import levels
from accordant.types import (
    MADE,
    Chat,
    Document,
    Labelled,
    Pair,
    Prompt,
    PromptText,
    Ranking,
    Rating,
    Row,
    Source,
    Thumb,
    TokenLabel,
    TokenPair,
    TokenRanking,
    TokenRating,
    Tokens,
    UserError,
)

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

Ids: TypeAlias = "tuple[int, ...]"
Encoded: TypeAlias = "Ids | Tokens | TokenPair | TokenLabel | TokenRanking | TokenRating"
RowT = TypeVar("RowT", bound=Row)

# A completion is tokenised behind one of these, and the anchor's own ids are taken off again. Several, because an
# anchor may be unknown to a vocabulary, or merge with the text behind it ("\n" and "\n" do, in many).
_ANCHORS = ("\n", ":", "a", "0")


def ensure_pad(tokenizer: PreTrainedTokenizerBase) -> str:
    """Give the tokenizer a padding token if it has none, and say which; "" where it has one already.

    An existing token is used (the unknown token, else EOS), so the vocabulary and the embeddings keep their size.
    Padding with EOS is safe here because masks are carried along and never guessed from ids.

    Raises:
        UserError: the tokenizer has no EOS token and is no encoder's.
    """
    _require_end(tokenizer)
    if tokenizer.pad_token_id is not None:
        return ""
    token, name = (tokenizer.unk_token, "unknown") if tokenizer.unk_token else (tokenizer.eos_token, "end-of-sequence")
    tokenizer.pad_token = token
    return f"the tokenizer has no padding token: its {name} token {token!r} is used, masked everywhere"


@dataclass(frozen=True)
class Template:
    """How one tokenizer writes each kind of row, in at most `max_length` tokens.

    For a tokenizer that adds a BOS, `encode_chat(Chat("2+2=", "4"))` gives the ids of ``<s>2+2=4</s>`` and a loss mask
    that is True on ``4</s>``.

    Args:
        tokenizer: a Hugging Face tokenizer with an EOS token.
        max_length: the model's context in tokens, or less to save memory.
        scored_eos: whether texts to be scored or classified end with EOS when they are finished. False reads for a
            classifier that was trained elsewhere on bare texts. An encoder's texts are framed either way.
        scale: the attributes of ratings; only needed to encode them.
        turns: which of the assistant's turns a `Chat` of messages trains on: the completion ("last"), or all of them.
        encoder_decoder: the model reads the prompt and writes the answer apart; `max_length` limits each of the two.

    Raises:
        UserError: the tokenizer has no EOS token and is no encoder's, or `max_length` is below 2.
    """

    tokenizer: PreTrainedTokenizerBase
    max_length: int
    scored_eos: bool = True
    scale: Scale | None = None
    turns: Literal["last", "all"] = "last"
    encoder_decoder: bool = False

    def __post_init__(self) -> None:
        _require_end(self.tokenizer)
        if self.max_length < 2:
            raise UserError(f"max_length is {self.max_length}; a prompt and an answer need at least 2 tokens")

    # --- the kinds of rows ---

    def encode_prompt(self, row: Prompt) -> Ids:
        """The ids that sampling starts from.

        Raises:
            UserError: the prompt is empty, leaves no room for an answer, or the chat template refuses it.
        """
        ids = self._prompt_ids(row.prompt, row.source)
        if len(ids) >= self.max_length:
            raise UserError(
                f"{row.source}: the prompt has {len(ids)} tokens and the context {self.max_length}, which leaves no "
                "room for an answer; shorten the prompt or raise max_length"
            )
        return ids

    def encode_chat(self, row: Chat) -> Tokens:
        """Prompt, completion, end; trained on the completion and its end, and with `turns="all"` on those in the prompt."""
        tokens = self._answer(row.prompt, row.completion, ends=True, source=row.source)
        if self.turns == "last" or isinstance(row.prompt, str) or all(m.role != "assistant" for m in row.prompt):
            return tokens
        if self.encoder_decoder:
            raise UserError(
                f"{row.source}: turns=all, but an encoder-decoder reads all turns before the last answer in its encoder, where "
                "nothing is learnt; set turns=last"
            )
        earlier = self.chat.trained(row.prompt, row.source)
        return replace(tokens, loss_mask=earlier + tokens.loss_mask[len(earlier) :])

    def encode_pair(self, row: Pair) -> TokenPair:
        """Both answers as `encode_scored` writes them, each behind the prompt and finished."""
        return TokenPair(
            chosen=self._answer(row.prompt, row.chosen, ends=self.scored_eos, source=row.source),
            rejected=self._answer(row.prompt, row.rejected, ends=self.scored_eos, source=row.source),
            margin=row.margin,
            weight=row.weight,
            tie=row.tie,
        )

    def encode_ranking(self, row: Ranking) -> TokenRanking:
        """All answers as `encode_pair` writes them, with their places. Raises UserError where a place is missing."""
        answers = tuple(self._answer(row.prompt, text, ends=self.scored_eos, source=row.source) for text in row.completions)
        rejected = tuple(k in row.rejected for k in range(len(answers)))
        return TokenRanking(answers, tuple(int(level) for level in levels(row)), rejected)

    def encode_rating(self, row: Rating) -> TokenRating:
        """The answer as `encode_pair` writes it, with its ratings on `scale`."""
        assert self.scale is not None, "ratings need a scale: Template(..., scale=Scale.of(rows))"
        tokens = self._answer(row.prompt, row.completion, ends=self.scored_eos, source=row.source)
        return TokenRating(tokens, self.scale.targets(row))

    def encode_thumb(self, row: Thumb) -> TokenLabel:
        """The answer as `encode_pair` writes it; thumbs up is class 1."""
        return TokenLabel(self._answer(row.prompt, row.completion, ends=self.scored_eos, source=row.source), int(row.up))

    def encode_scored(self, prompt: PromptText, completion: str, finished: bool) -> Tokens:
        """What a reward model reads, in training and in rollouts alike; EOS only where the answer was finished."""
        return self._answer(prompt, completion, ends=finished and self.scored_eos, source=MADE)

    def encode_labelled(self, row: Labelled) -> TokenLabel:
        """The text as a classifier reads it, in its own frame or as a finished answer; no token is trained on."""
        if framed(self.tokenizer):
            ids = tuple(self.tokenizer(row.text, split_special_tokens=True, verbose=False)["input_ids"])
        else:
            ids = self._with_bos(self._ids(row.text, literal=True)) + self._end(self.scored_eos)
        return TokenLabel(Tokens(ids, (False,) * len(ids)), row.label)

    def encode_document(self, row: Document) -> Tokens:
        """BOS, text, EOS; trained on everything that has a token before it, hence not on the first."""
        if self.encoder_decoder:
            raise UserError(
                f"{row.source}: found bare text, but an encoder-decoder learns to answer a prompt: write rows of `prompt` and "
                "`completion`"
            )
        ids = self._with_bos(self._ids(row.text, literal=True)) + self._end(True)
        return Tokens(ids, (False,) + (True,) * (len(ids) - 1))

    # --- the pieces they are made of ---

    def _answer(self, prompt: PromptText, completion: str, *, ends: bool, source: Source) -> Tokens:
        if self.encoder_decoder:
            before, after = self._prompt_ids(prompt, source), self._written(completion, ends)
        elif framed(self.tokenizer):
            return self._framed(prompt, completion, source)
        else:
            before, after = self._prompt_ids(prompt, source), self._completion_ids(prompt, completion, ends)
        return Tokens(before + after, (False,) * len(before) + (True,) * len(after), len(before))

    def _completion_ids(self, prompt: PromptText, completion: str, ends: bool) -> Ids:
        """The answer as the continuation of its prompt; to messages, as the chat template writes a turn."""
        end, text = self._end(ends), completion.removesuffix(self.tokenizer.eos_token)
        if isinstance(prompt, str):
            return self._continuation_ids(text) + end
        gap, closing = self.chat.end
        if closing is not None:
            text = text.removesuffix(str(self.tokenizer.convert_ids_to_tokens(closing)))
            end = (closing,) if ends else ()
        lead = "" if text.startswith(self.chat.lead) else self.chat.lead
        return self._continuation_ids(lead + text + ("" if not ends or text.endswith(gap) else gap)) + end

    def _written(self, completion: str, ends: bool) -> Ids:
        """The answer as an encoder-decoder's tokenizer writes a target, closed by EOS once."""
        eos = self.tokenizer.eos_token_id
        text = completion.removesuffix(self.tokenizer.eos_token).strip()
        ids = tuple(self.tokenizer(text_target=text, split_special_tokens=True, verbose=False)["input_ids"])
        body = ids[:-1] if ids[-1:] == (eos,) else ids
        return body + self._end(ends)

    def _framed(self, prompt: PromptText, completion: str, source: Source) -> Tokens:
        """Prompt and answer as an encoder's tokenizer frames two texts; nothing is trained on."""
        text = self._text_of(prompt, source)
        # Two texts of a frame are words of their own: the space between prompt and answer is the separator.
        framed = self.tokenizer(text.strip(), completion.strip(), split_special_tokens=True, verbose=False)
        ids = tuple(framed["input_ids"])
        second = [place for place, part in enumerate(framed.sequence_ids(0)) if part == 1]
        return Tokens(ids, (False,) * len(ids), second[0] if second else len(ids) - 1)  # an empty answer: before the separator

    def _text_of(self, prompt: PromptText, source: Source) -> str:
        """A prompt for a tokenizer that frames texts: messages as its chat template writes them, else as lines with roles."""
        if isinstance(prompt, str):
            return prompt
        if self.tokenizer.chat_template is None:
            return "\n".join(f"{message.role}: {message.content}" for message in prompt)
        return self.chat.render(prompt, answering=True, source=source)

    def _end(self, ends: bool) -> Ids:
        _require_eos(self.tokenizer)
        return (self.tokenizer.eos_token_id,) if ends else ()

    def _prompt_ids(self, prompt: PromptText, source: Source) -> Ids:
        if self.encoder_decoder:
            text = self._text_of(prompt, source).removeprefix(self.tokenizer.bos_token or "")
            ids = tuple(self.tokenizer(text.removesuffix(self.tokenizer.eos_token), verbose=False)["input_ids"])
        elif isinstance(prompt, str):
            ids = self._with_bos(self._ids(prompt.removeprefix(self.tokenizer.bos_token) if self._adds_bos else prompt))
        else:
            ids = self._ids(self.chat.render(prompt, answering=True, source=source))
        if not ids:
            raise UserError(
                f"{source}: the prompt is empty and the tokenizer adds no BOS, so nothing comes before the answer's "
                "first token; write a prompt, or use rows with `text` to train on bare text"
            )
        return ids

    def _ids(self, text: str, *, literal: bool = False) -> Ids:
        """Without the tokenizer's own additions; `literal`: text that spells a control token stays text."""
        encoded = self.tokenizer(text, add_special_tokens=False, split_special_tokens=literal, verbose=False)
        return tuple(encoded["input_ids"])

    @cached_property
    def chat(self) -> ChatFormat:
        """The tokenizer's chat template, for messages."""
        return ChatFormat(self.tokenizer)

    @property
    def closing(self) -> int:
        """The token that closes an answer to messages: what the chat template writes there, else EOS."""
        closing = self.chat.end[1] if self.tokenizer.chat_template else None
        return self._end(True)[0] if closing is None else closing

    @cached_property
    def _adds_bos(self) -> bool:
        bos = self.tokenizer.bos_token_id
        return bos is not None and self.tokenizer("a")["input_ids"][0] == bos

    def _with_bos(self, ids: Ids) -> Ids:
        bos = self.tokenizer.bos_token_id
        return (bos, *ids) if self._adds_bos else ids

    def _continuation_ids(self, text: str) -> Ids:
        """The ids of `text` where other text precedes it: " kite" is one word, "ite" no new one."""
        for anchor, ids in self._anchors:
            whole = self._ids(anchor + text, literal=True)
            if whole[: len(ids)] == ids:
                return whole[len(ids) :]
        return self._ids(text, literal=True)

    @cached_property
    def _anchors(self) -> tuple[tuple[str, Ids], ...]:
        """The anchors that this tokenizer knows; none where a text's ids do not depend on its being the first."""
        anchors = [(anchor, self._ids(anchor, literal=True)) for anchor in _ANCHORS]
        known = [(anchor, ids) for anchor, ids in anchors if ids and self.tokenizer.unk_token_id not in ids]
        for anchor, ids in known[:1]:
            probes = ("b", " b")
            if all(self._ids(anchor + probe, literal=True) == ids + self._ids(probe, literal=True) for probe in probes):
                return ()
        return tuple(known)


@dataclass(frozen=True)
class LongRows:
    """The rows that did not fit into `limit` tokens: where each is from, and its length."""

    limit: int
    rows: tuple[tuple[Source, int], ...] = ()

    @property
    def count(self) -> int:
        return len(self.rows)

    def __str__(self) -> str:
        named = first_few([f"{source} ({length} tokens)" for source, length in self.rows])
        return f"{self.count} rows over {self.limit} tokens: " + ", ".join(named)


def encode_all(
    rows: Sequence[RowT], template: Template, on_long: Literal["error", "drop"] = "error"
) -> tuple[list[Encoded], LongRows]:
    """Encode each row by its type; rows over `template.max_length` tokens are an error, or are left out and named.

    Returns:
        the encoded rows in order (`Prompt` -> ids, `Chat` and `Document` -> `Tokens`, `Labelled` and `Thumb` -> `TokenLabel`,
        `Pair` -> `TokenPair`, `Ranking` -> `TokenRanking`, `Rating` -> `TokenRating`), and the rows that were left out.

    Raises:
        UserError: a row is too long and `on_long` is "error"; or no row is left.
    """
    encoded: list[Encoded] = []
    long: list[tuple[Source, int]] = []
    for row in rows:
        tokens = _encoder(row, template)(row)
        length = context_needed(tokens, template.encoder_decoder)
        if length > template.max_length:
            long.append((row.source, length))
        else:
            encoded.append(tokens)
    dropped = LongRows(template.max_length, tuple(long))
    if long and (on_long == "error" or not encoded):
        fix = "raise max_length, shorten them" + (", or set on_long=drop to leave them out" if encoded else "")
        raise UserError(f"{dropped}; {fix}")
    return encoded, dropped


def _encoder(row: Row, template: Template) -> Callable[..., Encoded]:
    encoders: dict[type, Callable[..., Encoded]] = {
        # Not `encode_prompt`, which would stop at the first long prompt: here all of them are to be named.
        Prompt: lambda prompt: template._prompt_ids(prompt.prompt, prompt.source),
        Chat: template.encode_chat,
        Pair: template.encode_pair,
        Ranking: template.encode_ranking,
        Rating: template.encode_rating,
        Thumb: template.encode_thumb,
        Labelled: template.encode_labelled,
        Document: template.encode_document,
    }
    return encoders[type(row)]


def context_needed(tokens: Encoded, apart: bool) -> int:
    """In tokens; a prompt needs one more than its own, for the answer. `apart`: as of an encoder-decoder, its longer side."""
    match tokens:
        case Tokens(ids=ids, prompt_length=before):
            return max(before, len(ids) - before) if apart else len(ids)
        case TokenPair(answers=answers) | TokenRanking(answers=answers):
            return max(len(answer.ids) for answer in answers)
        case TokenLabel(tokens=inner) | TokenRating(tokens=inner):
            return len(inner.ids)
        case _:
            return len(tokens) + (not apart)


def framed(tokenizer: PreTrainedTokenizerBase) -> bool:
    """Whether the tokenizer is an encoder's, which puts a text between a class and a separator token."""
    return tokenizer.cls_token_id is not None and tokenizer.sep_token_id is not None


def _require_end(tokenizer: PreTrainedTokenizerBase) -> None:
    if not framed(tokenizer):
        _require_eos(tokenizer)


def _require_eos(tokenizer: PreTrainedTokenizerBase) -> None:
    if tokenizer.eos_token_id is None:
        raise UserError(
            "the tokenizer has no end-of-sequence token, so a model could never learn to stop; set "
            '`tokenizer.eos_token` to one of its tokens (for example "</s>" or "<|endoftext|>") and save it again'
        )
