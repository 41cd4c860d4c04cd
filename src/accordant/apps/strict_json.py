"""JSON from outside: strict, or a message that says what is wrong.

Python reads more than JSON is, and keeps it: NaN, which PostgreSQL refuses, and half of a surrogate pair, which no page can be
sent with. Both are turned away at the door, as is nesting that no answer needs.
"""

from __future__ import annotations

import json
from typing import Any

from accordant.types import UserError

DEEPEST = 20  # levels of nesting


def strict_object(sent: bytes) -> dict[str, Any]:
    """The object that a request's body is.

    Raises:
        UserError: it is no JSON object, is nested too deeply, or holds what is no number or no text.
    """
    found = strict_json(sent, "the request")
    if not isinstance(found, dict):
        raise UserError(f"the request must be an object with fields, found {type(found).__name__}")
    return found


def strict_json(sent: str | bytes, what: str) -> Any:
    """The value that is written there. Raises UserError as `strict_object` does; `what` it begins with."""
    try:
        found = json.loads(sent, parse_constant=_refuse)
        _check(found)
    except RecursionError:
        raise UserError(f"{what} is nested more than {DEEPEST} levels deep") from None
    except _Unkept as error:
        raise UserError(f"{what} {error}") from None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"{what} is no JSON: {error}") from error
    except ValueError as error:
        raise UserError(f"{what} is no JSON that can be read: a number has thousands of digits") from error
    return found


class _Unkept(Exception):
    """JSON that no database or no page would take."""


def _refuse(constant: str) -> None:
    raise _Unkept(f"holds {constant}, which is no number")


def _check(value: object, depth: int = 0) -> None:
    if depth > DEEPEST:
        raise _Unkept(f"is nested more than {DEEPEST} levels deep")
    if isinstance(value, float) and value in (float("inf"), float("-inf")):
        raise _Unkept("holds a number that is too large")
    if isinstance(value, str):
        if "\0" in value:
            raise _Unkept("holds the character U+0000: take it out")
        try:
            value.encode()
        except UnicodeEncodeError as error:
            raise _Unkept("holds half of a character (a lone surrogate): type it again") from error
    elif isinstance(value, list):
        for one in value:
            _check(one, depth + 1)
    elif isinstance(value, dict):
        for name, one in value.items():
            _check(name, depth + 1)
            _check(one, depth + 1)
