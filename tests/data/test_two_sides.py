"""What an encoder-decoder reads and writes: prompt and answer each as its own tokenizer makes them, and nothing cut."""

from __future__ import annotations

from typing import Any

import pytest
from tokenizers import processors

from accordant.data.template import Template, encode_all
from accordant.types import Chat, Document, Message, Prompt, Source, UserError
from builders import BOS, EOS, byte_level_tokenizer, target_tokenizer


def bart_tokenizer() -> Any:
    """BOS and EOS around each text, as BART's, whose class and separator tokens they are, too."""
    tokenizer = byte_level_tokenizer(bos=True)
    frame = [(token, tokenizer.convert_tokens_to_ids(token)) for token in (BOS, EOS)]
    tokenizer.backend_tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{BOS} $A {EOS}", pair=f"{BOS} $A {EOS} $B {EOS}", special_tokens=frame
    )
    tokenizer.cls_token, tokenizer.sep_token = BOS, EOS
    return tokenizer


@pytest.fixture(params=[target_tokenizer, bart_tokenizer], ids=["t5", "bart"])
def template(request: pytest.FixtureRequest) -> Template:
    return Template(request.param(), 64, encoder_decoder=True)


def test_each_side_is_what_the_tokenizer_makes_of_a_text(template: Template) -> None:
    tokenizer = template.tokenizer
    tokens = template.encode_chat(Chat("the red kite", " over the mill"))
    assert list(tokens.ids[: tokens.prompt_length]) == tokenizer("the red kite")["input_ids"]
    assert list(tokens.ids[tokens.prompt_length :]) == tokenizer(text_target="over the mill")["input_ids"]
    assert tokens.loss_mask == (False,) * tokens.prompt_length + (True,) * (len(tokens.ids) - tokens.prompt_length)
    assert template.encode_prompt(Prompt("the red kite")) == tokens.ids[: tokens.prompt_length]


def test_the_answer_ends_once_and_only_where_it_is_finished(template: Template) -> None:
    eos = template.tokenizer.eos_token_id
    finished = template.encode_scored("the", f"red{EOS}", finished=True)
    cut = template.encode_scored("the", "red", finished=False)
    assert finished.ids == (*cut.ids, eos)
    written = finished.ids[finished.prompt_length :]
    assert written.count(eos) == 1
    assert template.encode_chat(Chat("the", f"a{EOS}b")).ids[finished.prompt_length :].count(eos) == 1  # spelled, not meant


def test_a_tokenizer_that_adds_no_end_gets_one() -> None:
    tokens = Template(byte_level_tokenizer(), 64, encoder_decoder=True).encode_chat(Chat("the", "red"))
    assert tokens.ids.count(2) == 1
    assert tokens.ids[-1] == 2 == byte_level_tokenizer().eos_token_id


def test_messages_are_lines_or_what_the_chat_template_writes(template: Template) -> None:
    messages = (Message("system", "be brief"), Message("user", "where is it?"))
    tokenizer = template.tokenizer
    assert list(template.encode_prompt(Prompt(messages))) == tokenizer("system: be brief\nuser: where is it?")["input_ids"]
    tokenizer.chat_template = "{{ bos_token }}{% for m in messages %}<{{ m['content'] }}>{% endfor %}"
    found = Template(tokenizer, 64, encoder_decoder=True).encode_prompt(Prompt(messages))
    assert list(found) == tokenizer("<be brief><where is it?>")["input_ids"]  # BOS once


def test_each_side_has_the_whole_context(template: Template) -> None:
    """A row of 12 + 5 tokens fits into two contexts of 12; the longer side decides, and is named."""
    row = Chat("the red kite flew over the old mill", "and the children ran after it", Source("a.jsonl", 3))
    tokens = template.encode_chat(row)
    sides = (tokens.prompt_length, len(tokens.ids) - tokens.prompt_length)
    assert len(encode_all([row], Template(template.tokenizer, max(sides), encoder_decoder=True))[0]) == 1
    with pytest.raises(UserError, match=rf"a\.jsonl:3 \({max(sides)} tokens\)"):
        encode_all([row], Template(template.tokenizer, max(sides) - 1, encoder_decoder=True))
    longer_answer = Chat(row.completion, row.prompt + row.prompt, Source("a.jsonl", 4))
    length = len(template.encode_chat(longer_answer).ids) - template.encode_chat(longer_answer).prompt_length
    with pytest.raises(UserError, match=rf"a\.jsonl:4 \({length} tokens\)"):
        encode_all([longer_answer], Template(template.tokenizer, length - 1, encoder_decoder=True))


def test_what_has_no_two_sides_is_refused(template: Template) -> None:
    with pytest.raises(UserError, match=r"d\.jsonl:1: found bare text"):
        template.encode_document(Document("the red kite", Source("d.jsonl", 1)))
    earlier = (Message("user", "the"), Message("assistant", "red"), Message("user", "kite"))
    with pytest.raises(UserError, match=r"c\.jsonl:2: turns=all, but an encoder-decoder"):
        Template(template.tokenizer, 64, turns="all", encoder_decoder=True).encode_chat(
            Chat(earlier, "flew", Source("c.jsonl", 2))
        )
