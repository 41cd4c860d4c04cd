"""Dialogues that were summarised or rated: DialogSum, FED, USR."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from accordant.data import fields as want
from accordant.data import rows
from accordant.data.fields import Bad, Fields
from accordant.data.files import shown
from accordant.data.loaded import Loaded
from accordant.data.sources.loaded import Map, one_of, passed_over, user
from accordant.types import Chat, Ranking, Rating

_SUMMARY = re.compile(r"summary\d*")
_LINE = re.compile(r"(User|System): ?(.*)", re.DOTALL)
_ROLES = {"User": "user", "System": "assistant"}


def dialogsum(path: str | Path, *, instruction: str = "Summarise this dialogue.", map: Map = None) -> Loaded:
    """DialogSum (arXiv 2105.06762): `dialogue`, `summary` (the test split has `summary1..3`: a row for each).

    Args:
        path: the JSONL file.
        instruction: what the prompt says before the dialogue.
        map: {theirs: ours} renames fields first.

    Example row: `Chat((Message("user", "Summarise this dialogue.\\n\\n#Person1#: Hi."),), "#Person1# says hi.")`.
    Licence: CC-BY-NC-SA-4.0.
    """

    def convert(fields: Fields) -> Iterator[dict[str, Any]]:
        asked = "\n\n".join(part for part in (instruction, want.text(fields, "dialogue")) if part)
        names = sorted(name for name in fields if _SUMMARY.fullmatch(name)) or ["summary"]
        yield from ({"prompt": user(asked), "completion": want.answer_text(fields, name)} for name in names)

    return rows.convert(path, convert, Chat, map, needs=("dialogue",), reads=_SUMMARY.pattern)


def fed(path: str | Path, *, level: str = "both", by: str = "mean", map: Map = None) -> Loaded:
    """FED (Mehri and Eskenazi 2020, arXiv 2006.12719): five people's ratings of answers (375) and of whole dialogues (125).

    A rating that begins with "N/A" is missing. "Overall" of whole dialogues is called "Overall dialogue", since it asks another
    question than that of answers. For a whole dialogue the prompt is what comes before the system's last turn, and the
    completion is that turn with what the user said to it.

    Args:
        path: fed_data.json.
        level: "turn", "dialogue", or "both".
        by: "mean", one row with the means of each attribute; "labeler", a row for each of the five.
        map: {theirs: ours} renames fields first.

    Example row: `Rating((Message("user", "Hi!"),), "Hello!", {"Interesting": 0.8, "Overall": 2.6}, labeler="mean of 5")`.
    Licence: research release; no licence is stated.
    """
    one_of("fed", "level", level, ("turn", "dialogue", "both"))
    one_of("fed", "by", by, ("mean", "labeler"))
    missing = others = 0

    def convert(fields: Fields) -> Iterator[dict[str, Any]]:
        nonlocal missing, others
        of_turn = fields.get("response") is not None
        if level != "both" and of_turn != (level == "turn"):
            others += 1
            return
        turns = _lines(want.text(fields, "context"))
        if of_turn:
            answer = _lines(want.answer_text(fields, "response"))
            completion = "\n".join(turn["content"] for turn in answer)
        else:
            last = max((i for i, turn in enumerate(turns) if turn["role"] == "assistant"), default=0)
            if not last:
                raise Bad("the dialogue has no System turn after a User turn; there is nothing to rate")
            rest = [turn["content"] if i == last else f"User: {turn['content']}" for i, turn in enumerate(turns) if i >= last]
            turns, completion = turns[:last], "\n".join(rest)
        ratings = _ratings(fields, of_turn)
        missing += sum(mark is None for marks in ratings.values() for mark in marks)
        for labeler, scores in _by_labeler(ratings) if by == "labeler" else [_means(ratings)]:
            yield {"prompt": turns, "completion": completion, "scores": scores, "labeler": labeler}

    found = rows.convert(path, convert, Rating, map, needs=("context", "annotations"), reads="response")
    notes = passed_over(f"items of another level than {level!r}, left out", others)
    return replace(found, notes=notes + passed_over('single ratings of "N/A", taken as missing', missing))


def _lines(dialogue: str) -> list[dict[str, str]]:
    """Turns of "User: ..." and "System: ..."; a line without a speaker goes on with the turn before it."""
    turns: list[dict[str, str]] = []
    for line in dialogue.split("\n"):
        found = _LINE.fullmatch(line)
        if found:
            turns.append({"role": _ROLES[found[1]], "content": found[2].strip()})
        elif turns:
            turns[-1]["content"] += f"\n{line}"
        else:
            raise Bad(f'a dialogue must begin with "User: " or "System: ", found {shown(line)}')
    return turns


def _ratings(fields: Fields, of_turn: bool) -> dict[str, list[float | None]]:
    """By attribute, one mark of each labeler."""
    given = fields.get("annotations")
    if not isinstance(given, dict) or not given:
        raise Bad(f'`annotations` must be an object such as {{"Fluent": [1, 2]}}, found {shown(given)}')
    found: dict[str, list[float | None]] = {}
    for name, marks in given.items():
        if not isinstance(marks, list):
            raise Bad(f"`annotations.{name}` must be a list of ratings, found {shown(marks)}")
        attribute = name if of_turn or name != "Overall" else "Overall dialogue"
        found[attribute] = [_mark(mark, f"annotations.{name}") for mark in marks]
    if len({len(marks) for marks in found.values()}) > 1:
        raise Bad("`annotations` has unequally many ratings; give one of each labeler for each attribute")
    return found


def _mark(value: object, name: str) -> float | None:
    if isinstance(value, str) and value.startswith("N/A"):
        return None
    return want.number({name: value}, name, 0.0)


def _by_labeler(ratings: dict[str, list[float | None]]) -> Iterator[tuple[str, dict[str, float | None]]]:
    for i in range(max(map(len, ratings.values()))):
        yield f"labeler{i + 1}", {name: marks[i] for name, marks in ratings.items()}


def _means(ratings: dict[str, list[float | None]]) -> tuple[str, dict[str, float]]:
    held = {name: [mark for mark in marks if mark is not None] for name, marks in ratings.items()}
    return f"mean of {max(map(len, ratings.values()))}", {name: sum(m) / len(m) for name, m in held.items() if m}


def usr(path: str | Path, *, what: str = "ratings", by: str = "overall", facts: bool = False, map: Map = None) -> Loaded:
    """USR on Topical-Chat (Mehri and Eskenazi 2020, arXiv 2005.00456): six answers to each of 60 contexts, rated.

    Ratings are the means of three people. The speakers alternate, and the last before the answer is the user.

    Args:
        path: the JSON file with `source`, `system_output`, `context` (the fact), `scores`.
        what: "ratings", a row for each answer; "rankings", a row for each context, best first, equal means tied.
        by: the attribute that rankings are made of.
        facts: put the fact that the answer was to use in front, as a system turn.
        map: {theirs: ours} renames fields first.

    Example row: `Rating((Message("user", "seen any films ?"),), "two .", {"overall": 3.67}, labeler="mean of 3")`.
    Licence: research release; no licence is stated.
    """
    one_of("usr", "what", what, ("ratings", "rankings"))

    def convert(fields: Fields) -> Iterator[dict[str, Any]]:
        lines = [line.strip() for line in want.text(fields, "source").split("\n") if line.strip()]
        turns = [
            {"role": "assistant" if (len(lines) - i) % 2 == 0 else "user", "content": line} for i, line in enumerate(lines)
        ]
        if facts and want.text(fields, "context").strip() != "_nofact":
            turns.insert(0, {"role": "system", "content": want.text(fields, "context").strip()})
        answer = want.answer_text(fields, "system_output").strip()
        if what == "rankings" and by not in want.scores(fields, "scores"):
            raise Bad(f"`scores.{by}` is missing; the attributes are {sorted(want.scores(fields, 'scores'))}")
        yield {"prompt": turns, "completion": answer, "scores": fields.get("scores"), "labeler": "mean of 3"}

    reads = "context" if facts else ""
    found = rows.convert(path, convert, Rating, map, needs=("source", "system_output", "scores"), reads=reads)
    return _ranked(found, by) if what == "rankings" else found


def _ranked(found: Loaded, by: str) -> Loaded:
    """One ranking for each prompt and labeler, by an attribute, higher first."""
    same: dict[tuple[Any, str], list[Rating]] = {}
    for row in found.rows:
        assert isinstance(row, Rating)
        same.setdefault((row.prompt, row.labeler), []).append(row)
    rankings: list[Ranking] = []
    for (prompt, labeler), group in same.items():
        if len(group) < 2:
            continue
        marks = [row.scores[by] for row in group]
        groups = tuple(tuple(i for i, mark in enumerate(marks) if mark == level) for level in sorted(set(marks), reverse=True))
        completions = tuple(row.completion for row in group)
        rankings.append(Ranking(prompt, completions, groups, labeler=labeler, source=group[0].source))
    alone = sum(len(group) == 1 for group in same.values())
    return Loaded(rankings, found.complaints, passed_over("answers alone with their context, which cannot be ranked", alone))
