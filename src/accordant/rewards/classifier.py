"""Any text classifier as a reward."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from torch import Tensor
from torch.nn.functional import log_softmax, logsigmoid

from accordant.config import nearest
from accordant.data.template import Template, ensure_pad
from accordant.models.checkpoint import read_meta
from accordant.models.language import base_of
from accordant.models.load import ModelConfig, require_scores
from accordant.models.scalar import ScalarModel
from accordant.rewards import ClassifierReward, Reward
from accordant.rewards.scoring import score_tokens
from accordant.types import Answer, Labelled, Tokens, UserError


def load_classifier(cfg: ClassifierReward) -> Reward:
    """The logit of `cfg.label`, or its probability, log-probability or log-odds.

    Raises:
        UserError: the checkpoint has no trained head; the label is unknown, or not given where there are several; a probability
            is asked of a regression; a prompt is a list of messages that the classifier has no way to read.
    """
    own = ModelConfig(path=cfg.path, precision=cfg.precision)
    require_scores(own)
    model = ScalarModel.load(own)
    ensure_pad(model.tokenizer)
    column = _column(model, cfg)
    tokens = _reader(model, cfg)
    independent = _independent(model, cfg)

    def reward(answers: Sequence[Answer]) -> Tensor:
        logits = score_tokens(model, [tokens(a) for a in answers], cfg.tokens_per_microbatch)
        return label_output(logits, column, cfg.output, independent)

    return reward


def label_output(logits: Tensor, column: int, output: str, independent: bool) -> Tensor:
    """(B, labels) float32 -> (B,) float32: what the classifier says about one label.

    `independent`: every label has a sigmoid of its own; else a softmax over all of them. The log-odds of a softmax are the
    label's logit less the log-sum-exp of the others', which stays finite where the probability rounds to 1.
    """
    logit = logits[:, column]
    if output == "logit" or (output == "log_odds" and independent):
        return logit
    if output == "log_odds":
        others = [i for i in range(logits.shape[1]) if i != column]
        return logit - logits[:, others].logsumexp(1)
    logp = logsigmoid(logit) if independent else log_softmax(logits, 1)[:, column]
    return logp if output == "log_probability" else logp.exp()


def _independent(model: ScalarModel, cfg: ClassifierReward) -> bool:
    """Whether labels exclude each other, decided as transformers' own pipeline does."""
    problem = base_of(model.module).config.problem_type
    if problem == "regression" and cfg.output != "logit":
        raise UserError(f"{cfg.path} is a regression, whose outputs have no {cfg.output}: use output: logit")
    return problem == "multi_label_classification" or len(model.labels) == 1


def _reader(model: ScalarModel, cfg: ClassifierReward) -> Callable[[Answer], Tokens]:
    """The function that writes an answer as the classifier reads it."""
    length = model.context or 1 << 20
    meta = read_meta(cfg.path)
    eos = bool(meta.get("eos", False)) if cfg.eos is None else cfg.eos
    # One that Accordant trained on prompts and answers reads them as its template wrote them, not as one text.
    as_trained = meta.get("reads") == "prompt and answer" and cfg.reads == "prompt and answer"
    whole, cut = Template(model.tokenizer, length, scored_eos=eos), Template(model.tokenizer, length, scored_eos=False)
    # A conversation is closed as the chat template closes a turn, unless that is forbidden.
    turns = Template(model.tokenizer, length, scored_eos=cfg.eos is not False)
    framed = model.tokenizer.cls_token_id is not None and model.tokenizer.sep_token_id is not None
    if cfg.reads == "two texts" and not framed:
        raise UserError(f"{cfg.path} is no encoder with a frame for two texts: set reads: prompt and answer")

    def tokens(answer: Answer) -> Tokens:
        if cfg.reads == "two texts" or as_trained:
            return whole.encode_scored(answer.prompt, answer.completion, answer.finished)
        if cfg.reads == "answer":
            text = answer.completion
        elif isinstance(answer.prompt, str):
            text = answer.prompt + answer.completion
        elif model.tokenizer.chat_template is None:
            raise UserError(
                f"a prompt is a list of messages, but the tokenizer of {cfg.path} has no chat template to write it with: "
                "set reads: answer, or for an encoder reads: two texts"
            )
        else:
            return turns.encode_scored(answer.prompt, answer.completion, answer.finished)
        found = (whole if answer.finished else cut).encode_labelled(Labelled(text, 0)).tokens
        # Nothing at all has no last token to be read at: an empty answer is its end alone.
        return found if found.ids else Tokens((model.tokenizer.eos_token_id,), (False,))

    return tokens


def _column(model: ScalarModel, cfg: ClassifierReward) -> int:
    by_name = {name: index for index, name in model.labels.items()}
    if cfg.label is None and len(by_name) == 1:
        return 0
    if cfg.label is None:
        raise UserError(f"{cfg.path} has the labels {', '.join(by_name)}: say which one is the reward with label")
    if cfg.label not in by_name:
        raise UserError(f"{cfg.path} has no label {cfg.label!r}{nearest(cfg.label, by_name)}")
    return by_name[cfg.label]
