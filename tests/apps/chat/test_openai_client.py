"""The endpoint as the `openai` package sees it: answers, streams, choices, log-probabilities, and its classes of errors."""

from __future__ import annotations

import math
from typing import Any

import openai
import pytest
import torch
from talking import Endpoint

from accordant.apps.chat.served import Served
from accordant.models.stream import Decoding, stream
from accordant.seeds import generator
from accordant.types import Message, Prompt

ASK: dict[str, Any] = {"messages": [{"role": "user", "content": "what colour is the door?"}], "seed": 5, "max_tokens": 12}
PROMPT = Prompt((Message("user", "what colour is the door?"),))


def alone(served: Served, n: int = 1, seed: int = 5, most: int = 12, **knobs: Any) -> list[list[int]]:
    """The tokens that the model itself draws for `ASK`, without a server."""
    rows: list[list[int]] = [[] for _ in range(n)]
    how = Decoding(most, served.stop_ids, **knobs)
    prompt = served.template.encode_prompt(PROMPT)
    for step in stream(served.model, prompt, n, how, generator(seed, "chat"), set()):
        for drawn in step:
            rows[drawn.row].append(drawn.token)
    return rows


def text(served: Served, tokens: list[int]) -> str:
    kept = [i for i in tokens if i not in served.stop_ids]
    return str(served.model.tokenizer.decode(kept, skip_special_tokens=True, clean_up_tokenization_spaces=False))


def test_the_models(server: Endpoint, client: openai.OpenAI) -> None:
    assert [model.id for model in client.models.list()] == ["parrot", "ender", "base", "short"]
    assert client.models.retrieve("base").id == "base"
    assert client.models.retrieve("base").created == server.workers["base"].served.created
    with pytest.raises(openai.NotFoundError, match="no model 'big' here: ask for parrot or ender"):
        client.models.retrieve("big")


def test_an_answer(client: openai.OpenAI, parrot: Served) -> None:
    answer = client.chat.completions.create(model="parrot", **ASK)
    (tokens,) = alone(parrot)
    (choice,) = answer.choices
    assert choice.message.role == "assistant"
    assert choice.message.content == text(parrot, tokens)
    assert len(choice.message.content) > 12
    assert choice.finish_reason == "length"
    assert choice.logprobs is None
    assert answer.object == "chat.completion"
    assert answer.model == "parrot"
    assert answer.usage is not None
    prompt = len(parrot.template.encode_prompt(PROMPT))
    assert answer.usage.model_dump(include={"prompt_tokens", "completion_tokens", "total_tokens"}) == {
        "prompt_tokens": prompt, "completion_tokens": 12, "total_tokens": prompt + 12,
    }  # fmt: skip


def test_an_answer_that_ends_by_itself_shows_no_end(client: openai.OpenAI, ender: Served) -> None:
    answer = client.chat.completions.create(model="ender", **ASK | {"max_tokens": 500})
    (tokens,) = alone(ender, most=500)
    assert tokens[-1] in ender.stop_ids
    assert answer.choices[0].finish_reason == "stop"
    assert answer.choices[0].message.content == text(ender, tokens)
    assert "</s>" not in str(answer.choices[0].message.content)
    assert answer.usage is not None
    assert answer.usage.completion_tokens == len(tokens)


def test_a_stream_is_the_answer_in_openais_order(client: openai.OpenAI, parrot: Served) -> None:
    chunks = list(client.chat.completions.create(model="parrot", stream=True, stream_options={"include_usage": True}, **ASK))
    first, *middle, last, usage = chunks
    assert first.choices[0].delta.role == "assistant"
    assert all(chunk.choices[0].delta.role is None and chunk.choices[0].delta.content for chunk in middle)
    assert len(middle) > 6, "it came in pieces"
    assert "".join(chunk.choices[0].delta.content or "" for chunk in middle) == text(parrot, alone(parrot)[0])
    assert [chunk.choices[0].finish_reason for chunk in chunks[:-1]] == [None] * (len(middle) + 1) + ["length"]
    assert last.choices[0].delta.content is None
    assert usage.choices == []
    assert usage.usage is not None
    assert usage.usage.completion_tokens == 12
    assert all(chunk.usage is None for chunk in chunks[:-1])
    assert {chunk.id for chunk in chunks} == {first.id}
    assert {chunk.object for chunk in chunks} == {"chat.completion.chunk"}


def test_the_bytes_of_a_stream(server: Endpoint) -> None:
    response = server.post("/chat/completions", ASK | {"model": "parrot", "stream": True})
    assert response.headers["content-type"].startswith("text/event-stream")
    assert "access-control-allow-origin" not in response.headers
    lines = response.text.split("\n\n")
    assert lines[-2:] == ["data: [DONE]", ""]
    assert all(line.startswith("data: {") for line in lines[:-2])
    assert '"usage"' not in response.text, "nobody asked for it"


def test_several_answers_have_their_own_numbers(client: openai.OpenAI, ender: Served) -> None:
    rows = alone(ender, n=3, most=40)
    assert len({len(row) for row in rows}) > 1, "they end at different times"
    ask = ASK | {"max_tokens": 40, "n": 3}
    answer = client.chat.completions.create(model="ender", **ask)
    assert [choice.index for choice in answer.choices] == [0, 1, 2]
    assert [choice.message.content for choice in answer.choices] == [text(ender, row) for row in rows]
    texts, reasons, roles = ["", "", ""], [None] * 3, []
    for chunk in client.chat.completions.create(model="ender", stream=True, **ask):
        (choice,) = chunk.choices
        assert reasons[choice.index] is None, "nothing follows an end"
        texts[choice.index] += choice.delta.content or ""
        reasons[choice.index] = choice.finish_reason
        roles += [choice.index] * (choice.delta.role is not None)
    assert texts == [text(ender, row) for row in rows]
    assert roles == [0, 1, 2]
    assert reasons == [choice.finish_reason for choice in answer.choices]


def test_log_probabilities(client: openai.OpenAI, parrot: Served) -> None:
    """The model's own, at temperature 1, although the answer was drawn at another with penalties and cuts."""
    knobs = {"temperature": 1.5, "top_p": 0.9, "presence_penalty": 1.0}
    answer = client.chat.completions.create(model="parrot", logprobs=True, top_logprobs=3, **knobs, **ASK)
    choice = answer.choices[0]
    assert choice.logprobs is not None
    entries = choice.logprobs.content
    assert entries is not None
    assert "".join(entry.token for entry in entries) == choice.message.content
    (tokens,) = alone(parrot, **knobs)
    ids = [*parrot.template.encode_prompt(PROMPT), *tokens]
    model = parrot.model
    with torch.no_grad():
        hidden = model.hidden(torch.tensor([ids]), torch.ones(1, len(ids), dtype=torch.bool))[0]
        expected = torch.log_softmax(model.head(hidden).double(), -1)[-13:-1]
    for entry, token, log_p in zip(entries, tokens, expected, strict=True):
        assert entry.logprob == pytest.approx(float(log_p[token]), abs=1e-3)
        best = log_p.topk(3)
        assert [other.logprob for other in entry.top_logprobs] == pytest.approx(best.values.tolist(), abs=1e-3)
        assert [other.token for other in entry.top_logprobs] == [parrot.vocabulary.spelled(i) for i in best.indices.tolist()]
        assert entry.bytes == list(entry.token.encode())
    streamed = client.chat.completions.create(model="parrot", logprobs=True, top_logprobs=3, stream=True, **knobs, **ASK)
    pieces = [chunk.choices[0].logprobs for chunk in streamed]
    together = [entry for piece in pieces if piece for entry in piece.content or ()]
    assert together == entries


@pytest.mark.parametrize("name", ["parrot", "base"])
def test_a_completion(server: Endpoint, client: openai.OpenAI, name: str) -> None:
    """With a chat template and without one: the text goes on where the prompt ends."""
    base = server.workers[name].served
    ask: dict[str, Any] = {"model": name, "prompt": "the red", "max_tokens": 9, "seed": 1, "temperature": 0.7}
    answer = client.completions.create(logprobs=2, **ask)
    prompt = base.template.encode_prompt(Prompt("the red"))
    how = Decoding(9, base.stop_ids, temperature=0.7)
    tokens = [step[0].token for step in stream(base.model, prompt, 1, how, generator(1, "chat"), set())]
    decode = base.model.tokenizer.decode
    choice = answer.choices[0]
    assert choice.text == decode([*prompt, *tokens], skip_special_tokens=True).removeprefix("the red")
    assert choice.logprobs is not None
    shown = [base.vocabulary.spelled(i) for i in tokens if i not in base.vocabulary.control]
    assert choice.logprobs.tokens == shown
    offsets = choice.logprobs.text_offset or []
    assert offsets == sorted(offsets)
    if name == "parrot":  # every token is whole characters
        assert [choice.text[at:].startswith(token) for at, token in zip(offsets, shown, strict=True)] == [True] * 9
    assert choice.logprobs.top_logprobs is not None
    assert all(1 <= len(near) <= 2 and max(near.values()) <= 0 for near in choice.logprobs.top_logprobs)
    assert sum(math.isfinite(logp) for logp in choice.logprobs.token_logprobs or ()) == len(shown)
    pieces = list(client.completions.create(stream=True, **ask))
    assert "".join(piece.choices[0].text for piece in pieces) == choice.text
    assert pieces[-1].choices[0].finish_reason == choice.finish_reason
    assert {piece.object for piece in pieces} == {"text_completion"} == {answer.object}
    assert client.completions.create(**ask | {"prompt": ["the red"]}).choices[0].text == choice.text


def test_the_same_seed_says_the_same_and_none_is_another_each_time(client: openai.OpenAI) -> None:
    def say(**more: Any) -> str:
        return str(client.chat.completions.create(model="parrot", **ASK | more).choices[0].message.content)

    assert say() == say()
    assert len({say(seed=seed) for seed in (1, 2, -3)}) == 3
    assert say(seed=None) != say(seed=None)
    assert say(temperature=0, seed=1) == say(temperature=0, seed=2) == say(temperature=1e-300, seed=3)


def test_every_knob_is_turned(client: openai.OpenAI, parrot: Served) -> None:
    """What the server says is what the model draws with these knobs, and each of them makes a difference."""
    plain = text(parrot, alone(parrot, most=30)[0])
    for knob, value in {
        "temperature": 0.5, "top_p": 0.3, "top_k": 2, "repetition_penalty": 1.8, "presence_penalty": 2.0,
        "frequency_penalty": 2.0,
    }.items():  # fmt: skip
        ask = ASK | {"max_tokens": 30, "extra_body": {knob: value}}
        said = client.chat.completions.create(model="parrot", **ask).choices[0].message.content
        assert said == text(parrot, alone(parrot, most=30, **{knob: value})[0]), knob
        assert said != plain, knob


def test_both_names_of_the_longest_answer(client: openai.OpenAI) -> None:
    ask = {"model": "parrot", "messages": ASK["messages"]}
    answer = client.chat.completions.create(max_completion_tokens=3, **ask)
    assert answer.usage is not None
    assert answer.usage.completion_tokens == 3
    with pytest.raises(openai.BadRequestError, match="max_tokens is 2 and max_completion_tokens 3"):
        client.chat.completions.create(max_completion_tokens=3, max_tokens=2, **ask)


def test_content_parts_are_paragraphs(client: openai.OpenAI) -> None:
    def say(content: Any) -> str | None:
        turn: Any = {"role": "user", "content": content}
        return client.chat.completions.create(model="parrot", messages=[turn], seed=1, max_tokens=9).choices[0].message.content

    parts = [{"type": "text", "text": "what colour"}, {"type": "text", "text": "is it?"}]
    assert say(parts) == say("what colour\nis it?") != say("what colour is it?")


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"temperature": 3}, "'temperature' = 3: input should be less than or equal to 2"),
        ({"temperature": "0.5"}, "'temperature' = '0.5': input should be a valid number"),
        ({"temperature": True}, "'temperature' = True: input should be a valid number"),
        ({"top_p": -0.1}, "greater than or equal to 0"),
        ({"top_k": -2}, "'top_k' = -2"),
        ({"n": 0}, "'n' = 0"),
        ({"n": 17}, "less than or equal to 16"),
        ({"n": 2.5}, "'n' = 2.5"),
        ({"max_tokens": 0}, "'max_tokens' = 0"),
        ({"repetition_penalty": 0}, "greater than or equal to 0.1"),
        ({"presence_penalty": 2.5}, "less than or equal to 2"),
        ({"stop": ["a", "b", "c", "d", "e"]}, "these are 5 stop strings, and at most 4 are taken"),
        ({"stop": ""}, "each of 1 to 1000 characters"),
        ({"stop": 5}, "'stop' = 5: give a text or a list of texts"),
        ({"logprobs": 1}, "'logprobs' = 1: input should be a valid boolean"),
        ({"top_logprobs": 2}, "top_logprobs is 2, but logprobs is not true"),
        ({"logprobs": True, "top_logprobs": 21}, "less than or equal to 20"),
        ({"stream": "yes"}, "'stream' = 'yes'"),
        ({"stream_options": {"include_usage": True}}, "stream_options are of a stream"),
        ({"seed": "x"}, "'seed' = 'x'"),
        ({"messages": []}, "'messages' = []"),
        ({"messages": "hello"}, "'messages' = 'hello': input should be a valid list"),
        ({"messages": [{"role": "tool", "content": "x"}]}, "'messages.0.role' = 'tool'"),
        ({"messages": [{"role": "user"}]}, "'messages.0.content' is required"),
        ({"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}, "send no images"),
        ({"messages": [{"role": "user", "content": []}]}, "give a text, or a list of parts"),
        ({"messages": None}, "'messages' is required"),
        ({"model": 5}, "'model' = 5"),
    ],
)
def test_what_is_wrong_is_said_in_openais_shape(server: Endpoint, wrong: dict[str, Any], words: str) -> None:
    response = server.post("/chat/completions", {"model": "parrot", **ASK, **wrong})
    assert response.status_code == 400, response.text
    error = response.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert error["type"] == "invalid_request_error"
    assert words in error["message"]


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"prompt": ["a", "b"]}, "a request has one prompt"), ({"prompt": [1, 2]}, "token ids are not taken"),
        ({"prompt": None}, "'prompt' is required"), ({"logprobs": True}, "'logprobs' = True"),
        ({"logprobs": 6}, "less than or equal to 5"), ({"max_tokens": 0}, "'max_tokens' = 0"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_completion(client: openai.OpenAI, wrong: dict[str, Any], words: str) -> None:
    with pytest.raises(openai.BadRequestError) as error:
        client.post("/completions", body={"model": "base", "prompt": "x", **wrong}, cast_to=object)
    assert words in str(error.value)


def test_errors_have_the_clients_classes(client: openai.OpenAI, server: Endpoint) -> None:
    with pytest.raises(openai.NotFoundError, match="ask for parrot or ender or base or short") as missing:
        client.chat.completions.create(model="gpt-4", **ASK)
    assert missing.value.code == "model_not_found"
    with pytest.raises(openai.BadRequestError, match=r"base has no chat template.*POST /v1/completions") as template:
        client.chat.completions.create(model="base", **ASK)
    assert template.value.code == "no_chat_template"
    with pytest.raises(openai.BadRequestError, match="less than or equal to 2"):
        client.chat.completions.create(model="parrot", stream=True, **ASK | {"temperature": 2.5})
    with pytest.raises(openai.NotFoundError, match="there is no /v1/embeddings"):
        client.embeddings.create(model="parrot", input="x")
    assert server.post("/models", {}).json()["error"]["message"] == "/v1/models takes no POST"
