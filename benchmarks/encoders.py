"""What the measurements of this folder share: training a stage, scoring rows with its checkpoint, folds, an encoder's copy."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def train(kind: str, out: Path, settings: dict[str, Any]) -> Path:
    """Run one training stage as the command line does; its checkpoint folder. One that is finished there is not run again."""
    from rich.console import Console

    from accordant.pipeline.run import run
    from accordant.pipeline.spec import parse

    run(parse({"name": kind, "stages": {kind: {"run": kind, **settings}}}, [], kind), out, Console(quiet=True))
    return out / kind / "checkpoint"


def without_dropout(encoder: str, place: Path) -> str:
    """A copy of a checkpoint whose configuration has no dropout, which halves the time of long rows on a CPU."""
    if not place.exists():
        shutil.copytree(encoder, place)
        config = json.loads((place / "config.json").read_text())
        config |= {name: 0.0 for name in config if name.endswith(("dropout", "dropout_prob"))}
        (place / "config.json").write_text(json.dumps(config))
    return str(place)


def scores(checkpoint: Path, answers: Sequence[tuple[Any, str]], precision: str = "auto") -> Floats:
    """Outputs of a reward model for (prompt, completion) each, (N, A), in the order of its outputs.

    Answers over the model's context are an error, as everywhere.
    """
    from accordant.models.checkpoint import read_meta

    meta = read_meta(str(checkpoint))
    return _scored(checkpoint, precision, bool(meta["eos"]), [("answer", *answer) for answer in answers])


def text_scores(checkpoint: Path, texts: Sequence[str], precision: str = "auto") -> Floats:
    """The logit of a binary classifier for each text, (N,)."""
    from accordant.models.checkpoint import read_meta

    meta = read_meta(str(checkpoint))
    return _scored(checkpoint, precision, bool(meta["eos"]), [("text", text) for text in texts])[:, 0]


def _scored(checkpoint: Path, precision: str, eos: bool, texts: Sequence[tuple[Any, ...]]) -> Floats:
    from accordant.data.template import Template
    from accordant.models.load import ModelConfig
    from accordant.models.scalar import ScalarModel
    from accordant.rewards.scoring import score_tokens
    from accordant.types import Labelled

    model = ScalarModel.load(ModelConfig(path=str(checkpoint), precision=precision))  # type: ignore[arg-type]
    template = Template(model.tokenizer, model.context, scored_eos=eos)
    rows = [
        template.encode_labelled(Labelled(text[1], 0)).tokens if text[0] == "text" else template.encode_scored(*text[1:], True)
        for text in texts
    ]
    return np.asarray(score_tokens(model, rows, 2048).double())


def folds(groups: Sequence[int], k: int, seed: int) -> NDArray[np.int64]:
    """A fold for each row, (N,): whole groups, shuffled by the seed, dealt to the fold with the fewest rows so far."""
    ids, sizes = np.unique(groups, return_counts=True)
    home: dict[int, int] = {}
    filled = np.zeros(k)
    for place in np.random.default_rng(seed).permutation(len(ids)):
        fold = int(filled.argmin())
        home[int(ids[place])] = fold
        filled[fold] += sizes[place]
    return np.array([home[int(group)] for group in groups])
