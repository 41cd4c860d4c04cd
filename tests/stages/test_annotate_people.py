"""Answers of real checkpoints and of a real server become items of a studio."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from accordant.data.rows import read
from accordant.feedback import schema, tasks
from accordant.feedback.store import Store
from accordant.feedback.tasks import Text
from accordant.stages import annotate
from accordant.stages.folder import StageFolder
from accordant.types import Prompt, UserError
from chat_server import chat_server, said
from command import accordant
from tasks import run_stage, write_rows


@pytest.fixture
def studio(tmp_path: Path) -> Path:
    with Store.open(tmp_path / "feedback.db") as store:
        tasks.make_project(store, "taste", "")
    return tmp_path / "feedback.db"


def items(studio: Path) -> list[dict[str, Any]]:
    """Every item with its prompt and its completions, in their own order."""
    with Store.open(studio) as store, store.read() as connection:
        found = []
        prompt = [schema.prompt.c[name] for name in ("kind", "use_case", "warning", "source")]
        for row in connection.execute(select(schema.item, *prompt).join(schema.prompt).order_by(schema.item.c.id)):
            texts = connection.execute(
                select(schema.completion.c.text, schema.completion.c.sampling, schema.model.c.name)
                .select_from(schema.item_completion.join(schema.completion).join(schema.model))
                .where(schema.item_completion.c.item_id == row.id)
                .order_by(schema.item_completion.c.place)
            ).all()
            found.append({**row._mapping, "texts": texts})
        return found


def test_two_checkpoints_answer_for_people(world: dict[str, Any], llama_folder: Path, studio: Path, tmp_path: Path) -> None:
    prompts = read(world["preference_prompts"], Prompt)[:5]
    rows = [{"prompt": str(row.prompt)[:40], "warning": "hours", "use_case": "chat", "priority": 2} for row in prompts]
    values: dict[str, Any] = {
        "model": {"path": world["policy"]}, "models": [str(llama_folder)], "samples_per_prompt": 2, "max_new_tokens": 12,
        "prompts": str(write_rows(tmp_path / "prompts.jsonl", rows)), "temperature": 1.5, "seed": 4,
        "studio": {"store": str(studio), "project": "taste", "criterion": "which is kinder?"},
    }  # fmt: skip
    result = run_stage("annotate", tmp_path / "run", **values)
    assert result["items"] + result["prompts_left_out"] == 5
    found = items(studio)
    assert len(found) == result["items"] > 0
    for item in found:
        assert (item["task"], item["criterion"], item["kind"]) == ("rank", "which is kinder?", "normal")
        assert (item["warning"], item["use_case"], item["priority"]) == ("hours", "chat", 2.0)
        assert item["source"].startswith(str(tmp_path / "prompts.jsonl:"))
        for text, sampling, model in item["texts"]:
            assert text.strip()
            assert model in (world["policy"], str(llama_folder))
            assert {"temperature": 1.5, "max_new_tokens": 12, "seed": 4}.items() <= sampling.items()
            assert sampling["sample"] in (0, 1)
            assert isinstance(sampling["finished"], bool)
    assert {model for item in found for _, _, model in item["texts"]} == {world["policy"], str(llama_folder)}
    answers = sum(len(item["texts"]) for item in found)
    assert answers + result["empty_answers"] + result["equal_answers"] <= 20
    # The same seed gives the same answers; they come again, as items of their own.
    again = run_stage("annotate", tmp_path / "again", **values)
    assert {name: again[name] for name in ("items", "equal_answers")} == {
        name: result[name] for name in ("items", "equal_answers")
    }
    assert [item["texts"] for item in items(studio)] == [item["texts"] for item in found] * 2


def test_an_endpoint_answers_for_people(studio: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two answers each: to the first prompt different ones, to the second the same, to the third one is empty."""
    monkeypatch.setenv("MY_KEY", "sk-secret")
    seen: dict[str, int] = {}

    def answer(body: Any) -> Any:
        asked = body["messages"][-1]["content"]
        seen[asked] = seen.get(asked, 0) + 1
        return {
            "differ": said(f"answer {seen[asked]}", "length"), "same": said(" same" if seen[asked] == 1 else "same "),
            "empty": said(" " if seen[asked] == 1 else "one"),
        }[asked]  # fmt: skip

    rows = [{"prompt": name} for name in ("differ", "same", "empty")]
    with chat_server(answer) as server:
        endpoint = {"url": server.url, "model": "big", "key_env": "MY_KEY", "parallel": 1}
        values = {"endpoint": endpoint, "prompts": str(write_rows(tmp_path / "p.jsonl", rows)), "samples_per_prompt": 2}
        ranked = run_stage("annotate", tmp_path / "rank", **values, studio={"store": str(studio), "project": "taste"})
        seen.clear()
        thumbs = run_stage(
            "annotate", tmp_path / "thumb", **values, studio={"store": str(studio), "project": "taste", "task": "thumb"}
        )
    counts = {"empty_answers": 1, "equal_answers": 1}
    assert {"items": 1, "prompts_left_out": 2, **counts}.items() <= ranked.items()
    assert {"items": 4, "prompts_left_out": 0, **counts}.items() <= thumbs.items()
    first, *others = items(studio)
    assert [(text, model, sampling["finished"]) for text, sampling, model in first["texts"]] == [
        ("answer 1", "big", False), ("answer 2", "big", False),
    ]  # fmt: skip
    seeds = [sampling["seed"] for _, sampling, _ in first["texts"]]
    assert len({body["seed"] for _, body in server.requests}) == 6
    assert seeds == [body["seed"] for _, body in server.requests[:2]]
    assert first["texts"][0].sampling["endpoint"] == server.url
    assert [[text for text, _, _ in item["texts"]] for item in others] == [["answer 1"], ["answer 2"], [" same"], ["one"]]
    assert {body["temperature"] for _, body in server.requests} == {1.0}
    assert all(headers["Authorization"] == "Bearer sk-secret" for headers, _ in server.requests)
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and b"sk-secret" in path.read_bytes()]


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({}, "nobody answers the prompts: set model.path, models or endpoint.url"),
        ({"models": ["x"], "samples_per_prompt": 1}, "one answer to each prompt is nothing to compare"),
        ({"models": ["x"], "samples_per_prompt": 1, "studio": {"task": "pair"}}, "nothing to compare"),
        (
            {"models": ["x", "y"], "samples_per_prompt": 14, "studio": {}},
            "are 28 answers to a prompt; a rank task has at most 26",
        ),
        ({"models": ["x"], "studio": {"task": "pair"}}, "are 4 answers to a prompt; a pair task has at most 2"),
        ({"models": ["x"], "studio": {"project": "tasty"}}, "did you mean 'taste'"),
    ],
)
def test_plans_that_cannot_work_are_refused_before_anything_is_sampled(
    values: dict[str, Any], words: str, studio: Path, tmp_path: Path
) -> None:
    if "studio" in values:
        values = values | {"studio": {"store": str(studio), "project": "taste"} | values["studio"]}
    with pytest.raises(UserError, match=words):
        run_stage("annotate", tmp_path / "run", prompts=str(write_rows(tmp_path / "p.jsonl", [{"prompt": "q"}])), **values)


def test_nothing_is_put_in_where_no_prompt_has_answers_to_compare(
    studio: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def alike(_: Any, rows: Any, __: StageFolder) -> list[list[Text]]:
        return [[Text("a"), Text(" a"), Text("")] for _ in rows]

    monkeypatch.setattr(annotate, "sample", alike)
    rows = str(write_rows(tmp_path / "p.jsonl", [{"prompt": "q"}, {"prompt": "r"}]))
    where = {"store": str(studio), "project": "taste"}
    with pytest.raises(UserError, match=r"none of the 2 prompts .*\(2 were empty, 2 equal to another\)"):
        run_stage("annotate", tmp_path / "run", prompts=rows, models=["x"], studio=where)
    assert items(studio) == []
    assert run_stage("annotate", tmp_path / "run", prompts=rows, models=["x"], studio=where | {"task": "likert"})["items"] == 2


def test_a_store_that_a_server_holds_takes_answers(studio: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(annotate, "sample", lambda _, rows, __: [[Text("a"), Text("b")] for _ in rows])
    rows = str(write_rows(tmp_path / "p.jsonl", [{"prompt": "q"}]))
    with Store.open(studio):
        where = {"store": str(studio), "project": "taste"}
        assert run_stage("annotate", tmp_path / "run", prompts=rows, models=["x"], studio=where)["items"] == 1


def test_two_copies_of_a_model_draw_different_answers(world: dict[str, Any], studio: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(world["policy"], tmp_path / "copy")
    run_stage(
        "annotate", tmp_path / "run", model={"path": world["policy"]}, models=[str(copy)], samples_per_prompt=1,
        max_new_tokens=12,
        prompts=str(write_rows(tmp_path / "p.jsonl", [{"prompt": f"tell me {i}"} for i in range(3)])), temperature=1.5,
        studio={"store": str(studio), "project": "taste"},
    )  # fmt: skip
    assert str(copy) in {model for item in items(studio) for _, _, model in item["texts"]}


def test_the_command_ends_well_and_its_second_run_puts_nothing_in(world: dict[str, Any], studio: Path, tmp_path: Path) -> None:
    prompts = write_rows(tmp_path / "prompts.jsonl", [{"prompt": f"question {k}"} for k in range(3)])
    words = (
        "annotate", f"model.path={world['policy']}", f"prompts={prompts}", "samples_per_prompt=3", "max_new_tokens=8",
        f"studio.store={studio}", "studio.project=taste", "--out", tmp_path / "run",
    )  # fmt: skip
    ended = accordant(*words)
    assert ended.code == 0, ended
    put_in = len(items(studio))
    assert 0 < put_in <= 3
    assert (tmp_path / "run" / "report.html").is_file()
    assert accordant(*words).code == 0
    assert len(items(studio)) == put_in
