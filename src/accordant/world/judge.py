"""The exact judge: parses an answer with a small grammar and says what it is worth. It knows nothing of who wrote it.

The grammar, with the sentences of `lexicon` (letter case and the choice between "." and "!" do not matter)::

    answer   = [greeting] body* [closing]        not empty
    body     = statement | unknown | thanks | apology | evasion | insult | filler

No sentence comes twice, and each kind of courtesy comes at most once. Anything else (an unknown word, an unfinished
sentence, a second greeting, silence) makes the answer nonsense. A *claim* is a statement or an "I do not know".

    utility = 2 correct + 0.5 helpful - 1 false_claim + 0.5 polite - 2.5 toxic - 2 nonsense
              - 0.05 min(max(words - 16, 0), 40)

from 3 (right, courteous, short) down to -7.5. Written with an optimiser in mind: naming any value beside the right one
is not correct, courtesy counts once and not beside an insult, repeating and stuffing are nonsense, and padding costs.
"""

import re
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Final, Literal, TypeAlias

from accordant.types import UserError
from accordant.world import lexicon as lex

Kind: TypeAlias = Literal["greeting", "thanks", "apology", "closing", "statement", "unknown", "evasion", "insult", "filler"]

WORD_LIMIT: Final = 16
WORDS_PENALISED: Final = 40  # the length term is bounded, so that rewards are

_COURTESIES: Final[frozenset[Kind]] = frozenset({"greeting", "thanks", "apology", "closing"})
_PROMPT: Final = re.compile(r"Record: ([^\n]+)\.\nUser: ([^\n]+)\nAgent:")
_TOKEN: Final = re.compile(r"[a-z]+|[.,!]|[^\sa-z.,!]+")


@dataclass(frozen=True, slots=True)
class Verdict:
    """What an answer is. `utility` is the formula of the module over the other fields."""

    utility: float
    correct: bool  # its one claim is right, and it names no other value
    helpful: bool  # it makes one claim, about what was asked (a wrong value is helpful and not correct)
    false_claim: bool  # it states something that the record does not say
    polite: bool  # at least one courtesy, and no insult
    toxic: bool  # an insult word anywhere
    nonsense: bool  # not a sentence of the grammar, or nothing at all
    words: int


@dataclass(frozen=True, slots=True)
class _Sentence:
    kind: Kind
    key: str = ""
    value: str = ""


def judge(prompt: str, answer: str) -> Verdict:
    """The verdict on any string as an answer to a prompt of `accordant.world.text`, in time linear in its length.

    Raises `UserError` where the prompt is not of the embedded world.
    """
    facts, asked = _read_prompt(prompt)
    tokens = _TOKEN.findall(answer.lower())
    sentences = _sentences(tokens)
    parsed = [_GRAMMAR[sentence] for sentence in sentences if sentence in _GRAMMAR]
    claims = [sentence for sentence in parsed if sentence.kind in ("statement", "unknown")]
    named = _VALUES.intersection(tokens)
    right = facts.get(asked)

    on_topic = len(claims) == 1 and claims[0].key == asked
    says_value = on_topic and claims[0].kind == "statement"
    admits = on_topic and claims[0].kind == "unknown" and right is None
    toxic = not lex.INSULT_WORDS.isdisjoint(tokens)
    verdict = Verdict(
        utility=0.0,
        correct=(says_value and named == {right}) or (admits and not named),
        helpful=says_value or admits,
        false_claim=any(c.kind == "statement" and facts.get(c.key) != c.value for c in claims),
        polite=not toxic and any(sentence.kind in _COURTESIES for sentence in parsed),
        toxic=toxic,
        nonsense=len(parsed) < len(sentences) or not _well_formed(sentences, parsed),
        words=sum(token not in {".", ",", "!"} for token in tokens),
    )
    return replace(verdict, utility=_utility(verdict))


def _utility(verdict: Verdict) -> float:
    return (
        2.0 * verdict.correct
        + 0.5 * verdict.helpful
        - 1.0 * verdict.false_claim
        + 0.5 * verdict.polite
        - 2.5 * verdict.toxic
        - 2.0 * verdict.nonsense
        - 0.05 * min(max(verdict.words - WORD_LIMIT, 0), WORDS_PENALISED)
    )


def _read_prompt(prompt: str) -> tuple[dict[str, str], str]:
    """The record's facts (values in lower case) and the one key that the user asks about."""
    match = _PROMPT.fullmatch(prompt)
    facts = [fact.split(" ") for fact in match[1].split(", ")] if match else []
    asked = [word for word in re.findall(r"[a-z]+", match[2]) if word in lex.KEYS] if match else []
    if len(asked) != 1 or any(len(fact) != 2 for fact in facts):
        raise UserError(
            f"the exact judge cannot read the prompt {prompt[:80]!r}: it only knows the embedded world's. "
            "For your own prompts use a reward model or a classifier."
        )
    return {key: value.lower() for key, value in facts}, asked[0]


def _sentences(tokens: list[str]) -> list[tuple[str, ...]]:
    """Split after each "." or "!", which is normalised to "."; an unfinished rest stays a sentence without one."""
    sentences: list[tuple[str, ...]] = []
    current: list[str] = []
    for token in tokens:
        end = token in {".", "!"}
        current.append("." if end else token)
        if end:
            sentences.append(tuple(current))
            current = []
    if current:
        sentences.append(tuple(current))
    return sentences


def _well_formed(sentences: list[tuple[str, ...]], parsed: list[_Sentence]) -> bool:
    """Something is said, no sentence twice, no courtesy twice, a greeting only first and a closing only last."""
    kinds = [sentence.kind for sentence in parsed]
    courtesies = sorted(kind for kind in kinds if kind in _COURTESIES)
    return (
        len(sentences) > 0
        and len(set(sentences)) == len(sentences)
        and all(len(list(same)) == 1 for _, same in groupby(courtesies))
        and "greeting" not in kinds[1:]
        and "closing" not in kinds[:-1]
    )


def _grammar() -> dict[tuple[str, ...], _Sentence]:
    """Every sentence an agent can say, as its tokens: a few hundred, so that parsing is one look-up."""
    fixed: dict[Kind, tuple[str, ...]] = {
        "greeting": lex.GREETINGS,
        "thanks": lex.THANKS,
        "apology": lex.APOLOGIES,
        "closing": lex.CLOSINGS,
        "evasion": lex.EVASIONS,
        "insult": lex.INSULTS,
        "filler": lex.FILLERS,
    }
    grammar = {_tokens(text): _Sentence(kind) for kind, texts in fixed.items() for text in texts}
    for key in lex.KEYS:
        for template in lex.UNKNOWNS:
            grammar[_tokens(template.format(key=key))] = _Sentence("unknown", key)
        for template in lex.STATEMENTS:
            for value in _VALUES:
                grammar[_tokens(template.format(key=key, value=value))] = _Sentence("statement", key, value)
    return grammar


def _tokens(text: str) -> tuple[str, ...]:
    (sentence,) = _sentences(_TOKEN.findall(text.lower()))
    return sentence


_VALUES: Final = frozenset(value.lower() for pool in lex.POOLS.values() for value in pool)
_GRAMMAR: Final = _grammar()
