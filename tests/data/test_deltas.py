"""Text in pieces: nothing is lost, torn or taken back, and it ends before the first stop string, however it is cut."""

from __future__ import annotations

import re
from collections.abc import Sequence

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from transformers import PreTrainedTokenizerFast

from accordant.data.deltas import Deltas, StopStrings, Vocabulary
from builders import byte_level_tokenizer, metaspace_tokenizer

TOKENIZERS = {
    "byte-level": byte_level_tokenizer(bos=True), "metaspace": metaspace_tokenizer(),
    "metaspace, legacy": metaspace_tokenizer(legacy=True),
}  # fmt: skip
VOCABULARIES = {name: Vocabulary(tokenizer) for name, tokenizer in TOKENIZERS.items()}
PROMPTS = ("", "the red kite", "what colour is the door?\n", "ends in a space ", "Ünïcödé é")
TEXTS = st.text(st.sampled_from("the red kite\n .,é漢字🙂👍🏽نö\u200d"), max_size=20)


def cut(text: str, places: Sequence[int]) -> list[str]:
    """The text in pieces, some of them empty."""
    ends = sorted(min(place, len(text)) for place in places)
    return [text[a:b] for a, b in zip([0, *ends], [*ends, len(text)], strict=True)]


# --- stop strings ---


def through(pieces: Sequence[str], stops: Sequence[str]) -> tuple[list[str], bool]:
    """What comes out, piece by piece, and whether a stop string was met; nothing goes in once it was."""
    passing = StopStrings(stops)
    out = []
    for piece in pieces:
        out.append(passing.add(piece))
        if passing.met:
            return out, True
    out.append(passing.end())
    return out, passing.met


@given(
    text=st.text("abc", max_size=30),
    places=st.lists(st.integers(0, 30), max_size=12),
    stops=st.lists(st.text("abc", min_size=1, max_size=5), max_size=4),
)
@example(text="xabcb", places=[3], stops=["abcd", "c"])
@example(text="ab", places=[1], stops=["abc", "b"])
@example(text="aabaac", places=[1, 2, 3, 4, 5], stops=["aac"])
def test_the_text_up_to_the_first_stop_string(text: str, places: list[int], stops: list[str]) -> None:
    out, met = through(cut(text, places), stops)
    starts = [text.find(stop) for stop in stops if stop in text]
    assert "".join(out) == (text[: min(starts)] if starts else text)
    assert met == bool(starts)


@given(text=st.text("ab", max_size=20), stops=st.lists(st.text("ab", min_size=1, max_size=4), min_size=1, max_size=3))
def test_no_more_is_held_back_than_could_begin_a_stop_string(text: str, stops: list[str]) -> None:
    """After each character, all is out but the longest end that begins a stop string, and what follows that beginning."""
    passing = StopStrings(stops)
    out = ""
    for i in range(1, len(text) + 1):
        out += passing.add(text[i - 1])
        if passing.met:
            return
        open_ = [k for k in range(i) for stop in stops if stop.startswith(text[k:i]) and len(stop) > i - k]
        assert out == text[: min(open_, default=i)]


def test_what_follows_a_stop_string_is_nothing() -> None:
    passing = StopStrings(["b"])
    assert [passing.add("ab"), passing.add("cb"), passing.end()] == ["a", "", ""]


def test_an_empty_stop_string_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="at least one character"):
        StopStrings(["a", ""])


# --- tokens to text ---


def plain(tokenizer: PreTrainedTokenizerFast, ids: Sequence[int]) -> str:
    return str(tokenizer.decode(list(ids), skip_special_tokens=True, clean_up_tokenization_spaces=False))


def pieces(name: str, prompt: Sequence[int], ids: Sequence[int]) -> list[str]:
    deltas = Deltas(VOCABULARIES[name], prompt)
    return [*(deltas.add(i) for i in ids), deltas.end()]


@pytest.mark.parametrize("name", TOKENIZERS)
@given(text=TEXTS, prompt=st.sampled_from(PROMPTS))
def test_a_text_comes_back_whole_and_no_character_is_torn(name: str, text: str, prompt: str) -> None:
    tokenizer = TOKENIZERS[name]
    given_ids = tokenizer(prompt)["input_ids"]
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    found = pieces(name, given_ids, ids)
    before = plain(tokenizer, given_ids)
    assert "".join(found) == plain(tokenizer, [*given_ids, *ids])[len(before) :]
    assert not any("\ufffd" in piece for piece in found)


@pytest.mark.parametrize("name", TOKENIZERS)
@given(data=st.data(), prompt=st.sampled_from(PROMPTS[:4]))
def test_any_tokens_at_all_give_the_tokenizers_text(name: str, data: st.DataObject, prompt: str) -> None:
    """Bytes that are no characters, control tokens in the middle: what the tokenizer makes of all of them together."""
    tokenizer, vocabulary = TOKENIZERS[name], VOCABULARIES[name]
    torn = sorted(vocabulary.bytes) or [i for i in range(len(tokenizer)) if "\ufffd" in tokenizer.decode([i])]
    token = st.one_of(st.sampled_from(torn), st.integers(0, len(tokenizer) - 1))
    ids = data.draw(st.lists(token, max_size=12))
    given_ids = tokenizer(prompt)["input_ids"]
    found = pieces(name, given_ids, ids)
    assert "".join(found) == plain(tokenizer, [*given_ids, *ids])[len(plain(tokenizer, given_ids)) :]
    assert not any(mark in "".join(found) for mark in ("<s>", "</s>", "<pad>", "<unk>"))


@pytest.mark.parametrize("name", TOKENIZERS)
def test_text_is_shown_as_soon_as_it_is_sure(name: str) -> None:
    tokenizer = TOKENIZERS[name]
    ids = tokenizer(" kite flew é over", add_special_tokens=False)["input_ids"]
    deltas = Deltas(VOCABULARIES[name], tokenizer("the red")["input_ids"])
    shown = ""
    for k, token in enumerate(ids, start=1):
        shown += deltas.add(token)
        whole = plain(tokenizer, [*tokenizer("the red")["input_ids"], *ids[:k]])[len("the red") :]
        if not whole.endswith("\ufffd") and token not in VOCABULARIES[name].bytes:
            assert shown == whole
    assert deltas.end() == ""


def test_the_space_before_a_word_is_there_where_text_comes_before() -> None:
    tokenizer = TOKENIZERS["metaspace"]
    (kite,) = tokenizer("kite", add_special_tokens=False)["input_ids"]
    assert tokenizer.convert_ids_to_tokens(kite) == "▁kite"
    assert "".join(pieces("metaspace", tokenizer("red")["input_ids"], [kite, kite])) == " kite kite"
    assert "".join(pieces("metaspace", tokenizer("")["input_ids"], [kite, kite])) == "kite kite", "the beginning of a text"


def test_the_bytes_of_the_prompt_and_of_the_answer_do_not_spoil_each_other() -> None:
    """They are one run for the tokenizer, and a byte that does not fit turns a whole run into U+FFFD."""
    tokenizer = TOKENIZERS["metaspace"]
    prompt = tokenizer("kité")["input_ids"]
    assert prompt[-1] in VOCABULARIES["metaspace"].bytes
    stray, first, second = (tokenizer.convert_tokens_to_ids(f"<0x{byte:02X}>") for byte in (0xFF, 0xC3, 0xA9))
    assert "".join(pieces("metaspace", prompt, [stray])) == "\ufffd"
    assert "".join(pieces("metaspace", prompt, [first, second])) == "é"


@pytest.mark.parametrize("name", TOKENIZERS)
def test_a_token_is_spelled_as_within_a_text(name: str) -> None:
    tokenizer, vocabulary = TOKENIZERS[name], VOCABULARIES[name]
    for i in range(len(tokenizer)):
        written = tokenizer.convert_ids_to_tokens(i)
        if re.fullmatch(r"[▁Ġ]?[a-z]+", written):
            assert vocabulary.spelled(i) == re.sub("[▁Ġ]", " ", written)
    assert vocabulary.spelled(tokenizer.eos_token_id) == "</s>"
    assert vocabulary.control == set(tokenizer.all_special_ids)
