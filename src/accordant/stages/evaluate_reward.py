"""Measure a reward model on rows that nothing trained on."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np
import torch

from accordant.config import REQUIRED, Config, knob
from accordant.data.rows import read
from accordant.data.split import key
from accordant.data.template import Template, encode_all
from accordant.evaluation.reward_report import label_report, pair_report
from accordant.models.checkpoint import read_meta
from accordant.models.load import ModelConfig, require_scores
from accordant.models.scalar import ScalarModel
from accordant.rewards.scoring import score_tokens
from accordant.stages.folder import StageFolder
from accordant.types import Labelled, Pair, Row, UserError


class EvaluateRewardConfig(Config):
    """Which reward model, on which held-out rows."""

    model: ModelConfig = knob(REQUIRED, "the reward model")
    data: str = knob(REQUIRED, "held-out pairs or labelled texts", min_length=1)
    eos: bool | None = knob(None, "texts end with EOS; none = as in training, no where that is unknown")
    tokens_per_microbatch: int = knob(32_768, "padded tokens scored at once", "tokens", gt=0)


def run(cfg: EvaluateRewardConfig, folder: StageFolder, algo: ModuleType | None, name: str) -> dict[str, Any]:  # noqa: ARG001
    """Write reward_model.json."""
    require_scores(cfg.model)
    model = ScalarModel.load(cfg.model)
    rows: list[Row] = read(cfg.data)
    eos = bool(read_meta(cfg.model.path).get("eos", False)) if cfg.eos is None else cfg.eos
    template = Template(model.tokenizer, model.context or 1 << 20, scored_eos=eos)
    if all(isinstance(row, Pair) for row in rows):
        report = _pairs(cfg, model, template, rows)
    elif all(isinstance(row, Labelled) for row in rows):
        items = encode_all(rows, template)[0]
        scores = score_tokens(model, [item.tokens for item in items], cfg.tokens_per_microbatch)[:, 0]
        labels = np.array([row.label for row in rows], dtype=np.float64)  # type: ignore[union-attr]
        lengths = np.array([len(item.tokens.ids) for item in items], dtype=np.float64)
        report = label_report(_numpy(scores), labels, lengths)
    else:
        raise UserError(
            f"{cfg.data}: a reward model is measured on pairs or on labelled texts, found {type(rows[0]).__name__} rows"
        )
    folder.write_json("reward_model.json", report)
    folder.note(f"held-out accuracy {report['heldout_accuracy']:.3f} on {report['n']} (calibration error {report['ece']:.3f})")
    return {"heldout_accuracy": report["heldout_accuracy"], "n": report["n"], "ci95": report["ci95"], "ece": report["ece"]}


def _pairs(cfg: EvaluateRewardConfig, model: ScalarModel, template: Template, rows: list[Any]) -> dict[str, Any]:
    items = encode_all(rows, template)[0]
    tokens = [item.chosen for item in items] + [item.rejected for item in items]
    scores = _numpy(score_tokens(model, tokens, cfg.tokens_per_microbatch)[:, 0])
    chosen, rejected = scores[: len(rows)], scores[len(rows) :]
    ids = {k: i for i, k in enumerate(dict.fromkeys(key(row) for row in rows))}
    groups = np.array([ids[key(row)] for row in rows])
    lengths = np.array([len(t.ids) - t.prompt_length for t in tokens], dtype=np.float64)
    return pair_report(chosen, rejected, np.array([row.weight for row in rows]), groups, scores, lengths)


def _numpy(scores: torch.Tensor) -> Any:
    return scores.double().numpy()
