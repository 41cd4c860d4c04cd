"""Run the endpoint: find and load the models, say where they are, serve until it is told to stop."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from contextlib import ExitStack

import uvicorn

from accordant.apps.chat.app import Door, make_app
from accordant.apps.chat.served import Served, places
from accordant.apps.chat.worker import Worker
from accordant.apps.listen import LOOPBACK, address, listen, names
from accordant.stages.endpoint import key_from
from accordant.types import UserError


class Server(uvicorn.Server):
    """uvicorn's, which waits for answers that are under way before it ends; here they are told to end first."""

    def __init__(self, config: uvicorn.Config, workers: Sequence[Worker]) -> None:
        super().__init__(config)
        self._workers = workers

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for worker in self._workers:
            worker.stop()
        await super().shutdown(sockets)


def make_server(workers: Sequence[Worker], door: Door) -> Server:
    """A server over running workers."""
    app = make_app({worker.served.name: worker for worker in workers}, door)
    config = uvicorn.Config(app, log_level="warning", lifespan="off", timeout_graceful_shutdown=10, server_header=False)
    return Server(config, workers)


def door_of(host: str, key_env: str | None) -> Door:
    """Who may come in.

    Raises:
        UserError: the variable holds no key; or there is none, and others than this machine reach the address.
    """
    if key_env is None and host not in LOOPBACK:
        raise UserError(
            f"--host {host} can be reached by others, and without a key everybody may use the models: put a key into an "
            "environment variable and name it with --key-env, or serve on 127.0.0.1"
        )
    return Door(tuple(names(host)), None if key_env is None else key_from(key_env, "--key-env"))


def serve(
    models: Sequence[str], *, called: Sequence[str], host: str, port: int, key_env: str | None, max_waiting: int,
    max_seconds: float, trust_remote_code: bool,
) -> None:  # fmt: skip
    """Serve the models until Ctrl-C; `called`: their names, in order, where they shall not have their own.

    Raises:
        UserError: a model is not to be found or loaded, two have one name, the address is taken, or `door_of` refuses it.
    """
    door, found = door_of(host, key_env), places(models, called)
    with listen(host, port) as listener, ExitStack() as stack:
        served = [Served.load(place, trust_remote_code) for place in found]
        workers = [stack.enter_context(Worker(one, max_waiting, max_seconds)) for one in served]
        at = address(host, listener.getsockname()[1])
        print(f"{', '.join(place.name for place in found)} at {at}/v1 (Ctrl-C stops it)", flush=True)
        make_server(workers, door).run(sockets=[listener])
