"""The word of several labelers as files: one row for each item, unless they are in doubt or an admin has ruled."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from exported import ABC, Payload, judge, lines, person, project, ranked

from accordant.data.rows import read
from accordant.feedback import adjudication, tasks
from accordant.feedback.answers import said
from accordant.feedback.store import Store
from accordant.feedback.tasks import Work
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
    assert told == {"tied": 1, "items (vet) that give no row together": 1, "items (pair) that give no row together": 1}
    with pytest.raises(UserError, match=r"min_confidence is 0\.3; it must be at least 0\.5"):
        write(store, judged, tmp_path / "odd", How(which="consensus", min_confidence=0.3))
