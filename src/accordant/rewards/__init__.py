"""What an answer is worth: callables from answers, as text, to one number each.

Rewards read text, not the policy's ids: a reward model may have another tokenizer and template, rules, judges and people read
words, and a model reads through the very function that encoded its training data. The price is one tokenisation per rollout.

    model        a reward model that Accordant trained; its score, normalised as its checkpoint says
    classifier   any text classifier; the logit, probability or log-odds of a named label
    combine      a weighted sum of rewards, each standardised if asked
    safety_gate  safety where an answer is unsafe or its prompt risky, else helpfulness (Llama 2)
    rule         a Python function of yours
    length, repetition, contains     rules that are there already
    world        the embedded world's exact judge

An answer's reward never depends on which answers it is computed with: constants are measured on reference answers, not on the
batch that is optimised. Left out: judges, and people.
"""

from __future__ import annotations

import importlib
import math
import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias

from pydantic import Field, field_validator, model_validator

from accordant.config import REQUIRED, Config, knob
from accordant.types import Answer, UserError

if TYPE_CHECKING:
    from torch import Tensor

Reward: TypeAlias = "Callable[[Sequence[Answer]], Tensor]"
"""(B,) float32 on the CPU, one finite number per answer, in order; higher is better."""


class ModelReward(Config):
    """A reward model that was trained on pairs, rankings, ratings or thumbs."""

    kind: Literal["model"] = "model"
    path: str = knob(REQUIRED, "reward-model checkpoint", min_length=1)
    attribute: str | None = knob(None, "of a model of several attributes the one that is the reward; none = the mean of all")
    precision: Literal["auto", "float32", "bfloat16"] = knob("auto", "arithmetic of the forward pass")
    tokens_per_microbatch: int = knob(32_768, "padded tokens scored at once", "tokens", gt=0)


class ClassifierReward(Config):
    """What a text classifier says about one label."""

    kind: Literal["classifier"] = "classifier"
    path: str = knob(REQUIRED, "classifier checkpoint", min_length=1)
    label: str | None = knob(None, "label that is the reward; not needed where there is one output")
    output: Literal["logit", "log_probability", "probability", "log_odds"] = knob(
        "logit", "what is said about the label; log_odds = log p - log(1 - p), which for one output is the logit"
    )
    reads: Literal["answer", "prompt and answer", "two texts"] = knob(
        "prompt and answer", "the text that is classified; two texts: prompt and answer in an encoder's frame of two"
    )
    eos: bool | None = knob(
        None,
        "end the text of a finished answer with EOS; none = as in training, no where that is unknown; encoders never need it",
    )
    precision: Literal["auto", "float32", "bfloat16"] = knob("auto", "arithmetic of the forward pass")
    tokens_per_microbatch: int = knob(32_768, "padded tokens scored at once", "tokens", gt=0)


class WorldReward(Config):
    """The exact judge of the embedded world: true utility, or 1 for a toxic answer and 0 for another."""

    kind: Literal["world"] = "world"
    measure: Literal["utility", "toxic"] = knob("utility", "what is returned")


class LengthReward(Config):
    """Minus the distance of an answer's length from a range: 0 inside of it."""

    kind: Literal["length"] = "length"
    unit: Literal["words", "characters", "tokens"] = knob("words", "what is counted; words are what white space separates")
    at_least: int = knob(0, "shortest length without penalty", "units", ge=0)
    at_most: int | None = knob(None, "longest length without penalty; 0 = every unit costs 1", "units", ge=0)
    tokenizer: str | None = knob(None, "checkpoint whose tokens are counted; for unit: tokens")

    @model_validator(mode="after")
    def _makes_sense(self) -> LengthReward:
        if not self.at_least and self.at_most is None:
            raise ValueError("neither at_least nor at_most is given, so every length would be right: set one of them")
        if self.at_most is not None and self.at_most < self.at_least:
            raise ValueError(f"at_most={self.at_most} is below at_least={self.at_least}, so no length would be right")
        if (self.unit == "tokens") != (self.tokenizer is not None):
            raise ValueError(f"unit={self.unit}, tokenizer={self.tokenizer}: unit: tokens needs a tokenizer, others need none")
        return self


class RepetitionReward(Config):
    """Minus the share of an answer's word n-grams that repeat an earlier one."""

    kind: Literal["repetition"] = "repetition"
    n: int = knob(3, "words of an n-gram", "words", gt=0)


class ContainsReward(Config):
    """How often given texts and regular expressions are found in an answer; a negative weight makes it a penalty."""

    kind: Literal["contains"] = "contains"
    texts: tuple[str, ...] = knob((), "texts to be found, as they stand")
    patterns: tuple[str, ...] = knob((), "regular expressions to be found, in Python's syntax")
    ignore_case: bool = knob(False, "capitals and small letters are the same")
    at_most: int | None = knob(None, "matches that count at most; 1 = whether there is any", "matches", gt=0)

    @field_validator("texts", "patterns")
    @classmethod
    def _are_sound(cls, values: tuple[str, ...], info: Any) -> tuple[str, ...]:
        return _sound(values if info.field_name == "patterns" else tuple(map(re.escape, values)), values)

    @model_validator(mode="after")
    def _look_for_something(self) -> ContainsReward:
        if not self.texts and not self.patterns:
            raise ValueError("neither texts nor patterns are given, so nothing could be found: give one of them")
        return self


class RuleReward(Config):
    """A Python function of yours; it is imported only because it is named here."""

    kind: Literal["rule"] = "rule"
    function: str = knob(REQUIRED, "my_rules.py:name, or package.module:name of an installed package", min_length=1)
    batched: bool = knob(False, "the function takes a list of answers and returns as many numbers")

    @field_validator("function")
    @classmethod
    def _names_both(cls, value: str) -> str:
        place, colon, name = value.rpartition(":")
        if not colon or not place or not name.isidentifier():
            raise ValueError("write file.py:function or package.module:function")
        return value


class Whitening(Config):
    """Constants that give a reward mean 0 and standard deviation 1: (reward - mean) / sd."""

    reference: str | None = knob(None, "rows of prompts and answers that are scored once, at the start, to measure both")
    mean: float | None = knob(None, "the constant itself, where it is known", "reward", allow_inf_nan=False)
    sd: float | None = knob(None, "the constant itself, where it is known", "reward", gt=0, allow_inf_nan=False)

    @model_validator(mode="after")
    def _one_way(self) -> Whitening:
        known = (self.mean is not None) + (self.sd is not None)
        if (self.reference is not None and known) or (self.reference is None and known < 2):
            raise ValueError(f"give either reference or both mean and sd, found {_given(self)}")
        return self


class Part(Config):
    """One reward of a combination."""

    reward: RewardConfig = knob(REQUIRED, "the reward itself")
    weight: float = knob(1.0, "its factor; negative for a penalty", allow_inf_nan=False)
    whiten: Whitening | None = knob(None, "standardise this part; none = as the combination says")

    @field_validator("weight")
    @classmethod
    def _counts(cls, value: float) -> float:
        if value == 0:
            raise ValueError("a part of weight 0 is computed for nothing: leave it out, or measure it with monitor")
        return value


class CombineReward(Config):
    """The weighted sum of several rewards."""

    kind: Literal["combine"] = "combine"
    parts: dict[str, Part] = knob(REQUIRED, "the rewards by a name of your choice", min_length=1)
    whiten: Whitening | None = knob(
        None, "standardise each part without a whiten of its own before it is weighted; none = do not"
    )


class SafetyGateReward(Config):
    """Safety where the answer is unsafe or the prompt risky, else helpfulness."""

    kind: Literal["safety_gate"] = "safety_gate"
    safety: RewardConfig = knob(REQUIRED, "the safety reward, on the logit scale")
    helpfulness: RewardConfig = knob(REQUIRED, "the helpfulness reward, on the logit scale")
    threshold: float = knob(0.15, "sigmoid of the safety reward below which an answer is unsafe", gt=0, lt=1)
    risky_prompts: str | None = knob(None, "rows of prompts that are risky")
    risky_patterns: tuple[str, ...] = knob((), "regular expressions; a prompt in which one is found is risky, too")
    whiten: Whitening | None = knob(None, "standardise the result; none = do not")
    measure: Literal["reward", "gated"] = knob("reward", "gated = 1 where safety is the reward, else 0, to be monitored")

    @field_validator("risky_patterns")
    @classmethod
    def _are_sound(cls, values: tuple[str, ...]) -> tuple[str, ...]:
        return _sound(values, values)


def _sound(patterns: tuple[str, ...], written: tuple[str, ...]) -> tuple[str, ...]:
    """What was written, if every pattern compiles and is not found in nothing at all."""
    for pattern, value in zip(patterns, written, strict=True):
        try:
            everywhere = re.compile(pattern).search("")
        except re.error as error:
            raise ValueError(f"{value!r} is no regular expression ({error})") from None
        if everywhere:
            raise ValueError(f"{value!r} is found in an empty text, hence everywhere: ask for at least one character")
    return written


def _given(cfg: Config) -> str:
    return ", ".join(f"{name}={value}" for name, value in cfg.model_dump(exclude_none=True).items()) or "neither"


RewardConfig: TypeAlias = Annotated[
    ModelReward
    | ClassifierReward
    | CombineReward
    | SafetyGateReward
    | RuleReward
    | LengthReward
    | RepetitionReward
    | ContainsReward
    | WorldReward,
    Field(discriminator="kind"),
]
for _type in (Part, CombineReward, SafetyGateReward):  # they hold rewards, which were not all defined above them
    _type.model_rebuild()

LOADERS: dict[str, str] = {
    "model": "accordant.rewards.model:load_model",
    "classifier": "accordant.rewards.classifier:load_classifier",
    "combine": "accordant.rewards.combine:load_combine",
    "safety_gate": "accordant.rewards.safety_gate:load_safety_gate",
    "rule": "accordant.rewards.rule:load_rule",
    "length": "accordant.rewards.surface:load_length",
    "repetition": "accordant.rewards.surface:load_repetition",
    "contains": "accordant.rewards.surface:load_contains",
    "world": "accordant.rewards.world:load_world",
}


def load(cfg: RewardConfig) -> Reward:
    """Build the reward; weights are loaded here, once, and reference answers scored.

    The reward raises UserError for an answer whose number is not finite. No answers give no numbers.
    """
    import torch

    module, _, function = LOADERS[cfg.kind].partition(":")
    inner: Reward = getattr(importlib.import_module(module), function)(cfg)

    def reward(answers: Sequence[Answer]) -> Tensor:
        if not answers:
            return torch.zeros(0)
        out = inner(answers).float()
        assert out.shape == (len(answers),), f"{cfg.kind} gave {tuple(out.shape)} numbers for {len(answers)} answers"
        for value, answer in zip(out.tolist(), answers, strict=True):
            if not math.isfinite(value):
                raise UserError(f"the reward of an answer is {value} (kind: {cfg.kind}): {answer.completion!r}")
        return out

    return reward
