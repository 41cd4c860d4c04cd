from math import log

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accordant.stats.dawid_skene import FIRST, SECOND, SIDES, TIE, dawid_skene, side_bias, vote_weight
from accordant.stats.intervals import Undefined

# Six labelers of pairwise votes: two careful, two average, one careless, one contrary; rows: truth first, second, tie.
CONFUSION = np.array(
    [
        [[0.90, 0.05, 0.05], [0.05, 0.90, 0.05], [0.10, 0.10, 0.80]],
        [[0.85, 0.05, 0.10], [0.05, 0.85, 0.10], [0.05, 0.05, 0.90]],
        [[0.70, 0.20, 0.10], [0.20, 0.70, 0.10], [0.30, 0.30, 0.40]],
        [[0.65, 0.15, 0.20], [0.15, 0.65, 0.20], [0.20, 0.20, 0.60]],
        [[0.40, 0.30, 0.30], [0.30, 0.40, 0.30], [0.35, 0.35, 0.30]],
        [[0.20, 0.70, 0.10], [0.70, 0.20, 0.10], [0.40, 0.40, 0.20]],
    ]
)


def simulate(confusion, items=600, overlap=4, seed=0):
    """True classes of completions, and votes on what was shown: a coin decides for each vote whether sides are exchanged."""
    rng = np.random.default_rng(seed)
    truth = rng.choice(3, items, p=[0.4, 0.4, 0.2])
    item, labeler, vote, flipped = [], [], [], []
    for i in range(items):
        for r in rng.choice(len(confusion), overlap, replace=False):
            flip = bool(rng.random() < 0.5)
            shown = SIDES[truth[i]] if flip else truth[i]
            item.append(i)
            labeler.append(r)
            vote.append(rng.choice(3, p=confusion[r][shown]))
            flipped.append(flip)
    return truth, np.array(item), np.array(labeler), np.array(vote), np.array(flipped)


def paper(item, labeler, vote, flipped, classes, mirror, smoothing, trust, iterations):
    """Dawid and Skene (1979), equations 2.3 to 2.5, one vote after another, with the Dirichlet counts added."""
    items, labelers = max(item) + 1, max(labeler) + 1
    q = [[0.0] * classes for _ in range(items)]
    for i, v, f in zip(item, vote, flipped, strict=True):
        q[i][mirror[v] if f else v] += 1.0
    q = [[n / sum(row) for n in row] for row in q]
    for _ in range(iterations):
        p = [smoothing + sum(row[c] for row in q) for c in range(classes)]
        p = [n / sum(p) for n in p]
        pi = [[[smoothing + trust * (c == v) for v in range(classes)] for c in range(classes)] for _ in range(labelers)]
        for i, r, v, f in zip(item, labeler, vote, flipped, strict=True):
            for c in range(classes):
                pi[r][mirror[c] if f else c][v] += q[i][c]
        pi = [[[n / sum(row) for n in row] for row in table] for table in pi]
        q = []
        for i in range(items):
            row = []
            for c in range(classes):
                chance = p[c]
                for j, r, v, f in zip(item, labeler, vote, flipped, strict=True):
                    if j == i:
                        chance *= pi[r][mirror[c] if f else c][v]
                row.append(chance)
            q.append([n / sum(row) for n in row])
    return q, pi, p


votes = st.lists(
    st.tuples(st.integers(0, 3), st.integers(0, 2), st.integers(0, 2), st.booleans()), min_size=1, max_size=12
).map(lambda rows: [(0, 0, 0, False), (0, 1, 1, True), (1, 0, 1, False), (2, 2, 2, False), (3, 1, 0, True), *rows])


@settings(max_examples=30)
@given(votes, st.sampled_from([(0.5, 1.0), (0.1, 0.0), (2.0, 3.0)]), st.integers(1, 6))
def test_em_is_the_papers(rows, prior, iterations):
    item, labeler, vote, flipped = map(list, zip(*rows, strict=True))
    smoothing, trust = prior
    found = dawid_skene(
        item, labeler, vote, 3, flipped=flipped, smoothing=smoothing, trust=trust, most_iterations=iterations, tolerance=-np.inf
    )
    q, pi, p = paper(item, labeler, vote, flipped, 3, SIDES, smoothing, trust, iterations)
    np.testing.assert_allclose(found.truth, q, atol=1e-9)
    np.testing.assert_allclose(found.confusion, pi, atol=1e-9)
    np.testing.assert_allclose(found.share, p, atol=1e-9)
    assert not found.converged
    assert np.diff(found.objective).min(initial=0) > -1e-9


def test_maximum_likelihood_is_the_special_case_without_a_prior():
    _, item, labeler, vote, flipped = simulate(CONFUSION, items=25)
    found = dawid_skene(item, labeler, vote, 3, flipped=flipped, smoothing=0, trust=0, most_iterations=8, tolerance=-np.inf)
    q, pi, _ = paper(item, labeler, vote, flipped, 3, SIDES, 0, 0, 8)
    np.testing.assert_allclose(found.truth, q, atol=1e-9)
    np.testing.assert_allclose(found.confusion, pi, atol=1e-9)


def test_it_finds_the_truth_and_the_labelers():
    truth, item, labeler, vote, flipped = simulate(CONFUSION, items=1500)
    found = dawid_skene(item, labeler, vote, 3, flipped=flipped)
    assert found.converged
    np.testing.assert_allclose(found.confusion, CONFUSION, atol=0.09)
    np.testing.assert_allclose(found.share, [0.4, 0.4, 0.2], atol=0.05)
    by_skill = (found.truth.argmax(axis=1) == truth).mean()
    count = np.zeros((1500, 3))
    np.add.at(count, (item, np.where(flipped, np.array(SIDES)[vote], vote)), 1)
    by_votes = (count.argmax(axis=1) == truth).mean()
    assert by_skill > by_votes + 0.1
    weights = [vote_weight(a, 3) for a in found.accuracy]
    assert weights[0] > weights[2] > weights[4] > weights[5]
    assert weights[5] < 0
    # The posterior means what it says: of the items it is sure of by x, about x are right.
    assert found.truth.max(axis=1).mean() == pytest.approx(by_skill, abs=0.03)


def test_a_labeler_who_likes_the_left_side_shows_only_with_the_display_order():
    left = np.array([[0.95, 0.03, 0.02], [0.75, 0.23, 0.02], [0.85, 0.05, 0.10]])
    _, item, labeler, vote, flipped = simulate(np.stack([*CONFUSION[:4], left]), items=800)
    bias = side_bias(dawid_skene(item, labeler, vote, 3, flipped=flipped).confusion)
    assert bias[4] == pytest.approx((0.92 + 0.52) / 2, abs=0.1)
    assert np.abs(bias[:4]).max() < 0.1
    turned = np.where(flipped, np.array(SIDES)[vote], vote)  # as a table of completions would have it
    assert abs(side_bias(dawid_skene(item, labeler, turned, 3).confusion)[4]) < 0.1


def test_exchanging_what_was_shown_exchanges_the_matrix():
    """All votes told from the other side: the truth stays, rows and columns of every matrix are exchanged."""
    _, item, labeler, vote, flipped = simulate(CONFUSION, items=60)
    one = dawid_skene(item, labeler, vote, 3, flipped=flipped)
    other = dawid_skene(item, labeler, np.array(SIDES)[vote], 3, flipped=~flipped)
    np.testing.assert_allclose(one.truth, other.truth, atol=1e-9)
    np.testing.assert_allclose(one.confusion[:, SIDES][:, :, SIDES], other.confusion, atol=1e-9)


def test_gold_tells_a_contrary_majority_from_the_truth():
    """Three contrary labelers against two careful ones: votes alone side with the three, gold does not."""
    confusion = np.stack([CONFUSION[0], CONFUSION[1], *[CONFUSION[5]] * 3])
    truth, item, labeler, vote, flipped = simulate(confusion, items=400)
    known = np.where(np.arange(400) < 60, truth, -1)
    with_gold = dawid_skene(item, labeler, vote, 3, flipped=flipped, known=known)
    without = dawid_skene(item, labeler, vote, 3, flipped=flipped)
    assert (with_gold.truth[:60].argmax(axis=1) == truth[:60]).all()
    assert (with_gold.truth[:60].max(axis=1) == 1).all()
    assert (with_gold.truth.argmax(axis=1) == truth)[60:].mean() > 0.8
    assert (without.truth.argmax(axis=1) == truth)[60:].mean() < 0.5


def test_with_gold_for_everything_the_matrix_is_a_count():
    found = dawid_skene([0, 1, 2, 3], [0] * 4, [0, 0, 1, 0], 2, known=[0, 0, 1, 1])
    np.testing.assert_allclose(found.confusion[0], [[3.5 / 4, 0.5 / 4], [1.5 / 4, 2.5 / 4]])
    assert found.truth.tolist() == [[1, 0], [1, 0], [0, 1], [0, 1]]


@pytest.mark.parametrize(
    ("rows", "reason"),
    [
        (([0, 1, 2], [0, 0, 0], [0, 1, 2]), "two labelers"),  # one labeler
        (([0, 0, 1], [0, 0, 1], [0, 1, 2]), "two labelers"),  # one labeler twice on the same item
        (([0, 1], [0, 1], [0, 1]), "two labelers"),  # no overlap
        (([0, 0, 1, 1], [0, 1, 0, 1], [2, 2, 2, 2]), "all votes are the same"),
    ],
)
def test_it_says_why_skill_is_undefined(rows, reason):
    found = dawid_skene(*rows, 3)
    assert isinstance(found, Undefined)
    assert reason in found.reason


def test_an_always_tie_labeler_says_nothing():
    """Everything is a tie to the third: the rows of its matrix are alike, and the truth is the others'."""
    truth, item, labeler, vote, flipped = simulate(np.stack([*CONFUSION[:3], np.tile([0.0, 0.0, 1.0], (3, 1))]), items=300)
    found = dawid_skene(item, labeler, vote, 3, flipped=flipped)
    np.testing.assert_allclose(found.confusion[3], np.tile([0, 0, 1], (3, 1)), atol=0.05)
    assert (found.truth.argmax(axis=1) == truth).mean() > 0.85


def test_the_weight_of_a_vote_is_its_log_odds():
    assert vote_weight(0.5, 2) == 0.0
    assert vote_weight(0.9, 2) == pytest.approx(log(9))
    assert vote_weight(1 / 3, 3) == pytest.approx(0.0)
    assert vote_weight(0.1, 3) < 0
    for accuracy, classes in ((0.0, 2), (1.0, 2), (0.5, 1)):
        with pytest.raises(ValueError, match="strictly between"):
            vote_weight(accuracy, classes)


def test_the_names_of_the_classes_fit_the_mirror():
    assert (SIDES[FIRST], SIDES[SECOND], SIDES[TIE]) == (SECOND, FIRST, TIE)


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (lambda: dawid_skene([], [], [], 3), "item must be"),
        (lambda: dawid_skene([0], [0, 1], [0], 3), "labeler must be"),
        (lambda: dawid_skene([0], [0], [-1], 3), "vote must be"),
        (lambda: dawid_skene([0], [0], [0.5], 3), "vote must be"),
        (lambda: dawid_skene([0], [0], [3], 3), "classes is 3"),
        (lambda: dawid_skene([0, 0], [0, 1], [0, 1], 3, flipped=[True]), "flipped must be"),
        (lambda: dawid_skene([0, 0], [0, 1], [0, 1], 3, flipped=[True, False], mirror=(1, 2, 0)), "mirror is"),
        (lambda: dawid_skene([0, 0], [0, 1], [0, 1], 3, known=[3]), "known must hold"),
        (lambda: dawid_skene([0, 0], [0, 1], [0, 1], 3, smoothing=-1), "smoothing is -1"),
        (lambda: side_bias(np.ones((3, 3))), "first, second and tie"),
    ],
)
def test_what_is_refused(call, match):
    with pytest.raises(ValueError, match=match):
        call()
