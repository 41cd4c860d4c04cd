"""Pipelines as YAML: variables, references to earlier stages, overrides."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

from accordant.config import read_yaml
from accordant.pipeline.spec import fill, parse
from accordant.types import UserError

TREE: dict[str, Any] = {
    "name": "demo",
    "vars": {"data": None, "size": {"rows": 8, "path": None}},
    "stages": {
        "text": {"run": "prepare", "path": "${data}/rows.jsonl"},
        "policy": {"run": "sft", "data": "${text.train}", "rows_per_step": "${size.rows}", "optim": {"lr": 1e-3, "beta1": 0.8}},
    },
}


def test_variables_and_references() -> None:
    spec = parse(TREE, ["data=here"], "demo.yaml")
    assert (spec.name, spec.seed, spec.threads) == ("demo", 0, None)
    text, policy = spec.stages
    assert text.values == {"path": "here/rows.jsonl"}
    assert policy.values["data"] == "${text.train}"  # stays: nothing has run yet
    assert policy.values["rows_per_step"] == 8  # a number stays a number
    assert "run" not in policy.values


def test_overrides_reach_stages_variables_and_the_top() -> None:
    spec = parse(TREE, ["data=x", "size.rows=2", "seed=7", "name=other", "policy.optim.lr=1e-5", "threads=1"], "demo.yaml")
    assert (spec.name, spec.seed, spec.threads) == ("other", 7, 1)
    assert spec.stages[1].values["optim"] == {"lr": 1e-5, "beta1": 0.8}
    assert spec.stages[1].values["rows_per_step"] == 2
    assert TREE["stages"]["policy"]["optim"]["lr"] == 1e-3  # the file's own tree is left as it was


def one(stage: Any, **more: Any) -> dict[str, Any]:
    return {"stages": {"a": {"run": "world"}, "b": stage}, **more}


@pytest.mark.parametrize(
    ("tree", "words", "message"),
    [
        (TREE, [], "'data' has no value: add data=... to the command"),
        (TREE | {"stages": {"a": {"run": "sft", "data": "${size.path}"}}}, [], "'size.path' has no value: add size.path=..."),
        (TREE, ["data=x", "polcy.steps=3"], "no stage or variable 'polcy'; did you mean 'policy'?"),
        ({"stages": {}}, [], "at least one name to a stage"),
        ({"stgaes": {}}, [], "unknown key 'stgaes'; did you mean 'stages'?"),
        (one({"run": "stf"}), [], "stage 'b' has run: stf; did you mean 'sft'?"),
        (one({"data": "x"}), [], "stage 'b' has run: None"),
        (one({"run": "sft", "data": "${a}"}), [], "refers to ${a}: name one of its results, as ${a.checkpoint}"),
        (one({"run": "sft", "data": "${b.train}"}), [], "refers to ${b.train}: it does not come before"),
        (one({"run": "sft", "data": "${aa.train}"}), [], "refers to ${aa.train}; did you mean 'a'?"),
        (one({"run": "sft"}, vars={"a": 1}), [], "'a' is both a stage and a variable"),
        ({"stages": {"a b": {"run": "sft"}}}, [], "the stage name 'a b' becomes a folder"),
        (one({"run": "sft"}, seed="x"), [], "seed must be a whole number, found 'x'"),
    ],
)
def test_mistakes_are_named(tree: dict[str, Any], words: list[str], message: str) -> None:
    with pytest.raises(UserError) as error:
        parse(tree, words, "demo.yaml")
    assert "demo.yaml" in str(error.value)
    assert message in str(error.value)


@pytest.mark.parametrize("stage", [None, "sft", ["sft"]])
def test_a_stage_that_is_no_mapping(stage: Any) -> None:
    with pytest.raises(UserError, match=r"demo\.yaml: stage 'b' must be a mapping"):
        parse(one(stage), [], "demo.yaml")


@pytest.mark.parametrize("threads", [0, -1, "two", 1.5])
def test_threads_are_a_positive_whole_number(threads: Any) -> None:
    with pytest.raises(UserError, match="threads"):
        parse(one({"run": "sft"}, threads=threads), [], "demo.yaml")


def test_fill_keeps_types_and_goes_into_lists() -> None:
    values = {"n": 3, "s": "x", "none": None}.__getitem__
    assert fill({"a": ["${n}", "${s}-${n}"], "b": "${none}", "c": 1.5}, values) == {"a": [3, "x-3"], "b": None, "c": 1.5}


def test_the_quickstart_parses_with_every_override_of_its_header() -> None:
    spec = parse(read_yaml(str(files("accordant.pipeline") / "quickstart.yaml")), ["seed=1"], "quickstart")
    assert [stage.kind for stage in spec.stages][-2:] == ["ppo", "evaluate"]


@pytest.mark.parametrize("path", sorted((Path(__file__).parents[2] / "pipelines").glob("*.yaml")), ids=lambda path: path.stem)
def test_the_pipelines_of_the_repository_parse(path: Path) -> None:
    tree = read_yaml(path)
    missing = [f"{name}=somewhere" for name, value in (tree.get("vars") or {}).items() if value is None]
    assert parse(tree, missing, str(path)).stages
