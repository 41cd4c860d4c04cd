"""A trained reward model as a reward: from pairs, rankings, ratings or thumbs."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from accordant.config import nearest
from accordant.data.template import Template
from accordant.models.checkpoint import read_meta
from accordant.models.load import ModelConfig
from accordant.models.scalar import ScalarModel
from accordant.rewards import ModelReward, Reward
from accordant.rewards.scoring import score_tokens
from accordant.types import Answer, UserError


def load_model(cfg: ModelReward) -> Reward:
    """(score - mean) / sd, with the constants that training measured on reference answers and stored in the checkpoint.

    Of several attributes the mean of those constants' results is the reward, or the one that `cfg.attribute` names.

    Raises:
        UserError: the checkpoint was not trained on prompts and answers by Accordant (then kind: classifier is the way); or it
            has no such attribute.
    """
    meta = read_meta(cfg.path)
    if meta.get("reads") != "prompt and answer":
        raise UserError(
            f"{cfg.path} is no reward model for prompts and answers (accordant.json says {meta.get('algo', 'nothing')!r}): "
            "use kind: classifier to take a classifier's logit as the reward"
        )
    model = ScalarModel.load(ModelConfig(path=cfg.path, precision=cfg.precision))
    template = Template(model.tokenizer, int(meta["max_length"]), scored_eos=bool(meta["eos"]))
    mean, sd = torch.tensor(meta["score_mean"]), torch.tensor(meta["score_sd"])
    names = list(model.labels.values())
    if cfg.attribute is not None and cfg.attribute not in names:
        raise UserError(f"{cfg.path} has no attribute {cfg.attribute!r}{nearest(cfg.attribute, names)}")
    columns = list(range(len(names))) if cfg.attribute is None else [names.index(cfg.attribute)]

    def reward(answers: Sequence[Answer]) -> Tensor:
        rows = [template.encode_scored(a.prompt, a.completion, a.finished) for a in answers]
        return ((score_tokens(model, rows, cfg.tokens_per_microbatch) - mean) / sd)[:, columns].mean(1)

    return reward
