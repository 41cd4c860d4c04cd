"""Sample several answers to each prompt, have them ranked, and turn the labelers' consensus into pairs; or hand them to people.

Answers come from a checkpoint, from several, from a model behind an OpenAI-compatible endpoint, or from all of these. With
`studio` they become items of a project there, for people to judge. Otherwise the labelers are the embedded world's simulated
ones. What they disagree on by majority gives no pair; the share of pairs that have a majority is the coverage, and none is left
out for being hard. Pairs of a prompt never straddle train and test.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations
from types import ModuleType
from typing import Any, Literal

import numpy as np
from pydantic import field_validator

from accordant.config import REQUIRED, Config, knob
from accordant.data.files import first_few
from accordant.data.rows import read, write_jsonl
from accordant.data.split import key, split
from accordant.feedback.kept import odd_text
from accordant.feedback.store import Store, holds_password
from accordant.feedback.tasks import Text, Work, add, find_project
from accordant.models.load import ModelConfig
from accordant.seeds import derive
from accordant.stages.endpoint import EndpointConfig
from accordant.stages.folder import StageFolder
from accordant.stages.intake import work
from accordant.stages.writers import Answered, Asked, from_checkpoint, from_endpoint
from accordant.stats.agreement import fleiss_kappa, pairwise_votes
from accordant.stats.consensus import consensus_pairs, majority
from accordant.stats.intervals import bootstrap_ci
from accordant.stats.rankings import levels
from accordant.types import Prompt, Ranking, UserError
from accordant.world.labelers import LABELERS, rank

_KEPT = "answers.jsonl"
"""What an endpoint has answered, for as long as the stage runs: where it has to stop, the same command asks for the others."""


class StudioConfig(Config):
    """Which project of which store gets the answers."""

    store: str = knob(REQUIRED, "feedback store: a file, or a database URL", min_length=1)
    project: str = knob(REQUIRED, "name of a project in it", min_length=1)
    task: Literal["rank", "pair", "likert", "thumb"] = knob("rank", "what labelers do with the answers")
    criterion: str = knob("", "what to judge by, shown to the labeler", max_length=300)

    @field_validator("store")
    @classmethod
    def _tells_no_secret(cls, value: str) -> str:
        if holds_password(value):
            # No ValueError: its message would repeat the value.
            raise UserError(
                "studio.store has a password in it, which would be logged; put it into PGPASSWORD or a password file"
            )
        return value


class AnnotateConfig(Config):
    """Which models answer what, how often, and what becomes of it."""

    model: ModelConfig | None = knob(None, "the policy whose answers are labelled")
    models: tuple[str, ...] = knob((), "further checkpoints that answer the same prompts, by folder or hub name")
    endpoint: EndpointConfig | None = knob(None, "a model behind an OpenAI-compatible endpoint that answers them")
    studio: StudioConfig | None = knob(None, "people label, in a studio; none: simulated labelers do")
    prompts: str = knob(REQUIRED, "rows of prompts", min_length=1)
    samples_per_prompt: int = knob(4, "answers of each model to each prompt", "responses", ge=1)
    max_new_tokens: int = knob(48, "longest answer", "tokens", gt=0)
    temperature: float = knob(1.0, "sampling temperature", gt=0)
    min_share: float = knob(0.5, "a pair needs more than this share of the labelers", ge=0.5, lt=1)
    test: float = knob(0.2, "share of the prompts whose pairs are held out", gt=0, lt=1)
    seed: int = knob(0, "seed of sampling, labelers and split")

    @property
    def writers(self) -> int:
        """How many models answer."""
        return (self.model is not None) + len(self.models) + (self.endpoint is not None)


def run(cfg: AnnotateConfig, folder: StageFolder, algo: ModuleType | None, name: str) -> dict[str, Any]:  # noqa: ARG001
    """Write rankings.jsonl, train.jsonl, test.jsonl and labels.json; or items into a studio's store."""
    if not cfg.writers:
        raise UserError("nobody answers the prompts: set model.path, models or endpoint.url")
    if cfg.writers * cfg.samples_per_prompt < 2 and (cfg.studio is None or cfg.studio.task in ("rank", "pair")):
        raise UserError("one answer to each prompt is nothing to compare: raise samples_per_prompt, or name more models")
    result = _simulated(cfg, folder) if cfg.studio is None else _for_people(cfg, cfg.studio, folder)
    (folder.path / _KEPT).unlink(missing_ok=True)
    return result


def _for_people(cfg: AnnotateConfig, studio: StudioConfig, folder: StageFolder) -> dict[str, Any]:
    """Items of the answers. What cannot be one is left out and counted: see `_items`."""
    total = cfg.writers * cfg.samples_per_prompt
    if total > MOST[studio.task]:
        raise UserError(
            f"{cfg.writers} models x samples_per_prompt={cfg.samples_per_prompt} are {total} answers to a prompt; "
            f"a {studio.task} task has at most {MOST[studio.task]}: lower samples_per_prompt"
        )
    asked = [replace(one, kind="normal") if one.kind == "demonstration" else one for one in work(cfg.prompts, "demonstration")]
    with Store.open(studio.store, alone=False) as store:
        project = find_project(store, studio.project)
        answers = sample(cfg, [Prompt(one.prompt, one.source) for one in asked], folder)
        count = Counter(
            refused_answers=len(answers.refused), empty_answers=0, unstorable_answers=0, equal_answers=0, prompts_left_out=0
        )
        items = [item for one, texts in zip(asked, answers.texts, strict=True) for item in _items(one, texts, studio, count)]
        left_out = ", ".join(f"{number} {name.replace('_', ' ')}" for name, number in count.items() if number)
        if not items:
            raise UserError(
                f"none of the {len(asked)} prompts got enough different answers for a {studio.task} task ({left_out}): "
                "raise samples_per_prompt or temperature, or fine-tune the model first"
            )
        add(store, project, items)
    folder.note(f"{len(items)} items for project {studio.project}" + (f"; {left_out}" if left_out else ""))
    return {"items": len(items), "store": studio.store, "project": studio.project, **count}


MOST = {"rank": 26, "pair": 2, "likert": 26, "thumb": 26}
"""Answers to one prompt that a task can take; of ratings and thumbs each is an item of its own."""


def _items(asked: Work, texts: Sequence[Text], studio: StudioConfig, count: Counter[str]) -> list[Work]:
    """The items of a prompt, of the answers that have a word, can be kept as text, and say what none before them says."""
    shown: dict[str, Text] = {}
    for text in texts:
        if not text.text.strip():
            count["empty_answers"] += 1
        elif odd_text(text.text):
            count["unstorable_answers"] += 1
        elif text.text.strip() in shown:
            count["equal_answers"] += 1
        else:
            shown[text.text.strip()] = text
    same = replace(asked, task=studio.task, criterion=studio.criterion or asked.criterion)
    if studio.task in ("likert", "thumb"):
        found = [replace(same, completions=(text,)) for text in shown.values()]
    else:
        found = [replace(same, completions=tuple(shown.values()))] if len(shown) > 1 else []
    count["prompts_left_out"] += not found
    return found


def _simulated(cfg: AnnotateConfig, folder: StageFolder) -> dict[str, Any]:
    rows = read(cfg.prompts, Prompt)
    answers = sample(cfg, rows, folder).texts
    total = cfg.writers * cfg.samples_per_prompt
    # What is missing, has no word or is no text cannot be shown to a labeler; its item is left out, and counted.
    shown = [
        (row, [text.text for text in texts])
        for row, texts in zip(rows, answers, strict=True)
        if len(texts) == total and all(text.text.strip() and not odd_text(text.text) for text in texts)
    ]
    if not shown:
        raise UserError(
            f"each of the {len(rows)} prompts got at least one answer that is empty, refused or no text, so nothing can be "
            "ranked: fine-tune the model first, or lower samples_per_prompt"
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
        + (
            f"; {len(rows) - len(items)} items left out, for an answer that is empty, refused or no text"
            if len(items) < len(rows)
            else ""
        )
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


def sample(cfg: AnnotateConfig, rows: Sequence[Prompt], folder: StageFolder) -> Answered:
    """`samples_per_prompt` answers of each model to each prompt; requests that an endpoint refuses are named in the log."""
    asked = Asked(cfg.samples_per_prompt, cfg.max_new_tokens, cfg.temperature, cfg.seed)
    checkpoints = [] if cfg.model is None else [(cfg.model, ("annotate",))]
    checkpoints += [(ModelConfig(path=path), ("annotate", path)) for path in cfg.models]
    found = [from_checkpoint(model, asked, rows, purpose=purpose) for model, purpose in checkpoints]
    refused: list[str] = []
    if cfg.endpoint is not None:
        with folder.progress("answers", len(rows) * cfg.samples_per_prompt) as bar:
            answered = from_endpoint(cfg.endpoint, asked, rows, folder.path / _KEPT, bar.advance)
        found.append(answered.texts)
        refused = answered.refused
        for line in first_few([f"refused: {' '.join(one.split())}" for one in refused]):
            folder.note(line)
    return Answered([[text for own in of_prompt for text in own] for of_prompt in zip(*found, strict=True)], refused)


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
