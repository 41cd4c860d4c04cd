"""A trained reward model as a reward."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from accordant.data.template import Template
from accordant.models.checkpoint import read_meta
from accordant.models.load import ModelConfig
from accordant.models.scalar import ScalarModel
from accordant.rewards import ModelReward, Reward
from accordant.rewards.scoring import score_tokens
from accordant.types import Answer, UserError


def load_model(cfg: ModelReward) -> Reward:
    """(score - mean) / sd, with the constants that training measured on reference answers and stored in the checkpoint.

    Raises:
        UserError: the checkpoint was not trained on pairs by Accordant (then kind: classifier is the way).
    """
    meta = read_meta(cfg.path)
    if meta.get("algo") != "reward_pairwise":
        raise UserError(
            f"{cfg.path} is no reward model trained on pairs (accordant.json says {meta.get('algo', 'nothing')!r}): "
            "use kind: classifier to take a classifier's logit as the reward"
        )
    model = ScalarModel.load(ModelConfig(path=cfg.path, precision=cfg.precision))
    template = Template(model.tokenizer, int(meta["max_length"]), scored_eos=bool(meta["eos"]))
    mean, sd = float(meta["score_mean"]), float(meta["score_sd"])

    def reward(answers: Sequence[Answer]) -> Tensor:
        rows = [template.encode_scored(a.prompt, a.completion, a.finished) for a in answers]
        return (score_tokens(model, rows, cfg.tokens_per_microbatch)[:, 0] - mean) / sd

    return reward
