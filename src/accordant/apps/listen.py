"""Where a web application listens, who reaches it there, and what it may be called."""

from __future__ import annotations

import socket

from accordant.types import UserError

LOOPBACK = ("127.0.0.1", "localhost", "::1")
"""Addresses that only this machine reaches."""


def names(host: str, *more: str) -> list[str]:
    """What a request may call a server that listens on `host`: another name is somebody's DNS pointing here (rebinding)."""
    return [*LOOPBACK, "[::1]", host, *more]


def address(host: str, port: int) -> str:
    """The beginning of its URLs, without a slash at its end."""
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


def listen(host: str, port: int) -> socket.socket:
    """A listening socket, so that a taken port is known before anything else is done; port 0 takes a free one."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # The protocol must be named: asyncio sends at once (TCP_NODELAY) only on sockets that say they are TCP, and else every
    # answer waits 40 ms for the browser to acknowledge its header.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen()  # from now on a request waits and is not refused
    except (OSError, OverflowError) as error:
        listener.close()
        raise UserError(f"cannot serve on {host} port {port} ({error}): choose another with --port or --host") from error
    return listener
