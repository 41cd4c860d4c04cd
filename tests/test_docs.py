"""What the documentation shows is true: files exist, commands and settings parse, code runs, the example algorithm is right."""

from __future__ import annotations

import doctest
import importlib.util
import json
import re
import shlex
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
import typer
import yaml
from rich.console import Console
from transformers import PreTrainedTokenizerFast
from typer.testing import CliRunner

import accordant.pipeline.run as pipeline_run
import test_every_algorithm as contract
from accordant import algos, cli, stages
from accordant.config import build, parse_overrides, read_yaml
from accordant.data.rows import read, write_jsonl
from accordant.data.sources import SOURCES
from accordant.pipeline.spec import Spec, fill, parse
from accordant.stages.folder import StageFolder
from accordant.types import ActorOut, Prompt, Rollout, Scored, UserError
from steps import random_rollout
from tiny import tiny_classifier, tiny_llama

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", ROOT / "LOG.md", *sorted((ROOT / "docs").glob("*.md"))]
RECIPES = [*sorted((ROOT / "pipelines").glob("*.yaml")), ROOT / "src/accordant/pipeline/quickstart.yaml"]
EXAMPLE = "leave_one_out"

_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_SPAN = re.compile(r"`([^`\n]+)`")
_SETTING = re.compile(r"[a-z_]+(\.[a-z_0-9]+)*=\S+")


def blocks(page: Path, language: str) -> list[str]:
    """The fenced blocks of a page that are marked with a language ("" for none)."""
    return [body for marked, body in _FENCE.findall(page.read_text(encoding="utf-8")) if marked == language]


def spans(page: Path) -> list[str]:
    """Inline code."""
    return _SPAN.findall(_FENCE.sub("", page.read_text(encoding="utf-8")))


def commands_of(page: Path) -> Iterator[str]:
    """Every `accordant ...` of a page: whole lines of blocks (continued ones joined), and inline code with arguments."""
    lines = "\n".join(blocks(page, "")).replace("\\\n", " ").splitlines()
    for text in [*lines, *spans(page)]:
        if text.startswith("accordant ") and "FILE" not in text:
            yield text


def header_commands(recipe: Path) -> list[str]:
    """The commands that the header of a pipeline shows."""
    return re.findall(r"^# (?:Run|Override) +(accordant .+)$", recipe.read_text(encoding="utf-8"), re.MULTILINE)


COMMANDS = [(page.name, command) for page in PAGES for command in commands_of(page)]
COMMANDS += [(recipe.name, command) for recipe in RECIPES for command in header_commands(recipe)]
SETTINGS = [(page.name, span) for page in PAGES for span in spans(page) if _SETTING.fullmatch(span) and "=value" not in span]


def check_configs(spec: Spec) -> None:
    """Every stage's configuration, with some text in the place of what earlier stages would give."""
    for stage in spec.stages:
        build(stages.load(stage.kind)[1], fill(stage.values, lambda reference: f"result {reference}"), stage.name)


# --- files ------------------------------------------------------------------------------------------------------------


def tree() -> list[str]:
    """The paths of the README's file tree."""
    (body,) = (block for block in blocks(ROOT / "README.md", "") if block.startswith("src/accordant/"))
    parents: list[str] = []
    found = []
    for line in body.splitlines():
        name = line.split()[0]
        depth = (len(line) - len(line.lstrip())) // 2
        parents[depth:] = [name]
        found.append("".join(parents))
    return found


def test_every_path_of_the_file_tree_exists() -> None:
    missing = [path for path in tree() if not (ROOT / path).exists() or path.endswith("/") != (ROOT / path).is_dir()]
    assert missing == []


def test_the_file_tree_leaves_nothing_out() -> None:
    package = ROOT / "src/accordant"
    expected = [p for p in package.iterdir() if p.is_dir() or p.suffix == ".py"]
    expected += [
        *package.glob("algos/*.py"),
        *package.glob("stages/*.py"),
        *ROOT.glob("docs/*.md"),
        *ROOT.glob("pipelines/*.yaml"),
    ]
    shown = {path.rstrip("/") for path in tree()}
    assert {str(p.relative_to(ROOT)) for p in expected if not p.name.startswith("__")} <= shown


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_leads_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)#\s]+)", page.read_text(encoding="utf-8"))
    assert [link for link in links if "://" not in link and not (page.parent / link).exists()] == []


# --- commands and settings ----------------------------------------------------------------------------------------------


def test_commands_and_settings_are_found() -> None:
    assert len(COMMANDS) > 15
    assert len(SETTINGS) >= 5
    assert all(header_commands(recipe) for recipe in RECIPES)


@pytest.fixture
def dry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Spec]:
    """A place with the repository's pipelines and the pages' own, where `accordant` checks what it is told and runs nothing."""
    shutil.copytree(ROOT / "pipelines", tmp_path / "pipelines")
    for body in (body for page in PAGES for body in blocks(page, "yaml")):
        (tmp_path / f"{yaml.safe_load(body)['name']}.yaml").write_text(body, encoding="utf-8")
    seen: list[Spec] = []

    def check(spec: Spec, out: Path, console: Console) -> None:  # noqa: ARG001
        check_configs(spec)
        seen.append(spec)

    monkeypatch.setattr(pipeline_run, "run", check)
    monkeypatch.chdir(tmp_path)
    return seen


def run(command: str) -> Any:
    return CliRunner().invoke(cli.app, shlex.split(command, comments=True)[1:], catch_exceptions=True)


PARSED = ("chat", "data", "studio")
"""Commands that are not run: their files are only in the page, or they serve until they are told to stop."""


def parse_group(command: str) -> None:
    """Options and arguments of one of `PARSED`, and of a command in it."""
    _, of, *words = shlex.split(command, comments=True)
    main: Any = typer.main.get_command(cli.app)
    group = main.commands[of]
    if of != "chat" and words and not words[0].startswith("-"):
        group.commands[words[0]].make_context(words[0], words[1:])
    else:
        group.make_context(of, words)


@pytest.mark.parametrize(("page", "command"), COMMANDS)
def test_every_command_parses(page: str, command: str, dry: list[Spec]) -> None:
    if command.split()[1] in PARSED:
        parse_group(command)
        return
    result = run(command)
    if result.exit_code == 2 and len(command.split()) == 2:
        pytest.fail(f"{page}: {command} is no whole command: {result.output}")
    assert result.exception is None, f"{page}: {command}: {result.exception} {result.output}"
    assert dry or command.split()[1] in ("config", "version", "--help")


@pytest.mark.parametrize(
    "wrong",
    [
        "accordant ppo model.path=x prompts=y reward.kind=model reward.path=z algo.kl_coeff=1",
        "accordant sft model.path=x data=y epochs=many",
        "accordant run pipelines/positive_stories.yaml",
        "accordant run pipelines/positive_stories.yaml data=PATH polici.steps=3",
        "accordant config pppo",
        "accordant finetune",
    ],
)
@pytest.mark.usefixtures("dry")
def test_a_wrong_command_is_found(wrong: str) -> None:
    assert run(wrong).exception is not None


@pytest.mark.parametrize(
    "wrong",
    [
        "data convrt a.jsonl b.jsonl --to pairs", "data convert a.jsonl --to pairs", "data check a.jsonl --stric",
        "data split a.jsonl --out b --seed x", "data show a.jsonl --model m --turns first", "studio exprt --project p --out o",
        "studio export --project p", "studio --prt 3", "studio --port x", "studio ai --project p --name n --limit x",
        "chat", "chat m --prt 3", "chat m --port x", "chat m --max-waiting -1",
    ],
)  # fmt: skip
def test_a_wrong_command_of_a_group_is_found(wrong: str) -> None:
    with pytest.raises(Exception) as error:
        parse_group(f"accordant {wrong}")
    assert type(error.value).__name__ in ("KeyError", "MissingParameter", "NoSuchOption", "BadParameter", "UsageError")


def accepted(setting: str) -> bool:
    """Whether some kind of stage, or some pipeline, knows the key and takes the value."""
    return any(_stage_takes(kind, setting) for kind in stages.KINDS) or any(_recipe_takes(path, setting) for path in RECIPES)


def _stage_takes(kind: str, setting: str) -> bool:
    try:
        build(stages.load(kind)[1], parse_overrides([setting]))
    except UserError as error:
        # A setting alone is not a whole configuration: what is missing besides is no fault of its own.
        return all("is required and has no default" in fault for fault in str(error).splitlines()[1:])
    return True


def _recipe_takes(path: Path, setting: str) -> bool:
    recipe = read_yaml(path)
    given = [f"{name}=PATH" for name, value in (recipe.get("vars") or {}).items() if value is None]
    try:
        check_configs(parse(recipe, [*given, setting], path.name))
    except UserError:
        return False
    return True


@pytest.mark.parametrize(("page", "setting"), SETTINGS)
def test_every_setting_exists(page: str, setting: str) -> None:
    assert accepted(setting), f"{page}: nothing takes {setting}"


@pytest.mark.parametrize("wrong", ["algo.kl_coeff=1", "optim.lr=-1", "on_long=cut", "policy.algo.kl=1"])
def test_a_wrong_setting_is_found(wrong: str) -> None:
    assert not accepted(wrong)


# --- data ---------------------------------------------------------------------------------------------------------------


def table(page: Path, heading: str) -> list[list[str]]:
    """The cells of the first table whose first column is called `heading`, below its ruler."""
    lines = page.read_text(encoding="utf-8").splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith(f"| {heading} |"))
    rows = iter(lines[start + 2 :])
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in iter(lambda: next(rows), "")]


def test_the_example_rows_are_what_the_page_says(tmp_path: Path) -> None:
    page = ROOT / "docs/data.md"
    (examples,) = blocks(page, "json")
    kinds = []
    for line in examples.splitlines():
        (tmp_path / "row.jsonl").write_text(line, encoding="utf-8")
        kinds.append(f"`{type(read(tmp_path / 'row.jsonl')[0]).__name__}`")
    assert kinds == [row[1] for row in table(page, "fields")]


def test_the_readers_of_rows_are_what_the_page_says() -> None:
    readers = {row[1].strip("`"): row[2] for row in table(ROOT / "docs/data.md", "fields")}
    for name in algos.OFFLINE:
        for kind in algos.load(name).ROWS:
            assert f"`{name}`" in readers[kind]


def test_the_named_sources_are_what_the_page_says() -> None:
    assert {row[0].strip("`") for row in table(ROOT / "docs/data.md", "source")} == set(SOURCES)


# --- code ---------------------------------------------------------------------------------------------------------------


def test_the_journey_runs() -> None:
    failed, attempted = doctest.testfile(str(ROOT / "docs/journey.md"), module_relative=False, encoding="utf-8")
    assert attempted > 50
    assert failed == 0


@pytest.fixture
def example(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The algorithm of docs/add-an-algorithm.md, registered as the page says."""
    page = ROOT / "docs/add-an-algorithm.md"
    (source,) = blocks(page, "python")
    (line,) = (block for block in blocks(page, "") if "accordant.algos." in block)
    ((name, place),) = yaml.safe_load("{" + line + "}").items()
    assert name == EXAMPLE
    file = tmp_path / f"{name}.py"
    file.write_text(source, encoding="utf-8")
    found = importlib.util.spec_from_file_location(place, file)
    assert found is not None
    assert found.loader is not None
    module = importlib.util.module_from_spec(found)
    monkeypatch.setitem(sys.modules, place, module)
    found.loader.exec_module(module)
    monkeypatch.setitem(algos.ONLINE, name, place)
    monkeypatch.setitem(algos.ALGOS, name, place)
    return module


@pytest.mark.usefixtures("example")
def test_the_example_algorithm_keeps_the_contract() -> None:
    contract.test_the_contract_is_there(EXAMPLE)
    contract.test_the_configuration_is_frozen_and_documented(EXAMPLE)
    contract.test_the_state_is_made_of_plain_numbers(EXAMPLE)
    for which in ("defaults", "all on"):
        for split in contract.SPLITS[1:]:
            contract.test_how_a_step_is_cut_changes_neither_terms_nor_metrics_nor_gradient(EXAMPLE, which, split)
        contract.test_padding_columns_change_nothing_online(EXAMPLE, which)


def test_the_example_algorithm_is_what_its_docstring_says(example: ModuleType) -> None:
    """Worked by hand: groups of two, and a KL of 0.1 nats a token at a price of 0.5."""
    rollout: Rollout = random_rollout([2, 4, 1, 3], samples=2)
    old_logp = rollout.logp
    ref_logp = torch.where(rollout.response_mask, old_logp - 0.1, 0.0)
    reward = torch.tensor([1.0, 3.0, 2.0, -1.0], dtype=torch.float64)
    cfg = example.Config(kl_coef=0.5)
    targets, _, _ = example.prepare(Scored(rollout, reward, old_logp, ref_logp), example.init(cfg), cfg)
    # Returns: 1 - 0.1, 3 - 0.2, 2 - 0.05, -1 - 0.15.
    expected = torch.tensor([0.9 - 2.8, 2.8 - 0.9, 1.95 + 1.15, -1.15 - 1.95], dtype=torch.float64)
    torch.testing.assert_close(targets.advantage, expected)
    logp = old_logp.clone().requires_grad_()
    sums, _ = example.loss(ActorOut(logp, torch.zeros_like(logp)), targets, cfg)
    sums["policy"].backward()
    torch.testing.assert_close(logp.grad, -expected[:, None] * rollout.response_mask)
    assert example.counts(targets) == {"policy": 4.0}


@pytest.mark.usefixtures("example")
def test_the_example_algorithm_trains(tmp_path: Path, tokenizer: PreTrainedTokenizerFast) -> None:
    policy = tiny_llama(tmp_path / "policy", tokenizer)
    reward = tiny_classifier(tmp_path / "reward", tokenizer)
    write_jsonl(tmp_path / "prompts.jsonl", [Prompt(f"the {colour} kite") for colour in ("red", "green", "old", "small")])
    module, config_type, algo = stages.load(EXAMPLE)
    values = {
        "model": {"path": str(policy), "precision": "float32"},
        "prompts": str(tmp_path / "prompts.jsonl"),
        "reward": {"kind": "classifier", "path": str(reward)},
        "optim": {"lr": 1e-2},
        "steps": 2,
        "prompts_per_step": 4,
        "samples_per_prompt": 3,
        "max_new_tokens": 6,
    }
    folder = StageFolder(tmp_path / "stage", Console(quiet=True))
    result = module.run(build(config_type, values), folder, algo, EXAMPLE)
    first, second = folder.metrics()
    assert result["steps"] == 2
    assert first["kl"] == 0
    assert second["kl"] != 0, "one step moved the policy"
    assert json.loads((folder.checkpoint / "accordant.json").read_text())["algo"] == EXAMPLE
    with pytest.raises(UserError, match="samples_per_prompt >= 2, found 1"):
        module.run(build(config_type, values | {"samples_per_prompt": 1}), folder, algo, EXAMPLE)
