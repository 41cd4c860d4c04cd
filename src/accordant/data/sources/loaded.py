"""What all sources share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import TypeAlias

from accordant.types import UserError

Map: TypeAlias = "Mapping[str, str] | None"


def nearest(name: str, known: Sequence[str]) -> str:
    """The name that was meant, or all that there are."""
    near = get_close_matches(name, known, n=1)
    return f"did you mean {near[0]!r}?" if near else "choose from " + (", ".join(sorted(known)) or "nothing: it has none")


def one_of(source: str, option: str, value: str, known: Sequence[str]) -> None:
    """Raises UserError where an option is none of the words that it may be."""
    if value not in known:
        raise UserError(f"{source}.{option} is {value!r}; {nearest(value, known)}")


def user(text: str) -> list[dict[str, str]]:
    """A prompt of one turn."""
    return [{"role": "user", "content": text}]


def passed_over(what: str, count: int) -> tuple[str, ...]:
    """A note, where there is something to note; the number stands behind, so that the words fit one and many."""
    return (f"{what}: {count:,}",) if count else ()
