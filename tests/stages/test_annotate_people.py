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
from accordant.stages.writers import Answered
from accordant.types import Prompt, UserError
from chat_server import Raw, chat_server, said
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


def test_a_password_in_the_stores_address_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    values = {"prompts": "x", "studio": {"store": "postgresql+psycopg://me:hush@host/name", "project": "p"}}
    with pytest.raises(UserError) as caught:
        run_stage("annotate", tmp_path / "run", **values)
    assert "studio.store has a password in it" in str(caught.value)
    assert "hush" not in str(caught.value)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


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
    def alike(_: Any, rows: Any, __: StageFolder) -> Answered:
        return Answered([[Text("a"), Text(" a"), Text("")] for _ in rows], [])

    monkeypatch.setattr(annotate, "sample", alike)
    rows = str(write_rows(tmp_path / "p.jsonl", [{"prompt": "q"}, {"prompt": "r"}]))
    where = {"store": str(studio), "project": "taste"}
    with pytest.raises(UserError, match=r"none of the 2 prompts .*\(2 empty answers, 2 equal answers, 2 prompts left out\)"):
        run_stage("annotate", tmp_path / "run", prompts=rows, models=["x"], studio=where)
    assert items(studio) == []
    assert run_stage("annotate", tmp_path / "run", prompts=rows, models=["x"], studio=where | {"task": "likert"})["items"] == 2


def test_a_store_that_a_server_holds_takes_answers(studio: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(annotate, "sample", lambda _, rows, __: Answered([[Text("a"), Text("b")] for _ in rows], []))
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


def prompts(tmp_path: Path, count: int) -> str:
    return str(write_rows(tmp_path / "prompts.jsonl", [{"prompt": f"q{k}"} for k in range(count)]))


def asked(body: Any) -> str:
    return str(body["messages"][-1]["content"])


def test_answers_that_no_store_keeps_are_left_out_and_counted(place: str, tmp_path: Path) -> None:
    """Half a surrogate pair, which SQLite does not take, and U+0000, which PostgreSQL does not: the same on both."""
    replies = {0: "good \U0001f600", 1: "half \ud83d", 2: "nul \0", 3: "fine \n\x7f", 4: "\udc00", 5: "\0"}

    def answer(body: Any) -> Raw:
        number = int(asked(body)[1:])
        seen[number] = seen.get(number, -1) + 1
        return said(f"{replies[number]} {seen[number]}" if number < 4 else replies[number])

    for task, items_made, odd in (("thumb", 4, 8), ("rank", 2, 8)):
        seen: dict[int, int] = {}
        with Store.open(place) as opened, chat_server(answer) as server:
            tasks.make_project(opened, task, "")
            values = {"endpoint": {"url": server.url, "model": "big"}, "prompts": prompts(tmp_path, 6), "samples_per_prompt": 2}
            where = {"store": place, "project": task, "task": task}
            result = run_stage("annotate", tmp_path / task, **values, studio=where)
        assert {
            "items": items_made,
            "unstorable_answers": odd,
            "empty_answers": 0,
            "prompts_left_out": 4,
        }.items() <= result.items()
        assert f"{odd} unstorable answers" in (tmp_path / task / "log.txt").read_text()


def test_a_refused_request_is_named_and_costs_no_other(studio: Path, tmp_path: Path) -> None:
    def answer(body: Any) -> Raw:
        if asked(body) == "q1":
            return Raw(400, '{"error": {"message": "content\\nfilter"}}')
        return said(f"answer {body['seed']}")

    with chat_server(answer) as server:
        result = run_stage(
            "annotate", tmp_path / "run", prompts=prompts(tmp_path, 4), samples_per_prompt=2,
            endpoint={"url": server.url, "model": "big"}, studio={"store": str(studio), "project": "taste"},
        )  # fmt: skip
    assert {"items": 3, "refused_answers": 2, "prompts_left_out": 1}.items() <= result.items()
    assert len(server.requests) == 8
    log = (tmp_path / "run" / "log.txt").read_text()
    assert log.count(f"refused: {tmp_path / 'prompts.jsonl'}:2: HTTP 400: content filter\n") == 2
    assert "2 refused answers, 1 prompts left out" in log
    assert not (tmp_path / "run" / "answers.jsonl").exists()


def test_simulated_labelers_do_without_items_of_refused_answers(world: dict[str, Any], tmp_path: Path) -> None:
    rows = read(world["preference_prompts"], Prompt)[:8]
    odd = {
        str(rows[1].prompt): Raw(451, "not here"),
        str(rows[2].prompt): said("The record \ud800."),
        str(rows[3].prompt): said(""),
    }

    def answer(body: Any) -> Raw:
        words = (" The record says hour five.", " You fool.", " Good morning!")[body["seed"] % 3]
        return odd.get(asked(body)) or said(f"{words} {body['seed']}")

    file = write_rows(tmp_path / "p.jsonl", [{"prompt": str(row.prompt)} for row in rows])
    with chat_server(answer) as server:
        endpoint = {"url": server.url, "model": "big"}
        result = run_stage("annotate", tmp_path / "run", prompts=str(file), endpoint=endpoint, samples_per_prompt=6, test=0.4)
    assert (result["items"], result["left_out"]) == (5, 3)


@pytest.mark.parametrize("stop", [Raw(401, "the key ran out"), Raw(503, "down")])
def test_who_has_to_stop_goes_on_later_and_pays_for_nothing_twice(studio: Path, tmp_path: Path, stop: Raw) -> None:
    """The server answers 7 of 12 requests, then 2, then the other 3, with the same seeds. Each is kept before the next."""
    paid: list[tuple[str, int]] = []
    left = 7
    kept = tmp_path / "run" / "answers.jsonl"
    lines: list[int] = []

    def answer(body: Any) -> Raw:
        if len(paid) == left:
            return stop
        lines.append(kept.read_bytes().count(b"\n") if kept.exists() else -1)
        paid.append((asked(body), body["seed"]))
        return said(f"answer {body['seed']}", "length" if body["seed"] % 2 else "stop")

    with chat_server(answer) as server:
        values = {
            "prompts": prompts(tmp_path, 6), "samples_per_prompt": 2, "studio": {"store": str(studio), "project": "taste"},
            "endpoint": {"url": server.url, "model": "big", "parallel": 1, "retries": 0},
        }  # fmt: skip
        with pytest.raises(UserError, match="7 answers came and are kept: the same command goes on from them") as error:
            run_stage("annotate", tmp_path / "run", **values)
        assert stop.body in str(error.value)
        assert items(studio) == []
        with kept.open("ab") as file:
            file.write(b'{"key": "cut by a ki')
        left = 9
        with pytest.raises(UserError, match="9 answers came"):
            run_stage("annotate", tmp_path / "run", **values)
        left = 100
        result = run_stage("annotate", tmp_path / "run", **values)
        assert result["items"] == 6
        assert len(paid) == len(set(paid)) == 12
        assert lines == list(range(12))
        assert not kept.exists()
        found = items(studio)
        for item, prompt in zip(found, range(6), strict=True):
            for text, sampling, model in item["texts"]:
                assert (f"q{prompt}", sampling["seed"]) in paid
                assert (text, model) == (f"answer {sampling['seed']}", "big")
                assert sampling["finished"] == (sampling["seed"] % 2 == 0)
        # A run that never stopped has the same answers.
        run_stage("annotate", tmp_path / "whole", **values)
        assert len(paid) == 24
        assert [item["texts"] for item in items(studio)[6:]] == [item["texts"] for item in found]


def test_kept_answers_belong_to_their_request(studio: Path, tmp_path: Path) -> None:
    """Another prompt, model or length in the same folder gets none of them."""
    stopped = True

    def answer(body: Any) -> Raw:
        return (
            Raw(401, "no") if stopped and asked(body) == "q1" else said(f"{body['model']} {body['max_tokens']} {asked(body)}")
        )

    with chat_server(answer) as server:

        def run(model: str, longest: int, first: str) -> list[str]:
            rows = write_rows(tmp_path / "p.jsonl", [{"prompt": first}, {"prompt": "q1"}])
            run_stage(
                "annotate", tmp_path / "run", prompts=str(rows), samples_per_prompt=1, max_new_tokens=longest,
                endpoint={"url": server.url, "model": model, "parallel": 1},
                studio={"store": str(studio), "project": "taste", "task": "thumb"},
            )  # fmt: skip
            return [text for item in items(studio)[-2:] for text, _, _ in item["texts"]]

        for model, longest, first in (("big", 5, "q0"), ("small", 5, "q0"), ("big", 6, "q0"), ("big", 5, "other")):
            stopped = True
            with pytest.raises(UserError, match="1 answers came"):
                run("big", 5, "q0")
            stopped = False
            assert run(model, longest, first) == [f"{model} {longest} {first}", f"{model} {longest} q1"]


def test_settings_that_every_request_is_refused_for_are_found_out_soon(studio: Path, tmp_path: Path) -> None:
    with chat_server(lambda _: Raw(400, "max_tokens is too large")) as server:
        for count, most in ((200, 100), (3, 12)):
            with pytest.raises(UserError, match=r"HTTP 400: max_tokens is too large; so were all \d+ .* and none was answered"):
                run_stage(
                    "annotate", tmp_path / f"{count}", prompts=prompts(tmp_path, count), samples_per_prompt=4,
                    endpoint={"url": server.url, "model": "big"}, studio={"store": str(studio), "project": "taste"},
                )  # fmt: skip
            assert len(server.requests) <= most
            server.requests.clear()


def test_the_command_takes_a_model_whose_name_is_a_number(studio: Path, tmp_path: Path) -> None:
    with chat_server(lambda body: said(f"{body['seed']}")) as server:
        words = (
            "annotate", f"endpoint.url={server.url}", f"prompts={prompts(tmp_path, 1)}", f"studio.store={studio}",
            "studio.project=taste", "--out", tmp_path / "run",
        )  # fmt: skip
        refused = accordant(*words, "endpoint.model=500")
        assert refused.code == 2
        assert "'endpoint.model' = 500 is a number, and a text is wanted: write endpoint.model='\"500\"'" in refused.error
        assert accordant(*words, 'endpoint.model="500"').code == 0
    assert {body["model"] for _, body in server.requests} == {"500"}
