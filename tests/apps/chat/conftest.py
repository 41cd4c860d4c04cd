"""Tiny models that talk, and a server of all of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import openai
import pytest
from talking import Endpoint, endpoint

from accordant.apps.chat.served import Place, Served
from accordant.models.language import LanguageModel
from builders import byte_level_tokenizer
from tiny import tilt, tiny_llama


@pytest.fixture(scope="session")
def chat_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Llama with a chat template, a BOS, and room for a million tokens; read it, never write into it."""
    folder = tmp_path_factory.mktemp("talk") / "parrot"
    return tiny_llama(folder, byte_level_tokenizer(bos=True, chat=True), max_position_embeddings=1 << 20)


@pytest.fixture(scope="session")
def base_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A base model, without a chat template, and a context of 64 tokens."""
    return tiny_llama(tmp_path_factory.mktemp("talk") / "base", byte_level_tokenizer(bos=True))


@pytest.fixture(scope="session")
def parrot(chat_folder: Path) -> Served:
    """It writes plain ASCII and never ends by itself."""
    served = Served.load(Place("parrot", str(chat_folder)))
    torn = [i for i in range(served.model.vocabulary) if not served.vocabulary.spelled(i).isascii()]
    tilt(served.model, [*torn, *served.stop_ids], -1e9)
    return served


@pytest.fixture(scope="session")
def ender(chat_folder: Path) -> Served:
    """The same, but it ends by itself after some tokens."""
    served = Served.load(Place("ender", str(chat_folder)))
    torn = [i for i in range(served.model.vocabulary) if not served.vocabulary.spelled(i).isascii()]
    tilt(served.model, torn, -1e9)
    tilt(served.model, served.stop_ids, 8.0)
    return served


@pytest.fixture(scope="session")
def base(base_folder: Path) -> Served:
    return Served.load(Place("base", str(base_folder)))


@pytest.fixture(scope="session")
def short(parrot: Served) -> Served:
    """The parrot with a context of 128 tokens."""
    model = LanguageModel(parrot.model.module, parrot.model.tokenizer, "float32")
    model.head = parrot.model.head  # type: ignore[method-assign]
    model.context = 128
    return replace(parrot, name="short", model=model)


@pytest.fixture(scope="module")
def server(parrot: Served, ender: Served, base: Served, short: Served) -> Iterator[Endpoint]:
    """All of them, without a key."""
    with endpoint([parrot, ender, base, short]) as running:
        yield running


@pytest.fixture(scope="module")
def client(server: Endpoint) -> Iterator[openai.OpenAI]:
    with server.client() as opened:
        yield opened
