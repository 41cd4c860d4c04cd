"""What is shown is the template's own tokens and mask, and its pieces are the text."""

from __future__ import annotations

import re

import pytest
from transformers import PreTrainedTokenizerBase

from accordant.data.show import NO_LIMIT, Piece, bracketed, length, pieces, sequences, visible
from accordant.data.template import Template, encode_all
from accordant.types import Chat, Document, Labelled, Message, Pair, Prompt, Ranking, Rating, Row, Thumb, Tokens, UserError
from builders import byte_level_tokenizer, encoder_tokenizer, metaspace_tokenizer, target_tokenizer

TOKENIZERS: dict[str, PreTrainedTokenizerBase] = {
    "byte level": byte_level_tokenizer(bos=True, chat=True),
    "metaspace": metaspace_tokenizer(chat=True),
    "legacy metaspace": metaspace_tokenizer(legacy=True, chat=True),
}
TURNS = (Message("user", "what colour?"), Message("assistant", "red"), Message("user", "sure?"))
TEXT = "the red kite, \u00e9t\u00e9 \u2603 \U0001f642\ufffd done"


@pytest.fixture(params=TOKENIZERS)
def template(request: pytest.FixtureRequest) -> Template:
    return Template(TOKENIZERS[request.param], NO_LIMIT)


@pytest.mark.parametrize("row", [Chat("Q: " + TEXT, " yes\n" + TEXT), Chat(TURNS, TEXT), Document(TEXT), Prompt(TEXT)])
def test_the_pieces_are_the_text_and_the_mask_is_the_templates(row: Row, template: Template) -> None:
    ((_, tokens),) = sequences(row, template)
    shown = pieces(tokens, template.tokenizer)
    assert [piece.trained for piece in shown] == list(tokens.loss_mask)
    assert "".join(piece.text for piece in shown) == template.tokenizer.decode(tokens.ids)
    ends = [template.tokenizer.convert_ids_to_tokens(id) in ("<s>", "</s>") for id in tokens.ids]
    assert [piece.special for piece in shown] == ends
    if isinstance(row, Chat):
        assert TEXT in "".join(piece.text for piece in shown if piece.trained)
        assert tokens == template.encode_chat(row)


def test_a_character_of_several_tokens_is_shown_with_its_last() -> None:
    tokenizer = byte_level_tokenizer()
    ids = tuple(tokenizer("\u2603", add_special_tokens=False)["input_ids"])
    assert len(ids) == 3
    shown = pieces(Tokens(ids, (True,) * 3), tokenizer)
    assert [piece.text for piece in shown] == ["", "", "\u2603"]


def test_all_turns_are_marked_where_all_are_trained_on(template: Template) -> None:
    both = Template(template.tokenizer, NO_LIMIT, turns="all")
    marks = {}
    for name, how in (("last", template), ("all", both)):
        ((_, tokens),) = sequences(Chat(TURNS, "yes"), how)
        trained = "".join(piece.text if piece.trained else "|" for piece in pieces(tokens, how.tokenizer))
        marks[name] = [part.strip() for part in re.split(r"\|+", trained) if part]
    assert marks == {"last": ["yes</s>"], "all": ["red</s>", "yes</s>"]}


def test_rows_of_several_sequences() -> None:
    template = Template(byte_level_tokenizer(), NO_LIMIT)
    pair = Pair("q", " good", " bad")
    encoded = template.encode_pair(pair)
    assert sequences(pair, template) == [("chosen", encoded.chosen), ("rejected", encoded.rejected)]
    names = [name for name, _ in sequences(Ranking("q", ("a", "b", "c"), ((2,), (0,)), (1,)), template)]
    assert names == ["place 2", "rejected", "place 1"]
    for row in (Thumb("q", "a", True), Labelled("qa", 1)):
        ((name, tokens),) = sequences(row, template)
        assert name == ""
        assert template.tokenizer.decode(tokens.ids) == "qa</s>"


def test_an_encoders_frame_is_special() -> None:
    template = Template(encoder_tokenizer(), NO_LIMIT)
    ((_, tokens),) = sequences(Labelled("red", 1), template)
    marks = [piece.special for piece in pieces(tokens, template.tokenizer)]
    assert marks == [True, *[False] * (len(marks) - 2), True]


def test_the_length_is_that_of_the_longest_sequence_and_leaves_room_to_answer_a_prompt() -> None:
    template = Template(byte_level_tokenizer(), NO_LIMIT)
    long, short = template.encode_chat(Chat("q", " a long answer")), template.encode_chat(Chat("q", "a"))
    assert length(Pair("q", "a", " a long answer"), template) == len(long.ids) > len(short.ids)
    assert length(Prompt("q"), template) == 2
    with pytest.raises(UserError, match="no chat template"):
        length(Chat(TURNS, "a"), template)


def test_the_sides_of_an_encoder_decoder_are_measured_apart_as_training_does() -> None:
    template = Template(target_tokenizer(), NO_LIMIT, encoder_decoder=True)
    chat = Chat("what colour is the kite in the sky?", "red")
    tokens = template.encode_chat(chat)
    longer = length(chat, template)
    assert longer == tokens.prompt_length < len(tokens.ids)
    encode_all([chat], Template(target_tokenizer(), longer, encoder_decoder=True))
    with pytest.raises(UserError, match=f"1 rows over {longer - 1} tokens"):
        encode_all([chat], Template(target_tokenizer(), longer - 1, encoder_decoder=True))
    assert length(Prompt("q"), template) == len(template.encode_prompt(Prompt("q")))


def test_a_rating_is_shown_as_what_its_model_reads() -> None:
    template = Template(byte_level_tokenizer(), NO_LIMIT)
    ((_, tokens),) = sequences(Rating("q", "a", {"x": 1.0}), template)
    assert template.tokenizer.decode(tokens.ids) == "qa</s>"


def test_control_characters_are_seen_and_never_sent_to_the_terminal() -> None:
    assert visible("a\x1b[31mb\x07\r\x9bc\td\n") == "a\u241b[31mb\u2407\u240d\\x9bc\td\u21b5\n"
    assert visible("plain, \u00e9t\u00e9 \u2603") == "plain, \u00e9t\u00e9 \u2603"


def test_brackets() -> None:
    shown = [Piece("<s>", False, True), Piece("Q\n", False, False), Piece(" yes", True, False), Piece("\n", True, False),
             Piece("</s>", True, True)]  # fmt: skip
    assert bracketed(shown) == "«<s>»Q\u21b5\n[ yes][\u21b5\n][«</s>»]"
