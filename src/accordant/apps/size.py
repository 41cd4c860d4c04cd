"""The size of a request's body: counted as it comes, and not as announced."""

from __future__ import annotations

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import Message, Receive, Scope


def too_large(limit: int) -> str:
    """What is said of a body above `limit` bytes."""
    return f"this is more than {limit / 2**20:g} MiB: send less at once"


def announced_too_large(scope: Scope, limit: int) -> bool:
    """Whether the request says by itself that its body is above `limit` bytes, or says something that is no size."""
    announced = Headers(scope=scope).get("content-length", "0")
    return not announced.isdigit() or int(announced) > limit


def counted(receive: Receive, limit: int) -> Receive:
    """`receive`, which raises HTTPException 413 once more than `limit` bytes have come."""
    left = limit

    async def counting() -> Message:
        nonlocal left
        message = await receive()
        left -= len(message.get("body", b""))
        if left < 0:
            raise HTTPException(413, too_large(limit))
        return message

    return counting
