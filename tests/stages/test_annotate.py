"""Answers are sampled, ranked by the simulated labelers, and become pairs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from accordant.data.rows import read
from accordant.feedback.tasks import Text
from accordant.stages import annotate
from accordant.stages.annotate import agreement, label
from accordant.stages.writers import Answered
from accordant.types import Pair, Prompt, Ranking, UserError
from accordant.world.labelers import LABELERS
from tasks import run_stage


@pytest.fixture(scope="module")
def labels(world: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    folder = tmp_path_factory.mktemp("labels")
    return folder, run_stage(
        "annotate", folder, model={"path": world["policy"]}, prompts=world["preference_prompts"], samples_per_prompt=3,
        max_new_tokens=24, test=0.25,
    )  # fmt: skip


def test_every_labeler_ranks_every_answer(labels: tuple[Path, dict[str, Any]]) -> None:
    _, result = labels
    rankings = read(result["rankings"], Ranking)
    assert len(rankings) == result["items"] * len(LABELERS)
    assert result["items"] + result["left_out"] == 24
    assert {ranking.labeler for ranking in rankings} == {labeler.name for labeler in LABELERS}
    assert all(len(ranking.completions) == 3 for ranking in rankings)


def test_pairs_follow_the_majority_and_count_their_labelers(labels: tuple[Path, dict[str, Any]]) -> None:
    """Each pair is recomputed from the rankings on file: more than half of the labelers put `chosen` above `rejected`."""
    _, result = labels
    by_prompt: dict[str, list[Ranking]] = {}
    for ranking in read(result["rankings"], Ranking):
        by_prompt.setdefault(str(ranking.prompt), []).append(ranking)
    pairs = [pair for part in ("train", "test") for pair in read(result[part], Pair)]
    assert len(pairs) == result["pairs"] > 0
    assert result["coverage"] == pytest.approx(len(pairs) / (3 * result["items"]))
    for pair in pairs:
        assert sum(above(r, pair.chosen, pair.rejected) for r in by_prompt[str(pair.prompt)]) > len(LABELERS) / 2


def above(ranking: Ranking, first: str, second: str) -> bool:
    place = {i: level for level, group in enumerate(ranking.groups) for i in group}
    levels = {text: place.get(i, len(ranking.groups)) for i, text in enumerate(ranking.completions)}
    return levels[first] < levels[second]


def test_no_prompt_is_in_both_parts(labels: tuple[Path, dict[str, Any]]) -> None:
    _, result = labels
    train, test = ({pair.prompt for pair in read(result[part], Pair)} for part in ("train", "test"))
    assert not train & test
    assert len(test) == result["test_prompts"] > 0


def test_agreement_is_reported_per_labeler(labels: tuple[Path, dict[str, Any]]) -> None:
    folder, result = labels
    report = json.loads((folder / "labels.json").read_text())
    assert [row["name"] for row in report["labelers"]] == [labeler.name for labeler in LABELERS]
    assert all(0 <= row["agreement"] <= 1 and row["rankings"] == result["items"] for row in report["labelers"])
    low, high = report["kappa_ci95"]
    assert low <= report["fleiss_kappa"] == result["fleiss_kappa"] <= high


def test_labelers_who_agree_have_kappa_one() -> None:
    same = [Ranking("q", ("a", "b", "c"), ((1,), (0,), (2,)), labeler=name) for name in "xyz"]
    turned = [Ranking("p", ("a", "b", "c"), ((1,), (2,), (0,)), labeler=name) for name in "xyz"]
    report = agreement([same, turned])
    assert report["fleiss_kappa"] == pytest.approx(1)
    assert all(row["agreement"] == 1 and row["tie_rate"] == 0 for row in report["labelers"])


def test_labelling_is_seeded(world: dict[str, Any]) -> None:
    prompts = read(world["preference_prompts"], Prompt)[:4]
    shown = [(row, (" The record says hour five.", " You fool.", " Good morning!")) for row in prompts]
    assert label(shown, 0) == label(shown, 0)
    assert any(label(shown, 0) != label(shown, seed) for seed in range(1, 6))


@pytest.mark.parametrize(
    ("answer", "message"),
    [(" ", "at least one answer that is empty"), (" The record says hour five.", "min_share=0.5 of the labelers")],
)
def test_answers_that_make_no_pair(
    answer: str, message: str, world: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a word, or all the same."""
    monkeypatch.setattr(
        annotate, "sample", lambda cfg, rows, _: Answered([[Text(answer)] * cfg.samples_per_prompt for _ in rows], [])
    )
    with pytest.raises(UserError, match=message):
        run_stage("annotate", tmp_path, model={"path": world["policy"]}, prompts=world["preference_prompts"])
