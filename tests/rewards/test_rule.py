"""Python functions as rewards: what they are given, what they may return, and what is said when they fail."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from accordant.pipeline.store import content_hash, identity
from accordant.rewards import Reward, RuleReward, load
from accordant.types import Answer, Message, UserError

SOURCE = """\
import numpy as np
import torch

LIMIT = 3


def no_apologies(prompt: str, completion: str, finished: bool) -> float:
    return -1.0 if "sorry" in completion else 0.5


def sees(prompt, completion, finished):
    return 100 * len(prompt) + 10 * len(completion) + finished


def by_numpy(prompt, completion, finished):
    return np.float32(len(completion))


def by_torch(answers):
    return torch.tensor([float(len(a.prompt)) for a in answers])


def helper(completion):
    return 1 / (len(completion) - 2)


def fails_on_two(prompt, completion, finished):
    return helper(completion)


def returns(prompt, completion, finished):
    return {"none": None, "text": "good", "nan": float("nan"), "large": 1e39, "list": [1.0]}[completion]


def too_few(answers):
    return [1.0] * (len(answers) - 1)


def one_number(answers):
    return 1.0


def fails_on_all(answers):
    raise KeyError("quality")


def two_arguments(prompt, completion):
    return 0.0


def clear(prompt, completion, finished):
    raise UserError("no")
"""


@pytest.fixture
def rules(tmp_path: Path) -> Path:
    path = tmp_path / "my_rules.py"
    path.write_text(SOURCE)
    return path


def rule(path: Path, name: str, batched: bool = False) -> Reward:
    return load(RuleReward(function=f"{path}:{name}", batched=batched))


def said(*texts: str) -> list[Answer]:
    return [Answer("what?", text, True) for text in texts]


def line_of(text: str) -> int:
    return next(i for i, line in enumerate(SOURCE.splitlines(), 1) if text in line)


def test_the_function_gives_the_number(rules: Path) -> None:
    assert rule(rules, "no_apologies")(said("sorry", "hello", "")).tolist() == [-1, 0.5, 0.5]
    assert rule(rules, "by_numpy")(said("", "abc")).tolist() == [0, 3]


def test_it_is_given_prompt_completion_and_whether_it_ended(rules: Path) -> None:
    chat = (Message("system", "be kind"), Message("user", "hi"))
    answers = [Answer("what?", "abc", True), Answer("what?", "", False), Answer(chat, "", False)]
    assert rule(rules, "sees")(answers).tolist() == [531, 500, 100 * len("system: be kind\nuser: hi")]


def test_a_function_of_all_answers_reads_the_messages_themselves(rules: Path) -> None:
    answers = [Answer("what?", "abc", True), Answer((Message("user", "hi"), Message("assistant", "a")), "", False)]
    assert rule(rules, "by_torch", batched=True)(answers).tolist() == [5, 2]


def test_a_function_of_an_installed_module(rules: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(rules.parent))
    monkeypatch.delitem(sys.modules, "my_rules", raising=False)
    reward = load(RuleReward(function="my_rules:no_apologies"))
    monkeypatch.delitem(sys.modules, "my_rules")
    assert reward(said("sorry", "hello")).tolist() == [-1, 0.5]


def test_an_error_names_file_line_and_answer(rules: Path) -> None:
    """The line is the deepest of the user's own, in the function that the rule called."""
    where = rf"my_rules\.py:{line_of('1 / (len')}: rule \S+:fails_on_two raised ZeroDivisionError: .* answer 'ab' to 'what\?'"
    with pytest.raises(UserError, match=where):
        rule(rules, "fails_on_two")(said("a", "ab"))
    where = rf"my_rules\.py:{line_of('KeyError')}: .* raised KeyError: 'quality' for 2 answers, .* first is the answer 'a'"
    with pytest.raises(UserError, match=where):
        rule(rules, "fails_on_all", batched=True)(said("a", "b"))


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ("none", r"returned None \(NoneType\) for the answer 'none' to 'what\?': return a number"),
        ("text", r"returned 'good' \(str\)"),
        ("list", r"returned \[1\.0\] \(list\)"),
        ("nan", "returned nan for the answer 'nan' .*finite"),
        ("large", r"returned 1e\+39 .*fits float32"),
    ],
)
def test_what_is_no_number_is_refused(what: str, message: str, rules: Path) -> None:
    with pytest.raises(UserError, match=message):
        rule(rules, "returns")(said(what))


@pytest.mark.parametrize(("name", "found"), [("too_few", "1 numbers for 2 answers"), ("one_number", "a float for 2 answers")])
def test_as_many_numbers_as_answers(name: str, found: str, rules: Path) -> None:
    with pytest.raises(UserError, match=f"returned {found}: return one number for each"):
        rule(rules, name, batched=True)(said("a", "b"))


@pytest.mark.parametrize(
    ("name", "batched", "message"),
    [
        ("no_apology", False, "has no function 'no_apology'; did you mean 'no_apologies'"),
        ("LIMIT", False, "is a int, not a function"),
        ("two_arguments", False, r"signature \(prompt, completion\), but is called as \(prompt, completion, finished\)"),
        ("too_few", False, "batched: true"),
        ("no_apologies", True, r"is called as \(answers\)"),
    ],
)
def test_a_function_that_does_not_fit_says_so_before_training(name: str, batched: bool, message: str, rules: Path) -> None:
    with pytest.raises(UserError, match=message):
        rule(rules, name, batched)


def test_files_and_modules_that_cannot_be_loaded(rules: Path) -> None:
    with pytest.raises(UserError, match=r"no file .*my_rule\.py for a rule; did you mean 'my_rules\.py'"):
        load(RuleReward(function=f"{rules.with_name('my_rule.py')}:f"))
    with pytest.raises(UserError, match=r"no installed module 'my_rules_of_old'.*name a file"):
        load(RuleReward(function="my_rules_of_old:f"))
    rules.write_text("def f(:\n")
    with pytest.raises(UserError, match=r"my_rules\.py:1: .* cannot be imported: SyntaxError"):
        rule(rules, "f")
    rules.write_text("x = 1\nimport not_there_at_all\n")
    with pytest.raises(UserError, match=r"my_rules\.py:2: .* cannot be imported: ModuleNotFoundError"):
        rule(rules, "f")


def test_nothing_is_imported_that_is_not_named(tmp_path: Path) -> None:
    """Reading the configuration runs no code; loading the reward does."""
    path = tmp_path / "loud.py"
    path.write_text(
        "import pathlib\npathlib.Path(__file__).with_name('ran').touch()\ndef f(prompt, completion, finished): return 0\n"
    )
    cfg = RuleReward(function=f"{path}:f")
    identity("ppo", {"reward": cfg.model_dump()}, {}, 1)
    assert not (tmp_path / "ran").exists()
    load(cfg)
    assert (tmp_path / "ran").exists()


def test_the_files_content_belongs_to_a_stages_identity(rules: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def known(function: str) -> str:
        return identity("ppo", {"reward": {"kind": "rule", "function": function}}, {}, 1)

    package = tmp_path / "rules_for_people"
    (package / "sub").mkdir(parents=True)
    inside = [package / "__init__.py", package / "kind.py", package / "sub" / "__init__.py"]
    for file in inside:
        file.write_text("")
    monkeypatch.syspath_prepend(str(tmp_path))
    named = ["rules_for_people:f", "rules_for_people.kind:f", "rules_for_people.sub:f"]
    for file, function in zip([rules, *inside], [f"{rules}:sees", *named], strict=True):
        before = known(function)
        assert known(function) == before
        assert known(function.replace(":", ":other_")) != before
        file.write_text(file.read_text() + "\n# another rule\n")
        assert known(function) != before, function
    assert "rules_for_people" not in sys.modules
    assert content_hash(rules) != content_hash(inside[0])
    # What only looks like one stays what it is.
    assert known("hub:train") == known("hub:train")
    assert known("no_such_file.py:f") != known("no_such_file.py:g")
