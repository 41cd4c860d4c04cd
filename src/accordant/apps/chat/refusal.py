"""What is said to a client that gets no answer, in OpenAI's shape: a status, and an object that says what is wrong."""

from __future__ import annotations

from typing import Any

INVALID, BUSY, OURS = "invalid_request_error", "rate_limit_error", "server_error"


class Refusal(Exception):
    """No answer, and why. `message` says the value, the limit and the fix; `headers` go with the response."""

    def __init__(
        self, status: int, message: str, code: str | None = None, *, kind: str = INVALID, param: str | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:  # fmt: skip
        super().__init__(message)
        self.status = status
        self.headers = headers or {}
        self._error = {"message": message, "type": kind, "param": param, "code": code}

    @property
    def body(self) -> dict[str, Any]:
        return {"error": self._error}


def gone() -> Refusal:
    """Said to nobody: the client has closed the connection."""
    return Refusal(499, "the client has closed the connection", "client_closed")


def broken(number: str) -> Refusal:
    """Our fault; `number` is in the log beside what happened."""
    return Refusal(500, f"something went wrong here, and it is not your fault; the server's log has it as {number}", kind=OURS)
