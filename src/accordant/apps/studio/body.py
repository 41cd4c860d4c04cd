"""What a request may hold: ids in its address, and in the body of a script's strict JSON."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Depends, Path, Request

from accordant.apps.strict_json import strict_object
from accordant.types import UserError

Id = Annotated[int, Path(ge=1, le=2**31 - 1)]
"""Of a row, in an address: what the database's integers hold."""


async def body(request: Request) -> dict[str, Any]:
    """The object that was sent. Raises UserError as `strict_object` does."""
    return strict_object(await request.body())


def whole(value: object, name: str, most: int) -> int:
    """A whole number from 0; what is above `most` counts as `most`. Raises UserError for anything else."""
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise UserError(f"`{name}` is {value!r}; it must be a whole number from 0")
    return min(value, most)


Json = Annotated[dict[str, Any], Depends(body)]
