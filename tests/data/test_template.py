"""What is read and what is trained on, with both tokenizer families; CONFORMANCE 1, 7, 8, 12, 44 at the text's end."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accordant.data.template import Template, encode_all, ensure_pad
from accordant.types import Chat, Document, Labelled, Message, Pair, Prompt, Ranking, Source, UserError
from builders import BOS, EOS, SEP, UNK, byte_level_tokenizer, encoder_tokenizer, metaspace_tokenizer

TOKENIZERS = {
    "byte-level": lambda **options: byte_level_tokenizer(bos=True, **options),
    "metaspace": metaspace_tokenizer,
    "metaspace-legacy": lambda **options: metaspace_tokenizer(legacy=True, **options),
}
CACHED = {name: Template(make(chat=True), 4096) for name, make in TOKENIZERS.items()}
QUESTION = (Message("user", "where is the parcel?"),)


@pytest.fixture(params=TOKENIZERS)
def template(request):
    return CACHED[request.param]


def pieces(template, ids):
    return template.tokenizer.convert_ids_to_tokens(list(ids))


def trained(template, tokens):
    return template.tokenizer.decode([i for i, counts in zip(tokens.ids, tokens.loss_mask, strict=True) if counts])


def test_chat_is_prompt_then_completion_then_eos(template):
    tokens = template.encode_chat(Chat("the red kite flew", " over the mill"))
    ids = tokens.ids
    assert template.tokenizer.decode(ids, skip_special_tokens=True).strip() == "the red kite flew over the mill"
    assert ids.count(template.tokenizer.bos_token_id) == 1
    assert ids[0] == template.tokenizer.bos_token_id
    assert ids.count(template.tokenizer.eos_token_id) == 1
    assert ids[-1] == template.tokenizer.eos_token_id
    assert tokens.loss_mask == (False,) * tokens.prompt_length + (True,) * (len(ids) - tokens.prompt_length)
    assert trained(template, tokens).strip() == "over the mill" + EOS


def test_the_prompts_ids_are_those_that_sampling_starts_from(template):
    for prompt in ("the red kite", "two and two is ", "é", QUESTION):
        tokens = template.encode_chat(Chat(prompt, "thank you"))
        assert tokens.ids[: tokens.prompt_length] == template.encode_prompt(Prompt(prompt))


def test_plain_prompts_are_tokenised_as_the_tokenizer_itself_does(template):
    assert template.encode_prompt(Prompt("the red kite")) == tuple(template.tokenizer("the red kite")["input_ids"])


def test_a_completion_continues_and_gets_no_space_of_its_own():
    for name in ("metaspace", "metaspace-legacy"):
        template = CACHED[name]
        for prompt, completion, wanted in (
            ("the", " red kite", ["▁red", "▁kite"]),  # not ▁ ▁red
            ("the ", "red", ["re", "d"]),  # not ▁red: the prompt ends with the space
            ("the", "\n\nred", ["<0x0A>", "<0x0A>", "re", "d"]),
            ("the", "", []),
        ):
            tokens = template.encode_chat(Chat(prompt, completion))
            assert pieces(template, tokens.ids[tokens.prompt_length :]) == [*wanted, EOS]


@given(prompt=st.text(min_size=1, max_size=20), completion=st.text(max_size=30))
@pytest.mark.parametrize("name", TOKENIZERS)
def test_text_survives_the_boundary(name, prompt, completion):
    """Prompt and completion, tokenised apart, decode to their concatenation, byte for byte."""
    template = CACHED[name]
    tokenizer = template.tokenizer
    if any(mark in prompt + completion for mark in (BOS, EOS, "▁")):
        return  # "▁" is the space of these vocabularies, so that it comes back as one
    # Joined as one text: the ids differ from the split ones, the text does not.
    whole = tokenizer.decode(tokenizer(prompt + completion, add_special_tokens=False)["input_ids"])
    tokens = template.encode_scored(prompt, completion, finished=False)
    assert tokenizer.decode(tokens.ids[1:]) == whole


def test_bos_once_even_if_the_prompt_or_the_chat_template_writes_it(template):
    bos = template.tokenizer.bos_token_id
    assert template.encode_prompt(Prompt(BOS + "the kite")) == template.encode_prompt(Prompt("the kite"))
    assert template.encode_prompt(Prompt(QUESTION)).count(bos) == 1


def test_no_bos_where_the_tokenizer_adds_none():
    template = Template(byte_level_tokenizer(), 64)
    assert pieces(template, template.encode_prompt(Prompt("the"))) == ["the"]


def test_message_prompts_are_what_apply_chat_template_gives(template):
    turns = [{"role": "user", "content": "where is the parcel?"}]
    wanted = template.tokenizer.apply_chat_template(turns, add_generation_prompt=True, return_dict=False)
    assert list(template.encode_prompt(Prompt(QUESTION))) == wanted


def test_message_completions_are_trained_on_exactly(template):
    tokens = template.encode_chat(Chat(QUESTION, "at the station"))
    assert trained(template, tokens).strip() == "at the station" + EOS
    earlier = (*QUESTION, Message("assistant", "at the mill"), Message("user", "thank you"))
    assert trained(template, template.encode_chat(Chat(earlier, "seven days"))).strip() == "seven days" + EOS


def test_the_space_that_a_chat_template_writes_before_answers_is_part_of_them():
    tokenizer = metaspace_tokenizer()
    tokenizer.chat_template = (
        "{{ bos_token }}{% for m in messages %}{% if m['role'] == 'user' %}Q: {{ m['content'] }} A:"
        "{% else %}{{ ' ' + m['content'] + eos_token }}{% endif %}{% endfor %}"
    )
    template = Template(tokenizer, 64)
    for completion in ("the mill", " the mill"):  # written by hand, and as decoded from a rollout
        tokens = template.encode_chat(Chat(QUESTION, completion))
        assert pieces(template, tokens.ids[tokens.prompt_length :]) == ["▁the", "▁mill", EOS]


def test_control_tokens_spelled_in_a_completion_stay_text(template):
    eos = template.tokenizer.eos_token_id
    tokens = template.encode_chat(Chat("the", f" red{EOS} kite{EOS}"))
    assert tokens.ids.count(eos) == 1
    assert tokens.ids[-1] == eos
    assert f"red{EOS} kite" in template.tokenizer.decode(tokens.ids)
    assert template.encode_chat(Chat("the", f" red{EOS}")) == template.encode_chat(Chat("the", " red"))
    assert template.encode_document(Document(f"a{EOS}b")).ids.count(eos) == 1


def test_control_tokens_spelled_in_a_prompt_are_meant(template):
    assert template.tokenizer.eos_token_id in template.encode_prompt(Prompt(f"the{EOS}"))


def test_eos_is_learnt_where_it_also_pads():
    tokenizer = byte_level_tokenizer(pad=False)
    tokenizer.pad_token = EOS
    tokens = Template(tokenizer, 64).encode_chat(Chat("the", " kite"))
    assert tokens.ids[-1] == tokenizer.pad_token_id == tokenizer.eos_token_id
    assert tokens.loss_mask[-1]
    assert tokens.ids.count(tokenizer.eos_token_id) == 1


def test_a_truncated_answer_gets_no_forged_end(template):
    eos = template.tokenizer.eos_token_id
    finished = template.encode_scored("the", " red kite", finished=True)
    cut = template.encode_scored("the", " red kite", finished=False)
    assert finished.ids == (*cut.ids, eos)
    assert eos not in cut.ids


def test_a_reward_model_reads_pairs_in_training_as_it_reads_rollouts(template):
    for prompt in ("the red", QUESTION):
        pair = template.encode_pair(Pair(prompt, " kite", " mill", margin=0.5, weight=2.0))
        assert pair.chosen == template.encode_scored(prompt, " kite", finished=True)
        assert pair.rejected == template.encode_scored(prompt, " mill", finished=True)
        assert (pair.margin, pair.weight) == (0.5, 2.0)


def test_texts_to_classify_are_finished_answers_and_nothing_is_trained_on(template):
    label = template.encode_labelled(Labelled("the red kite", 1))
    tokenizer = template.tokenizer
    assert label.tokens.ids == (*tokenizer("the red kite")["input_ids"], tokenizer.eos_token_id)
    assert label.label == 1
    assert not any(label.tokens.loss_mask)


def test_a_foreign_classifier_reads_bare_texts():
    tokenizer = metaspace_tokenizer()
    bare = Template(tokenizer, 64, scored_eos=False)
    assert bare.encode_labelled(Labelled("the kite", 0)).tokens.ids == tuple(tokenizer("the kite")["input_ids"])
    assert bare.encode_scored("the", " kite", finished=True).ids == tuple(tokenizer("the kite")["input_ids"])


def test_an_encoders_tokenizer_frames_texts_and_trains_on_none():
    """A text by itself, or prompt and answer as two texts; a separator that a text spells stays text."""
    tokenizer = encoder_tokenizer()
    template = Template(tokenizer, 64)
    ids = template.encode_labelled(Labelled(f"the {SEP} kite", 0)).tokens.ids
    assert (ids[0], ids[-1]) == (tokenizer.cls_token_id, tokenizer.sep_token_id)
    assert ids.count(tokenizer.sep_token_id) == 1
    assert ensure_pad(tokenizer) == ""
    tokens = template.encode_chat(Chat("the", f" kite {SEP}"))
    assert list(tokens.ids) == tokenizer("the", f"kite {SEP}", split_special_tokens=True)["input_ids"]
    assert template.tokenizer.decode(tokens.ids[tokens.prompt_length :]).startswith("kite")
    assert not any(tokens.loss_mask)


def test_documents_are_trained_on_all_that_has_a_token_before_it(template):
    tokens = template.encode_document(Document("the red kite"))
    assert tokens.loss_mask == (False,) + (True,) * (len(tokens.ids) - 1)
    assert pieces(template, tokens.ids)[0] == BOS
    assert pieces(template, tokens.ids)[-1] == EOS


def test_truncation_saved_with_a_tokenizer_cuts_nothing():
    tokenizer = metaspace_tokenizer()
    tokenizer.backend_tokenizer.enable_truncation(max_length=4)
    tokens = Template(tokenizer, 64).encode_chat(Chat("the red kite flew over", " the old mill and the boat"))
    assert "boat" in tokenizer.decode(tokens.ids)


def test_long_rows_are_errors_that_name_them():
    template = Template(byte_level_tokenizer(), 12)
    rows = [Chat("the", " kite", Source("a.jsonl", 1)), Chat("the", " red kite" * 9, Source("a.jsonl", 2))]
    length = len(template.encode_chat(rows[1]).ids)
    with pytest.raises(UserError, match=rf"1 rows over 12 tokens: a.jsonl:2 \({length} tokens\); raise max_length"):
        encode_all(rows, template)


def test_long_rows_are_dropped_only_when_asked_and_named():
    template = Template(byte_level_tokenizer(), 12)
    pair = Pair("the", " kite", " red" * 30, source=Source("a.jsonl", 3))
    rows = [Chat("the", " kite"), pair, Prompt("the " * 30, Source("a.jsonl", 4))]
    encoded, long = encode_all(rows, template, on_long="drop")
    assert encoded == [template.encode_chat(rows[0])]
    assert long.count == 2
    assert [str(source) for source, _ in long.rows] == ["a.jsonl:3", "a.jsonl:4"]
    with pytest.raises(UserError, match="1 rows over 12"):  # nothing would be left
        encode_all([pair], template, on_long="drop")


def test_a_row_of_exactly_the_limit_fits_and_one_more_does_not():
    tokenizer = byte_level_tokenizer()  # the, Ġkit, e and EOS are 4 tokens; "a b b b" and EOS 5
    for row, length in (
        (Chat("the", " kite"), 4),
        (Document("the kite"), 4),
        (Labelled("the kite", 1), 4),
        (Pair("a", " b", " b b b"), 5),
        (Pair("a", " b b b", " b"), 5),
    ):
        assert len(encode_all([row], Template(tokenizer, length))[0]) == 1
        with pytest.raises(UserError, match=f"{length} tokens"):
            encode_all([row], Template(tokenizer, length - 1))


def test_a_prompt_needs_room_for_an_answer():
    tokenizer = byte_level_tokenizer()
    row = Prompt("the red kite", Source("p.jsonl", 7))
    length = len(Template(tokenizer, 64).encode_prompt(row))
    assert len(Template(tokenizer, length + 1).encode_prompt(row)) == length
    assert encode_all([row], Template(tokenizer, length + 1))[0]
    with pytest.raises(UserError, match=f"p.jsonl:7: the prompt has {length} tokens and the context {length}"):
        Template(tokenizer, length).encode_prompt(row)
    with pytest.raises(UserError, match=r"p.jsonl:7"):
        encode_all([row], Template(tokenizer, length))


def test_rankings_are_answers_with_places_and_every_answer_needs_one(template):
    row = Ranking("the", (" kite", " mill", " red"), ((2,), (0,)), rejected=(1,), source=Source("r.jsonl", 1))
    (ranking,), _ = encode_all([row], template)
    assert ranking.answers == tuple(template.encode_chat(Chat("the", text)) for text in row.completions)
    assert (ranking.level, ranking.rejected) == ((1, 2, 0), (False, True, False))
    with pytest.raises(UserError, match=r"r.jsonl:1"):
        encode_all([Ranking("q", ("a", "b"), ((0,),), source=Source("r.jsonl", 1))], template)


def test_an_empty_prompt_needs_a_bos():
    assert CACHED["metaspace"].encode_prompt(Prompt("")) == (CACHED["metaspace"].tokenizer.bos_token_id,)
    with pytest.raises(UserError, match=r"x.jsonl:1: the prompt is empty"):
        Template(byte_level_tokenizer(), 64).encode_prompt(Prompt("", Source("x.jsonl", 1)))


def test_messages_need_a_chat_template_that_accepts_them():
    with pytest.raises(UserError, match=r"c.jsonl:2: .* no chat template"):
        Template(byte_level_tokenizer(), 64).encode_prompt(Prompt(QUESTION, Source("c.jsonl", 2)))
    strict = byte_level_tokenizer(chat=True)
    strict.chat_template = "{{ raise_exception('system turns are not supported') }}"
    with pytest.raises(UserError, match=r"c.jsonl:2: .*\(user\): system turns are not supported"):
        Template(strict, 64).encode_prompt(Prompt(QUESTION, Source("c.jsonl", 2)))


def test_padding_token_is_chosen_without_resizing():
    tokenizer = metaspace_tokenizer(pad=False)
    size = len(tokenizer)
    assert f"unknown token {UNK!r}" in ensure_pad(tokenizer)
    assert tokenizer.pad_token == UNK
    assert len(tokenizer) == size
    assert ensure_pad(tokenizer) == ""
    bare = byte_level_tokenizer(pad=False)
    bare.unk_token = None
    assert f"end-of-sequence token {EOS!r}" in ensure_pad(bare)
    assert bare.pad_token == EOS


def test_a_tokenizer_without_eos_and_a_context_without_room_are_refused():
    with pytest.raises(UserError, match="no end-of-sequence token"):
        Template(byte_level_tokenizer(eos=False), 64)
    with pytest.raises(UserError, match="no end-of-sequence token"):
        ensure_pad(byte_level_tokenizer(eos=False))
    with pytest.raises(UserError, match="max_length is 1"):
        Template(byte_level_tokenizer(), 1)
