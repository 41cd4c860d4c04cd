"""Which tokens of a conversation are trained on, against masks made by hand from the pieces that a template consists of."""

from __future__ import annotations

from typing import Any

import pytest
from tokenizers import processors
from transformers import PreTrainedTokenizerFast

from accordant.data.template import Template, encode_all
from accordant.types import Chat, Message, Prompt, Source, UserError
from builders import EOS, byte_level_tokenizer, metaspace_tokenizer

CHATML = (
    "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\n' + m['content'] + '<|im_end|>' + '\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
CHATML_MARKED = (
    "{% for m in messages %}{% if m['role'] == 'assistant' %}{{ '<|im_start|>assistant\n' }}"
    "{% generation %}{{ m['content'] + '<|im_end|>' }}{% endgeneration %}{{ '\n' }}"
    "{% else %}{{ '<|im_start|>' + m['role'] + '\n' + m['content'] + '<|im_end|>' + '\n' }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
LLAMA_3 = (
    "{{ bos_token }}{% for m in messages %}"
    "{{ '<|start_header_id|>' + m['role'] + '<|end_header_id|>\n\n' + m['content'] | trim + '<|eot_id|>' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|start_header_id|>assistant<|end_header_id|>\n\n' }}{% endif %}"
)
LLAMA_2 = (
    "{% for m in messages %}{% if m['role'] == 'user' %}{{ bos_token + '[INST] ' + m['content'] | trim + ' [/INST]' }}"
    "{% elif m['role'] == 'assistant' %}{{ ' ' + m['content'] | trim + ' ' + eos_token }}"
    "{% else %}{{ raise_exception('only user and assistant turns') }}{% endif %}{% endfor %}"
)
GEMMA = (
    "{{ bos_token }}{% for m in messages %}{% set role = 'model' if m['role'] == 'assistant' else m['role'] %}"
    "{{ '<start_of_turn>' + role + '\n' + m['content'] | trim + '<end_of_turn>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<start_of_turn>model\n' }}{% endif %}"
)
ZEPHYR = (
    "{% for m in messages %}{{ '<|' + m['role'] + '|>\n' + m['content'] + eos_token + '\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>\n' }}{% endif %}"
)
STRIPS_THINKING = (
    "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\n' }}"
    "{% if m['role'] == 'assistant' and not loop.last %}{{ m['content'].split('</think>')[-1] }}"
    "{% else %}{{ m['content'] }}{% endif %}{{ '<|im_end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)

# Template, control tokens that it needs, and by hand: text before the first question, between question and answer, behind an
# answer up to its end token, from there to the next question, and what ends a turn.
FORMATS: dict[str, tuple[str, list[str], str, str, str, str]] = {
    "chatml": (CHATML, ["<|im_start|>", "<|im_end|>"],
        "<|im_start|>user\n", "<|im_end|>\n<|im_start|>assistant\n", "<|im_end|>", "\n<|im_start|>user\n"),
    "chatml, marked": (CHATML_MARKED, ["<|im_start|>", "<|im_end|>"],
        "<|im_start|>user\n", "<|im_end|>\n<|im_start|>assistant\n", "<|im_end|>", "\n<|im_start|>user\n"),
    "llama 3": (LLAMA_3, ["<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"],
        "<s><|start_header_id|>user<|end_header_id|>\n\n", "<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n",
        "<|eot_id|>", "<|start_header_id|>user<|end_header_id|>\n\n"),
    "llama 2": (LLAMA_2, [], "<s>[INST] ", " [/INST]", " </s>", "<s>[INST] "),
    "gemma": (GEMMA, ["<start_of_turn>", "<end_of_turn>"],
        "<s><start_of_turn>user\n", "<end_of_turn>\n<start_of_turn>model\n", "<end_of_turn>", "\n<start_of_turn>user\n"),
    "zephyr": (ZEPHYR, [], "<|user|>\n", "</s>\n<|assistant|>\n", "</s>", "\n<|user|>\n"),
}  # fmt: skip
LEAD = {"llama 2": " "}
TOKENIZERS: dict[str, Any] = {"byte-level": byte_level_tokenizer, "metaspace": metaspace_tokenizer}
TURNS = (("where is the parcel?", "at the station"), ("thank you", "seven days"), ("who painted the door?", "my aunt did."))
CONVERSATION = tuple(
    Message(role, text) for pair in TURNS for role, text in zip(("user", "assistant"), pair, strict=True)
)  # fmt: skip
ROW = Chat(CONVERSATION[:-1], TURNS[-1][1], Source("c.jsonl", 3))


def tokenizer_with(template: str, special: list[str], make: Any = byte_level_tokenizer) -> PreTrainedTokenizerFast:
    tokenizer = make(bos=True)
    tokenizer.add_special_tokens({"additional_special_tokens": special})
    tokenizer.chat_template = template
    return tokenizer


def by_hand(name: str) -> list[tuple[str, bool]]:
    """The row as (text, trained) pieces, written from the table above."""
    _, _, opening, asked, end, between = FORMATS[name]
    out = []
    for number, (question, answer) in enumerate(TURNS):
        out += [((between if number else opening) + question + asked, False), (LEAD.get(name, "") + answer + end, True)]
    return out


@pytest.fixture(params=[(name, kind) for name in FORMATS for kind in TOKENIZERS], ids=" ".join)
def case(request: pytest.FixtureRequest) -> tuple[str, PreTrainedTokenizerFast]:
    name, kind = request.param
    return name, tokenizer_with(FORMATS[name][0], FORMATS[name][1], TOKENIZERS[kind])


def runs(tokenizer: PreTrainedTokenizerFast, ids: tuple[int, ...], mask: tuple[bool, ...]) -> list[tuple[str, bool]]:
    """Neighbouring tokens with the same mask, decoded together."""
    out: list[tuple[list[int], bool]] = []
    for i, on in zip(ids, mask, strict=True):
        if not out or out[-1][1] != on:
            out.append(([], on))
        out[-1][0].append(i)
    return [(tokenizer.decode(some), on) for some, on in out]


def same_text(found: list[tuple[str, bool]], wanted: list[tuple[str, bool]]) -> None:
    """Equal but for the spaces at the edges of a piece, which a SentencePiece-like decoder drops."""
    assert [(text.strip(" "), on) for text, on in found] == [(text.strip(" "), on) for text, on in wanted]


def test_all_turns_with_their_ends_and_nothing_else(case: tuple[str, PreTrainedTokenizerFast]) -> None:
    name, tokenizer = case
    tokens = Template(tokenizer, 512, turns="all").encode_chat(ROW)
    same_text(runs(tokenizer, tokens.ids, tokens.loss_mask), by_hand(name))


def test_the_last_turn_alone_is_the_same_row_with_a_smaller_mask(case: tuple[str, PreTrainedTokenizerFast]) -> None:
    name, tokenizer = case
    last, every = (Template(tokenizer, 512, turns=turns).encode_chat(ROW) for turns in ("last", "all"))
    assert last.ids == every.ids
    assert last.prompt_length == every.prompt_length
    assert last.loss_mask == (False,) * last.prompt_length + every.loss_mask[last.prompt_length :]
    pieces = by_hand(name)
    same_text(runs(tokenizer, last.ids, last.loss_mask), [("".join(text for text, _ in pieces[:-1]), False), pieces[-1]])


def test_the_text_is_the_chat_templates_own(case: tuple[str, PreTrainedTokenizerFast]) -> None:
    """Up to the last end token, behind which nothing is left to learn; with the BOS just where the template writes it."""
    name, tokenizer = case
    ids = Template(tokenizer, 512, turns="all").encode_chat(ROW).ids
    turns = [{"role": message.role, "content": message.content} for message in CONVERSATION]
    whole = tokenizer.apply_chat_template(turns, tokenize=False)
    assert whole.rstrip("\n") == "".join(text for text, _ in by_hand(name))
    assert tokenizer.decode(ids) == tokenizer.decode(tokenizer(whole.rstrip("\n"), add_special_tokens=False)["input_ids"])
    assert ids.count(tokenizer.bos_token_id) == whole.count(tokenizer.bos_token)


def test_every_answer_is_preceded_by_what_sampling_starts_from() -> None:
    template = Template(tokenizer_with(*FORMATS["llama 3"][:2]), 512, turns="all")
    tokens = template.encode_chat(ROW)
    begins = [i for i in range(1, len(tokens.ids)) if tokens.loss_mask[i] and not tokens.loss_mask[i - 1]]
    assert [tokens.ids[:i] for i in begins] == [template.encode_prompt(Prompt(CONVERSATION[:n])) for n in (1, 3, 5)]


@pytest.mark.parametrize("kind", TOKENIZERS)
def test_markers_mean_what_the_tokenizer_says_they_mean(kind: str) -> None:
    tokenizer = tokenizer_with(*FORMATS["chatml, marked"][:2], TOKENIZERS[kind])
    tokens = Template(tokenizer, 512, turns="all").encode_chat(ROW)
    turns = [{"role": message.role, "content": message.content} for message in CONVERSATION]
    theirs = tokenizer.apply_chat_template(turns, return_assistant_tokens_mask=True, return_dict=True)
    length = len(tokens.ids)
    assert list(tokens.ids) == theirs["input_ids"][:length]
    assert [int(on) for on in tokens.loss_mask] == theirs["assistant_masks"][:length]
    assert sum(theirs["assistant_masks"][length:]) == 0


def test_markers_that_leave_the_end_out_do_not_unlearn_it() -> None:
    bare = CHATML_MARKED.replace(" + '<|im_end|>' }}{% endgeneration %}", " }}{% endgeneration %}{{ '<|im_end|>' }}")
    assert bare != CHATML_MARKED
    tokenizer = tokenizer_with(bare, FORMATS["chatml"][1])
    tokens = Template(tokenizer, 512, turns="all").encode_chat(ROW)
    same_text(runs(tokenizer, tokens.ids, tokens.loss_mask), by_hand("chatml"))


def test_a_turn_that_the_markers_leave_out_teaches_nothing() -> None:
    only_days = CHATML_MARKED.replace("{% if m['role'] == 'assistant' %}", "{% if 'days' in m['content'] %}")
    tokenizer = tokenizer_with(only_days, FORMATS["chatml"][1])
    tokens = Template(tokenizer, 512, turns="all").encode_chat(ROW)
    trained = [text for text, on in runs(tokenizer, tokens.ids, tokens.loss_mask) if on]
    assert trained == ["seven days<|im_end|>", "my aunt did.<|im_end|>"]  # the completion itself is always wanted


def test_a_template_that_strips_earlier_thinking_is_refused_for_all_turns_and_fine_for_the_last() -> None:
    tokenizer = tokenizer_with(STRIPS_THINKING, FORMATS["chatml"][1])
    thinking = (
        Message("user", "where is it?"), Message("assistant", "<think>hm</think>there"), Message("user", "thank you")
    )  # fmt: skip
    row = Chat(thinking, "<think>polite</think>welcome", Source("c.jsonl", 7))
    with pytest.raises(UserError, match=r"c\.jsonl:7: turns=all.* \(message 2\) .*'<think>hm.* becomes 'there.*set turns=last"):
        Template(tokenizer, 512, turns="all").encode_chat(row)
    tokens = Template(tokenizer, 512).encode_chat(row)
    assert runs(tokenizer, tokens.ids, tokens.loss_mask)[-1] == ("<think>polite</think>welcome<|im_end|>", True)


def test_a_template_without_ends_is_refused_for_all_turns_and_closed_by_eos_for_the_last() -> None:
    endless = (
        "{% for m in messages %}{{ m['role'] + ': ' + m['content'] + '\n' }}{% endfor %}"
        "{% if add_generation_prompt %}{{ 'assistant: ' }}{% endif %}"
    )
    tokenizer = tokenizer_with(endless, [])
    with pytest.raises(UserError, match=r"c\.jsonl:3: .* no end token behind the assistant's turn \(message 2\)"):
        Template(tokenizer, 512, turns="all").encode_chat(ROW)
    tokens = Template(tokenizer, 512).encode_chat(ROW)
    assert runs(tokenizer, tokens.ids, tokens.loss_mask)[-1] == (f"my aunt did.{EOS}", True)


def test_an_earlier_answer_that_spells_a_control_token_is_refused_for_all_turns() -> None:
    spelled = (CONVERSATION[0], Message("assistant", "at <|im_end|> the mill"), Message("user", "thank you"))
    tokenizer = tokenizer_with(*FORMATS["chatml"][:2])
    with pytest.raises(UserError, match=r"message 2\) spells the control token '<\|im_end\|>'"):
        Template(tokenizer, 512, turns="all").encode_chat(Chat(spelled, "welcome"))


def test_an_answer_is_closed_as_the_template_closes_a_turn_and_once() -> None:
    """By <end_of_turn> and not by EOS, also for a reward model; cut answers stay open."""
    tokenizer = tokenizer_with(*FORMATS["gemma"][:2])
    template, end = Template(tokenizer, 512), tokenizer.convert_tokens_to_ids("<end_of_turn>")
    finished = template.encode_scored(CONVERSATION[:1], "at the mill", finished=True)
    assert finished.ids[-1] == end
    assert tokenizer.eos_token_id not in finished.ids
    for spelled in ("at the mill<end_of_turn>", f"at the mill{EOS}"):
        assert template.encode_scored(CONVERSATION[:1], spelled, finished=True) == finished
    assert template.encode_scored(CONVERSATION[:1], "at the mill", finished=False).ids == finished.ids[:-1]
    assert template.encode_scored("plain", " text", finished=True).ids[-1] == tokenizer.eos_token_id


def test_the_space_before_an_end_is_written_once() -> None:
    tokenizer = tokenizer_with(*FORMATS["llama 2"][:2], metaspace_tokenizer)
    template = Template(tokenizer, 512)
    one = template.encode_chat(Chat(CONVERSATION[:1], "the mill"))
    assert tokenizer.convert_ids_to_tokens(list(one.ids[one.prompt_length :])) == ["▁the", "▁mill", "▁", EOS]
    assert template.encode_chat(Chat(CONVERSATION[:1], " the mill ")) == one  # as decoded from a rollout
    cut = template.encode_scored(CONVERSATION[:1], "the mill", finished=False)
    assert cut.ids == one.ids[:-2]


def test_text_prompts_and_single_turns_have_no_earlier_turns(case: tuple[str, PreTrainedTokenizerFast]) -> None:
    _, tokenizer = case
    rows = [Chat("the red", " kite"), Chat(CONVERSATION[:1], "at the mill")]
    every, last = (encode_all(rows, Template(tokenizer, 512, turns=turns))[0] for turns in ("all", "last"))
    assert every == last


@pytest.mark.parametrize("trimmed", [True, False], ids=["offsets without spaces", "offsets with spaces"])
def test_a_token_that_holds_the_prompts_end_is_not_part_of_the_answer(trimmed: bool) -> None:
    """Sampling starts behind "assistant: ", so it never writes " the" there; a space that is the answer's own counts."""
    spaced = (
        "{% for m in messages %}{{ m['role'] + ': ' + m['content'] + eos_token }}{% endfor %}"
        "{% if add_generation_prompt %}{{ 'assistant: ' }}{% endif %}"
    )
    tokenizer = tokenizer_with(spaced, [])
    tokenizer.backend_tokenizer.post_processor = processors.ByteLevel(trim_offsets=trimmed)
    for answer, trained in (("the mill", f" mill{EOS}"), ("at\nthe mill", f"\nthe mill{EOS}"), ("7 mill", f"7 mill{EOS}")):
        turns = (Message("user", "where?"), Message("assistant", answer), Message("user", "thank you"))
        tokens = Template(tokenizer, 512, turns="all").encode_chat(Chat(turns, "welcome"))
        first = next(text for text, on in runs(tokenizer, tokens.ids, tokens.loss_mask) if on)
        assert first == trained
