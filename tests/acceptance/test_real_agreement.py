"""Agreement of people on real files, against the published figures: `ACCORDANT_DATA=PATH make acceptance`."""

from __future__ import annotations

import csv
import json
import os
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from accordant.stats.agreement import count_ratings, fleiss, raw_agreement
from accordant.stats.dawid_skene import Skill, dawid_skene
from accordant.stats.intervals import estimate
from accordant.stats.krippendorff import krippendorff_alpha

DATA = os.environ.get("ACCORDANT_DATA")

pytestmark = [
    pytest.mark.acceptance,
    pytest.mark.skipif(not DATA, reason="ACCORDANT_DATA is not set: it names the folder with the real data and models"),
]


def pandalm() -> NDArray[np.int64]:
    """(999, 3): what each annotator said of a pair, 0 a tie, 1 or 2 that response."""
    lines = (Path(str(DATA)) / "data/pandalm/annotations.jsonl").read_text(encoding="utf-8").splitlines()
    rows = [json.loads(line) for line in lines]
    return np.array([[int(row[f"annotator{r}"]) for r in (1, 2, 3)] for row in rows])


def davidson() -> NDArray[np.int64]:
    """(24783, 3): votes for hate speech, offensive language, neither."""
    with (Path(str(DATA)) / "data/hate-speech/labeled_data.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    return np.array([[int(row[name]) for name in ("hate_speech", "offensive_language", "neither")] for row in rows])


def test_pandalm_agrees_at_0_864() -> None:
    ratings = pandalm()
    counts, _ = count_ratings(ratings)
    assert counts.shape == (999, 3)
    found = estimate(fleiss, counts)
    assert found.value == pytest.approx(0.864, abs=5e-4)
    assert found.low is not None
    assert found.high is not None
    assert 0.84 < found.low < 0.864 < found.high < 0.89
    # Two chances of the same: alpha corrects for the number of ratings.
    assert 1 - krippendorff_alpha(counts, "nominal") == pytest.approx((1 - found.value) * (2997 - 1) / 2997)


def test_three_raters_of_tweets_agree_at_0_549() -> None:
    counts = davidson()
    three = counts[counts.sum(axis=1) == 3]
    assert len(three) == 22_807
    assert fleiss(three) == pytest.approx(0.549, abs=5e-4)
    oracle = pytest.importorskip("statsmodels.stats.inter_rater")
    assert fleiss(three) == pytest.approx(oracle.fleiss_kappa(three), abs=1e-12)
    # All rows, some with up to nine raters: Fleiss says why not, alpha does not mind.
    assert "3 to 9 ratings" in fleiss(counts).reason
    found = estimate(lambda rows: krippendorff_alpha(rows, "nominal"), counts, n=200)
    assert found.low < found.value < found.high
    assert found.value == pytest.approx(0.549, abs=0.03)
    assert raw_agreement(counts) > 0.8


def test_dawid_and_skene_on_pandalm_find_three_good_annotators() -> None:
    ratings = pandalm()
    item, labeler = np.indices(ratings.shape)
    found = dawid_skene(item.ravel(), labeler.ravel(), ratings.ravel(), 3)
    assert isinstance(found, Skill)
    assert found.converged
    assert found.accuracy.min() > 0.9
    majority = np.array([np.bincount(row, minlength=3).argmax() for row in ratings])
    agreed = np.array([np.bincount(row, minlength=3).max() >= 2 for row in ratings])
    assert (found.truth.argmax(axis=1) == majority)[agreed].mean() > 0.98
