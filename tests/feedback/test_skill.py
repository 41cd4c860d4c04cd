"""Simulated labelers of known habits are found out, and honest ones are left alone."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from accordant.feedback import answers, tasks
from accordant.feedback.answers import Said
from accordant.feedback.quality import Checked, LabelerQuality, labelers
from accordant.feedback.skill import CLASSES, discriminations, flags, side_skills
from accordant.feedback.store import Store
from accordant.feedback.tally import tally
from accordant.stats.agreement import NO_OVERLAP
from accordant.stats.bradley_terry import fit
from accordant.stats.discrimination import discrimination_sd
from accordant.stats.intervals import Estimate, Undefined
from accordant.stats.weighted_consensus import compare
from desk import Desk
from sayings import pair, rank, thumb

LETTERS = "abcd"


def shown(rng: np.random.Generator, k: int) -> tuple[int, ...]:
    return tuple(rng.permutation(k).tolist())


def panel(**errors: float) -> list[Said]:
    """400 pairs of which "a" is the better one in half; each labeler errs as often as given."""
    rng = np.random.default_rng(0)
    said = []
    for item in range(1, 401):
        truth = item % 2
        for who, error in errors.items():
            says = truth if rng.random() >= error else 1 - truth
            said.append(pair(f"{'ab'[says]} better", who, item, display=shown(rng, 2)))
    return said


def by_name(said: list[Said], found: dict[int, Any]) -> dict[str, Any]:
    return {one.labeler: found[one.labeler_id] for one in said if one.labeler_id in found}


def flagged(said: list[Said], seconds: dict[tuple[int, int], float]) -> dict[int, Any]:
    return flags(tally(said), np.array([seconds[one.item_id, one.labeler_id] for one in said]))


def of_project(store: Store, project: int, *, ai: bool = False) -> tuple[LabelerQuality, ...]:
    return labelers(store, project, tally(answers.said(store, project, gold=True, surplus=True, ai=ai)), ai=ai)


def test_skill_is_how_often_a_labeler_is_right() -> None:
    said = panel(ana=0.05, ben=0.2, cleo=0.45, dan=0.1, eve=0.1)
    found = side_skills(tally(said))
    assert not isinstance(found, Undefined)
    named = by_name(said, found)
    for who, error in (("ana", 0.05), ("ben", 0.2), ("cleo", 0.45)):
        assert named[who].accuracy == pytest.approx(1 - error, abs=0.06)
        assert abs(named[who].bias) < 0.15
    assert named["ana"].weight > named["ben"].weight > named["cleo"].weight
    accuracy = named["ben"].accuracy
    assert named["ben"].weight == pytest.approx(np.log(accuracy * (CLASSES - 1) / (1 - accuracy)))


def test_a_liking_for_a_side_is_told_from_one_for_an_answer() -> None:
    """`left` takes whatever is shown first; `a` likes the item's first answer, which is on either side."""
    rng = np.random.default_rng(1)
    said = panel(ana=0.1, ben=0.1)
    for item in range(1, 401):
        display = shown(rng, 2)
        said.append(pair(f"{'ab'[display[0]]} better", "left", item, display=display))
        said.append(pair("a better", "a", item, display=display))
    found = side_skills(tally(said))
    assert not isinstance(found, Undefined)
    named = by_name(said, found)
    assert named["left"].bias > 0.9
    assert abs(named["a"].bias) < 0.2
    assert abs(named["ana"].bias) < 0.15


def test_the_same_votes_as_rankings_of_two_give_the_same_skill() -> None:
    said = panel(ana=0.05, ben=0.3, cleo=0.3)
    ids = [{completion.id for completion in one.completions} for one in said]
    ranked = [
        replace(one, task="rank", payload={"groups": [[best := one.payload["better"]], list(both - {best})], "rejected": []})
        for one, both in zip(said, ids, strict=True)
    ]
    assert side_skills(tally(ranked)) == side_skills(tally(said))
    for one, other in zip(discriminations(tally(ranked)).values(), discriminations(tally(said)).values(), strict=True):
        assert (one.value, one.low, one.high) == pytest.approx((other.value, other.low, other.high))
        assert (one.items, one.note) == (other.items, other.note) == (400, "")


def test_gold_says_which_way_is_up_where_most_are_contrary() -> None:
    said = panel(ana=0.02, ben=0.95, cleo=0.95)
    ids = {item: [10 * item, 10 * item + 1] for item in range(1, 401)}
    known = [
        replace(one, gold={"better": ids[one.item_id][one.item_id % 2], "grade": "slightly"}) if one.item_id <= 100 else one
        for one in said
    ]
    without, with_gold = side_skills(tally(said)), side_skills(tally(known))
    assert not isinstance(without, Undefined)
    assert not isinstance(with_gold, Undefined)
    assert by_name(said, without)["ana"].accuracy < 0.2
    assert by_name(said, with_gold)["ana"].accuracy > 0.9
    assert by_name(said, with_gold)["ben"].accuracy < 0.2


def test_gold_that_no_vote_can_be_held_against_says_nothing_of_other_items() -> None:
    """Gold says b of an item that nobody could judge, and "both bad" of one that was judged: neither is news of any vote."""
    said = panel(ana=0.1, ben=0.1)
    unjudged = [pair("cannot_judge", who, 0, gold={"better": 1, "grade": "better"}) for who in ("ana", "ben")]
    bad = [pair("a better", who, 500, gold={"both_bad": True}) for who in ("ana", "ben")]
    judged = [replace(one, gold=None) for one in bad]
    assert side_skills(tally([*unjudged, *said])) == side_skills(tally(said))
    assert side_skills(tally([*said, *bad])) == side_skills(tally([*said, *judged]))


def test_who_shares_no_item_with_anybody_has_no_skill() -> None:
    said = [*panel(ana=0.1, ben=0.1), *(pair("a better", "alone", item) for item in range(1001, 1050))]
    found = side_skills(tally(said))
    assert not isinstance(found, Undefined)
    assert set(by_name(said, found)) == set(by_name(said, discriminations(tally(said)))) == {"ana", "ben"}
    on_gold = [replace(one, gold={"better": 10 * one.item_id, "grade": "better"}) for one in said if one.labeler == "alone"]
    with_gold = side_skills(tally([*said, *(replace(one, item_id=one.item_id + 1000) for one in on_gold)]))
    assert not isinstance(with_gold, Undefined)
    assert "alone" in by_name(said, with_gold)


def test_both_bad_and_cannot_judge_are_no_votes() -> None:
    said = panel(ana=0.1, ben=0.1)
    more = [pair(verdict, who, item) for item in range(401, 500) for who in ("ana", "ben") for verdict in ["both_bad"]]
    more += [pair("cannot_judge", "ana", item) for item in range(500, 600)]
    assert side_skills(tally([*said, *more])) == side_skills(tally(said))
    nothing = side_skills(tally([pair("both_bad"), thumb(True)]))
    assert isinstance(nothing, Undefined)
    assert "no pair" in nothing.reason


def test_discrimination_is_low_for_the_careless_and_negative_for_the_contrary() -> None:
    rng = np.random.default_rng(2)
    said = []
    for item in range(1, 61):
        for who in ("ana", "ben", "cleo", "careless", "contrary"):
            order = list(LETTERS)
            if who == "careless":
                rng.shuffle(order)
            if who == "contrary":
                order.reverse()
            if who in ("ana", "ben", "cleo") and rng.random() < 0.3:
                order[1], order[2] = order[2], order[1]
            said.append(rank(" ".join(order), who, item))
    named = by_name(said, discriminations(tally(said)))
    assert min(named[who].value for who in ("ana", "ben", "cleo")) > 2
    assert abs(named["careless"].value) < 0.5
    assert named["careless"].low < 0.05 < named["careless"].value < named["careless"].high
    assert named["contrary"].value < -1
    assert named["contrary"].high < 0
    assert discriminations(tally([rank("a b", "ana", item) for item in (1, 2)])) == discriminations(tally([])) == {}


def together(*links: str, items: int = 12) -> list[Said]:
    """Pairs that two or more labelers, named by letters, have judged: as many items for each of `links`."""
    rng = np.random.default_rng(4)
    return [
        pair(f"{rng.choice(['a', 'b'], p=[0.8, 0.2])} better", who, item * len(links) + k + 1)
        for item in range(items)
        for k, link in enumerate(links)
        for who in link
    ]


@pytest.mark.parametrize(
    ("links", "unknown"),
    [
        (("xy",), "xy"),
        (("xy", "yz"), "xyz"),  # y with each of the two: one product of betas each
        (("xy", "yz", "zx"), ""),
        (("xyz",), ""),
        (("wx", "xy", "yz", "zw"), "wxyz"),  # a ring of four has two sides
        (("vw", "wx", "xy", "yz", "zv"), ""),  # one of five has not
        (("xyz", "zw"), ""),  # z is known, and so w by z
        (("xyz", "vw"), "vw"),
    ],
)
def test_whose_discrimination_can_be_told(links: tuple[str, ...], unknown: str) -> None:
    said = together(*links)
    named = by_name(said, discriminations(tally(said)))
    assert set(named) == set("".join(links))
    for who, found in named.items():
        assert (found.value is None) == (found.low is None) == (found.high is None) == (who in unknown)
        assert ("which one errs" in found.note) == (who in unknown)
        assert found.items == 12 * sum(who in link for link in links)


def test_it_takes_some_comparisons_that_others_made_too() -> None:
    """Two rejected completions are not compared, and what nobody else saw is no comparison with others."""
    said = together("xyz", items=9)
    alone = [pair("a better", "x", item) for item in range(1000, 1050)]
    bad = [pair("both_bad", who, item) for item in range(2000, 2010) for who in "xyz"]
    few = by_name(said, discriminations(tally([*said, *alone, *bad])))
    assert {one.value for one in few.values()} == {None}
    assert {one.items for one in few.values()} == {19}, "the bad ones are shared too, those of x alone are not"
    assert all("others have compared 9 " in one.note and "takes 10" in one.note for one in few.values())
    one_more = [pair("a better", who, 3000) for who in "xy"]
    found = by_name(said, discriminations(tally([*said, *one_more])))
    assert {who: one.value is None for who, one in found.items()} == {"x": False, "y": False, "z": True}
    assert {who: one.items for who, one in found.items()} == {"x": 10, "y": 10, "z": 9}


def test_an_interval_is_the_value_give_or_take_1_96_standard_deviations() -> None:
    said = together("xyz", items=40)
    of = tally(said)
    people, who = np.unique(of.labeler, return_inverse=True)
    data = compare(of.item, who, of.level, of.rejected, 3)
    fitted = fit(data)
    for k, sd in enumerate(discrimination_sd(data, fitted)):
        found = discriminations(of)[int(people[k])]
        beta = fitted.discrimination[k]
        assert (found.value, found.low, found.high) == pytest.approx((beta, beta - 1.95996 * sd, beta + 1.95996 * sd), rel=1e-5)


# --- flags -------------------------------------------------------------------------------------------------------------


def habits() -> list[Said]:
    """40 rankings and 40 pairs each: two who read, one of each habit."""
    rng = np.random.default_rng(3)
    said = []
    for item in range(1, 81):
        k = 4 if item <= 40 else 2
        for who in ("ana", "ben", "first", "tied", "failing", "helpless"):
            display = shown(rng, k)
            order = [LETTERS[place] for place in (display if who == "first" else rng.permutation(k).tolist())]
            if k == 4:
                one = rank(" ".join(order), who, item, display=display)
                if who == "tied":
                    one = rank("".join(order), who, item, display=display)
                if who == "failing":
                    one = rank(order[0], who, item, rejected="".join(order[1:]), display=display)
            else:
                verdict = {"tied": "tie", "failing": "both_bad"}.get(who, f"{order[0]} better")
                one = pair(verdict, who, item, display=display)
            said.append(replace(one, payload={"cannot_judge": "no"}) if who == "helpless" else one)
    return said


def test_each_habit_raises_its_own_flag_and_reading_none() -> None:
    said = habits()
    seconds = {(one.item_id, one.labeler_id): 20.0 + one.item_id % 7 for one in said}
    raised = {
        who: {name for name, flag in found.items() if flag.raised}
        for who, found in by_name(said, flagged(said, seconds)).items()
    }
    assert raised == {
        "ana": set(), "ben": set(), "first": {"same_position"}, "tied": {"ties"}, "failing": {"rejects"},
        "helpless": {"cannot_judge"},
    }  # fmt: skip


def test_a_labeler_is_compared_with_the_others_alone() -> None:
    """Ten ties of ten: very rare beside somebody who ties nothing, a chance of 2 ^ -10 if their own ties were ordinary, too."""
    said = [pair(verdict, who, item) for item in range(1, 11) for who, verdict in (("tied", "tie"), ("ana", "a better"))]
    seconds = {(one.item_id, one.labeler_id): 20.0 for one in said}
    found = by_name(said, flagged(said, seconds))
    assert found["tied"]["ties"].raised
    assert found["tied"]["ties"].expected == pytest.approx(1 / 12)


def test_too_fast_is_by_kind_of_task() -> None:
    """Thumbs take everybody 3 seconds, rankings 60: who ranks in 3 is too fast, though the thumbs were honest."""
    people = ("ana", "ben", "hasty")
    said = [one for item in range(1, 41) for who in people for one in (thumb(True, who, item), rank("a b", who, item + 100))]
    seconds = {}
    for one in said:
        usual = 3.0 if one.task == "thumb" or one.labeler == "hasty" else 60.0
        seconds[one.item_id, one.labeler_id] = usual * (1 + 0.01 * (one.item_id % 9))
    found = by_name(said, flagged(said, seconds))
    assert [found[who]["too_fast"].raised for who in people] == [False, False, True]
    assert found["hasty"]["too_fast"].n == 40


def test_the_level_of_a_flag_is_shared_among_labelers() -> None:
    """14 of 14 in one place of two is a chance of 2 ^ -13 after looking at both: rare for one labeler, not among a hundred."""
    said = [pair("a better", "first", item) for item in range(1, 15)]
    seconds = {(one.item_id, one.labeler_id): 20.0 for one in said}
    assert by_name(said, flagged(said, seconds))["first"]["same_position"].raised
    crowd = [thumb(True, f"person {n}", 900) for n in range(100)]
    seconds |= {(one.item_id, one.labeler_id): 20.0 for one in crowd}
    assert not by_name(said, flagged([*said, *crowd], seconds))["first"]["same_position"].raised


# --- a labeler's page --------------------------------------------------------------------------------------------------


def test_a_labelers_work_is_counted(store: Store) -> None:
    desk = Desk(store)
    pairs, gold = [desk.item("pair", 2) for _ in range(3)], desk.item("pair", 2)
    wanted, other = desk.pair(gold, "a"), desk.pair(gold, "b")
    tasks.set_gold(store, gold, wanted)
    for n, item in enumerate(pairs):
        desk.say(item, "Ana", desk.pair(item, "a"), ms=[(n + 1) * 10_000])
    desk.say(pairs[0], "Ben", desk.pair(pairs[0], "b"), desk.pair(pairs[0], "a", "slightly"), ms=[30_000, 500])
    desk.say(pairs[1], "Ben", desk.pair(pairs[1], "b"), ms=[0], state="surplus")
    desk.say(pairs[2], "Ben", state="skipped")
    desk.say(gold, "Ana", wanted, ms=[5_000], chosen_by="gold")
    desk.say(gold, "Ben", other, chosen_by="gold", ms=[7_000])
    desk.person("judge", kind="ai")
    for item in pairs:
        desk.say(item, "judge", desk.pair(item, "b"))
    desk.say(desk.item("demonstration"), "Cleo", state="skipped")
    desk.person("Dan")
    elsewhere = Desk(store, name="other")
    elsewhere.people = desk.people
    elsewhere.say(elsewhere.item("thumb", 1), "Dan", {"up": True})
    ana, ben, cleo = of_project(store, desk.project)
    assert [(one.name, one.kind, one.answers, one.skips) for one in (ana, ben, cleo)] == [
        ("Ana", "human", 4, 0), ("Ben", "human", 3, 1), ("Cleo", "human", 0, 1),
    ]  # fmt: skip
    assert (ana.seconds, ben.seconds, cleo.seconds) == (15.0, 7.0, None)
    assert [(one.gold_right, one.gold.n) for one in (ana, ben, cleo)] == [(1, 1), (0, 1), (0, 0)]
    assert ana.gold.mean == pytest.approx(3 / 4)
    assert (ana.agrees, ben.agrees) == (0.5, 0.5), "gold is no part of it"
    assert cleo.agrees == cleo.side == Undefined(NO_OVERLAP)
    assert cleo.discrimination == Estimate(None, None, None, 0, NO_OVERLAP)
    assert (ana.discrimination.value, ana.discrimination.items) == (None, 3)
    assert "which one errs" in ana.discrimination.note
    assert set(ana.flags) == {"attention", "too_fast", "same_position", "ties", "rejects", "cannot_judge"}
    assert set(cleo.flags) == {"attention"}
    with_ai = of_project(store, desk.project, ai=True)
    assert [one.name for one in with_ai] == ["Ana", "Ben", "Cleo", "judge"]
    assert with_ai[-1].kind == "ai"
    assert with_ai[0].agrees == pytest.approx((1 + 0 + 0 + 0 + 0) / 5)


def test_a_reason_stands_where_skill_cannot_be_told(store: Store) -> None:
    desk = Desk(store)
    item = desk.item("pair", 2)
    desk.say(item, "Ana", {"tie": True})
    desk.say(item, "Ben", {"tie": True})
    ana, _ = of_project(store, desk.project)
    assert isinstance(ana.side, Undefined)
    assert "all votes are the same" in ana.side.reason
    assert of_project(store, tasks.make_project(store, "empty", "")) == ()


def test_attention_checks_are_counted_apart_and_are_in_nothing_else(store: Store) -> None:
    """`reads` passes ten and errs on gold, `sleeps` misses them: that moves the column and the flag, and no weight."""
    desk = Desk(store)
    pairs, gold = [desk.item("pair", 2) for _ in range(12)], desk.item("pair", 2)
    tasks.set_gold(store, gold, desk.pair(gold, "a"))
    for n, item in enumerate([*pairs, gold]):
        for who, better in (
            ("reads", "b" if item == gold else "ab"[n % 2]),
            ("sleeps", "ab"[n % 2]),
            ("third", "ab"[n % 3 == 0]),
        ):
            desk.say(item, who, desk.pair(item, better))
    before = {one.name: one for one in of_project(store, desk.project)}
    for n in range(10):
        check = desk.item("pair", 2)
        tasks.set_gold(store, check, desk.pair(check, "a"), attention=True)
        for who, better in (("reads", "a"), ("sleeps", "b"), ("third", "b" if n == 0 else "a")):
            desk.say(check, who, desk.pair(check, better), ms=[500], chosen_by="attention", display=(0, 1))
    after = {one.name: one for one in of_project(store, desk.project)}
    assert [after[who].attention for who in ("reads", "sleeps", "third")] == [Checked(10, 10), Checked(0, 10), Checked(9, 10)]
    assert [after[who].flags["attention"].raised for who in ("reads", "sleeps", "third")] == [False, True, False]
    for who, one in after.items():
        was = before[who]
        assert (one.gold, one.gold_right, one.side, one.discrimination) == (
            was.gold,
            was.gold_right,
            was.side,
            was.discrimination,
        )
        assert one.agrees == was.agrees
        assert one.answers == was.answers + 10
        assert {name: flag for name, flag in one.flags.items() if name != "attention"} == {
            name: flag for name, flag in was.flags.items() if name != "attention"
        }
    assert before["sleeps"].attention == Checked(0, 0)
    assert not before["sleeps"].flags["attention"].raised


def test_a_check_that_everybody_misses_is_a_bad_check(store: Store) -> None:
    desk = Desk(store)
    for _ in range(10):
        check = desk.item("thumb", 1)
        tasks.set_gold(store, check, {"up": True}, attention=True)
        for who in ("Ana", "Ben", "Cleo"):
            desk.say(check, who, {"up": False})
    assert not any(one.flags["attention"].raised for one in of_project(store, desk.project))
