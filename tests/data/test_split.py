"""Splits by prompt, duplicates and overlaps; CONFORMANCE 44."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accordant.data.split import asked, duplicates, in_both, key, split
from accordant.types import Chat, Document, Message, Pair, Prompt, Rating, Source, UserError

ROWS = [Pair(f"q{i % 40}", f"good {i}", f"bad {i}", source=Source("p.jsonl", i)) for i in range(120)]


@given(st.lists(st.integers(0, 12), min_size=8, max_size=60), st.integers(0, 99))
def test_no_prompt_straddles_and_no_row_is_lost(prompts, seed):
    rows = [Pair(f"q{prompt}", "a", "b", source=Source("p", i)) for i, prompt in enumerate([*prompts, 13, 14, 15])]
    parts = split(rows, {"test": 1, "validation": 0.25}, seed)
    assert sorted((row for part in parts.values() for row in part), key=lambda row: row.source.line) == rows
    homes = [{key(row) for row in part} for part in parts.values()]
    assert sum(map(len, homes)) == len(set.union(*homes))
    assert len(homes[0]) == 1
    assert len(homes[1]) == round(0.25 * len(set(prompts) | {13, 14, 15}))
    assert in_both(parts["test"], parts["train"]) == []


def test_sizes_are_exact_where_prompts_are_unique():
    parts = split([Prompt(f"q{i}") for i in range(1000)], {"test": 100, "validation": 0.2}, seed=1)
    assert {name: len(part) for name, part in parts.items()} == {"test": 100, "validation": 200, "train": 700}


def test_the_order_of_rows_does_not_matter_and_is_kept():
    shuffled = random.Random(0).sample(ROWS, len(ROWS))
    parts, again = (split(rows, {"test": 10}, seed=3) for rows in (ROWS, shuffled))
    assert {row.source for row in parts["test"]} == {row.source for row in again["test"]}
    assert [row.source.line for row in parts["test"]] == sorted(row.source.line for row in parts["test"])


def test_seeds_differ_and_repeat():
    first, second = split(ROWS, {"test": 10}, seed=0), split(ROWS, {"test": 10}, seed=1)
    assert first == split(ROWS, {"test": 10}, seed=0)
    assert first["test"] != second["test"]


def test_new_rows_move_few_old_ones():
    old = [Prompt(f"q{i}") for i in range(1000)]
    before = {row.prompt for row in split(old, {"test": 200}, seed=0)["test"]}
    after = {row.prompt for row in split([*old, Prompt("new")], {"test": 200}, seed=0)["test"]}
    assert len(before - after) <= 1


def test_prompts_are_one_whatever_their_case_and_spacing():
    assert key(Prompt("Where is  it?\n")) == key(Chat("where IS it?", "there"))
    assert key(Prompt("caf\u00e9")) == key(Prompt("cafe\u0301"))
    assert key(Prompt((Message("user", "hi"),))) != key(Prompt((Message("system", "hi"),)))
    assert key(Document("a text")) == "a text"


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ({"test": 40}, "leave none of the 40 distinct ones for 'train'"),
        ({"test": 0.6, "validation": 0.5}, "leave none"),
        ({"test": 0}, "'test' would get 0 of 40"),
        ({"test": -3}, "'test' would get -3"),
        ({"test": 1.5}, "share 1.5 is not between 0 and 1"),
        ({"test": 0.001}, "'test' would get 0 of 40"),
        ({"a/b": 3}, "'a/b': a split becomes a file"),
        ({"": 3}, "'': a split becomes a file"),
        ({"..": 3}, "'..': a split becomes a file"),
        ({"train": 3}, "'train' is what the other splits leave"),
    ],
)
def test_impossible_sizes_are_refused(sizes, message):
    with pytest.raises(UserError, match=message):
        split(ROWS, sizes, seed=0)


def test_one_turn_of_a_user_is_asked_as_its_text():
    talk = (Message("user", "Hi  there"),)
    text = Prompt("hi there")
    assert key(asked(Pair(talk, "a", "b"))) == key(asked(Chat(talk, "a"))) == key(asked(text)) == key(text)
    others = [
        Prompt((Message("system", "hi there"),)), Prompt((*talk, Message("assistant", "hi there"))), Prompt((*talk, *talk)),
        Prompt(()),
    ]  # fmt: skip
    assert [key(asked(row)) for row in others] == [key(row) for row in others]
    assert len({key(asked(row)) for row in [text, *others]}) == 5
    assert asked(Document("hi there")) == Document("hi there")


def test_duplicates_are_equal_in_all_but_their_place():
    def rating(score, line):
        return Rating("q", "a", {"quality": score}, source=Source("r", line))

    rows = [rating(1.0, 1), rating(2.0, 2), rating(1.0, 3), Chat("q", "a", Source("c", 1)), rating(1.0, 4)]
    assert duplicates(rows) == [(Source("r", 1), Source("r", 3), Source("r", 4))]
    assert duplicates([Prompt("q"), Document("q")]) == []


def test_prompts_in_both_are_named_by_their_first_places():
    a = [Prompt(f"q{i}", Source("a.jsonl", i)) for i in (1, 2, 3, 3)]
    b = [Prompt(f"Q{i} ", Source("b.jsonl", 100 + i)) for i in range(3, 9)]
    assert in_both(a, b) == [(Source("a.jsonl", 3), Source("b.jsonl", 103))]
    assert in_both(a[:2], b) == []


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), min_size=2, max_size=14), st.integers(0, 9))
def test_what_hangs_together_by_prompts_and_words_is_one(pairs, seed):
    """The parts are made of whole groups, found here by joining sets until nothing changes; one group is a part of size 1."""
    groups = []
    for prompt, word in pairs:
        new = {("prompt", prompt), ("word", word)}
        groups = [*[group for group in groups if not group & new], new.union(*[group for group in groups if group & new])]
    rows = [Prompt(f"q{prompt}", Source("p", i)) for i, (prompt, _) in enumerate(pairs)]
    if len(groups) < 2:
        return
    test = split(rows, {"test": 1}, seed, [word for _, word in pairs])["test"]
    held = {("prompt", pairs[row.source.line][0]) for row in test}
    assert any(held == {name for name in group if name[0] == "prompt"} for group in groups)
    assert len(test) == sum(("prompt", prompt) in held for prompt, _ in pairs)
