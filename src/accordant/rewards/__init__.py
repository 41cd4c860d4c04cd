"""What an answer is worth: callables from answers, as text, to one number each.

Rewards read text, not the policy's ids: a reward model may have another tokenizer and template, rules, judges and people read
words, and a model reads through the very function that encoded its training data. The price is one tokenisation per rollout.

    model       a reward model trained from pairs by Accordant; its score, normalised as its checkpoint says
    classifier  any text classifier; the logit of a named label
    world       the embedded world's exact judge
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Annotated, Literal, TypeAlias

from pydantic import Field

from accordant.config import REQUIRED, Config, knob
from accordant.types import Answer

if TYPE_CHECKING:
    from torch import Tensor

Reward: TypeAlias = "Callable[[Sequence[Answer]], Tensor]"
"""(B,) float32 on the CPU, one number per answer, higher is better."""


class ModelReward(Config):
    """A reward model that was trained on pairs, rankings, ratings or thumbs."""

    kind: Literal["model"] = "model"
    path: str = knob(REQUIRED, "reward-model checkpoint", min_length=1)
    attribute: str | None = knob(None, "of a model of several attributes the one that is the reward; none = the mean of all")
    precision: Literal["auto", "float32", "bfloat16"] = knob("auto", "arithmetic of the forward pass")
    tokens_per_microbatch: int = knob(32_768, "padded tokens scored at once", "tokens", gt=0)


class ClassifierReward(Config):
    """The logit of one label of a text classifier."""

    kind: Literal["classifier"] = "classifier"
    path: str = knob(REQUIRED, "classifier checkpoint", min_length=1)
    label: str | None = knob(None, "label whose logit is the reward; not needed where there is one output")
    reads: Literal["answer", "prompt and answer"] = knob("prompt and answer", "the text that is classified")
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


RewardConfig: TypeAlias = Annotated[ModelReward | ClassifierReward | WorldReward, Field(discriminator="kind")]


def load(cfg: ModelReward | ClassifierReward | WorldReward) -> Reward:
    """Build the reward; weights are loaded here, once."""
    if isinstance(cfg, WorldReward):
        from accordant.rewards.world import load_world

        return load_world(cfg)
    if isinstance(cfg, ModelReward):
        from accordant.rewards.model import load_model

        return load_model(cfg)
    from accordant.rewards.classifier import load_classifier

    return load_classifier(cfg)
