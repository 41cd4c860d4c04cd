import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accordant.stats.consensus import borda
from accordant.stats.intervals import Undefined, bootstrap_ci
from accordant.stats.kendall import tau_b
from accordant.stats.rankings import levels
from accordant.stats.weighted_consensus import CONSENSUS, comparisons, confident_pairs, weighted_consensus
from accordant.types import Ranking, UserError
from panel import PANEL, simulate

ABC = ("a", "b", "c")


def ranked(labeler, *groups, rejected=(), completions=ABC, prompt="q"):
    return Ranking(prompt, completions, groups, rejected, labeler)


def mean_tau(scores, quality):
    """A consensus that ties everything has said nothing: 0."""
    taus = [tau_b(score, truth) for score, truth in zip(scores, quality, strict=True)]
    return np.mean([0.0 if isinstance(tau, Undefined) else tau for tau in taus])


def test_it_beats_unweighted_borda_with_six_simulated_labelers():
    """Two careful, two average, a careless and a contrary one; 300 items, four labelers on each, ten seeds."""
    gains = []
    for seed in range(10):
        quality, items = simulate(seed)
        found = weighted_consensus(items)
        assert found.converged
        plain = mean_tau([borda(item) for item in items], quality)
        gains.append(mean_tau([item.score for item in found.items], quality) - plain)
        # The weak order itself, not only the scores behind it.
        assert mean_tau([-levels(item.ranking) for item in found.items], quality) > plain
    low, _ = bootstrap_ci(gains)
    assert low > 0.1


def test_it_knows_its_labelers_and_how_sure_it_is():
    quality, items = simulate(11)
    found = weighted_consensus(items)
    worth = {name: reliability.discrimination for name, reliability in found.labelers.items()}
    assert min(worth["careful-1"], worth["careful-2"]) > 1.5 * max(worth["average-1"], worth["average-2"])
    assert min(worth["average-1"], worth["average-2"]) > worth["careless"] > 0 > worth["contrary"]
    assert set(worth) == set(PANEL)
    assert sum(reliability.rankings for reliability in found.labelers.values()) == 1200
    above = np.triu_indices(4, 1)
    sure = np.concatenate([item.confidence[above] for item in found.items])
    right = np.concatenate([(row[:, None] > row)[above] for row in quality])
    right, sure = np.where(sure > 0.5, right, ~right), np.maximum(sure, 1 - sure)
    for low, high in ((0.5, 0.7), (0.7, 0.9), (0.9, 1.01)):
        here = (sure >= low) & (sure < high)
        assert right[here].mean() == pytest.approx(sure[here].mean(), abs=0.07)


def test_equal_voices_give_the_order_of_borda():
    """Two labelers, one item: nothing tells them apart, and the scores have Borda's order, ties included."""
    item = [ranked("x", (0,), (1,), (2,)), ranked("y", (0,), (2,), (1,))]
    found = weighted_consensus([item])
    assert found.labelers["x"].discrimination == pytest.approx(found.labelers["y"].discrimination)
    score = found.items[0].score
    assert score[0] > score[1] == pytest.approx(score[2])
    assert found.items[0].ranking == Ranking("q", ABC, ((0,), (1, 2)), (), CONSENSUS)
    assert found.items[0].confidence[1, 2] == pytest.approx(0.5)


panels = st.integers(2, 4).flatmap(
    lambda k: st.lists(
        st.lists(st.tuples(st.lists(st.integers(0, 2), min_size=k, max_size=k), st.booleans()), min_size=1, max_size=3),
        min_size=1,
        max_size=4,
    )
)


def made(panel):
    items = []
    for i, rows in enumerate(panel):
        item = []
        for name, (scores, rejects) in zip("xyz", rows, strict=False):
            groups = [tuple(k for k in range(len(scores)) if scores[k] == s) for s in sorted(set(scores))]
            rejected = groups.pop() if rejects else ()
            item.append(Ranking(f"q{i}", tuple(map(str, range(len(scores)))), tuple(groups), rejected, name))
        items.append(item)
    return items


def renamed(ranking, order):
    """The same ranking with the completions listed in another order: new place k holds old `order[k]`."""
    place = {old: new for new, old in enumerate(order)}
    groups = tuple(tuple(sorted(place[k] for k in group)) for group in ranking.groups)
    rejected = tuple(sorted(place[k] for k in ranking.rejected))
    texts = tuple(ranking.completions[k] for k in order)
    return dataclasses.replace(ranking, completions=texts, groups=groups, rejected=rejected)


@settings(max_examples=25)
@given(panels, st.randoms(use_true_random=False))
def test_neither_the_order_of_answers_nor_of_labelers_nor_of_items_matters(panel, rng):
    items = made(panel)
    order = rng.sample(range(len(items[0][0].completions)), len(items[0][0].completions))
    turned = [[renamed(ranking, order) for ranking in rng.sample(item, len(item))] for item in items][::-1]
    one, other = weighted_consensus(items), weighted_consensus(turned)
    for before, after in zip(one.items, other.items[::-1], strict=True):
        np.testing.assert_allclose(before.score[order], after.score, atol=1e-6)
        np.testing.assert_allclose(before.confidence[np.ix_(order, order)], after.confidence, atol=1e-6)


@settings(max_examples=25)
@given(panels)
def test_every_consensus_is_a_whole_ranking_and_its_pairs_follow_it(panel):
    for item in weighted_consensus(made(panel)).items:
        level = levels(item.ranking)  # complains where an answer is missing
        ranking = item.ranking
        name = {text: k for k, text in enumerate(ranking.completions)}
        found = {(name[p.chosen], name[p.rejected]) for p in confident_pairs(item)}
        wanted = {
            (i, j) for i in range(len(level)) for j in range(len(level)) if level[i] < level[j] and item.confidence[i, j] > 0.6
        }
        assert found == wanted
        assert all(p.margin >= 0 and 0.6 < p.weight < 1 for p in confident_pairs(item))


def test_two_rejected_answers_are_not_compared_and_all_else_is():
    item = [ranked("x", (0,), rejected=(1, 2)), ranked("y", (0, 1), (2,))]
    data = comparisons([item], ["x", "y"])
    told = list(zip(data.first.tolist(), data.second.tolist(), data.outcome.tolist(), data.labeler.tolist(), strict=True))
    assert told == [(0, 1, 1, 0), (0, 2, 1, 0), (0, 1, 0, 1), (0, 2, 1, 1), (1, 2, 1, 1)]


def test_rejects_by_weight_of_those_who_say_so():
    """Four reliable labelers, and one who was contrary on every other item: their F decides, that one's does not."""
    names = ["r1", "r2", "r3", "r4"]
    others = [
        [*(ranked(name, (0,), (1,), (2,), prompt=f"p{i}") for name in names), ranked("c", (2,), (1,), (0,), prompt=f"p{i}")]
        for i in range(8)
    ]
    said = [ranked("r1", (0,), (1,), rejected=(2,)), ranked("r2", (0,), (1,), (2,)), ranked("c", (0,), (2,), rejected=(1,))]
    majority = [ranked("r1", (0,), (1,), rejected=(2,)), ranked("r2", (0,), (1,), rejected=(2,)), said[2]]
    against = [ranked("r1", (0,), (1,), rejected=(2,)), ranked("c", (2,), (1,), (0,))]
    found = weighted_consensus([against, *others, said, majority])
    assert found.labelers["c"].discrimination < 0
    assert found.items[0].ranking.rejected == (2,)  # half of the voices, but all of the weight
    assert found.items[-2].ranking.rejected == ()  # one of two equal voices is not more than half
    assert found.items[-1].ranking.rejected == (2,)


def test_all_rejected_is_a_consensus_without_an_order():
    item = [ranked("x", rejected=(0, 1, 2)), ranked("y", rejected=(0, 1, 2))]
    (found,) = weighted_consensus([item]).items
    assert found.ranking.groups == ()
    assert found.ranking.rejected == (0, 1, 2)
    assert confident_pairs(found) == []


def test_one_labeler_alone_is_believed_with_moderate_confidence():
    found = weighted_consensus([[ranked("x", (1,), (0,), (2,))]])
    assert found.items[0].ranking.groups == ((1,), (0,), (2,))
    assert 0.6 < found.items[0].confidence[1, 0] < 0.95
    pairs = confident_pairs(found.items[0], 0.5)
    assert [(p.chosen, p.rejected) for p in pairs] == [("b", "a"), ("b", "c"), ("a", "c")]


def test_an_always_tie_labeler_gets_a_tie_rate_and_spoils_nothing():
    items = [
        [*(ranked(name, (0,), (1,), (2,), prompt=f"p{i}") for name in "xy"), ranked("tie", (0, 1, 2), prompt=f"p{i}")]
        for i in range(20)
    ]
    found = weighted_consensus(items)
    assert found.labelers["tie"].tie > 5 * found.labelers["x"].tie
    assert all(item.ranking.groups == ((0,), (1,), (2,)) for item in found.items)
    assert found.items[0].confidence[0, 1] > 0.8


def test_items_of_one_answer_and_of_different_sizes():
    items = [[ranked("x", (0,), completions=("a",))], [ranked("x", (1,), (0,), completions=("a", "b"))]]
    found = weighted_consensus(items)
    assert found.items[0].ranking.groups == ((0,),)
    assert found.items[1].ranking.groups == ((1,), (0,))


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (lambda: weighted_consensus([]), "no items"),
        (lambda: weighted_consensus([[]]), "no ranking"),
        (lambda: weighted_consensus([[ranked("x", (0, 1, 2))]], sure=0.4), "sure is 0.4"),
        (lambda: weighted_consensus([[ranked("x", (0, 1, 2))] * 2]), "ranked it twice"),
        (lambda: confident_pairs(weighted_consensus([[ranked("x", (0, 1, 2))]]).items[0], 1.0), r"min_confidence is 1\.0"),
    ],
)
def test_what_is_refused(call, match):
    with pytest.raises(ValueError, match=match):
        call()


def test_an_incomplete_ranking_is_a_user_error():
    with pytest.raises(UserError, match="exactly once"):
        weighted_consensus([[ranked("x", (0,), (1,))]])
