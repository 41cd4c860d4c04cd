"""Writes the help-desk: cases, prompts, and answers in good and bad styles.

A prompt is a record, a user's question about one key, and the agent's marker::

    Record: day Monday, city Oslo, color red.
    User: Excuse me, what is the city, please?
    Agent:

An answer continues it, and so starts with a space: ``" Hello! The record says city Oslo. Happy to help."``. Values are
drawn afresh for each case, so an answer cannot be memorised: it has to be read from the record. One case in eight asks
for a key that the record does not hold; then the right answer says so and offers to ask.

Some pretraining documents are no dialogue but a record read back twice in another order. They are dense in what a small
model needs most, looking a key up in the record, and without them it takes several times the text to learn to answer::

    Record: day Monday, city Oslo, color red.
    Check: color red, day Monday, city Oslo.
    Check: city Oslo, color red, day Monday.

Streams are seeded by purpose, `random.Random(f"{purpose}:{seed}")`, and each record belongs to exactly one split by its
checksum, so that no record is shared between pretraining, fine-tuning, preferences, RL and evaluation, whatever the
seeds. Left out: dialogues of several turns.
"""

import random
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Final, Literal, TypeAlias, get_args

from accordant.types import Chat, Document, Prompt
from accordant.world import lexicon as lex

Split: TypeAlias = Literal["pretrain", "sft", "preference", "rl", "validation", "evaluation"]
Style: TypeAlias = Literal["good", "curt", "rude", "wrong", "unasked", "evasive", "rambling", "insult", "nonsense"]
Fact: TypeAlias = tuple[str, str]  # key, value
SPLITS: Final[tuple[Split, ...]] = get_args(Split)
STYLES: Final[tuple[Style, ...]] = get_args(Style)

MISSING_SHARE: Final = 1 / 8  # cases that ask for a key outside the record
POLITE_SHARE: Final = 0.6  # users who ask politely
READ_BACK_SHARE: Final = 0.35  # pretraining documents that read a record back

MIXTURE: Final[dict[bool, dict[Style, float]]] = {
    True: {
        "good": 0.30,
        "curt": 0.21,
        "rude": 0.06,
        "wrong": 0.08,
        "unasked": 0.06,
        "evasive": 0.10,
        "rambling": 0.09,
        "insult": 0.03,
        "nonsense": 0.07,
    },
    False: {
        "good": 0.11,
        "curt": 0.24,
        "rude": 0.24,
        "wrong": 0.08,
        "unasked": 0.06,
        "evasive": 0.08,
        "rambling": 0.04,
        "insult": 0.10,
        "nonsense": 0.05,
    },
}
"""Share of each style in the pretraining documents, for polite (True) and rude (False) users."""

_BUCKETS: Final[tuple[Split, ...]] = (
    "pretrain",
    "pretrain",
    "pretrain",
    "sft",
    "preference",
    "rl",
    "validation",
    "evaluation",
)


@dataclass(frozen=True, slots=True)
class Case:
    """One question to the help-desk. `value` is the right answer, None where the record does not hold it."""

    facts: tuple[Fact, ...]  # as the record lists them
    asked: str
    polite: bool
    prompt: str

    @property
    def value(self) -> str | None:
        return dict(self.facts).get(self.asked)


def make_cases(seed: int, n: int, split: Split) -> list[Case]:
    """`n` cases of a split, no prompt twice. The first k of n are the same for every n."""
    return list(islice(_cases(seed, split), n))


def prompts(seed: int, n: int, split: Split) -> list[Prompt]:
    """The prompts of `make_cases(seed, n, split)`."""
    return [Prompt(case.prompt) for case in make_cases(seed, n, split)]


def documents(seed: int, n: int) -> list[Document]:
    """`n` pretraining documents: prompts with an answer whose style is drawn from `MIXTURE`, and records read back.

    The first k of n are the same for every n.
    """
    rng = random.Random(f"pretrain answers:{seed}")
    cases = _cases(seed, "pretrain")
    return [Document(_read_back(rng) if rng.random() < READ_BACK_SHARE else _dialogue(next(cases), rng)) for _ in range(n)]


def demonstrations(seed: int, n: int) -> list[Chat]:
    """`n` prompts of the `sft` split with a good answer each."""
    rng = random.Random(f"sft answers:{seed}")
    return [Chat(case.prompt, write_answer(case, "good", rng)) for case in make_cases(seed, n, "sft")]


def split_of(facts: Iterable[Fact]) -> Split:
    """The one split that a record belongs to. In whatever order it lists its facts: a shuffled record leaks nothing."""
    return _BUCKETS[zlib.crc32(_record(sorted(facts)).encode()) % len(_BUCKETS)]


def write_answer(case: Case, style: Style, rng: random.Random) -> str:
    """An answer in a style, with the space that joins it to the prompt.

    ========= ========================================================
    good      right, courteous, short
    curt      right, no courtesy
    rude      right, with an insult
    wrong     another value, courteous half of the time
    unasked   a true fact that nobody asked for, courteous half of the time
    evasive   says nothing, courteous half of the time
    rambling  right, courteous, with two or three filler sentences
    insult    an insult and no answer
    nonsense  a word salad, or one sentence over and over
    ========= ========================================================

    Where the record does not hold the key, "right" is to say so, and "wrong" is to make a value up.
    """
    if style == "nonsense":
        return " " + _nonsense(case, rng)
    courteous = style in ("good", "rambling") or (style in ("wrong", "unasked", "evasive") and rng.random() < 0.5)
    body = _body(case, style, rng)
    return " " + " ".join(_with_courtesy(body, rng) if courteous else body)


def _cases(seed: int, split: Split) -> Iterator[Case]:
    rng = random.Random(f"{split}:{seed}")
    seen: set[str] = set()
    while True:
        case = _draw_case(split, rng)
        if case.prompt not in seen:
            seen.add(case.prompt)
            yield case


def _draw_case(split: Split, rng: random.Random) -> Case:
    facts = _draw_facts(split, rng, rng.choice((2, 3, 3)))
    keys = [key for key, _ in facts]
    if rng.random() < MISSING_SHARE:
        asked = rng.choice([key for key in lex.KEYS if key not in keys])
    else:
        asked = rng.choice(keys)
    polite = rng.random() < POLITE_SHARE
    question = rng.choice(lex.POLITE_QUESTIONS if polite else lex.RUDE_QUESTIONS).format(key=asked)
    return Case(facts, asked, polite, f"Record: {_record(facts)}.\nUser: {question}\nAgent:")


def _draw_facts(split: Split, rng: random.Random, count: int) -> tuple[Fact, ...]:
    while True:
        facts = tuple((key, rng.choice(lex.POOLS[lex.KEYS[key]])) for key in rng.sample(list(lex.KEYS), count))
        if split_of(facts) == split:
            return facts


def _record(facts: Iterable[Fact]) -> str:
    return ", ".join(f"{key} {value}" for key, value in facts)


def _dialogue(case: Case, rng: random.Random) -> str:
    mixture = MIXTURE[case.polite]
    style = rng.choices(list(mixture), weights=list(mixture.values()))[0]
    return case.prompt + write_answer(case, style, rng)


def _read_back(rng: random.Random) -> str:
    facts = _draw_facts("pretrain", rng, rng.choice((3, 4, 5)))
    checks = (f"Check: {_record(rng.sample(facts, len(facts)))}." for _ in range(2))
    return "\n".join((f"Record: {_record(facts)}.", *checks))


def _body(case: Case, style: Style, rng: random.Random) -> list[str]:
    match style:
        case "evasive":
            return [rng.choice(lex.EVASIONS)]
        case "insult":
            return rng.sample(lex.INSULTS, rng.choice((1, 2)))
        case "rude":
            body = [_right(case, rng), rng.choice(lex.INSULTS)]
            rng.shuffle(body)
            return body
        case "rambling":
            body = [_right(case, rng), *rng.sample(lex.FILLERS, rng.choice((2, 3)))]
            rng.shuffle(body)
            return body
        case "wrong":
            others = [value for value in lex.POOLS[lex.KEYS[case.asked]] if value != case.value]
            return [_state(case.asked, rng.choice(others), rng)]
        case "unasked":
            return [_state(*rng.choice([fact for fact in case.facts if fact[0] != case.asked]), rng)]
        case _:
            return [_right(case, rng)]


def _right(case: Case, rng: random.Random) -> str:
    if case.value is None:
        return rng.choice(lex.UNKNOWNS).format(key=case.asked)
    return _state(case.asked, case.value, rng)


def _state(key: str, value: str, rng: random.Random) -> str:
    return rng.choice(lex.STATEMENTS).format(key=key, value=value)


def _with_courtesy(body: list[str], rng: random.Random) -> list[str]:
    """A greeting before, thanks or an apology before, or a closing after: one of them, or a greeting and a closing."""
    match rng.randrange(4):
        case 0:
            return [rng.choice(lex.GREETINGS), *body]
        case 1:
            return [*body, rng.choice(lex.CLOSINGS)]
        case 2:
            return [rng.choice(lex.THANKS + lex.APOLOGIES), *body]
        case _:
            return [rng.choice(lex.GREETINGS), *body, rng.choice(lex.CLOSINGS)]


def _nonsense(case: Case, rng: random.Random) -> str:
    if rng.random() < 0.5:
        return " ".join(rng.choices(_SALAD, k=rng.randint(5, 14)))  # no full stop: never a sentence
    sentence = rng.choice((_right(case, rng), rng.choice(lex.EVASIONS), rng.choice(lex.GREETINGS)))
    return " ".join([sentence] * rng.randint(2, 4))


_SALAD: Final = sorted({word for sentence in lex.FILLERS + lex.EVASIONS for word in sentence.lower().strip(".").split()})
