"""Argilla's records, as its exports have them, in our own fields.

A numeric question is a rating, a question that ranks fields is a ranking; each person's submitted answers are a row of their
own. Suggestions count where nobody answered. Source: the export formats of argilla 1.x and 2.x (`to_json`, `to_datasets`).

Left out: label, text and span questions, vectors, metadata.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, TypeAlias

from accordant.data.fields import Bad, Fields
from accordant.data.files import shown

Votes: TypeAlias = "dict[str, dict[str, Any]]"
"""By person: what was answered to each question."""

_ASKED = ("prompt", "instruction", "question", "query")
_ANSWERED = ("completion", "response", "answer", "output", "generation")
TEXTS = _ASKED + _ANSWERED
"""Fields that are looked at."""
_NOT_MEANT = ("draft", "discarded", "pending")


def record(fields: Fields) -> list[dict[str, Any]]:
    """{"fields": {...}, "responses": ..., "suggestions": ...}: of 1.x (lists) or of 2.x (objects by question)."""
    texts = fields["fields"]
    if not isinstance(texts, dict):
        raise Bad(f"`fields` must be an object, found {shown(texts)}")
    votes = _collected(_responses(fields.get("responses"))) or _collected(_suggestions(fields.get("suggestions")))
    return _rows(texts, votes)


def columns(fields: Fields) -> list[dict[str, Any]]:
    """Flattened: `rating.responses`, `rating.responses.users`, `rating.suggestion` beside the fields."""
    questions = sorted(
        {name.removesuffix(end) for end in (".responses", ".suggestion") for name in fields if name.endswith(end)}
    )
    said, suggested = [], []
    for question in questions:
        answers = fields.get(f"{question}.responses")
        if answers is not None and not isinstance(answers, list):
            raise Bad(f"`{question}.responses` must be a list, found {shown(answers)}")
        people, states = (_beside(fields, f"{question}.responses.{name}", len(answers or [])) for name in ("users", "status"))
        for person, state, answer in zip(people, states, answers or [], strict=True):
            if state not in _NOT_MEANT:
                said.append((person, question, answer))
        if fields.get(f"{question}.suggestion") is not None:
            agent = fields.get(f"{question}.suggestion.agent")
            suggested.append((f"suggestion by {agent}" if agent else "suggestion", question, fields[f"{question}.suggestion"]))
    texts = {name: value for name, value in fields.items() if "." not in name}
    return _rows(texts, _collected(iter(said)) or _collected(iter(suggested)))


def _beside(fields: Fields, name: str, count: int) -> list[Any]:
    found = fields.get(name)
    if found is None:
        return [None] * count
    if not isinstance(found, list) or len(found) != count:
        raise Bad(f"`{name}` must be a list of {count}, found {shown(found)}")
    return found


def _responses(given: object) -> Iterator[tuple[object, str, object]]:
    """(person, question, value) of all that was submitted."""
    if isinstance(given, list):
        yield from _by_person(given)
    elif isinstance(given, dict):
        yield from _by_question(given)
    elif given is not None:
        raise Bad(f"`responses` must be a list or an object, found {shown(given)}")


def _by_person(given: list[Any]) -> Iterator[tuple[object, str, object]]:
    """1.x: each person's answers to all questions."""
    for i, answer in enumerate(given):
        if not isinstance(answer, dict) or not isinstance(answer.get("values"), dict):
            raise Bad(f'`responses[{i}]` must be {{"values": {{...}}}}, found {shown(answer)}')
        if answer.get("status") not in _NOT_MEANT:
            yield from ((answer.get("user_id"), question, value) for question, value in answer["values"].items())


def _by_question(given: dict[str, Any]) -> Iterator[tuple[object, str, object]]:
    """2.x: each question's answers by all people."""
    for question, answers in given.items():
        if not isinstance(answers, list) or not all(isinstance(answer, dict) for answer in answers):
            raise Bad(f"`responses.{question}` must be a list of objects, found {shown(answers)}")
        for answer in answers:
            if answer.get("status") not in _NOT_MEANT:
                yield answer.get("user_id"), question, answer


def _suggestions(given: object) -> Iterator[tuple[object, str, object]]:
    entries: list[tuple[object, object]]
    if isinstance(given, dict):
        entries = list(given.items())
    elif isinstance(given, list):
        entries = [(item.get("question_name") if isinstance(item, dict) else None, item) for item in given]
    elif given is None:
        return
    else:
        raise Bad(f"`suggestions` must be a list or an object, found {shown(given)}")
    for question, suggestion in entries:
        if not isinstance(question, str) or not isinstance(suggestion, dict):
            raise Bad(f"a suggestion must be an object with its question, found {shown(suggestion)}")
        agent = suggestion.get("agent")
        yield f"suggestion by {agent}" if agent else "suggestion", question, suggestion


def _collected(said: Iterator[tuple[object, str, object]]) -> Votes:
    votes: Votes = {}
    for person, question, value in said:
        plain = value["value"] if isinstance(value, dict) and "value" in value else value
        if plain is not None:
            votes.setdefault("?" if person is None else str(person), {})[question] = plain
    return votes


def _rows(texts: Mapping[str, Any], votes: Votes) -> list[dict[str, Any]]:
    """One row for each person's ratings, and one for each ranking."""
    asked = next((texts[name] for name in _ASKED if texts.get(name) is not None), None)
    if asked is None:
        raise Bad(f"none of the fields {sorted(texts)} is one of {', '.join(_ASKED)}; rename the one that asks")
    if not votes:
        raise Bad("nobody has answered this record and nothing is suggested; label it or delete it")
    rows: list[dict[str, Any]] = []
    for person, answers in votes.items():
        ratings = {q: value for q, value in answers.items() if isinstance(value, int | float) and not isinstance(value, bool)}
        if ratings:
            rows.append({"prompt": asked, "completion": _answer(texts), "scores": ratings, "labeler": person})
        for question, value in answers.items():
            if isinstance(value, list) and value and all(isinstance(item, dict) and "rank" in item for item in value):
                rows.append({"prompt": asked, "labeler": person} | _ranked(texts, question, value))
    if not rows:
        questions = sorted({question for answers in votes.values() for question in answers})
        raise Bad(f"of the questions {questions}, none is a number or a ranking; only these can be learnt from")
    return rows


def _answer(texts: Mapping[str, Any]) -> object:
    for name in _ANSWERED:
        if texts.get(name) is not None:
            return texts[name]
    raise Bad(f"none of the fields {sorted(texts)} is one of {', '.join(_ANSWERED)}; rename the one that was rated")


def _ranked(texts: Mapping[str, Any], question: str, value: list[dict[str, Any]]) -> dict[str, Any]:
    missing = [item.get("value") for item in value if not isinstance(item.get("value"), str) or item["value"] not in texts]
    if missing:
        raise Bad(f"`{question}` ranks {shown(missing[0])}, which is none of the fields {sorted(texts)}")
    return {"completions": [texts[item["value"]] for item in value], "ranks": [item["rank"] for item in value]}
