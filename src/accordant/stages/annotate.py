"""Sample several answers to each prompt, have them ranked, and turn the labelers' consensus into pairs.

The labelers here are the embedded world's simulated ones. What they disagree on by majority gives no pair; the share of pairs
that have a majority is the coverage, and none is left out for being hard. Pairs of a prompt never straddle train and test.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Sequence
from itertools import combinations
from types import ModuleType
from typing import Any

import numpy as np

from accordant.config import REQUIRED, Config, knob
from accordant.data.rows import read, write_jsonl
from accordant.data.split import key, split
from accordant.data.template import Template, encode_all, ensure_pad
from accordant.models.generate import Sampling, generate, stop_ids
from accordant.models.language import LanguageModel
from accordant.models.load import ModelConfig
from accordant.seeds import derive, generator
from accordant.stages.folder import StageFolder
from accordant.stages.text import completions
from accordant.stats.agreement import fleiss_kappa, pairwise_votes
from accordant.stats.consensus import consensus_pairs, majority
from accordant.stats.intervals import bootstrap_ci
from accordant.stats.rankings import levels
from accordant.types import Prompt, Ranking, UserError
from accordant.world.labelers import LABELERS, rank


class AnnotateConfig(Config):
    """Which model answers what, how often, and how labels become pairs."""

    model: ModelConfig = knob(REQUIRED, "the policy whose answers are labelled")
    prompts: str = knob(REQUIRED, "rows of prompts", min_length=1)
    samples_per_prompt: int = knob(4, "answers to each prompt", "responses", gt=1)
    max_new_tokens: int = knob(48, "longest answer", "tokens", gt=0)
    temperature: float = knob(1.0, "sampling temperature", gt=0)
    min_share: float = knob(0.5, "a pair needs more than this share of the labelers", ge=0.5, lt=1)
    test: float = knob(0.2, "share of the prompts whose pairs are held out", gt=0, lt=1)
    seed: int = knob(0, "seed of sampling, labelers and split")


def run(cfg: AnnotateConfig, folder: StageFolder, algo: ModuleType | None, name: str) -> dict[str, Any]:  # noqa: ARG001
    """Write rankings.jsonl, train.jsonl, test.jsonl and labels.json."""
    model = LanguageModel.load(cfg.model, cfg.seed)
    ensure_pad(model.tokenizer)
    rows = read(cfg.prompts, Prompt)
    answered = list(zip(rows, sample(cfg, model, rows), strict=True))
    # An answer without a word cannot be shown to a labeler; its item is left out, and counted.
    shown = [(row, texts) for row, texts in answered if all(text.strip() for text in texts)]
    if not shown:
        raise UserError(
            f"each of the {len(rows)} prompts got at least one empty answer, so nothing can be ranked: "
            "fine-tune the model first, or lower samples_per_prompt"
        )
    items = label(shown, cfg.seed)
    rankings = [ranking for item in items for ranking in item]
    write_jsonl(folder.path / "rankings.jsonl", rankings)
    pairs = [pair for item in items for pair in consensus_pairs(item, cfg.min_share)]
    if not pairs:
        raise UserError(
            f"no two of the answers to {len(items)} prompts were ordered alike by more than min_share={cfg.min_share:g} of the "
            "labelers: lower min_share, or raise samples_per_prompt or temperature so that answers differ"
        )
    parts = split(pairs, {"test": cfg.test}, cfg.seed)
    for part, some in parts.items():
        write_jsonl(folder.path / f"{part}.jsonl", some)
    possible = sum(len(list(combinations(item[0].completions, 2))) for item in items)
    labels = agreement(items) | {"pairs": len(pairs), "coverage": len(pairs) / possible}
    folder.write_json("labels.json", labels)
    folder.note(
        f"{len(items)} items, {len(LABELERS)} labelers, kappa {labels['fleiss_kappa']:.2f}, {len(pairs)} consensus pairs "
        f"({labels['coverage']:.0%} of all), {len(parts['test'])} held out"
        + (f"; {len(rows) - len(items)} items with an empty answer left out" if len(items) < len(rows) else "")
    )
    return {
        "rankings": str(folder.path / "rankings.jsonl"),
        "train": str(folder.path / "train.jsonl"),
        "test": str(folder.path / "test.jsonl"),
        "items": len(items),
        "left_out": len(rows) - len(items),
        "pairs": len(pairs),
        "coverage": labels["coverage"],
        "test_prompts": len({key(pair) for pair in parts["test"]}),
        "fleiss_kappa": labels["fleiss_kappa"],
    }


def sample(cfg: AnnotateConfig, model: LanguageModel, rows: Sequence[Prompt]) -> list[list[str]]:
    """`samples_per_prompt` answers to each prompt, as text."""
    prompts = encode_all(rows, Template(model.tokenizer, model.context or 1 << 20))[0]
    sampling = Sampling(cfg.max_new_tokens, cfg.temperature, stop_ids(model))
    rollout = generate(model, prompts, cfg.samples_per_prompt, sampling, generator(cfg.seed, "annotate"))
    grouped: dict[int, list[str]] = defaultdict(list)
    for group, text in zip(rollout.group.tolist(), completions(model.tokenizer, prompts, rollout), strict=True):
        grouped[group].append(text)
    return [grouped[i] for i in range(len(rows))]


def label(shown: Sequence[tuple[Prompt, Sequence[str]]], seed: int) -> list[list[Ranking]]:
    """Every labeler's ranking of every item."""
    streams = [random.Random(derive(seed, "labeler", labeler.name)) for labeler in LABELERS]
    return [
        [rank(labeler, str(row.prompt), texts, rng) for labeler, rng in zip(LABELERS, streams, strict=True)]
        for row, texts in shown
    ]


def agreement(items: Sequence[Sequence[Ranking]]) -> dict[str, Any]:
    """What the report says about the labelers: each against the majority, and all together."""
    votes = pairwise_votes(items)
    per_item = np.repeat(
        np.arange(len(items)), [len(item[0].completions) * (len(item[0].completions) - 1) // 2 for item in items]
    )
    low, high = bootstrap_ci(votes, fleiss_kappa, groups=per_item, n=500)
    return {
        "items": len(items), "labelers": [_labeler(items, i) for i in range(len(items[0]))],
        "fleiss_kappa": fleiss_kappa(votes), "kappa_ci95": [low, high],
    }  # fmt: skip


def _labeler(items: Sequence[Sequence[Ranking]], which: int) -> dict[str, Any]:
    """How often one labeler agrees with the majority of the others, ties and rejects."""
    agree = ordered = tied = pairs = rejected = answers = 0
    for item in items:
        own = levels(item[which])
        others = majority([ranking for i, ranking in enumerate(item) if i != which])
        answers += len(own)
        rejected += len(item[which].rejected)
        for a, b in combinations(range(len(own)), 2):
            pairs += 1
            tied += own[a] == own[b]
            if others[a, b] != 0 and own[a] != own[b]:
                ordered += 1
                agree += (others[a, b] > 0) == (own[a] < own[b])
    return {
        "name": items[0][which].labeler, "kind": "simulated", "rankings": len(items), "agreement": agree / max(1, ordered),
        "tie_rate": float(tied / pairs), "reject_rate": rejected / answers,
    }  # fmt: skip
