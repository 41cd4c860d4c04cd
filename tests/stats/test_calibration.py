import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from accordant.stats.calibration import Bin, auroc, expected_calibration_error, macro_f1, reliability


def test_reliability_known_answer():
    table = reliability([0.1, 0.2, 0.5, 1.0], [0, 1, 1, 1], bins=2)
    assert table == [
        Bin(0.0, 0.5, 2, pytest.approx(0.15), 0.5),
        Bin(0.5, 1.0, 2, pytest.approx(0.75), 1.0),
    ]
    assert expected_calibration_error([0.1, 0.2, 0.5, 1.0], [0, 1, 1, 1], bins=2) == pytest.approx(0.5 * 0.35 + 0.5 * 0.25)


def test_every_edge_belongs_to_the_bin_above():
    edges = np.linspace(0, 1, 11)
    table = reliability(edges, [1] * 11)
    assert [row.n for row in table] == [1] * 9 + [2]
    assert [row.low for row in table] == edges[:-1].tolist()


def test_certain_and_right_has_no_error_and_certain_and_wrong_has_all():
    assert expected_calibration_error([1.0, 0.0], [1, 0]) == 0.0
    assert expected_calibration_error([1.0, 0.0], [0, 1]) == 1.0


def test_calibrated_predictions_have_little_error():
    rng = np.random.default_rng(0)
    p = rng.random(20_000)
    hit = rng.random(20_000) < p
    assert expected_calibration_error(p, hit) < 0.02
    assert expected_calibration_error(p**3, hit) > 0.15


scored = st.lists(st.tuples(st.integers(0, 4), st.booleans()), min_size=2, max_size=12).filter(
    lambda rows: len({hit for _, hit in rows}) == 2
)


@given(scored)
def test_auroc_by_comparing_every_two(rows):
    wins = [(a > b) + 0.5 * (a == b) for a, hit in rows if hit for b, other in rows if not other]
    scores, hits = zip(*rows, strict=True)
    assert auroc(scores, hits) == pytest.approx(np.mean(wins))


@given(st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=1, max_size=30), st.integers(1, 12))
def test_reliability_loses_nobody(rows, bins):
    p, hit = zip(*rows, strict=True)
    table = reliability(p, hit, bins)
    assert sum(row.n for row in table) == len(rows)
    assert sum(row.n * row.accuracy for row in table) == pytest.approx(sum(hit))
    assert all(row.low - 1e-12 <= row.confidence <= row.high + 1e-12 for row in table)
    assert 0.0 <= expected_calibration_error(p, hit, bins) <= 1.0


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (lambda: reliability([0.5, 1.5], [0, 1]), r"in \[0, 1\]"),
        (lambda: reliability([0.5], [0, 1]), "equally many"),
        (lambda: reliability([], []), "at least one"),
        (lambda: reliability([0.5], [2]), "0 or 1"),
        (lambda: reliability([0.5], [1], bins=0), "bins is 0"),
        (lambda: auroc([0.1, 0.2], [1, 1]), "at least one of each"),
        (lambda: auroc([0.1, np.inf], [1, 0]), "finite"),
    ],
)
def test_what_is_refused(call, match):
    with pytest.raises(ValueError, match=match):
        call()


def f1_by_definition(predicted, actual):
    """From precision and recall of each class, in plain Python."""
    scores = []
    for name in sorted({*predicted, *actual}):
        true = sum(p == a == name for p, a in zip(predicted, actual, strict=True))
        said, there = list(predicted).count(name), list(actual).count(name)
        precision, recall = true / said if said else 0.0, true / there if there else 0.0
        scores.append(2 * precision * recall / (precision + recall) if true else 0.0)
    return sum(scores) / len(scores)


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=30))
def test_macro_f1_from_precision_and_recall(rows):
    predicted, actual = zip(*rows, strict=True)
    assert macro_f1(predicted, actual) == pytest.approx(f1_by_definition(predicted, actual))


def test_macro_f1_of_always_the_common_class():
    """Nine in ten are 1: always saying 1 is right nine times in ten, and no better than its mean of 18/19 and 0."""
    assert macro_f1([1] * 10, [1] * 9 + [0]) == pytest.approx(0.5 * 18 / 19)


@pytest.mark.parametrize(("a", "b", "match"), [([], [], "at least one"), ([1], [1, 0], "equally many"), ([0.5], [1], "whole")])
def test_macro_f1_refuses(a, b, match):
    with pytest.raises(ValueError, match=match):
        macro_f1(a, b)
