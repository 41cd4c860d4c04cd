"""What was said comes out as rows, and only what counts."""

from __future__ import annotations

import itertools
import threading
import uuid
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from accordant.feedback import people, schema, tasks
from accordant.feedback.answers import said
from accordant.feedback.assignment import next_task, submit
from accordant.feedback.backup import backup, restore
from accordant.feedback.export import rows, vetted
from accordant.feedback.store import Store
from accordant.feedback.tasks import Text, Work
from accordant.types import Chat, Message, Pair, Prompt, Ranking, Rating, Thumb, UserError
from clock import Clock

TEXTS = tuple(Text(f"answer {name}", f"model {name}") for name in "abc")


@pytest.fixture
def ana(store: Store) -> int:
    return people.join(store, people.invite(store), "Ana", "long enough").id


def project(store: Store, *work: Work, **options: Any) -> int:
    number = tasks.make_project(store, "p", "", **({"gold_share": 0.0, "attributes": ("quality", "wit")} | options))
    tasks.add(store, number, work)
    return number


def ids(store: Store) -> dict[str, int]:
    """Completion ids by the last letter of their text."""
    with store.read() as connection:
        return {
            text[-1]: number for number, text in connection.execute(select(schema.completion.c.id, schema.completion.c.text))
        }


def answer(store: Store, number: int, who: int, payload: dict[str, Any]) -> int:
    task = next_task(store, number, who)
    assert task is not None
    submit(store, task.assignment_id, who, payload, str(uuid.uuid4()), 1000)
    return task.assignment_id


def one_row(store: Store, who: int, work: Work, payload: Any, **options: Any) -> Any:
    number = project(store, work)
    by_letter = ids(store)
    answer(store, number, who, payload(by_letter) if callable(payload) else payload)
    found = rows(said(store, number), **options)
    return found[work.task][0] if found else None


def test_a_ranking_in_the_items_own_order(store: Store, ana: int) -> None:
    prompt = (Message("user", "question"),)
    row = one_row(store, ana, Work("rank", prompt, TEXTS), lambda at: {"groups": [[at["c"]], [at["a"]]], "rejected": [at["b"]]})
    assert isinstance(row, Ranking)
    assert (row.prompt, row.completions) == (prompt, ("answer a", "answer b", "answer c"))
    assert (row.groups, row.rejected, row.labeler) == (((2,), (0,)), (1,), "Ana")


@pytest.mark.parametrize(("margins", "margin"), [(None, 0.0), ("small", 1 / 3), ("large", 1.0)])
def test_a_pair_with_its_grade(store: Store, ana: int, margins: str | None, margin: float) -> None:
    work = Work("pair", "question", TEXTS[:2])
    row = one_row(store, ana, work, lambda at: {"better": at["b"], "grade": "slightly"}, margins=margins)
    assert isinstance(row, Pair)
    assert (row.chosen, row.rejected, row.tie, row.labeler) == ("answer b", "answer a", False, "Ana")
    assert row.margin == pytest.approx(margin)


@pytest.mark.parametrize(
    ("work", "payload", "row"),
    [
        (Work("pair", "q", TEXTS[:2]), {"tie": True}, Pair("q", "answer a", "answer b", tie=True, labeler="Ana")),
        (Work("pair", "q", TEXTS[:2]), {"both_bad": True}, None),
        (Work("rank", "q", TEXTS), {"cannot_judge": "in Finnish"}, None),
        (
            Work("likert", "q", TEXTS[:1]),
            {"scores": {"quality": 4, "wit": None}},
            Rating("q", "answer a", {"quality": 4.0}, "Ana"),
        ),
        (Work("thumb", "q", TEXTS[:1]), {"up": False}, Thumb("q", "answer a", False, "Ana")),
        (Work("demonstration", "q"), {"text": "mine"}, Chat("q", "mine")),
        (Work("red_team", "q"), {"text": "a trap"}, Prompt("a trap")),
    ],
)
def test_other_tasks(store: Store, ana: int, work: Work, payload: dict[str, Any], row: Any) -> None:
    from dataclasses import replace

    found = one_row(store, ana, work, payload)
    assert (replace(found, source=row.source) if row else found) == row


def test_vetted_rows_come_out_as_they_came_or_as_edited(store: Store, ana: int) -> None:
    imported = [{"prompt": f"q{i}", "completion": "a"} for i in range(3)]
    number = project(store, *(Work("vet", "q", row=row) for row in imported), order_by="least_answered", random_share=0.0)
    better = {"prompt": "q1", "completion": "better"}
    for payload in ({"verdict": "accept"}, {"verdict": "edit", "row": better}, {"verdict": "reject", "reason": "spam"}):
        answer(store, number, ana, payload)
    assert vetted(said(store, number)) == [imported[0], better]


def test_only_what_counts_comes_out(store: Store, ana: int, clock: Clock) -> None:
    """The last revision; no gold, no surplus, no AI unless asked for."""
    number = project(store, Work("thumb", "plain", TEXTS[:1]), overlap=1)
    task = next_task(store, number, ana)
    assert task is not None
    clock.minutes(60)
    judge, bo = people.add_ai(store, "judge").id, people.join(store, people.invite(store), "Bo", "long enough").id
    answer(store, number, judge, {"up": True})
    answer(store, number, bo, {"up": False})
    submit(store, task.assignment_id, ana, {"up": False}, "late", 5)
    submit(store, task.assignment_id, ana, {"up": True}, "later", 5)
    (gold,) = tasks.add(store, number, [Work("thumb", "gold", TEXTS[:1])])
    tasks.set_gold(store, gold, {"up": True})
    with store.write() as connection:
        connection.execute(schema.project.update().values(gold_share=1.0))
    answer(store, number, ana, {"up": False})
    seen = {
        flags: sorted((one.prompt, one.labeler, one.payload["up"]) for one in said(store, number, **named))
        for flags in itertools.product([False, True], repeat=3)
        for named in [dict(zip(("surplus", "gold", "ai"), flags, strict=True))]
    }
    late, hidden, robot = ("plain", "Ana", True), ("gold", "Ana", False), ("plain", "judge", True)
    intime = ("plain", "Bo", False)
    for (surplus, gold_too, ai), found in seen.items():
        assert found == sorted([intime] + [late] * surplus + [hidden] * gold_too + [robot] * ai)


def test_a_backup_taken_at_work_restores_to_the_same_store(store: Store, tmp_path: Path, ana: int) -> None:
    number = project(store, *(Work("thumb", f"q{i}", TEXTS[:1]) for i in range(40)), overlap=1)
    worker = threading.Thread(target=lambda: [answer(store, number, ana, {"up": True}) for _ in range(40)])
    worker.start()
    middle = backup(store, tmp_path / "middle.zip")
    worker.join()
    backup(store, tmp_path / "end.zip")
    with pytest.raises(UserError, match="exists already"):
        backup(store, tmp_path / "end.zip")
    with Store.open(tmp_path / "new.db") as new:
        assert restore(new, tmp_path / "end.zip")["answer"] == 40
        with store.read() as before, new.read() as after:
            for table in schema.metadata.sorted_tables:
                query = select(table).order_by(*table.primary_key.columns)
                assert [tuple(r) for r in after.execute(query)] == [tuple(r) for r in before.execute(query)]
        with pytest.raises(UserError, match="not empty"):
            restore(new, tmp_path / "end.zip")
        assert len(tasks.add(new, number, [Work("thumb", "q", TEXTS[:1])])) == 1, "ids go on where they were"
    with Store.open(tmp_path / "old.db") as old:
        counts = restore(old, tmp_path / "middle.zip")
        with old.read() as connection:
            done = len(connection.execute(select(schema.assignment).where(schema.assignment.c.state == "submitted")).all())
        assert counts == middle
        assert done == counts["answer"], "a moment's view: no answer without its assignment's state"


def test_a_restored_postgres_goes_on_counting(place: str, tmp_path: Path) -> None:
    with Store.open(tmp_path / "a.db") as first:
        number = project(first, Work("demonstration", "q"))
        backup(first, tmp_path / "a.zip")
    with Store.open(place) as second:
        restore(second, tmp_path / "a.zip")
        tasks.add(second, number, [Work("demonstration", "q")])


def test_what_is_no_backup_is_refused_and_leaves_the_store_empty(store: Store, tmp_path: Path) -> None:
    import zipfile

    plain = tmp_path / "notes.txt"
    plain.write_text("milk")
    part = tmp_path / "part.zip"
    with zipfile.ZipFile(part, "w") as archive:
        archive.writestr("schema", "0001")
    for bad, why in ((plain, "is no backup"), (part, "it has no answer.jsonl"), (tmp_path / "none.zip", "cannot be read")):
        with pytest.raises(UserError, match=why):
            restore(store, bad)


ODD = "a\u2028b\u2029c\x85d\x0be\x1cf\r\ng\ufeffh \U0001f9d1\u200d\U0001f680 \u05e9\u05dc\u05d5\u05dd"
"""Line ends that are none in JSON, a joined emoji, and text from right to left."""


def test_texts_with_odd_line_ends_come_back_from_a_backup(store: Store, tmp_path: Path) -> None:
    number = tasks.make_project(store, "p", ODD)
    tasks.add(store, number, [Work("thumb", ODD, (Text(ODD),), criterion=ODD)])
    backup(store, tmp_path / "b.zip")
    with Store.open(tmp_path / "other.db") as other:
        assert restore(other, tmp_path / "b.zip")["completion"] == 1
        with other.read() as connection:
            assert connection.scalar(select(schema.completion.c.text)) == ODD
            assert connection.scalar(select(schema.prompt.c.content)) == ODD
