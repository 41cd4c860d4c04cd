"""A Python function as a reward.

::

    def no_apologies(prompt: str, completion: str, finished: bool) -> float:
        return -1.0 if "sorry" in completion.lower() else 0.0

`function: my_rules.py:no_apologies` loads the file alone: what it imports must be installed. With `batched` the function takes
`list[Answer]` and returns as many numbers; that an answer's number does not depend on the others is then its own duty. The
prompt of a conversation is handed over as lines `role: content`; `Answer.prompt` holds the messages themselves.

The function runs with the rights of whoever runs Accordant. Nothing is imported that no configuration names.
"""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import math
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from numbers import Real
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import Tensor

from accordant.config import nearest
from accordant.rewards import Reward, RuleReward
from accordant.types import Answer, UserError


def load_rule(cfg: RuleReward) -> Reward:
    """The function's numbers.

    Raises:
        UserError: there is no such file, module or function, or importing it fails. The reward raises it where the function
            does (with file, line and answer), or returns something that is no finite number, or the wrong number of them.
    """
    place, _, name = cfg.function.rpartition(":")
    module = _file(Path(place)) if place.endswith(".py") else _module(place)
    known = [key for key, value in vars(module).items() if callable(value) and not key.startswith("_")]
    if name not in vars(module):
        raise UserError(f"{place} has no function {name!r}{nearest(name, known)}")
    function: Callable[..., Any] = vars(module)[name]
    if not callable(function):
        raise UserError(f"{cfg.function} is a {type(function).__name__}, not a function")
    _check_signature(function, cfg)
    file = str(getattr(module, "__file__", None) or place)

    def one_by_one(answers: Sequence[Answer]) -> Tensor:
        out = []
        for answer in answers:
            with _theirs(cfg.function, file, _shown(answer)):
                value = function(_text(answer), answer.completion, answer.finished)
            out.append(_number(value, answer, cfg.function))
        return torch.tensor(out, dtype=torch.float32)

    def together(answers: Sequence[Answer]) -> Tensor:
        with _theirs(cfg.function, file, f"{len(answers)} answers, of which the first is {_shown(answers[0])}"):
            values = function(list(answers))
            given = list(values) if hasattr(values, "__iter__") and not isinstance(values, str) else None
        if given is None or len(given) != len(answers):
            found = f"a {type(values).__name__}" if given is None else f"{len(given)} numbers"
            raise UserError(
                f"rule {cfg.function} returned {found} for {len(answers)} answers: return one number for each, in order"
            )
        return torch.tensor([_number(v, a, cfg.function) for v, a in zip(given, answers, strict=True)], dtype=torch.float32)

    return together if cfg.batched else one_by_one


def _check_signature(function: Callable[..., Any], cfg: RuleReward) -> None:
    """A function that cannot be called this way says so before anything is trained."""
    wanted = ("answers",) if cfg.batched else ("prompt", "completion", "finished")
    try:
        signature = inspect.signature(function)
    except ValueError:
        return  # some functions that are written in C have none
    try:
        signature.bind(*wanted)
    except TypeError as error:
        raise UserError(
            f"rule {cfg.function} has the signature {signature}, but is called as ({', '.join(wanted)}): {error}"
            + ("" if cfg.batched else "; a function of a list of answers needs batched: true")
        ) from None


def _file(path: Path) -> ModuleType:
    if not path.is_file():
        near = nearest(path.name, [p.name for p in path.parent.glob("*.py")]) if path.parent.is_dir() else ""
        raise UserError(f"no file {path} for a rule{near}")
    name = f"accordant rule {path.resolve()}"  # so that two files called rules.py do not take each other's place
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses and pickles look their module up
    with _theirs(str(path), str(path), ""):
        spec.loader.exec_module(module)
    return module


def _module(name: str) -> ModuleType:
    try:
        spec = importlib.util.find_spec(name)
    except (ModuleNotFoundError, ValueError):
        spec = None
    if spec is None:
        raise UserError(f"no installed module {name!r} for a rule: install it, or name a file, as my_rules.py:function")
    with _theirs(name, str(spec.origin), ""):
        return importlib.import_module(name)


@contextmanager
def _theirs(rule: str, file: str, about: str) -> Iterator[None]:
    """The one place where any exception is caught: the code is the user's, and so is the fault, whatever it is."""
    try:
        yield
    except Exception as error:
        where = _line(error, file)
        what = f"{type(error).__name__}: {error.msg if isinstance(error, SyntaxError) else error}"
        doing = f"raised {what} for {about}" if about else f"cannot be imported: {what}"
        raise UserError(f"{where}: rule {rule} {doing}") from error


def _line(error: Exception, file: str) -> str:
    """The deepest line of the user's own file that the error went through."""
    if isinstance(error, SyntaxError) and error.filename:
        return f"{error.filename}:{error.lineno}"
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if Path(frame.filename).resolve() == Path(file).resolve()]
    return f"{file}:{own[-1].lineno}" if own else file


def _number(value: Any, answer: Answer, rule: str) -> float:
    if isinstance(value, Tensor) and value.ndim == 0:
        value = value.item()
    if not isinstance(value, Real):
        raise UserError(f"rule {rule} returned {value!r} ({type(value).__name__}) for {_shown(answer)}: return a number")
    number = float(value)
    if not math.isfinite(number) or abs(number) > torch.finfo(torch.float32).max:
        raise UserError(f"rule {rule} returned {number} for {_shown(answer)}: return a finite number that fits float32")
    return number


def _text(answer: Answer) -> str:
    if isinstance(answer.prompt, str):
        return answer.prompt
    return "\n".join(f"{message.role}: {message.content}" for message in answer.prompt)


def _shown(answer: Answer) -> str:
    return f"the answer {answer.completion!r} to {_text(answer)!r}"
