"""`accordant chat` through the real command line: what it refuses, and a server that is asked and told to stop."""

from __future__ import annotations

import os
import re
import signal
import socket
from pathlib import Path

import openai
import pytest
from typer.testing import CliRunner

from accordant import cli
from accordant.types import UserError
from builders import byte_level_tokenizer
from command import start
from tiny import tiny_llama


def refused(*words: str | Path) -> str:
    """What the user is told."""
    error = CliRunner().invoke(cli.app, ["chat", *map(str, words)]).exception
    assert isinstance(error, UserError), error
    return str(error)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_llama(
        tmp_path_factory.mktemp("chat") / "tiny", byte_level_tokenizer(chat=True), max_position_embeddings=1 << 20
    )


def test_others_are_let_in_with_a_key_only(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for host in ("0.0.0.0", "::", "192.168.1.5"):
        assert f"--host {host} can be reached by others" in refused(folder, "--host", host)
    monkeypatch.delenv("CHAT_KEY", raising=False)
    assert "--key-env names the environment variable CHAT_KEY, which is not set" in refused(folder, "--key-env", "CHAT_KEY")
    monkeypatch.setenv("CHAT_KEY", "  ")
    assert "which is not set" in refused(folder, "--host", "0.0.0.0", "--key-env", "CHAT_KEY")
    monkeypatch.setenv("CHAT_KEY", "schlüssel")
    assert "holds characters that no key has" in refused(folder, "--key-env", "CHAT_KEY")


def test_what_is_no_model(folder: Path, classifier_folder: Path, tmp_path: Path) -> None:
    assert "no checkpoint folder" in refused(tmp_path / "nothing", "--port", "0")
    assert "another kind of model" in refused(classifier_folder, "--port", "0")
    assert "two models are called tiny" in refused(folder, folder)


def test_an_address_that_is_taken(folder: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert f"cannot serve on 127.0.0.1 port {port}" in refused(folder, "--port", str(port))


def test_it_answers_until_it_is_told_to_stop(folder: Path, tmp_path: Path) -> None:
    """Ctrl-C in the middle of a long answer: the answer ends, the program ends, and nothing is thrown at the user."""
    server = start(tmp_path, "chat", folder, folder, "--name", "one", "--name", "two", "--port", "0")
    try:
        url = None
        while url is None:
            server.join(0.02)
            assert server.is_alive(), (tmp_path / "err").read_text()
            said = (tmp_path / "out").read_text() if (tmp_path / "out").exists() else ""
            url = re.search(r"^one, two at (http://127\.0\.0\.1:\d+/v1) ", said)
        with openai.OpenAI(base_url=url.group(1), api_key="none", max_retries=0, timeout=60) as client:
            assert [model.id for model in client.models.list()] == ["one", "two"]
            turn = {"role": "user", "content": "hello"}
            answers = [
                client.chat.completions.create(model=name, messages=[turn], seed=1, max_tokens=5).choices  # type: ignore[list-item]
                for name in ("one", "two")
            ]
            assert answers[0] == answers[1]
            chunks = iter(client.completions.create(model="one", prompt="x", max_tokens=1 << 19, stream=True, temperature=2))
            next(chunks)
            assert server.pid is not None
            os.kill(server.pid, signal.SIGINT)
            with pytest.raises(openai.APIError, match="the server is about to end"):
                list(chunks)
        server.join(60)
    finally:
        server.kill()
        server.join()
    assert (tmp_path / "code").read_text() == "130"
    assert "Traceback" not in (tmp_path / "err").read_text()
