"""Rules that read an answer's surface: its length, its repetitions, and what it contains. They never read the prompt."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from accordant.rewards import ContainsReward, LengthReward, RepetitionReward, Reward
from accordant.types import Answer


def load_length(cfg: LengthReward) -> Reward:
    """-max(0, at_least - length) - max(0, length - at_most). Raises UserError where there is no such tokenizer."""
    count = _counter(cfg)

    def outside(text: str) -> float:
        length = count(text)
        above = 0 if cfg.at_most is None else max(0, length - cfg.at_most)
        return -float(max(0, cfg.at_least - length) + above)

    return _each(outside)


def load_repetition(cfg: RepetitionReward) -> Reward:
    """-(1 - distinct n-grams / n-grams), from -1 to 0: seq-rep-n of Welleck et al. 2019, arXiv 1908.04319, on words.

    An answer of fewer than n words repeats nothing.
    """

    def repeated(text: str) -> float:
        words = text.split()
        grams = [tuple(words[i : i + cfg.n]) for i in range(len(words) - cfg.n + 1)]
        return len(set(grams)) / len(grams) - 1 if grams else 0.0

    return _each(repeated)


def load_contains(cfg: ContainsReward) -> Reward:
    """Matches of each text and pattern that do not overlap, added up, at most `cfg.at_most`."""
    flags = re.IGNORECASE if cfg.ignore_case else 0
    patterns = [re.compile(pattern, flags) for pattern in (*map(re.escape, cfg.texts), *cfg.patterns)]

    def matches(text: str) -> float:
        found = sum(1 for pattern in patterns for _ in pattern.finditer(text))
        return float(found if cfg.at_most is None else min(found, cfg.at_most))

    return _each(matches)


def _each(rule: Callable[[str], float]) -> Reward:
    def reward(answers: Sequence[Answer]) -> Tensor:
        return torch.tensor([rule(answer.completion) for answer in answers], dtype=torch.float32)

    return reward


def _counter(cfg: LengthReward) -> Callable[[str], int]:
    if cfg.unit == "words":
        return lambda text: len(text.split())
    if cfg.unit == "characters":
        return len
    from accordant.models.load import load_tokenizer

    assert cfg.tokenizer is not None
    tokenizer = load_tokenizer(cfg.tokenizer)
    return lambda text: len(tokenizer(text, add_special_tokens=False, split_special_tokens=True, verbose=False)["input_ids"])
