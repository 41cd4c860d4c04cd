"""The word of several labelers as files: one row for each item, unless they are in doubt or an admin has ruled."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from exported import ABC, Payload, judge, lines, person, project, ranked

from accordant.data.rows import read
from accordant.feedback import adjudication, tasks
from accordant.feedback.answers import said
from accordant.feedback.store import Store
from accordant.feedback.tasks import Text, Work
from accordant.stages.feedback_files import How, write
from accordant.types import Pair, Ranking, Thumb, UserError


@pytest.fixture
def judged(store: Store) -> int:
    """A project that three people have answered alike, but for grades and vetting, and an admin has ruled on."""
    row = {"prompt": "v", "completion": "first"}
    work = [
        *(Work("rank", f"rank {i}", ABC) for i in range(6)), *(Work("pair", f"pair {i}", ABC[:2]) for i in range(6)),
        Work("pair", "tie", ABC[:2]), Work("rank", "ruled", ABC),
        Work("vet", "yes", row=row), Work("vet", "edited", row=row), Work("vet", "no", row=row), Work("vet", "nobody", row=row),
    ]  # fmt: skip
    number = project(store, *work)
    admin = person(store, "Root", "admin")
    edit: Payload = {"verdict": "edit", "row": row | {"completion": "better"}}
    vet: dict[str, list[Payload]] = {
        "yes": [{"verdict": "accept"}] * 3,
        "edited": [edit, {"verdict": "accept"}, edit],
        "no": [{"verdict": "reject", "reason": "x"}, {"verdict": "reject", "reason": "x"}, edit],
        "nobody": [{"verdict": "reject", "reason": "x"}] * 3,
    }

    def say(n: int) -> Callable[[str, str, dict[str, int]], Payload]:
        def own(kind: str, prompt: str, at: dict[str, int]) -> Payload:
            if kind == "vet":
                return vet[prompt][n]
            if kind == "rank":
                return ranked(at, "a", "b", f="c")
            return {"tie": True} if prompt == "tie" else {"better": at["a"], "grade": "slightly" if n else "significantly"}

        return own

    for n, name in enumerate(("Ana", "Bo", "Cy")):
        judge(store, number, person(store, name), say(n))
    items = {str(one.prompt): one for one in said(store, number)}
    by_text = {completion.text: completion.id for completion in items["ruled"].completions}
    adjudication.rule(store, items["ruled"].item_id, admin, ranked(by_text, "c", "b", "a"), "obvious")
    adjudication.rule(store, items["nobody"].item_id, admin, {"verdict": "accept"}, "fine")
    unanswered, gold = tasks.add(store, number, [Work("thumb", "late", ABC[:1]), Work("thumb", "gold", ABC[:1])])
    for item in (unanswered, gold):
        adjudication.rule(store, item, admin, {"up": True}, "seen at once")
    tasks.set_gold(store, gold, {"up": True})
    return number


def test_what_labelers_say_together_and_the_word_of_an_admin(store: Store, judged: int, tmp_path: Path) -> None:
    options: dict[str, Any] = {"which": "consensus", "margins": "large", "ties": "keep", "rejects": "lose"}
    counts = write(store, judged, tmp_path / "out", How(**options))
    assert counts == {"rankings": 7, "pairs": 6 * 3 + 3 + 6 + 1, "vetted": 3, "thumbs": 1}
    assert [row.prompt for row in read(tmp_path / "out/thumbs.jsonl", Thumb)] == ["late"]
    rankings = {row.prompt: row for row in read(tmp_path / "out/rankings.jsonl", Ranking)}
    assert (rankings["rank 0"].groups, rankings["rank 0"].rejected) == (((0,), (1,)), (2,))
    assert (rankings["ruled"].groups, rankings["ruled"].rejected) == (((2,), (1,), (0,)), ())
    pairs = read(tmp_path / "out/pairs.jsonl", Pair)
    (graded,) = (pair for pair in pairs if pair.prompt == "pair 3")
    assert graded.margin == pytest.approx((3 + 1 + 1) / 3)
    assert 0.6 < graded.weight < 1
    assert [(pair.chosen, pair.rejected, pair.weight) for pair in pairs if pair.prompt == "ruled"] == [
        ("c", "b", 1.0), ("c", "a", 1.0), ("b", "a", 1.0),
    ]  # fmt: skip
    assert [pair.tie for pair in pairs if pair.prompt == "tie"] == [True]
    vetted = [line["completion"] for line in lines(tmp_path / "out/vetted.jsonl")]
    assert vetted == ["first", "better", "first"]


def test_what_is_in_doubt_is_left_out_and_counted(store: Store, judged: int, tmp_path: Path) -> None:
    fewer = write(store, judged, tmp_path / "fewer", How(which="consensus"))
    assert fewer["pairs"] == 6 * 1 + 3 + 6  # without the rejected answer and the tie
    trl = write(store, judged, tmp_path / "trl", How(which="consensus", shape="trl", method="borda"))
    assert trl["pairs"] == fewer["pairs"]
    assert all("weight" in line and "margin" not in line for line in lines(tmp_path / "trl/pairs.jsonl"))
    told = json.loads((tmp_path / "fewer/export.json").read_text())["left_out"]
    assert told == {"with a rejected answer": 6 * 2, "tied": 1, "items (vet) that give no row together": 1}
    with pytest.raises(UserError, match=r"min_confidence is 0\.3; it must be at least 0\.5"):
        write(store, judged, tmp_path / "odd", How(which="consensus", min_confidence=0.3))


@pytest.mark.parametrize("method", ["weighted", "borda"])
def test_ties_of_rankings_are_kept_where_they_are_asked_for(store: Store, tmp_path: Path, method: Any) -> None:
    """All say b = c before a, d is F; of another item an admin rules a = b = c."""
    four = (*ABC, Text("d"))
    number = project(store, *(Work("rank", name, four) for name in ("q", "r", "ruled")))
    for name in ("Ana", "Bo", "Cy"):
        judge(store, number, person(store, name), lambda _, __, at: ranked(at, "bc", "a", f="d"))
    items = {str(one.prompt): one for one in said(store, number)}
    at = {completion.text: completion.id for completion in items["ruled"].completions}
    adjudication.rule(store, items["ruled"].item_id, person(store, "Root", "admin"), ranked(at, "abc", f="d"), "no difference")
    options: dict[str, Any] = {"which": "consensus", "method": method}
    assert write(store, number, tmp_path / "keep", How(ties="keep", **options))["pairs"] == 2 * 3 + 3
    pairs = read(tmp_path / "keep/pairs.jsonl", Pair)
    ties = [(row.prompt, "".join(sorted((row.chosen, row.rejected))), row.weight) for row in pairs if row.tie]
    assert sorted(ties) == [("q", "bc", 1.0), ("r", "bc", 1.0), *[("ruled", two, 1.0) for two in ("ab", "ac", "bc")]]
    rankings = {row.prompt: row for row in read(tmp_path / "keep/rankings.jsonl", Ranking)}
    assert (set(rankings["q"].groups[0]), set(rankings["ruled"].groups[0])) == ({1, 2}, {0, 1, 2})
    told = json.loads((tmp_path / "keep/export.json").read_text())["left_out"]
    assert told == {"with a rejected answer": 3 * 3}
    assert write(store, number, tmp_path / "drop", How(**options))["pairs"] == 2 * 2
    told = json.loads((tmp_path / "drop/export.json").read_text())["left_out"]
    assert told == {"with a rejected answer": 3 * 3, "tied": 2 * 1 + 3}


@pytest.mark.parametrize("method", ["weighted", "borda"])
def test_everything_is_a_row_or_counted_once(store: Store, tmp_path: Path, method: Any) -> None:
    """At random: each pair, rating and thumb is a row or counted, and so are every two answers of each ranking."""
    per, mute = 15, 2
    kinds = {"rank": ABC, "pair": ABC[:2], "thumb": ABC[:1], "likert": ABC[:1]}
    work = [Work(task, f"{task} {i}", texts) for task, texts in kinds.items() for i in range(per)]
    number = project(store, *work, *(Work("vet", f"vet {i}", row={"n": i, "text": str(i)}) for i in range(per)))

    def say(name: str, kind: str, prompt: str, at: dict[str, int]) -> Payload:
        rng = random.Random(name + prompt)  # whatever is handed out first
        a, b, *_ = [*at.values(), 0, 0]
        if kind in ("rank", "pair") and (rng.random() < 0.1 or prompt in ("rank 0", "rank 1")):
            return {"cannot_judge": "in Finnish"}
        place = {text: rng.randrange(3) for text in at}
        groups = ["".join(text for text in at if place[text] == level) for level in range(2)]
        return {
            "rank": ranked(at, *filter(None, groups), f="".join(text for text in at if place[text] == 2)),
            "pair": rng.choice([{"tie": True}, {"tie": True}, {"both_bad": True}, {"better": a, "grade": "better"},
                                {"better": b, "grade": "slightly"}]),
            "thumb": {"up": rng.random() < 0.5},
            "likert": {"scores": {"quality": 3, "wit": None}},
            "vet": rng.choice([{"verdict": "accept"}, {"verdict": "reject", "reason": "x"}]),
        }[kind]  # fmt: skip

    for name in ("Ana", "Bo"):
        judge(store, number, person(store, name), partial(say, name))
    for ties in ("drop", "keep"):
        for rejects in ("exclude", "lose"):
            folder = tmp_path / f"{ties}-{rejects}"
            how = How(which="consensus", method=method, ties=ties, rejects=rejects)  # type: ignore[arg-type]
            rows = Counter(write(store, number, folder, how))
            out = Counter(json.loads((folder / "export.json").read_text())["left_out"])
            silent = {task: out.pop(f"items ({task}) that give no row together", 0) for task in (*kinds, "vet")}
            task_of = {one.item_id: one.task for one in said(store, number)}
            pairs = Counter(task_of[line["group_id"]] for line in lines(folder / "pairs.jsonl"))
            assert rows["rankings"] + silent["rank"] == per
            assert silent["rank"] == mute
            assert rows["thumbs"] + silent["thumb"] == rows["ratings"] == rows["vetted"] + silent["vet"] == per
            # What is left are twos: of rankings all three, of a pair the one.
            assert pairs["rank"] + pairs["pair"] + out.total() + silent["pair"] == 3 * (per - mute) + per
            assert ("tied" in out) == (ties == "drop")
            assert ("with a rejected answer" in out) == (rejects == "exclude")
            assert min(silent["pair"], silent["vet"], pairs["pair"], pairs["rank"]) > 0
