"""What goes on around an answer: stop strings, people who leave, queues, limits, keys, hosts, faults, the end."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest
from sqlalchemy import select
from talking import ASK, FOREVER, LONG, PATIENCE, Endpoint, endpoint, until
from typer.testing import CliRunner

from accordant import cli
from accordant.apps.chat import worker as workers
from accordant.apps.chat.answer import Event, Finished
from accordant.apps.chat.app import Door
from accordant.apps.chat.ask import ChatRequest, asked
from accordant.apps.chat.refusal import Refusal
from accordant.apps.chat.served import Served
from accordant.apps.chat.worker import Job, Worker
from accordant.feedback import schema
from accordant.feedback.store import Store
from accordant.feedback.tasks import make_project
from accordant.models.language import LanguageModel
from accordant.seeds import derive
from accordant.stages.endpoint import Endpoint as OurClient
from accordant.stages.endpoint import EndpointConfig
from accordant.types import UserError
from tasks import write_rows

# --- stop strings ---


def straddling(client: openai.OpenAI) -> tuple[str, str]:
    """A stop string that begins in one token of an answer, holds the next, and ends in the one after; and the text before."""
    choice = client.chat.completions.create(model="parrot", logprobs=True, max_tokens=60, **ASK).choices[0]
    assert choice.logprobs is not None
    tokens = [entry.token for entry in choice.logprobs.content or ()]
    for i in range(20, len(tokens) - 2):
        stop, before = tokens[i][-1] + tokens[i + 1] + tokens[i + 2][0], "".join(tokens[:i]) + tokens[i][:-1]
        if len(tokens[i]) > 1 and len(tokens[i + 2]) > 1 and str(choice.message.content).find(stop) == len(before):
            return stop, before
    raise AssertionError("no such place in this answer: take another seed")


@pytest.mark.parametrize("others", [[], ["never said", "nor this"]], ids=["alone", "with others"])
def test_a_stop_string_across_tokens(client: openai.OpenAI, server: Endpoint, others: list[str]) -> None:
    stop, before = straddling(client)
    ask: dict[str, Any] = {**ASK, "model": "parrot", "max_tokens": FOREVER, "stop": [*others, stop] if others else stop}
    answer = client.chat.completions.create(**ask)
    assert answer.choices[0].message.content == before
    assert answer.choices[0].finish_reason == "stop"
    shown = ""
    reasons = []
    for chunk in client.chat.completions.create(stream=True, **ask):
        shown += chunk.choices[0].delta.content or ""
        assert before.startswith(shown), "nothing of the stop string is ever shown"
        reasons.append(chunk.choices[0].finish_reason)
    assert shown == before
    assert reasons[-1] == "stop"
    until(lambda: server.workers["parrot"].idle)


def test_a_stop_string_joins_the_models_own_end(client: openai.OpenAI) -> None:
    """A stop string that never comes: the answer still ends where the model ends it, long before the limit."""
    answers = [
        client.chat.completions.create(model="ender", max_tokens=FOREVER, **ASK, **more).choices[0]
        for more in ({}, {"stop": "never said"})
    ]
    assert answers[0] == answers[1]
    assert answers[1].finish_reason == "stop"


def test_tokens_behind_a_stop_string_are_not_told(client: openai.OpenAI) -> None:
    stop, before = straddling(client)
    choice = client.chat.completions.create(model="parrot", logprobs=True, stop=stop, **ASK).choices[0]
    assert choice.logprobs is not None
    told = "".join(entry.token for entry in choice.logprobs.content or ())
    assert told == before + stop[0], "the token in which the stop string begins, which was shown in part, is the last"


# --- people who leave ---


def test_a_reader_who_leaves_frees_the_model(client: openai.OpenAI, server: Endpoint) -> None:
    stream = client.chat.completions.create(stream=True, **LONG)
    assert any(chunk.choices[0].delta.content for chunk in stream), "it has begun"
    assert not server.workers["parrot"].idle
    stream.close()
    until(lambda: server.workers["parrot"].idle)
    assert client.chat.completions.create(model="parrot", max_tokens=2, **ASK).choices[0].finish_reason == "length"


@contextmanager
def waiting(server: Endpoint, body: dict[str, Any]) -> Iterator[socket.socket]:
    """A request on the wire whose answer nobody has read yet."""
    address = httpx.URL(server.url)
    data = json.dumps(body).encode()
    with socket.create_connection((address.host, address.port or 80), timeout=PATIENCE) as connection:
        head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1:{address.port}\r\nContent-Length: {len(data)}\r\n\r\n"
        connection.sendall(head.encode() + data)
        yield connection


def test_a_caller_who_leaves_without_a_stream_frees_the_model(client: openai.OpenAI, server: Endpoint) -> None:
    with waiting(server, LONG):
        until(lambda: not server.workers["parrot"].idle)
    until(lambda: server.workers["parrot"].idle)
    assert client.chat.completions.create(model="parrot", max_tokens=2, **ASK).choices[0].finish_reason == "length"


def test_a_caller_who_leaves_before_all_is_sent_is_no_fault(server: Endpoint, caplog: pytest.LogCaptureFixture) -> None:
    address = httpx.URL(server.url)
    with socket.create_connection((address.host, address.port or 80), timeout=PATIENCE) as connection:
        head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1:{address.port}\r\nContent-Length: 9\r\n\r\n"
        connection.sendall(head.encode() + b"{")
        connection.shutdown(socket.SHUT_WR)
        assert connection.recv(1) == b"", "the server has let go, and its handler has run"
    assert server.post("/chat/completions", {}).status_code == 400, "and what it logged is there"
    assert not caplog.records


def test_a_place_in_the_queue_is_given_back(parrot: Served) -> None:
    with endpoint([parrot], max_waiting=1) as server:
        worker = server.workers["parrot"]
        with waiting(server, LONG):
            until(lambda: worker._running is not None)
            with waiting(server, LONG):
                until(lambda: len(worker._waiting) == 1)
                assert server.post("/chat/completions", LONG).status_code == 429
                (left,) = worker._waiting
            until(left.dropped.is_set)
            with waiting(server, LONG):
                until(lambda: left not in worker._waiting and len(worker._waiting) == 1)
        until(lambda: worker.idle)


# --- queues and limits ---


def test_as_many_wait_as_may_however_fast_they_come(parrot: Served) -> None:
    """Whether the model's thread has taken the first by then makes no difference."""

    async def three_at_once(worker: Worker) -> None:
        with worker._changed:  # the thread can take nothing meanwhile
            for _ in range(2):
                worker.submit(Job(asked(ChatRequest, {**ASK, "model": "parrot", "max_tokens": 1})[0]))
            with pytest.raises(Refusal, match="1 requests wait for it") as error:
                worker.submit(Job(asked(ChatRequest, {**ASK, "model": "parrot", "max_tokens": 1})[0]))
        assert error.value.status == 429

    with Worker(parrot, max_waiting=1, max_seconds=600) as worker:
        asyncio.run(three_at_once(worker))


def test_a_full_queue_is_said_and_other_requests_are_answered(parrot: Served) -> None:
    with endpoint([parrot], max_waiting=0) as server, server.client() as client:
        running = client.chat.completions.create(stream=True, **LONG)
        next(iter(running))
        with pytest.raises(openai.RateLimitError, match=r"parrot is busy, and 0 requests wait .*--max-waiting") as error:
            client.chat.completions.create(**LONG)
        assert 1 <= int(error.value.response.headers["retry-after"]) <= 60
        assert error.value.code == "queue_full"
        assert [model.id for model in client.models.list()] == ["parrot"], "while the model is at work"
        assert server.post("/chat/completions", {}).status_code == 400
        running.close()
        until(lambda: server.workers["parrot"].idle)
        assert client.chat.completions.create(model="parrot", max_tokens=1, **ASK).choices


def test_requests_are_answered_in_turn(parrot: Served) -> None:
    """While one is answered the others wait; all get what they would get alone."""
    with endpoint([parrot]) as server, server.client() as client:
        expected = [ask(client, seed) for seed in range(4)]
        running = client.chat.completions.create(stream=True, **LONG)
        next(iter(running))
        found: dict[int, str] = {}
        threads = [threading.Thread(target=lambda s=seed: found.update({s: ask(client, s)})) for seed in range(4)]
        for thread in threads:
            thread.start()
        assert not found, "the model is at work"
        running.close()
        for thread in threads:
            thread.join(PATIENCE)
        assert [found[seed] for seed in range(4)] == expected


def ask(client: openai.OpenAI, seed: int) -> str:
    turns: Any = ASK["messages"]
    answer = client.chat.completions.create(model="parrot", messages=turns, seed=seed, max_tokens=8)
    return str(answer.choices[0].message.content)


def test_an_answer_that_takes_too_long_is_cut(parrot: Served, caplog: pytest.LogCaptureFixture) -> None:
    with endpoint([parrot], max_seconds=0.05) as server, server.client() as client:
        choice = client.chat.completions.create(**LONG).choices[0]
        assert choice.finish_reason == "length"
        assert choice.message.content
        until(lambda: server.workers["parrot"].idle)
    assert "an answer was cut at its time limit" in caplog.text


# --- the door ---


def test_a_reader_who_does_not_read_is_not_waited_for(parrot: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "UNREAD", 5)

    read: list[Event] = []

    async def read_nothing_then_all(worker: Worker) -> None:
        wanted, _ = asked(ChatRequest, LONG)
        job = Job(wanted)
        worker.submit(job)
        await asyncio.to_thread(until, lambda: worker.idle)
        while True:
            read.append(await job.event())

    with Worker(parrot, 1, 600.0) as worker, pytest.raises(Refusal, match="more than 5 pieces of the answer were not read"):
        asyncio.run(read_nothing_then_all(worker))
    assert 5 < len(read) < 100
    assert not any(isinstance(event, Finished) for event in read)


def test_a_key_is_asked_for(parrot: Served) -> None:
    with endpoint([parrot], Door(key="k3y")) as server:
        with server.client(key="k3y") as client:
            assert client.models.list().data
        for wrong in ("k3", "k3yy", "K3Y", "schlüssel"):
            given = {"authorization": f"Bearer {wrong}".encode()}
            response = httpx.get(server.url + "/models", headers=given)
            assert response.status_code == 401
            assert response.headers["www-authenticate"] == "Bearer"
            assert "k3y" not in response.text
        assert httpx.get(server.url + "/models", headers={"authorization": "k3y"}).status_code == 401
        assert server.post("/chat/completions", LONG).status_code == 401
        assert server.workers["parrot"].idle
        with (
            server.client(key="nope") as client,
            pytest.raises(openai.AuthenticationError, match="the key is missing or wrong"),
        ):
            client.chat.completions.create(**LONG)
        # Who has the key may come by any name.
        named = {"authorization": "bearer  k3y", "host": "chat.example.org"}
        assert httpx.get(server.url + "/models", headers=named).status_code == 200


def test_names_and_pages_of_others_are_turned_away(server: Endpoint) -> None:
    port = httpx.URL(server.url).port
    for host in (f"evil.example:{port}", "evil.example", "127.0.0.1.evil.example", "[", ""):
        response = httpx.get(server.url + "/models", headers={"host": host})
        assert (response.status_code, response.json()["error"]["code"]) == (403, "wrong_host")
    for host in (f"localhost:{port}", f"127.0.0.1:{port}", f"[::1]:{port}", "LOCALHOST"):
        assert httpx.get(server.url + "/models", headers={"host": host}).status_code == 200
    for origin in ("https://evil.example", "null", f"http://127.0.0.1:{port}.evil.example", "http://127.0.0.1:1"):
        response = httpx.post(
            server.url + "/completions", content="{}", headers={"origin": origin, "content-type": "text/plain"}
        )
        assert (response.status_code, response.json()["error"]["code"]) == (403, "wrong_origin")
    own = {"origin": f"http://127.0.0.1:{port}"}
    assert httpx.get(server.url + "/models", headers=own).status_code == 200
    asked = httpx.options(server.url + "/chat/completions", headers={"origin": "https://evil.example"})
    assert not [name for name in asked.headers if name.startswith("access-control")]


# --- faults and the end ---


def test_a_fault_of_ours_has_a_number_and_the_model_lives_on(
    parrot: Served, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    real = workers.answer
    moment = 0

    def failing(*arguments: Any) -> Iterator[Any]:
        for number, event in enumerate(real(*arguments)):
            if number == moment:
                raise ArithmeticError("the model fell over")
            yield event

    monkeypatch.setattr(workers, "answer", failing)
    with endpoint([parrot]) as server, server.client() as client:
        with pytest.raises(openai.InternalServerError, match="something went wrong here") as error:
            client.chat.completions.create(stream=True, **LONG)
        number = str(error.value.body["message"]).split()[-1]  # type: ignore[index]
        assert f"error {number} of model parrot" in caplog.text
        assert "the model fell over" in caplog.text
        assert "fell over" not in str(error.value)
        moment = 4
        chunks = iter(client.chat.completions.create(stream=True, **LONG))
        assert [next(chunks).choices[0].delta.role for _ in range(4)] == ["assistant", None, None, None]
        with pytest.raises(openai.APIError, match="something went wrong here"):
            next(chunks)
        raw = server.post("/chat/completions", {**LONG, "stream": True}).text.split("\n\n")
        assert raw[-1] == ""
        assert json.loads(raw[-2].removeprefix("data: "))["error"]["type"] == "server_error"
        monkeypatch.setattr(workers, "answer", real)
        assert client.chat.completions.create(model="parrot", max_tokens=1, **ASK).choices


def test_a_model_that_gives_no_numbers_is_told_and_says_nothing(parrot: Served) -> None:
    """Weights that a training run has blown up."""
    head = parrot.model.head
    broken = LanguageModel(parrot.model.module, parrot.model.tokenizer, "float32")
    broken.head = lambda hidden: head(hidden) * float("nan")  # type: ignore[method-assign]
    with endpoint([replace(parrot, name="broken", model=broken)]) as server:
        for more in ({}, {"stream": True}, {"logprobs": True}, {"temperature": 0}):
            response = server.post("/chat/completions", {**LONG, "model": "broken", **more})
            assert response.status_code == 500
            assert response.json()["error"]["code"] == "model_broken"
            assert "broken gives no probabilities (nan)" in response.json()["error"]["message"]
        until(lambda: server.workers["broken"].idle)


def test_the_end_does_not_wait_for_long_answers(parrot: Served) -> None:
    with endpoint([parrot]) as server, server.client() as client:
        stream = client.chat.completions.create(stream=True, **LONG)
        chunks = iter(stream)
        next(chunks)
        outcome: list[int] = []
        queued = threading.Thread(target=lambda: outcome.append(server.post("/chat/completions", LONG).status_code))
        queued.start()
        until(lambda: len(server.workers["parrot"]._waiting) == 1)
        server.stop()
        queued.join(PATIENCE)
        assert outcome == [503]
        with pytest.raises(openai.APIError, match="the server is about to end"):
            list(chunks)
        assert not server.workers["parrot"]._thread.is_alive()


def test_a_hub_name_has_a_slash(parrot: Served) -> None:
    with endpoint([replace(parrot, name="owner/parrot")]) as server, server.client() as client:
        assert client.models.retrieve("owner/parrot").id == "owner/parrot"
        assert client.chat.completions.create(model="owner/parrot", max_tokens=1, **ASK).model == "owner/parrot"


# --- our own client ---


def test_our_own_client_is_answered(server: Endpoint) -> None:
    with OurClient(EndpointConfig(url=server.url, model="ender", retries=0)) as ours:
        assert ours.chat("hello", max_tokens=500, temperature=0.8, seed=1).finished
    with OurClient(EndpointConfig(url=server.url, model="parrot", retries=0)) as ours:
        short, long = (ours.chat("hello", max_tokens=most, temperature=0.8, seed=1) for most in (3, 9))
        assert not long.finished
        assert long.text.startswith(short.text)
        assert len(long.text) > len(short.text) > 0
    base = EndpointConfig(url=server.url, model="base", retries=0)
    with OurClient(base) as ours, pytest.raises(UserError, match="HTTP 400: base has no chat template"):
        ours.chat("hello", max_tokens=5, temperature=1, seed=1)


def test_annotate_asks_it(server: Endpoint, tmp_path: Path) -> None:
    """`accordant annotate endpoint.url=...` puts the answers of a server of our own into a studio's store."""
    rows = write_rows(tmp_path / "prompts.jsonl", [{"prompt": "hello"}, {"prompt": "what colour is the door?"}])
    with Store.open(tmp_path / "studio.db") as store:
        make_project(store, "taste", "")
    words = [
        f"endpoint.url={server.url}", "endpoint.model=parrot", f"prompts={rows}", "samples_per_prompt=2", "max_new_tokens=12",
        "seed=4", f"studio.store={tmp_path / 'studio.db'}", "studio.project=taste", "--out", str(tmp_path / "run"),
    ]  # fmt: skip
    ended = CliRunner().invoke(cli.app, ["annotate", *words])
    assert ended.exception is None, ended.output
    with Store.open(tmp_path / "studio.db") as store, store.read() as connection:
        wanted = select(schema.completion.c.text, schema.model.c.name).join_from(schema.completion, schema.model)
        found = {(text, name) for text, name in connection.execute(wanted)}
    expected = set()
    with server.client() as client:
        for i, prompt in enumerate(["hello", "what colour is the door?"]):
            for sample in range(2):
                turn: Any = {"role": "user", "content": prompt}
                seed = derive(4, "endpoint", i, sample) % 2**31
                said = client.chat.completions.create(model="parrot", messages=[turn], max_tokens=12, seed=seed)
                expected.add((said.choices[0].message.content, "parrot"))
    assert len(expected) == 4
    assert found == expected
