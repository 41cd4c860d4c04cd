import random
import re
from collections import Counter

import pytest

from accordant.world import lexicon as lex
from accordant.world.text import (
    MISSING_SHARE,
    MIXTURE,
    POLITE_SHARE,
    READ_BACK_SHARE,
    SPLITS,
    STYLES,
    demonstrations,
    documents,
    make_cases,
    prompts,
    split_of,
    write_answer,
)


def test_a_case_knows_its_answer_and_its_prompt_ends_at_the_marker():
    for case in make_cases(0, 300, "rl"):
        record, user, agent = case.prompt.split("\n")
        assert record == "Record: " + ", ".join(f"{key} {value}" for key, value in case.facts) + "."
        assert re.search(rf"\b{case.asked}\b", user)
        assert agent == "Agent:"
        assert case.value == dict(case.facts).get(case.asked)
        assert 2 <= len(case.facts) <= 3


def test_shares_are_as_stated():
    cases = make_cases(3, 4000, "pretrain")
    assert sum(case.value is None for case in cases) / 4000 == pytest.approx(MISSING_SHARE, abs=0.02)
    assert sum(case.polite for case in cases) / 4000 == pytest.approx(POLITE_SHARE, abs=0.03)
    read_back = sum("\nCheck: " in document.text for document in documents(3, 4000))
    assert read_back / 4000 == pytest.approx(READ_BACK_SHARE, abs=0.03)
    for mixture in MIXTURE.values():
        assert set(mixture) == set(STYLES)
        assert sum(mixture.values()) == pytest.approx(1.0)


def test_rude_users_get_rude_agents_more_often():
    def insulted(user_is_polite):
        texts = [document.text for document in documents(0, 4000) if "\nAgent:" in document.text]
        polite = [any(q.format(key=key) in text for q in lex.POLITE_QUESTIONS for key in lex.KEYS) for text in texts]
        answers = [text.split("\nAgent:")[1] for text, p in zip(texts, polite, strict=True) if p == user_is_polite]
        return sum(any(word in answer.lower() for word in lex.INSULT_WORDS) for answer in answers) / len(answers)

    assert insulted(True) == pytest.approx(MIXTURE[True]["rude"] + MIXTURE[True]["insult"], abs=0.03)
    assert insulted(False) == pytest.approx(MIXTURE[False]["rude"] + MIXTURE[False]["insult"], abs=0.04)


@pytest.mark.parametrize("split", SPLITS)
def test_the_same_seed_gives_the_same_and_a_prefix(split):
    assert make_cases(5, 60, split)[:25] == make_cases(5, 25, split)
    assert make_cases(5, 25, split) != make_cases(6, 25, split)
    assert [row.prompt for row in prompts(5, 25, split)] == [case.prompt for case in make_cases(5, 25, split)]


def test_documents_and_demonstrations_are_prefixes_too():
    assert documents(1, 80)[:30] == documents(1, 30)
    assert demonstrations(1, 80)[:30] == demonstrations(1, 30)
    assert documents(1, 30) != documents(2, 30)


def test_no_record_is_in_two_splits_whatever_the_seeds():
    owner: dict[frozenset, set] = {}
    for split in SPLITS:
        for seed in (0, 1):
            for case in make_cases(seed, 600, split):
                owner.setdefault(frozenset(case.facts), set()).add(split)
                assert split_of(case.facts) == split == split_of(reversed(case.facts))
    for document in documents(0, 600):
        facts = [tuple(fact.split(" ")) for fact in re.match(r"Record: (.*)\.", document.text)[1].split(", ")]
        owner.setdefault(frozenset(facts), set()).add("pretrain")
    assert all(len(splits) == 1 for splits in owner.values())


def test_no_prompt_comes_twice():
    counts = Counter(row.prompt for row in prompts(0, 3000, "rl"))
    assert len(counts) == 3000


def test_a_read_back_says_the_same_facts_in_every_line():
    texts = [document.text for document in documents(0, 200) if "\nCheck: " in document.text]
    for text in texts:
        lines = [sorted(line.split(": ")[1].strip(".").split(", ")) for line in text.split("\n")]
        assert lines[0] == lines[1] == lines[2]


def test_the_text_is_small_enough_to_learn():
    texts = [document.text for document in documents(0, 3000)]
    words = [re.findall(r"\w+|[^\w\s]|\n", text) for text in texts]
    assert len({word for text in words for word in text}) <= 300
    assert max(map(len, words)) <= 90
    assert all(len(re.findall(r"\w+|[^\w\s]|\n", case.prompt)) <= 40 for case in make_cases(0, 1000, "evaluation"))
    good = [len(re.findall(r"\w+|[^\w\s]", row.completion)) for row in demonstrations(0, 500)]
    assert max(good) <= 24


def test_words_are_unambiguous():
    """A value names its pool and nothing else; a key is never part of another sentence."""
    values = [value.lower() for pool in lex.POOLS.values() for value in pool]
    assert len(values) == len(set(values))
    sentences = [
        *lex.POLITE_QUESTIONS, *lex.RUDE_QUESTIONS, *lex.STATEMENTS, *lex.UNKNOWNS, *lex.GREETINGS, *lex.THANKS,
        *lex.APOLOGIES, *lex.CLOSINGS, *lex.EVASIONS, *lex.INSULTS, *lex.FILLERS, "Record: User: Agent: Check:",
    ]  # fmt: skip
    spoken = set(re.findall(r"[a-z]+", " ".join(sentences).lower())) - {"key", "value"}
    assert not spoken & set(values)
    assert not spoken & set(lex.KEYS)
    assert not set(values) & set(lex.KEYS)


def test_values_cannot_be_memorised():
    """For each key, the right answers of many cases are spread over its pool."""
    cases = [case for case in make_cases(0, 4000, "pretrain") if case.value is not None]
    for key, pool in lex.KEYS.items():
        answers = Counter(case.value for case in cases if case.asked == key)
        assert set(answers) == set(lex.POOLS[pool])
        assert max(answers.values()) / answers.total() < 2.5 / len(lex.POOLS[pool])


@pytest.mark.parametrize("style", STYLES)
def test_an_answer_continues_the_prompt_on_one_line(style):
    rng = random.Random(0)
    for case in make_cases(0, 100, "rl"):
        answer = write_answer(case, style, rng)
        assert answer.startswith(" ")
        assert answer == " " + answer.strip()
        assert "\n" not in answer
