"""Critics: what the policy may expect from here on, at every token.

The classic one is a linear head on the policy's own trunk that starts at zero. A separate one is a scalar model of its own, and
may start from the reward model, whose score of the text so far is a good first guess of its score in the end.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from accordant.config import REQUIRED, Config, knob
from accordant.models.checkpoint import read_meta
from accordant.models.language import LanguageModel, autocast, base_of, trunk_arguments, trunk_of
from accordant.models.load import ModelConfig, require_scores, scalar_head
from accordant.models.scalar import ScalarModel
from accordant.types import UserError


class ValueHead(nn.Module):
    """H -> 1 in float32, zero at the start: the first values are 0 and say nothing that is not known."""

    def __init__(self, hidden_size: int) -> None:
        super().__init__()
        self.linear = nn.Linear(hidden_size, 1)
        nn.init.zeros_(self.linear.weight)
        nn.init.zeros_(self.linear.bias)

    def forward(self, hidden: Tensor, ids: Tensor, mask: Tensor) -> Tensor:  # noqa: ARG002  (a critic of its own reads these)
        """The policy's hidden states (B, L, H) -> (B, L) float32."""
        with torch.autocast(hidden.device.type, enabled=False):
            out: Tensor = self.linear(hidden.float()).squeeze(-1)
        return out


class CriticConfig(Config):
    """A critic of its own instead of a head on the policy's trunk; it may start from the reward model."""

    path: str = knob(REQUIRED, "scalar checkpoint with the policy's tokenizer, such as the reward model", min_length=1)
    train: Literal["head", "all"] = knob("all", "train all of its weights, or only the head on a frozen trunk")


class Critic(nn.Module):
    """A scalar model read at every token: V(s_t) is its score of the text so far.

    Started from the reward model it knows from the first step what the score will be once the text is complete, and roughly
    what it will be before that (arXiv 2203.02155 starts its critic so, too).
    """

    def __init__(self, model: ScalarModel, train_all: bool, mean: float = 0.0, sd: float = 1.0) -> None:
        super().__init__()
        if not model.causal:
            raise UserError("a critic reads the text so far at every token: it must be a causal model, not an encoder")
        self.trunk = trunk_of(model.module)
        self.head = scalar_head(base_of(model.module))
        self.precision = model.precision
        self.mean, self.sd = mean, sd
        self.trunk.requires_grad_(train_all)
        self.eval()

    def forward(self, hidden: Tensor, ids: Tensor, mask: Tensor) -> Tensor:  # noqa: ARG002  (the value head reads these)
        """The tokens (B, L) int64 and their mask -> (B, L) float32."""
        with autocast(self.precision):
            own = self.trunk(input_ids=ids, use_cache=False, **trunk_arguments(self.trunk, mask)).last_hidden_state
        with torch.autocast(ids.device.type, enabled=False):
            out: Tensor = self.head(own.float())[..., 0]
        return (out - self.mean) / self.sd


def load_critic(cfg: CriticConfig, policy: LanguageModel) -> Critic:
    """The critic of `cfg`, on the scale of the rewards.

    Raises:
        UserError: the checkpoint has no trained head, or another vocabulary than the policy, whose ids it reads.
    """
    own = ModelConfig(path=cfg.path)
    require_scores(own)
    model = ScalarModel.load(own, precision=policy.precision)
    if model.tokenizer.get_vocab() != policy.tokenizer.get_vocab():
        raise UserError(f"critic.path={cfg.path} has another tokenizer than the policy, but reads the policy's tokens")
    if len(model.labels) > 1:
        raise UserError(f"critic.path={cfg.path} has {len(model.labels)} outputs, and a critic has one")
    meta = read_meta(cfg.path)
    # A reward model is normalised when it is a reward; its values must be on the same scale.
    scale = (meta["score_mean"][0], meta["score_sd"][0]) if meta.get("reads") == "prompt and answer" else (0.0, 1.0)
    return Critic(model, cfg.train == "all", *scale)
