"""Agreement against the definitions by enumeration, and the reasons where there is none."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import combinations, permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import kendalltau

from accordant.feedback.answers import Said
from accordant.feedback.quality import STATISTICS, UNSTATED, Agreement, agreement, by_stratum
from accordant.feedback.tally import tally
from accordant.stats.agreement import NO_OVERLAP, ONE_VALUE
from sayings import likert, pair, rank, say, thumb, vet

PEOPLE = ("ana", "ben", "cleo", "dan")


def nominal(a: float, b: float) -> float:
    return float(a != b)


def interval(a: float, b: float) -> float:
    return (a - b) ** 2


def ordinal(units: Sequence[Sequence[float]]) -> Callable[[float, float], float]:
    """Krippendorff's ordinal difference: the ratings between two values, half of both ends, squared."""
    count = Counter(value for unit in units if len(unit) > 1 for value in unit)

    def far(a: float, b: float) -> float:
        low, high = min(a, b), max(a, b)
        return (sum(n for value, n in count.items() if low <= value <= high) - (count[a] + count[b]) / 2) ** 2

    return far


def alpha(units: Sequence[Sequence[float]], far: Callable[[float, float], float]) -> float:
    """1 - Do / De by going through all pairs of ratings: of a unit, and of all units."""
    units = [unit for unit in units if len(unit) > 1]
    everything = [value for unit in units for value in unit]
    n = len(everything)
    within = sum(sum(far(a, b) for a, b in permutations(unit, 2)) / (len(unit) - 1) for unit in units) / n
    between = sum(far(a, b) for a, b in permutations(everything, 2)) / (n * (n - 1))
    return 1 - within / between


def equal(units: Sequence[Sequence[object]]) -> float:
    shares = [np.mean([a == b for a, b in combinations(unit, 2)]) for unit in units if len(unit) > 1]
    return float(np.mean(shares))


def value_of(found: Agreement, name: str) -> float:
    value = found.estimates[name].value
    assert value is not None
    return value


def test_pairs_by_verdict_and_by_grade() -> None:
    said = [
        pair("a better", "ana", 1), pair("a slightly", "ben", 1), pair("b negligibly", "cleo", 1),
        pair("tie", "ana", 2), pair("tie", "ben", 2), pair("both_bad", "cleo", 2),
        pair("b slightly", "ana", 3), pair("b significantly", "ben", 3), pair("cannot_judge", "cleo", 3),
        pair("a better", "ana", 4),
    ]  # fmt: skip
    (found,) = agreement(tally(said))
    verdicts, grades = [[0, 0, 1], [2, 2, 3], [1, 1]], [[3, 2, -1], [0, 0], [-2, -4]]
    assert (found.task, found.attribute, found.items, found.labelers, found.answers) == ("pair", "", 4, 3, 10)
    assert value_of(found, "raw") == pytest.approx((1 / 3 + 1 / 3 + 1) / 3) == pytest.approx(equal(verdicts))
    assert value_of(found, "alpha_nominal") == pytest.approx(alpha(verdicts, nominal))
    assert value_of(found, "alpha_ordinal") == pytest.approx(alpha(grades, ordinal(grades)))
    assert {name: one.items for name, one in found.estimates.items()} == {
        "raw": 3, "fleiss": 2, "alpha_nominal": 3, "alpha_ordinal": 3,
    }  # fmt: skip
    # Two items have three verdicts: shares (2 + 1 + 2 + 1) / 6 of four categories.
    share = np.array([2, 1, 2, 1]) / 6
    assert value_of(found, "fleiss") == pytest.approx((1 / 3 - share @ share) / (1 - share @ share))


def test_a_pair_is_counted_by_the_items_order_and_not_by_the_screens() -> None:
    here, there = {"display": (0, 1)}, {"display": (1, 0)}
    said = [pair("a better", "ana", 1, **here), pair("a better", "ben", 1, **there), pair("b better", "ana", 2, **there)]
    (found,) = agreement(tally([*said, pair("b better", "ben", 2, **here)]))
    assert value_of(found, "raw") == value_of(found, "alpha_nominal") == 1


def test_rankings_by_their_pairs_and_as_a_whole() -> None:
    """Items of three and of four completions, with a tie and an F; tau-b by scipy, the pairs counted by hand."""
    said = [
        rank("a b c", "ana", 1), rank("b a c", "ben", 1), rank("ab c", "cleo", 1),
        rank("d c b a", "ana", 2), rank("d b", "ben", 2, rejected="ac"),
    ]  # fmt: skip
    alone = rank("a b c", "ana", 3)
    (found,) = agreement(tally([*said, alone]))
    assert {(one.items, one.note) for one in found.estimates.values()} == {
        (2, ""),
        (1, "there is one item: an interval needs at least two"),
    }
    # 0 first, 1 second, 2 tie; the second item: ab ac ad bc bd cd.
    first = [[0, 1, 2], [0, 0, 0], [0, 0, 0]]
    second = [[1, 1], [1, 2], [1, 1], [1, 0], [1, 1], [1, 1]]
    assert value_of(found, "raw") == pytest.approx((0 + 1 + 1 + 4) / 9) == pytest.approx(equal(first + second))
    assert value_of(found, "alpha_nominal") == pytest.approx(alpha(first + second, nominal))
    levels = [[[0, 1, 2], [1, 0, 2], [0, 0, 1]], [[3, 2, 1, 0], [2, 1, 2, 0]]]
    taus = [np.mean([kendalltau(a, b).statistic for a, b in combinations(item, 2)]) for item in levels]
    assert value_of(found, "tau_b") == pytest.approx(np.mean(taus))
    # W by hand: rank sums (4.5, 4.5, 9) of three, S = 13.5, T = 6; and (7.5, 5, 5.5, 2) of two, S = 15.5, T = 6.
    first_w, second_w = 12 * 13.5 / (9 * 24 - 3 * 6), 12 * 15.5 / (4 * 60 - 2 * 6)
    assert value_of(found, "w") == pytest.approx((first_w + second_w) / 2)


def test_likert_attribute_by_attribute_with_what_is_missing() -> None:
    said = [
        likert("ana", 1, wit=1, tact=None), likert("ben", 1, wit=2, tact=3), likert("cleo", 1, wit=5, tact=3),
        likert("ana", 2, wit=4, tact=5), likert("ben", 2, wit=4, tact=None), likert("ana", 3, wit=3, tact=1),
    ]  # fmt: skip
    wit, tact = agreement(tally(said))
    units = [[1, 2, 5], [4, 4]]
    assert (wit.attribute, wit.items, wit.labelers, wit.answers) == ("wit", 3, 3, 6)
    assert value_of(wit, "raw") == 0.5
    assert value_of(wit, "alpha_ordinal") == pytest.approx(alpha(units, ordinal(units)))
    assert value_of(wit, "alpha_interval") == pytest.approx(alpha(units, interval))
    assert (tact.attribute, tact.answers) == ("tact", 4)
    assert tact.estimates["alpha_interval"].note == ONE_VALUE, "of tact, two threes alone can be compared"


def test_an_attribute_that_applies_to_nothing_says_so() -> None:
    found = agreement(tally([likert("ana", 1, wit=1, tact=None), likert("ben", 1, wit=1, tact=None)]))[1]
    assert (found.attribute, found.answers, found.items) == ("tact", 0, 0)
    assert {one.note for one in found.estimates.values()} == {NO_OVERLAP}


@pytest.mark.parametrize(
    "make", [lambda up, who, item: thumb(up, who, item), lambda up, who, item: vet("edit" if up else "accept", who, item)]
)
def test_thumbs_and_verdicts(make: Callable[[bool, str, int], Said]) -> None:
    votes = [[1, 1, 0], [1, 1, 1], [0, 0, 1]]
    said = [make(bool(up), who, i) for i, item in enumerate(votes, 1) for who, up in zip(PEOPLE, item, strict=False)]
    (found,) = agreement(tally(said))
    assert value_of(found, "raw") == pytest.approx(5 / 9)
    chance = (6 / 9) ** 2 + (3 / 9) ** 2
    assert value_of(found, "fleiss") == pytest.approx((5 / 9 - chance) / (1 - chance))
    assert value_of(found, "alpha_nominal") == pytest.approx(alpha(votes, nominal))


@settings(max_examples=30, deadline=None)
@given(st.lists(st.lists(st.sampled_from([1, 2, 3, 4, 5]), min_size=1, max_size=4), min_size=2, max_size=8))
def test_alpha_and_raw_agreement_are_those_of_the_definition(units: list[list[int]]) -> None:
    said = [likert(who, i, wit=score) for i, unit in enumerate(units, 1) for who, score in zip(PEOPLE, unit, strict=False)]
    (found,) = agreement(tally(said), resamples=2)
    shared = [unit for unit in units if len(unit) > 1]
    if not shared:
        assert {one.note for one in found.estimates.values()} == {NO_OVERLAP}
        return
    assert value_of(found, "raw") == pytest.approx(equal(shared))
    if len({value for unit in shared for value in unit}) == 1:
        assert found.estimates["alpha_ordinal"].note == ONE_VALUE
        return
    assert value_of(found, "alpha_ordinal") == pytest.approx(alpha(shared, ordinal(shared)))
    assert value_of(found, "alpha_interval") == pytest.approx(alpha(shared, interval))


def test_an_interval_is_of_items_and_not_of_their_pairs() -> None:
    """One item on which all agree and one on which nobody does: every resample is of whole items, so 0 and 1 come up."""
    said = [rank("a b c d e", "ana", 1), rank("a b c d e", "ben", 1), rank("a b c d e", "ana", 2), rank("e d c b a", "ben", 2)]
    raw = agreement(tally(said))[0].estimates["raw"]
    assert (raw.value, raw.low, raw.high) == (0.5, 0.0, 1.0)


def test_the_resamples_are_as_many_as_asked() -> None:
    said = [thumb(i % 3 > 0, who, i) for i in range(1, 30) for who in PEOPLE[:2]]
    said = [replace(one, payload={"up": True}) if one.labeler == "ben" and one.item_id % 5 == 0 else one for one in said]
    few, many = (agreement(tally(said), resamples=n)[0].estimates["raw"] for n in (2, 2000))
    assert few.value == many.value
    assert (few.low, few.high) != (many.low, many.high)


@pytest.mark.parametrize(
    "make", [thumb, lambda _, who, item: pair("tie", who, item), lambda _, who, item: rank("abc", who, item)]
)
def test_everybody_says_the_same(make: Callable[[bool, str, int], Said]) -> None:
    (found,) = agreement(tally([make(True, who, item) for item in (1, 2, 3) for who in PEOPLE]))
    assert value_of(found, "raw") == 1
    for name in set(found.estimates) - {"raw", "w", "tau_b"}:
        assert found.estimates[name].value is None
        assert found.estimates[name].note == ONE_VALUE
    for name in set(found.estimates) & {"w", "tau_b"}:
        assert found.estimates[name].value is None
        assert "ties everything" in found.estimates[name].note


@pytest.mark.parametrize(
    "said",
    [
        [rank("a b c", "ana", item) for item in (1, 2)],
        [pair("a better", "ana", 1), pair("b better", "ben", 2)],
        [likert("ana", 1, wit=3)],
        [thumb(True, "ana", 1), thumb(True, "ben", 2)],
        [vet("accept", "ana", 1)],
        [say("rank", {"cannot_judge": "no"}, who) for who in PEOPLE],
        [pair("cannot_judge", who) for who in PEOPLE],
    ],
)
def test_where_nobody_can_be_compared_every_statistic_says_why(said: list[Said]) -> None:
    (found,) = agreement(tally(said))
    assert len(found.estimates) >= 3
    for one in found.estimates.values():
        assert (one.value, one.low, one.high, one.note) == (None, None, None, NO_OVERLAP)


def test_gold_and_written_texts_are_no_part_of_it() -> None:
    gold = [replace(thumb(up, who, 9), gold={"up": True}) for who, up in (("ana", True), ("ben", False))]
    plain = [thumb(True, who, 1) for who in ("ana", "ben")]
    written = [say("demonstration", {"text": who}, who, 2) for who in ("ana", "ben")]
    (found,) = agreement(tally([*gold, *plain, *written]))
    assert (found.task, value_of(found, "raw"), found.items) == ("thumb", 1, 1)
    assert agreement(tally(gold)) == agreement(tally([])) == ()


def test_tasks_come_in_one_order_and_every_statistic_has_a_name() -> None:
    said = [vet("accept"), thumb(True), likert(wit=2), pair("tie"), rank("a b")]
    found = agreement(tally(said))
    assert [one.task for one in found] == ["rank", "pair", "likert", "thumb", "vet"]
    assert {name for one in found for name in one.estimates} == set(STATISTICS)


def test_agreement_within_and_between_groups() -> None:
    strata = {"ana": {"language": "hr"}, "ben": {"language": "hr"}, "cleo": {"language": "fi"}, "dan": {}}
    votes = {1: (True, True, False, True), 2: (True, False, False, True)}
    said = [
        replace(thumb(up, who, item), strata=strata[who])
        for item, ups in votes.items()
        for who, up in zip(PEOPLE, ups, strict=True)
    ]
    said.append(replace(thumb(True, "cleo", 3), strata=strata["cleo"]))
    gold = [replace(one, item_id=4, gold={"up": True}) for one in said[:2]]
    found = {(one.first, one.second): one.share for one in by_stratum(tally([*said, *gold]), "language")}
    assert {key: one.value for key, one in found.items()} == {
        ("hr", "hr"): 0.5,  # equal on 1, not on 2
        ("fi", "hr"): 0.25,  # on 1 none of two, on 2 one of two
        ("fi", UNSTATED): 0.0,
        ("hr", UNSTATED): 0.75,  # on 1 both, on 2 one of two
    }
    assert all(one.items == 2 for one in found.values())
    assert {(one.first, one.second) for one in by_stratum(tally(said), "region")} == {(UNSTATED, UNSTATED)}
