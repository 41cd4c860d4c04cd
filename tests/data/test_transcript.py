"""Turns and transcripts are two spellings of one thing."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accordant.data.fields import Bad
from accordant.data.transcript import as_transcript, messages
from accordant.types import Chat, Document, Labelled, Message, Pair, Prompt, Ranking, Rating, Thumb
from source_examples import turns

ASKED = turns("q", "a", "p")
TEXT = "\n\nHuman: q\n\nAssistant: a\n\nHuman: p\n\nAssistant:"


@pytest.mark.parametrize(
    ("row", "wanted"),
    [
        (Prompt(ASKED), Prompt(TEXT)),
        (Chat(ASKED, "b"), Chat(TEXT, " b")),
        (Thumb(ASKED, "b", False, "x"), Thumb(TEXT, " b", False, "x")),
        (Rating(ASKED, "b", {"s": 1.0}), Rating(TEXT, " b", {"s": 1.0})),
        (Pair(ASKED, "b", "c", 0.5, 2.0, True), Pair(TEXT, " b", " c", 0.5, 2.0, True)),
        (Ranking(ASKED, ("b", "c"), ((0,),), (1,)), Ranking(TEXT, (" b", " c"), ((0,),), (1,))),
        (Chat(turns("q", system="s"), "b"), Chat("\n\nSystem: s\n\nHuman: q\n\nAssistant:", " b")),
    ],
)
def test_every_row_of_messages_becomes_text_and_keeps_the_rest(row, wanted):
    assert as_transcript(row) == wanted


@pytest.mark.parametrize("row", [Prompt("q"), Chat("q", "a"), Pair("q", "a", "b"), Document("t"), Labelled("t", 1)])
def test_text_stays_as_it_is(row):
    assert as_transcript(row) is row


words = st.text("ab \n", min_size=1, max_size=6).map(str.strip).filter(bool)


@given(st.lists(words, min_size=1, max_size=7).filter(lambda said: len(said) % 2 == 1))
def test_a_transcript_gives_back_its_turns(said):
    text = as_transcript(Prompt(turns(*said))).prompt.removesuffix("\n\nAssistant:")
    assert [Message(turn["role"], turn["content"]) for turn in messages(text, "it")] == list(turns(*said))


def test_turns_of_one_speaker_are_joined_and_faults_are_named():
    assert messages("\n\nHuman: a\n\nHuman: b", "it") == [{"role": "user", "content": "a\n\nb"}]
    for text, message in (
        ("Human: a", "does not begin"),
        ("x\n\nHuman: a", "does not begin"),
        ("\n\nHuman: ", "empty Human turn"),
    ):
        with pytest.raises(Bad, match=f"it {message}|it has an {message}"):
            messages(text, "it")
