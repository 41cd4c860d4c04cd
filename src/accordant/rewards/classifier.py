"""Any text classifier as a reward."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from accordant.config import nearest
from accordant.data.template import Template, ensure_pad
from accordant.models.checkpoint import read_meta
from accordant.models.load import ModelConfig, require_scores
from accordant.models.scalar import ScalarModel
from accordant.rewards import ClassifierReward, Reward
from accordant.rewards.scoring import score_tokens
from accordant.types import Answer, Labelled, Tokens, UserError


def load_classifier(cfg: ClassifierReward) -> Reward:
    """The logit of `cfg.label`.

    Raises:
        UserError: the checkpoint has no trained head; the label is unknown, or not given where there are several; a prompt is
            a list of messages.
    """
    own = ModelConfig(path=cfg.path, precision=cfg.precision)
    require_scores(own)
    model = ScalarModel.load(own)
    ensure_pad(model.tokenizer)
    column = _column(model, cfg)
    length = model.context or 1 << 20
    eos = bool(read_meta(cfg.path).get("eos", False)) if cfg.eos is None else cfg.eos
    whole, cut = Template(model.tokenizer, length, scored_eos=eos), Template(model.tokenizer, length, scored_eos=False)

    def tokens(answer: Answer) -> Tokens:
        template = whole if answer.finished else cut
        return template.encode_labelled(Labelled(_text(answer, cfg), 0)).tokens

    def reward(answers: Sequence[Answer]) -> Tensor:
        return score_tokens(model, [tokens(a) for a in answers], cfg.tokens_per_microbatch)[:, column]

    return reward


def _text(answer: Answer, cfg: ClassifierReward) -> str:
    if cfg.reads == "answer":
        return answer.completion
    if not isinstance(answer.prompt, str):
        raise UserError("a classifier that reads prompt and answer needs prompts as plain text: set reads: answer")
    return answer.prompt + answer.completion


def _column(model: ScalarModel, cfg: ClassifierReward) -> int:
    by_name = {name: index for index, name in model.labels.items()}
    if cfg.label is None and len(by_name) == 1:
        return 0
    if cfg.label is None:
        raise UserError(f"{cfg.path} has the labels {', '.join(by_name)}: say which one is the reward with label")
    if cfg.label not in by_name:
        raise UserError(f"{cfg.path} has no label {cfg.label!r}{nearest(cfg.label, by_name)}")
    return by_name[cfg.label]
