"""Rows of files become items: every shape, every complaint by its line, all or none."""

from __future__ import annotations

import csv
import json
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from threading import Barrier
from typing import Any

import pyarrow as pa
import pytest
from pyarrow import parquet
from sqlalchemy import func, select

from accordant.feedback import people, schema, tasks
from accordant.feedback.answers import said
from accordant.feedback.assignment import next_task, submit
from accordant.feedback.store import Store
from accordant.feedback.tasks import Text, Work
from accordant.stages.intake import put_in, work
from accordant.types import Message, Source, UserError
from tasks import write_rows

ASKED = [{"role": "user", "content": "q"}]
ANSWERED = [*ASKED, {"role": "assistant", "content": "a"}]
TURNS = (Message("user", "q"),)
OTHERWISE = [*ASKED, {"role": "assistant", "content": "b"}]
OBJECT = {"text": "b", "model": "big", "sampling": {"temperature": 0.7, "seed": 3}}


@pytest.fixture
def write(tmp_path: Path) -> Any:
    return lambda *rows, name="rows.jsonl": write_rows(tmp_path / name, list(rows))


def _nested(levels: int) -> Any:
    return [] if levels == 1 else [_nested(levels - 1)]


def one(path: Path, **options: Any) -> Work:
    (found,) = work(path, **options)
    return found


@pytest.mark.parametrize(
    ("row", "task", "prompt", "texts"),
    [
        ({"prompt": "q", "completions": ["a", OBJECT]}, "rank", "q", (Text("a"), Text("b", "big", OBJECT["sampling"]))),
        ({"messages": ASKED, "completions": ["a", "b"]}, "rank", TURNS, (Text("a"), Text("b"))),
        ({"prompt": "q", "completions": ["a", "b", "c"], "ranks": [1, 2, None]}, "rank", "q", tuple(map(Text, "abc"))),
        ({"prompt": "q", "completions": ["a", "b"], "task": "pair"}, "pair", "q", (Text("a"), Text("b"))),
        ({"prompt": "q", "chosen": "a", "rejected": "b", "margin": 1}, "pair", "q", (Text("a"), Text("b"))),
        ({"chosen": ANSWERED, "rejected": OTHERWISE}, "pair", TURNS, (Text("a"), Text("b"))),
        ({"prompt": "q", "chosen": "a", "rejected": "b", "task": "rank"}, "rank", "q", (Text("a"), Text("b"))),
        ({"prompt": "q", "completion": "a", "scores": {"x": 1}}, "likert", "q", (Text("a"),)),
        ({"prompt": "q", "completion": "a", "up": True}, "thumb", "q", (Text("a"),)),
        ({"prompt": "q", "completion": "a", "label": False}, "thumb", "q", (Text("a"),)),
        ({"prompt": "q", "completion": OBJECT, "task": "thumb"}, "thumb", "q", (Text("b", "big", OBJECT["sampling"]),)),
        ({"prompt": "q", "completion": "a", "task": "likert"}, "likert", "q", (Text("a"),)),
        ({"messages": ANSWERED, "task": "likert"}, "likert", TURNS, (Text("a"),)),
        ({"prompt": "q"}, "demonstration", "q", ()),
        ({"messages": ASKED}, "demonstration", TURNS, ()),
        ({"prompt": "q", "completion": "a", "task": "demonstration"}, "demonstration", "q", ()),
        ({"prompt": "q", "chosen": "a", "rejected": "b", "task": "demonstration"}, "demonstration", "q", ()),
        ({"prompt": "q", "task": "red_team"}, "red_team", "q", ()),
        ({"conversations": [{"from": "human", "value": "q"}, {"from": "gpt", "value": "a"}], "task": "thumb"}, "thumb", TURNS,
         (Text("a"),)),
    ],
)  # fmt: skip
def test_a_row_suggests_its_task(write: Any, row: Any, task: str, prompt: Any, texts: Any) -> None:
    path = write(row)
    found = one(path)
    assert (found.task, found.prompt, found.completions) == (task, prompt, texts)
    assert found.source == Source(str(path), 1)
    assert found.kind == {"demonstration": "demonstration", "red_team": "red_team"}.get(task, "normal")


def test_several_answers_to_rate_are_as_many_items(write: Any) -> None:
    path = write({"prompt": "q", "completions": ["a", "b", "c"], "task": "likert"}, {"prompt": "r", "completions": ["d", "e"]})
    assert [(w.task, w.prompt, len(w.completions)) for w in work(path)] == [("likert", "q", 1)] * 3 + [("rank", "r", 2)]
    assert [w.completions[0].text for w in work(path, "thumb")[3:]] == ["d", "e"]
    scored = write({"prompt": "q", "completions": ["a", "b"], "scores": [7, 3]}, name="scored.jsonl")
    assert [(w.task, w.completions) for w in work(scored)] == [("likert", (Text("a"),)), ("likert", (Text("b"),))]


def test_what_a_row_says_comes_before_what_is_asked_for(write: Any) -> None:
    own = {"criterion": "which is kinder?", "warning": "violence", "priority": 2.5, "use_case": "rewrite", "kind": "red_team"}
    path = write({"prompt": "q", "completions": ["a", "b"], "task": "pair"} | own, {"prompt": "q", "completions": ["a", "b"]})
    first, second = work(path, "rank", criterion="which is best?", warning="length")
    assert (first.task, first.criterion, first.warning, first.priority) == ("pair", "which is kinder?", "violence", 2.5)
    assert (first.use_case, first.kind) == ("rewrite", "red_team")
    assert (second.task, second.criterion, second.warning, second.priority) == ("rank", "which is best?", "length", 0.0)
    assert (second.use_case, second.kind) == (None, "normal")


def test_there_are_the_ten_use_cases_of_the_paper(write: Any) -> None:
    assert len(set(tasks.USE_CASES)) == 10
    path = write(*({"prompt": f"a {name}", "use_case": name} for name in tasks.USE_CASES))
    assert [w.use_case for w in work(path)] == list(tasks.USE_CASES)


def test_few_shot_prompts(write: Any) -> None:
    examples = [{"prompt": "2+2?", "completion": "4"}, {"prompt": "3+3?", "completion": "6"}]
    text = write({"instruction": "Add.", "examples": examples, "prompt": "5+5?"}, {"examples": examples[:1], "prompt": "5+5?"})
    assert [w.prompt for w in work(text)] == ["Add.\n\n2+2?\n4\n\n3+3?\n6\n\n5+5?", "2+2?\n4\n\n5+5?"]
    assert [w.kind for w in work(text)] == ["demonstration"] * 2
    chat = write({"instruction": "Add.", "examples": examples[:1], "messages": ASKED})
    assert one(chat).prompt == (Message("system", "Add."), Message("user", "2+2?"), Message("assistant", "4"), *TURNS)


def test_a_row_to_vet_is_kept_as_it_is(write: Any) -> None:
    row = {"prompt": "q", "completion": " a ", "kind": "joke", "use_case": "mine", "empty": None, "n": [1, {"x": 2.5}]}
    found = one(write(row | {"task": "vet", "criterion": "is it funny?", "priority": 1}))
    assert found.row == {name: value for name, value in row.items() if value is not None}
    assert (found.task, found.prompt, found.criterion, found.priority) == ("vet", "q", "is it funny?", 1.0)
    assert (found.kind, found.use_case, found.completions) == ("normal", None, ())
    anything = one(write({"colour": "red"}), task="vet")
    assert (anything.row, anything.prompt) == ({"colour": "red"}, "")


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ({"prompt": "q", "completions": ["a"]}, "2 to 26 completions, and the row has 1"),
        ({"prompt": "q", "completions": [str(i) for i in range(27)]}, "the row has 27"),
        ({"prompt": "q", "completions": ["a", "b", "c"], "task": "pair"}, "needs 2 completions, and the row has 3"),
        ({"prompt": "q", "completions": [], "task": "thumb"}, "needs 1 completions, and the row has 0"),
        ({"prompt": "q", "completions": ["a", "b", "a"]}, "the same text"),
        ({"prompt": "q", "completions": ["a", " "]}, "`completions[1]` is empty"),
        ({"prompt": "q", "completions": ["a", {"model": "m"}]}, "`completions[1].text` must be text"),
        ({"prompt": "q", "completions": ["a", {"text": "b", "sampling": 3}]}, "`completions[1].sampling` must be an object"),
        ({"prompt": "q", "completions": ["a", {"text": "b", "model": "m" * 501}]}, "at most 500"),
        ({"prompt": "q", "completions": "a"}, "`completions` must be a list"),
        ({"completions": ["a", "b"]}, "`prompt` is missing"),
        ({"prompt": "q", "completion": "a"}, "give a `task`: likert, thumb or vet"),
        ({"messages": ANSWERED}, "give a `task`: likert, thumb or vet"),
        ({"prompt": "q", "completion": "a", "task": "pair"}, "needs 2 completions, and the row has 1"),
        ({"prompt": "q", "task": "rank"}, "the row has 0"),
        ({"prompt": " "}, "`prompt` is empty"),
        ({"prompt": "q", "task": "rnak"}, "did you mean 'rank'?"),
        ({"prompt": "q", "use_case": "poetry"}, "it must be one of generation, open_qa"),
        ({"prompt": "q", "use_case": "rewriting"}, "did you mean 'rewrite'?"),
        ({"prompt": "q", "kind": "nice"}, "`kind` is \"nice\""),
        ({"prompt": "q", "priority": "high"}, "`priority` must be a number"),
        ({"prompt": "q", "criterion": "c" * 301}, "at most 300"),
        ({"prompt": "q", "warning": "w" * 201}, "at most 200"),
        ({"prompt": "q", "warning": " "}, "`warning` is empty"),
        ({"prompt": "q", "prioriti": 3}, "did you mean 'priority'?"),
        ({"prompt": "q\0"}, "U+0000"),
        ({"prompt": "q", "completions": ["a", {"text": "b", "sampling": {"x": ["\0"]}}]}, "U+0000"),
        ({"prompt": "q", "completions": ["a", {"text": "b", "sampling": {"\0": 1}}]}, "U+0000"),
        ({"text": "q", "\0": 1, "task": "vet"}, "U+0000"),
        ({"prompt": "q", "examples": []}, "`examples` is empty"),
        ({"prompt": "q", "examples": ["a"]}, "`examples[0]` must be"),
        ({"prompt": "q", "examples": [{"prompt": "a"}]}, "`completion` is missing"),
        ({"prompt": "q", "completions": ["a", "b"], "examples": ["c"]}, "belong to a demonstration"),
        ({"question": "q"}, "name them with map"),
        ({"task": "vet"}, "no fields"),
        ({"prompt": "q", "completion": "a", "up": True, "gold": "yes"}, "`gold` must be an object"),
        ({"prompt": "q", "completion": "a", "up": True, "gold": {"up": 1}}, "`up` must be true or false"),
        ({"prompt": "q", "completions": ["a", "b"], "gold": {"groups": [[0]], "rejected": []}}, "1 of 2 answers have no place"),
        ({"prompt": "q", "completions": ["a", "b"], "gold": {"groups": [[0], [2]], "rejected": []}},
         "`gold.groups` has 2; answers are named by their place, 0 to 1"),
        ({"prompt": "q", "completions": ["a", "b"], "gold": {"groups": [[0], [-1]], "rejected": []}}, "`gold.groups` has -1;"),
        ({"prompt": "q", "completions": ["a", "b"], "gold": {"groups": [[0], [True]], "rejected": []}}, "groups` has true;"),
        ({"prompt": "q", "chosen": "a", "rejected": "b", "gold": {"better": "b", "grade": "better"}}, '`gold.better` has "b";'),
        ({"prompt": "q", "completions": ["a", "b"], "gold": {"groups": "a", "rejected": []}}, '`gold.groups` has "a";'),
        ({"prompt": "q", "completion": "a", "task": "thumb", "gold": {"better": 4}}, "`gold.better` has 4; "),
        ({"prompt": "q", "gold": {"better": 0}}, "`gold`: an answer to a demonstration task has no field 'better'"),
        ({"messages": []}, "`messages` is empty; give at least one message"),
        ({"n": _nested(102), "task": "vet"}, "`n` is nested more than 100 levels deep"),
        ({"prompt": "q", "completions": ["a", "b"], "task": "thumb", "gold": {"up": True}}, "makes 2 items"),
        ({"prompt": "q", "completion": "a", "task": "likert", "gold": {"scores": {"wit": 3}}}, "unknown attribute 'wit'"),
    ],
)  # fmt: skip
def test_a_bad_row_is_named_and_nothing_is_put_in(store: Store, write: Any, row: Any, words: str) -> None:
    path = write({"prompt": "fine"}, row, {"prompt": "fine, too"})
    project = tasks.make_project(store, "p", "")
    with pytest.raises(UserError) as error:
        put_in(store, project, path)
    assert f"{path}:2: " in str(error.value)
    assert words in str(error.value)
    with store.read() as connection:
        assert connection.scalar(select(func.count()).select_from(schema.prompt)) == 0


def test_every_bad_row_is_named(write: Any, tmp_path: Path) -> None:
    path = write({"prompt": ""}, {"prompt": "fine"}, {"prompt": "q", "kind": "x"}, {"completion": "a"})
    with path.open("a") as file:
        file.write("{\n")
    with pytest.raises(UserError) as error:
        work(path)
    lines = str(error.value).splitlines()
    assert lines[0] == f"{path}: 4 of 5 rows are bad"
    assert [line.split(": ")[0].strip() for line in lines[1:]] == [f"{path}:{n}" for n in (1, 3, 4, 5)]
    alike = write(*[{"question": f"q{i}"} for i in range(30)])
    with pytest.raises(UserError, match="all 30 rows: "):
        work(alike)
    with pytest.raises(UserError, match="no rows"):
        work(write())
    with pytest.raises(UserError, match="there is no task 'rang'"):
        work(path, "rang")
    with pytest.raises(UserError, match="is not there"):
        work(tmp_path / "nowhere.jsonl")


def test_csv_and_parquet_and_other_names(tmp_path: Path) -> None:
    rows = [
        {
            "prompt": "q",
            "completions": ["a", "b"],
            "priority": 2.0,
            "gold": {"groups": [[1], [0]], "rejected": []},
            "warning": "w",
        },
        {"prompt": "r", "completions": ["1", "2"], "priority": None, "gold": None, "warning": None},
    ]
    (expected,) = {tuple(without_source(w) for w in work(write_rows(tmp_path / "a.jsonl", rows)))}
    with (tmp_path / "a.csv").open("w", newline="") as file:
        table = csv.DictWriter(file, rows[0])
        table.writeheader()
        for row in rows:
            table.writerow({k: "" if v is None else v if isinstance(v, str) else json.dumps(v) for k, v in row.items()})
    parquet.write_table(pa.Table.from_pylist(rows), tmp_path / "a.parquet")
    (tmp_path / "a.json").write_text(json.dumps(rows, indent=1))
    for name in ("a.csv", "a.parquet", "a.json"):
        assert tuple(without_source(w) for w in work(tmp_path / name)) == expected
    theirs = write_rows(tmp_path / "b.jsonl", [{"question": "q", "answers": ["a", "b"]}])
    assert one(theirs, map={"question": "prompt", "answers": "completions"}).task == "rank"
    (tmp_path / "bad.csv").write_text("prompt,priority\nq,much\n")
    with pytest.raises(UserError, match=r"bad\.csv:2: `priority` is \"much\"; it must be JSON"):
        work(tmp_path / "bad.csv")


def without_source(found: Work) -> Any:
    return repr(Work(**{name: getattr(found, name) for name in Work.__dataclass_fields__ if name != "source"}))


def test_items_reach_a_labeler_with_their_models_and_hidden_gold(store: Store, write: Any) -> None:
    project = tasks.make_project(store, "p", "", overlap=1, gold_share=1.0)
    gold = {"prompt": "g", "completions": ["good", OBJECT], "gold": {"groups": [[1]], "rejected": [0], "comment": "sure"}}
    assert put_in(store, project, write({"prompt": "q", "completions": ["x", "y"]}, gold)) == 2
    with store.read() as connection:
        at = {text: n for n, text in connection.execute(select(schema.completion.c.id, schema.completion.c.text))}
        (kept,) = connection.scalars(select(schema.item.c.gold).where(schema.item.c.gold.is_not(None)))
        sampling = connection.execute(
            select(schema.completion.c.sampling, schema.model.c.name).join(schema.model).where(schema.completion.c.text == "b")
        ).one()
    assert kept == {"groups": [[at["b"]]], "rejected": [at["good"]], "comment": "sure"}
    assert (sampling.name, sampling.sampling) == ("big", OBJECT["sampling"])
    person = people.add_ai(store, "tester")
    task = next_task(store, project, person.id)
    assert task is not None
    assert set(task.display) == {at["b"], at["good"]}  # gold first: its share is 1
    submit(store, task.assignment_id, person.id, {"groups": [[at["b"], at["good"]]], "rejected": []}, "u1", 1)
    assert said(store, project, ai=True) == []


def test_gold_of_a_pair_counts_from_the_chosen_answer(store: Store, write: Any) -> None:
    project = tasks.make_project(store, "p", "", attributes=("wit",))
    put_in(store, project, write(
        {"prompt": "q", "chosen": "good", "rejected": "bad", "gold": {"better": 0, "grade": "better"}},
        {"prompt": "q", "completion": "good", "task": "likert", "gold": {"scores": {"wit": 5}}},
    ))  # fmt: skip
    with store.read() as connection:
        at = {text: n for n, text in connection.execute(
            select(schema.completion.c.id, schema.completion.c.text).order_by(schema.completion.c.id.desc())
        )}  # fmt: skip
        kept = list(connection.scalars(select(schema.item.c.gold).order_by(schema.item.c.id)))
    assert kept == [{"better": at["good"], "grade": "better"}, {"scores": {"wit": 5}}]


def test_an_attention_check_is_gold_of_a_kind_of_its_own(store: Store, write: Any, tmp_path: Path) -> None:
    row = {"prompt": "Say thumb up here.", "completion": "a", "up": True, "gold": {"up": True}}
    path = write(
        row | {"attention": True}, row | {"prompt": "x", "attention": False}, {"prompt": "y", "completion": "a", "up": True}
    )
    assert [(one.gold, one.attention) for one in work(path)] == [({"up": True}, True), ({"up": True}, False), (None, False)]
    project = tasks.make_project(store, "p", "")
    put_in(store, project, path)
    with store.read() as connection:
        assert list(connection.scalars(select(schema.item.c.attention).order_by(schema.item.c.id))) == [True, False, False]
    (tmp_path / "a.csv").write_text('prompt,completion,up,gold,attention\nq,a,true,"{""up"": true}",true\nr,a,true,,\n')
    assert [one.attention for one in work(tmp_path / "a.csv")] == [True, False]
    with pytest.raises(UserError, match=r"rows\.jsonl:1: `attention` is true and there is no `gold`"):
        work(write({"prompt": "q", "completion": "a", "up": True, "attention": True}))
    with pytest.raises(UserError, match=r"`attention` is \"yes\"; it must be true or false"):
        work(write(row | {"attention": "yes"}))
    with pytest.raises(UserError, match="an attention check has no expected answer"):
        tasks.add(store, project, [Work("thumb", "q", (Text("a"),), attention=True)])
    vetted = one(write({"prompt": "q", "task": "vet", "gold": {"verdict": "accept"}, "attention": True}))
    assert (vetted.attention, vetted.row) == (True, {"prompt": "q"})


def test_what_is_in_the_project_is_put_in_again_only_on_demand(store: Store, write: Any) -> None:
    project, other = tasks.make_project(store, "p", ""), tasks.make_project(store, "other", "")
    rows = [{"prompt": "q", "completions": ["a", "b"]}, {"messages": ASKED}, {"prompt": "v", "task": "vet", "n": 1}]
    path = write(*rows)
    assert put_in(store, project, path) == put_in(store, other, path) == 3
    same = [{"prompt": "new"}, {"prompt": "q", "completions": ["b", OBJECT | {"text": "a"}], "priority": 3}, rows[2]]
    with pytest.raises(UserError, match=r"2 of 3 items .* at .*twice\.jsonl:2 \(it is item 1\).*nothing was put in.*--again"):
        put_in(store, project, write(*same, name="twice.jsonl"))
    apart = [
        {"prompt": "q", "completions": ["a", "b"], "criterion": "Which is kinder?"},
        {"prompt": "q", "completions": ["a", "b", "c"]},
        {"prompt": "q", "completions": ["a", "b"], "task": "pair"}, {"prompt": "r", "completions": ["a", "b"]},
        {"prompt": "v", "task": "vet", "n": 2}, {"prompt": "q"},
    ]  # fmt: skip
    assert put_in(store, project, write(*apart, name="apart.jsonl")) == 6
    assert put_in(store, project, path, again=True) == 3
    with store.read() as connection:
        query = select(func.count()).where(schema.item.c.project_id == project)
        assert connection.scalar(query) == 12


def test_rows_of_one_file_that_double_each_other_are_named(store: Store, write: Any) -> None:
    project = tasks.make_project(store, "p", "")
    rows = [{"prompt": "q"}, {"prompt": "r"}, {"prompt": "q"}, {"prompt": "q", "use_case": "chat"}]
    with pytest.raises(UserError, match=r"2 of 4 rows are bad") as said:
        put_in(store, project, write(*rows))
    words = str(said.value)
    assert words.count("the same demonstration task as at") == 2
    assert "rows.jsonl:3: the same demonstration task as at" in words
    assert words.count("rows.jsonl:1;") == 2
    assert "--again" in words
    with store.read() as connection:
        assert connection.scalar(select(func.count()).select_from(schema.item)) == 0
    assert put_in(store, project, write(*rows), again=True) == 4


def test_of_two_imports_at_once_one_is_refused(store: Store, write: Any) -> None:
    project, path = tasks.make_project(store, "p", ""), write({"prompt": "q"}, {"prompt": "r"})
    gate = Barrier(3)

    def go(_: int) -> str:
        gate.wait()
        try:
            return str(put_in(store, project, path))
        except UserError as error:
            return str(error)

    with ThreadPoolExecutor(3) as pool:
        said_ = sorted(pool.map(go, range(3)))
    assert said_[0] == "2"
    assert all("2 of 2 items are in the project already" in words for words in said_[1:])


def test_a_project_that_is_not_there(store: Store, write: Any) -> None:
    with pytest.raises(UserError, match="there is no project 7"):
        put_in(store, 7, write({"prompt": "q"}))
    with pytest.raises(UserError, match="there is no project 7"):
        tasks.add(store, 7, [Work("demonstration", "q")])
    tasks.make_project(store, "summaries", "")
    assert tasks.find_project(store, "summaries ") == 1
    with pytest.raises(UserError, match="did you mean 'summaries'"):
        tasks.find_project(store, "sumaries")


@pytest.mark.parametrize(
    ("value", "kind"),
    [(datetime(2020, 1, 1), "datetime"), (Decimal("0.7"), "Decimal"), (b"x", "bytes"), (float("nan"), "finite")],
)
@pytest.mark.parametrize("place", ["sampling", "row", "gold"])
def test_what_only_parquet_can_say_is_refused_by_its_row(
    store: Store, tmp_path: Path, value: Any, kind: str, place: str
) -> None:
    row: dict[str, Any] = {
        "sampling": {"prompt": "q", "completions": [{"text": text, "sampling": {"x": [value]}} for text in "ab"]},
        "row": {"prompt": "q", "task": "vet", "x": [value]},
        "gold": {"prompt": "q", "task": "vet", "gold": {"verdict": "edit", "row": {"x": value}}},
    }[place]
    parquet.write_table(pa.Table.from_pylist([row]), tmp_path / "rows.parquet")
    project = tasks.make_project(store, "p", "")
    with pytest.raises(UserError, match=rf"1 rows are bad\n.*rows\.parquet:1: .*(holds a {kind}|{kind} number)"):
        put_in(store, project, tmp_path / "rows.parquet")
    # The same where a program makes the item: the store's own door says it, and nothing is in.
    made = {
        "sampling": Work("thumb", "q", (Text("a", "m", {"x": value}),)), "row": Work("vet", "q", row={"x": value}),
        "gold": Work("vet", "q", row={"x": 1}, gold={"verdict": "edit", "row": {"x": value}}),
    }[place]  # fmt: skip
    with pytest.raises(UserError, match=f"made by a program: .*(holds a {kind}|{kind} number)"):
        tasks.add(store, project, [Work("demonstration", "fine"), made])
    with store.read() as connection:
        assert connection.scalar(select(func.count()).select_from(schema.prompt)) == 0


def test_dates_in_columns_that_no_task_keeps_are_fine(tmp_path: Path) -> None:
    parquet.write_table(
        pa.Table.from_pylist([{"prompt": "q", "chosen": "a", "rejected": "b", "at": datetime(2020, 1, 1)}]),
        tmp_path / "r.parquet",
    )
    assert one(tmp_path / "r.parquet").task == "pair"


def test_gold_in_parquet_may_have_the_other_tasks_fields_as_null(tmp_path: Path) -> None:
    rows = [
        {"prompt": "q", "completions": ["a"], "task": "thumb", "gold": {"up": True, "better": None}},
        {"prompt": "q", "completions": ["a", "b"], "task": "pair", "gold": {"up": None, "better": 1, "grade": "better"}},
    ]
    table = pa.Table.from_pylist(rows, pa.schema({
        "prompt": pa.string(), "completions": pa.list_(pa.string()), "task": pa.string(),
        "gold": pa.struct({"up": pa.bool_(), "better": pa.int64(), "grade": pa.string()}),
    }))  # fmt: skip
    parquet.write_table(table, tmp_path / "r.parquet")
    assert [found.gold for found in work(tmp_path / "r.parquet")] == [{"up": True}, {"better": 1, "grade": "better"}]


@pytest.mark.parametrize("odd", ["a\0", "a\ud800"])
@pytest.mark.parametrize(
    "make",
    [
        lambda odd: Work("demonstration", odd), lambda odd: Work("demonstration", (Message("user", odd),)),
        lambda odd: Work("demonstration", "q", criterion=odd), lambda odd: Work("demonstration", "q", warning=odd),
        lambda odd: Work("thumb", "q", (Text(odd),)), lambda odd: Work("thumb", "q", (Text("a", odd),)),
        lambda odd: Work("thumb", "q", (Text("a", "m", {odd: 1}),)), lambda odd: Work("vet", "q", row={"x": [odd]}),
        lambda odd: Work("thumb", "q", (Text("a"),), gold={"up": True, "comment": odd}),
    ],
)  # fmt: skip
def test_no_item_with_a_character_that_no_database_keeps_comes_in(store: Store, odd: str, make: Any) -> None:
    project = tasks.make_project(store, "p", "")
    with pytest.raises(UserError, match="has the character U" if odd == "a\0" else "has half a surrogate pair"):
        tasks.add(store, project, [Work("demonstration", "fine"), make(odd)])
    with store.read() as connection:
        assert connection.scalar(select(func.count()).select_from(schema.prompt)) == 0


@pytest.mark.parametrize("name", ["rows.jsonl", "rows.json"])
def test_a_number_without_end_is_called_so(tmp_path: Path, name: str) -> None:
    rows = f'{{"prompt": "q", "n": {"9" * 5000}}}'
    (tmp_path / name).write_text(f"[{rows}]" if name == "rows.json" else rows)
    with pytest.raises(UserError, match=r"whole number of more than 4,300 digits; write a shorter number$") as error:
        work(tmp_path / name)
    assert "sys." not in str(error.value)
