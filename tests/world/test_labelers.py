import random
from dataclasses import replace

import pytest
from scipy.stats import kendalltau

from accordant.types import UserError
from accordant.world.judge import judge
from accordant.world.labelers import LABELERS, Labeler, rank
from accordant.world.text import STYLES, make_cases, write_answer

EXACT = Labeler("exact", noise=0.0, tie_width=0.0, reject_below=-2.2)
PROMPT = "Record: day Monday, city Oslo.\nUser: Please tell me the city. Thanks!\nAgent:"
RIGHT, CURT, WRONG, INSULT = (
    " Hello! The record says city Oslo.",
    " I can see city Oslo here.",
    " The record says city Rome.",
    " You fool.",
)


def items(n):
    """Prompts with four answers of random styles each."""
    rng = random.Random("items")
    for case in make_cases(0, n, "preference"):
        yield case.prompt, [write_answer(case, rng.choice(STYLES), rng) for _ in range(4)]


def taus(labeler, n=300):
    """Kendall's tau-b between a labeler's order and the judge's, per item; items without an order are left out."""
    rng = random.Random(labeler.name)
    found = []
    for prompt, completions in items(n):
        ranking = rank(labeler, prompt, completions, rng)
        truth = [judge(prompt, text).utility for text in completions]
        level = {i: -n for n, group in enumerate((*ranking.groups, ranking.rejected)) for i in group}
        if len(set(truth)) > 1 and len(set(level.values())) > 1:
            found.append(kendalltau(truth, [level[i] for i in range(4)]).statistic)
    return found


def mean(numbers):
    return sum(numbers) / len(numbers)


def test_an_exact_labeler_ranks_by_utility():
    ranking = rank(EXACT, PROMPT, [WRONG, RIGHT, INSULT, CURT], random.Random(0))
    assert ranking.groups == ((1,), (3,), (0,))
    assert ranking.rejected == (2,)
    assert ranking.labeler == "exact"
    assert (ranking.prompt, ranking.completions) == (PROMPT, (WRONG, RIGHT, INSULT, CURT))


def test_tie_width_is_measured_from_the_best_of_a_group():
    """Utilities 3.0, 2.5 and -0.5: a chain of small steps must not tie the ends."""
    ranking = rank(replace(EXACT, tie_width=0.5), PROMPT, [RIGHT, CURT, WRONG], random.Random(0))
    assert ranking.groups == ((0, 1), (2,))
    long = CURT + " It could be anything. That is hard to say. Somebody else may know that."  # 19 words: 2.35
    ranking = rank(replace(EXACT, tie_width=0.5), PROMPT, [RIGHT, CURT, long], random.Random(0))
    assert ranking.groups == ((0, 1), (2,))


def test_taste_for_short_answers():
    polite = " Hello! Sorry for the wait. I can see city Oslo here. Happy to help."
    assert rank(EXACT, PROMPT, [polite, CURT], random.Random(0)).groups == ((0,), (1,))
    assert rank(replace(EXACT, per_word=0.1), PROMPT, [polite, CURT], random.Random(0)).groups == ((1,), (0,))


def test_a_contrary_labeler_reverses_and_its_rejects_follow():
    contrary = replace(EXACT, contrary=1.0, reject_below=-9.0)
    assert rank(contrary, PROMPT, [RIGHT, CURT, WRONG, INSULT], random.Random(0)).groups == ((3,), (2,), (1,), (0,))
    picky = replace(contrary, reject_below=-1.0)
    assert rank(picky, PROMPT, [RIGHT, CURT, WRONG, INSULT], random.Random(0)).rejected == (1, 0)


def test_a_careless_labeler_picks_at_random():
    careless = replace(EXACT, careless=1.0)
    firsts = [rank(careless, PROMPT, [RIGHT, CURT, WRONG], random.Random(i)).groups[0] for i in range(300)]
    assert [firsts.count((i,)) for i in range(3)] == pytest.approx([100, 100, 100], abs=30)


def test_labelers_agree_with_the_truth_in_the_order_of_their_care():
    tau = {labeler.name: mean(taus(labeler)) for labeler in LABELERS}
    assert len(tau) == 5
    careful = min(tau["careful-1"], tau["careful-2"])
    assert careful > 0.8
    assert careful - 0.05 > tau["average"] > tau["careless"] + 0.15
    assert tau["careless"] > 0.1
    assert tau["contrary"] < -0.2


def test_the_contrary_labeler_is_not_always_contrary():
    contrary = taus(LABELERS[-1])
    assert 0.1 < mean([t > 0 for t in contrary]) < 0.4


@pytest.mark.parametrize("labeler", LABELERS, ids=lambda labeler: labeler.name)
def test_identical_completions_are_always_tied(labeler):
    for seed in range(200):
        ranking = rank(labeler, PROMPT, [RIGHT, INSULT, RIGHT, WRONG, RIGHT], random.Random(seed))
        together = [group for group in (*ranking.groups, ranking.rejected) if {0, 2, 4} & set(group)]
        assert len(together) == 1


@pytest.mark.parametrize("labeler", LABELERS, ids=lambda labeler: labeler.name)
def test_every_completion_is_placed_once_and_the_random_state_decides(labeler):
    for prompt, completions in items(60):
        ranking = rank(labeler, prompt, completions, random.Random(prompt))
        assert sorted(i for group in (*ranking.groups, ranking.rejected) for i in group) == [0, 1, 2, 3]
        assert all(ranking.groups)
        assert ranking == rank(labeler, prompt, completions, random.Random(prompt))


def test_every_labeler_ties_and_rejects_sometimes():
    for labeler in LABELERS:
        rng = random.Random(1)
        rankings = [rank(labeler, prompt, completions, rng) for prompt, completions in items(300)]
        assert any(len(group) > 1 for ranking in rankings for group in ranking.groups)
        assert 0.02 < mean([len(ranking.rejected) / 4 for ranking in rankings]) < 0.5


def test_a_foreign_prompt_is_the_users_error():
    with pytest.raises(UserError, match="embedded world"):
        rank(EXACT, "Once upon a time", ["x", "y"], random.Random(0))
