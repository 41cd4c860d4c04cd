"""`accordant chat`: serve checkpoints to every program that speaks OpenAI's protocol.

Nothing heavy is imported before a command needs it.
"""

from __future__ import annotations

from typing import Annotated

import typer


def chat(
    models: Annotated[
        list[str], typer.Argument(metavar="MODEL...", help="checkpoint folder, run folder (its last policy), or hub name")
    ],
    name: Annotated[list[str] | None, typer.Option(help="name of a model for clients, by default its folder's; repeat")] = None,
    host: Annotated[str, typer.Option(help="address to listen on; others than this machine need --key-env")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 = a free one")] = 8000,
    key_env: Annotated[
        str | None, typer.Option(metavar="VARIABLE", help="environment variable that holds the key clients must send")
    ] = None,
    max_waiting: Annotated[int, typer.Option(min=0, help="requests that may wait for a model; more are refused")] = 16,
    max_seconds: Annotated[float, typer.Option(min=0.001, help="longest time for one answer; then it is cut")] = 600.0,
    trust_remote_code: Annotated[
        bool, typer.Option("--trust-remote-code", help="run Python code that comes with a checkpoint")
    ] = False,
) -> None:
    """Serve models behind an OpenAI-compatible /v1 until Ctrl-C."""
    from accordant.apps.chat.serve import serve

    serve(
        models, called=name or (), host=host, port=port, key_env=key_env, max_waiting=max_waiting, max_seconds=max_seconds,
        trust_remote_code=trust_remote_code,
    )  # fmt: skip
