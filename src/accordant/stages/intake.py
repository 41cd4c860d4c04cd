"""Rows of a file -> items for labelers, all of them or none.

Every shape that `data.rows` reads is work as it is. What to do with a row is its `task`, or the task that is asked for, or what
its shape suggests:

    ==============================================  ===============  ===============================================
    fields                                          suggested task   completions
    ==============================================  ===============  ===============================================
    prompt, completions (texts or objects)          `rank`           all, 2 to 26
    prompt, completions, ranks (or groups)          `rank`           all
    chosen, rejected, optionally prompt             `pair`           both
    prompt, completion, scores                      `likert`         one; of several completions an item each
    prompt, completion, up                          `thumb`          one; the same
    prompt, or messages that end with a user's      `demonstration`  none
    any, with task vet                              `vet`            none; the row itself is shown
    ==============================================  ===============  ===============================================

A completion is text, or {"text": ..., "model": ..., "sampling": {...}}. Beside these a row may say `criterion`, `kind` (normal,
red_team, demonstration), `use_case` (`tasks.USE_CASES`), `warning`, `priority` and `gold`, the expected answer with places
0..K-1 in `completions` for ids (of a pair 0 is chosen); beside it `attention`: true
of a check whose text gives the answer away.

Prompts of demonstrations are of InstructGPT's three kinds: plain; few-shot, where `examples` [{"prompt": ..., "completion":
...}, ...], and perhaps an `instruction`, become the prompt's beginning; user-based, written for the `use_case` that it names.

Left out: judgements that the rows carry (ranks, scores, thumbs), since labelers are to judge anew.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any, TypeAlias

from sqlalchemy import select

from accordant.data import fields as want
from accordant.data import shapes
from accordant.data.fields import Bad, Fields
from accordant.data.files import Complaint, Record, records, shown
from accordant.data.kinds import PARSERS, nearest_shape, recognise
from accordant.data.rows import all_good, once, renamed
from accordant.feedback import payload, schema, tasks
from accordant.feedback.kept import odd_text, unkept
from accordant.feedback.store import Store
from accordant.feedback.tasks import ATTRIBUTES, USE_CASES, Text, Work
from accordant.types import Chat, Message, Pair, Prompt, PromptText, Ranking, Rating, Row, Source, Thumb, UserError

CONTROL = ("task", "criterion", "kind", "use_case", "warning", "priority", "gold", "attention", "examples")
"""The fields that say what to do with a row; no row of data has them."""
_OF_VET = ("task", "criterion", "warning", "priority", "gold", "attention")  # the others are the row's own
_KINDS = ("normal", "red_team", "demonstration")
_SUGGESTED: Mapping[type[Row], str] = {
    Pair: "pair", Ranking: "rank", Rating: "likert", Thumb: "thumb", Prompt: "demonstration",
}  # fmt: skip
_LONGEST = {"criterion": 300, "warning": 200, "model": 500}  # characters that the store's columns hold

_Answered: TypeAlias = "tuple[PromptText, tuple[Text, ...]]"


@dataclass(frozen=True)
class Asked:
    """What holds for every row that says nothing else."""

    task: str | None = None
    criterion: str = ""
    warning: str | None = None
    attributes: Sequence[str] = ATTRIBUTES


def work(
    path: str | Path, task: str | None = None, *, criterion: str = "", warning: str | None = None,
    attributes: Sequence[str] = ATTRIBUTES, map: Mapping[str, str] | None = None, again: bool = False,
) -> list[Work]:  # fmt: skip
    """The items that the rows of a file make, in order.

    Args:
        path: .jsonl, .json, .csv or .parquet, or "hub:owner/name:split".
        task: of the rows that name none; None: what their shape suggests.
        criterion: what to judge by, in rows that do not say.
        warning: what to warn of before a row is shown, in rows that do not say.
        attributes: the project's Likert scales, which expected ratings are checked against.
        map: {theirs: ours} renames fields first.
        again: rows that make the same item twice are wanted.

    Raises:
        UserError: the file is not there or empty, the task is unknown, or rows are bad: up to 20 are named, all are counted.
    """
    if task is not None and task not in schema.TASKS:
        raise UserError(f"there is no task {task!r}; there are {', '.join(schema.TASKS)}")
    for name, value in (("criterion", criterion), ("warning", warning or "")):
        if len(value) > _LONGEST[name]:
            raise UserError(_too_long(name, value))
    asked = Asked(task, criterion, warning, attributes)
    made: list[Work] = []
    complaints: list[Complaint] = []
    for found in renamed(list(records(path)), map or {}, str(path), any_name=True):
        if isinstance(found, Complaint):
            complaints.append(found)
            continue
        try:
            made += _work(found, asked)
        except (Bad, UserError) as bad:
            complaints.append(Complaint(found.source, str(bad)))
    twins = [] if again else _twins(made)
    return all_good(path, made, [*complaints, *twins] if made else once(complaints), len(made) - len(twins))


def _twins(made: Sequence[Work]) -> list[Complaint]:
    """The rows that make an item which an earlier row makes."""
    first: dict[object, Work] = {}
    found = []
    for one in made:
        known = first.setdefault(tasks.identity(one), one)
        if known is not one:
            why = f"the same {one.task} task as at {known.source}; leave one out, or give --again (on the page: tick the box)"
            found.append(Complaint(one.source, why))
    return found


def put_in(
    store: Store, project_id: int, path: str | Path, task: str | None = None, *, criterion: str = "",
    warning: str | None = None, map: Mapping[str, str] | None = None, again: bool = False, by: int | None = None,
) -> int:  # fmt: skip
    """Make the items of a file in one transaction and return how many. Arguments and errors as of `work`.

    Raises UserError, too, for items that are in the project already, unless `again`.
    """
    with store.read() as connection:
        attributes = connection.scalar(select(schema.project.c.attributes).where(schema.project.c.id == project_id))
    if attributes is None:
        raise UserError(f"there is no project {project_id}")
    made = work(path, task, criterion=criterion, warning=warning, attributes=attributes, map=map, again=again)
    return len(tasks.add(store, project_id, made, by, only_new=not again))


def _work(record: Record, asked: Asked) -> list[Work]:
    """The items of one record. Raises `Bad`, or UserError for an expected answer that is none."""
    given = {name: value for name, value in _unspelled(record).items() if value is not None}
    _check_characters(given)
    task = _choice(given, "task", schema.TASKS) or asked.task
    control = {name: given[name] for name in (_OF_VET if task == "vet" else CONTROL) if name in given}
    fields = {name: value for name, value in given.items() if name not in control}
    base = Work(
        task or "",
        "",
        criterion=_short(control, "criterion") or asked.criterion,
        use_case=_choice(control, "use_case", USE_CASES),
        warning=_short(control, "warning") or asked.warning,
        priority=want.number(control, "priority", 0.0),
        source=record.source,
    )
    if task == "vet":
        made = [_vet(fields, base)]
    else:
        _refuse_typos(fields)
        kind = _choice(control, "kind", _KINDS)
        made = [some for row in shapes.opened(fields) for some in _items(want.present(row), base, kind, control)]
    attention = _yes(control, "attention")
    if "gold" not in control:
        if attention:
            raise Bad("`attention` is true and there is no `gold`; give the expected answer, which the text gives away")
        return made
    if len(made) > 1:
        raise Bad(f"`gold` is one expected answer, and the row makes {len(made)} items; give each a row of its own")
    return [replace(made[0], gold=_gold(control["gold"], made[0], asked.attributes), attention=attention)]


def _items(fields: Fields, base: Work, kind: str | None, control: Fields) -> list[Work]:
    suggested, (prompt, texts) = _read(fields, base.task, base.source)
    task = base.task or suggested
    if task == "demonstration" and "examples" in control:
        prompt = few_shot(control, fields, prompt)
    elif "examples" in control:
        raise Bad(f"`examples` belong to a demonstration, and this is a {task} task; leave them out")
    if kind is None:
        kind = task if task in ("demonstration", "red_team") else "normal"
    same = replace(base, task=task, prompt=prompt, kind=kind)
    if task in ("demonstration", "red_team"):
        return [same]
    if len({text.text for text in texts}) < len(texts):
        raise Bad("two of the completions are the same text; leave one out, for nobody can tell them apart")
    if task in ("likert", "thumb") and texts:
        return [replace(same, completions=(text,)) for text in texts]
    low, high = {"pair": (2, 2), "rank": (2, 26)}.get(task, (1, 1))
    if not low <= len(texts) <= high:
        raise Bad(f"a {task} task needs {low if low == high else f'{low} to {high}'} completions, and the row has {len(texts)}")
    return [replace(same, completions=texts)]


def _read(fields: Fields, task: str, source: Source) -> tuple[str, _Answered]:
    """What the row suggests to do, its prompt, and the answers in it."""
    found = recognise(fields)
    if found is Pair:
        pair = PARSERS[Pair](fields, source)
        return "pair", (pair.prompt, (Text(pair.chosen), Text(pair.rejected)))
    if "completions" in fields:
        texts = tuple(_text(value, f"completions[{i}]") for i, value in enumerate(want.sequence(fields, "completions")))
        return "rank", (want.prompt(fields), texts)
    if task in ("demonstration", "red_team") or found is Prompt or _open_ended(fields):
        return "demonstration", (want.prompt(fields), ())
    if found not in (Chat, Rating, Thumb):
        raise Bad(nearest_shape(dict.fromkeys(fields)))
    if not task and found is Chat:
        raise Bad("the row has an answer and does not say what to do with it; give a `task`: likert, thumb or vet")
    return _SUGGESTED.get(found, task), _read_one(fields, source)


def _read_one(fields: Fields, source: Source) -> _Answered:
    if "completion" not in fields:
        chat = PARSERS[Chat](fields, source)
        return chat.prompt, (Text(chat.completion),)
    if isinstance(fields["completion"], dict):
        return want.prompt(fields), (_text(fields["completion"], "completion"),)
    context, text = want.answer(fields, "completion")
    return want.one_prompt(fields, {"completion": context}), (Text(text),)


def _open_ended(fields: Fields) -> bool:
    """Whether the row is a conversation that waits for an answer."""
    turns = fields.get("messages")
    if not isinstance(turns, list) or "completion" in fields:
        return False
    return not turns or not isinstance(turns[-1], dict) or turns[-1].get("role") != "assistant"


def few_shot(control: Fields, fields: Fields, query: PromptText) -> PromptText:
    """A few-shot prompt as plain text, or as messages where the query is messages: instruction, examples, query."""
    shots = []
    for i, one in enumerate(want.sequence(control, "examples")):
        if not isinstance(one, dict):
            raise Bad(f'`examples[{i}]` must be {{"prompt": ..., "completion": ...}}, found {shown(one)}')
        shots.append((want.text(one, "prompt"), want.text(one, "completion")))
    if not shots:
        raise Bad("`examples` is empty; give at least one, or leave it out")
    instruction = want.text(fields, "instruction") if "instruction" in fields else ""
    if isinstance(query, str):
        said = [f"{asked}\n{answer}" for asked, answer in shots]
        return "\n\n".join([*([instruction] if instruction else []), *said, query])
    before = [Message("system", instruction)] if instruction else []
    turns = [turn for asked, answer in shots for turn in (Message("user", asked), Message("assistant", answer))]
    return (*before, *turns, *query)


def _vet(row: Fields, base: Work) -> Work:
    if not row:
        raise Bad("a row to vet has no fields")
    for name, value in row.items():
        if why := unkept(value):
            raise Bad(f"`{name}` {why}: a row to vet is kept as it is")
    prompt = row.get("prompt")
    return replace(base, task="vet", prompt=prompt if isinstance(prompt, str) else "", row=dict(row))


def _gold(value: object, one: Work, attributes: Sequence[str]) -> dict[str, Any]:
    """The expected answer, checked as if the completions had the ids 1 to K."""
    if not isinstance(value, dict):
        raise Bad(f'`gold` must be an object such as {{"up": true}}, found {shown(value)}')
    if why := unkept(value):
        raise Bad(f"`gold` {why}")
    value = {name: held for name, held in value.items() if held is not None}  # Parquet gives every object every field
    ids = range(1, len(one.completions) + 1)
    for name, place in payload.misplaced(value, len(ids)) if ids else ():
        raise Bad(f"`gold.{name}` has {shown(place)}; answers are named by their place, 0 to {len(ids) - 1}")
    try:
        payload.check(one.task, payload.with_ids(value, ids), ids, attributes, gold=True)
    except UserError as error:
        raise Bad(f"`gold`: {error}") from error
    return value


# --- fields ----------------------------------------------------------------------------------------------------------


def _text(value: object, name: str) -> Text:
    if not isinstance(value, dict):
        return Text(want.text({name: value}, name))
    model, sampling = value.get("model"), value.get("sampling")
    if sampling is not None and not isinstance(sampling, dict):
        raise Bad(f"`{name}.sampling` must be an object, found {shown(sampling)}")
    if why := unkept(sampling):
        raise Bad(f"`{name}.sampling` {why}")
    by = "file" if model is None else _short({"model": model}, "model")
    return Text(want.text({f"{name}.text": value.get("text")}, f"{name}.text"), by or "file", sampling or {})


def _choice(fields: Fields, name: str, known: Sequence[str]) -> str | None:
    value = fields.get(name)
    if value is None or value in known:
        return value  # type: ignore[return-value]
    near = get_close_matches(str(value), known, n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"it must be one of {', '.join(known)}"
    raise Bad(f"`{name}` is {shown(value)}; {hint}")


def _yes(fields: Fields, name: str) -> bool:
    value = fields.get(name, False)
    if not isinstance(value, bool):
        raise Bad(f"`{name}` is {shown(value)}; it must be true or false")
    return value


def _short(fields: Fields, name: str) -> str | None:
    if name not in fields:
        return None
    found = want.text(fields, name)
    if len(found) > _LONGEST[name]:
        raise Bad(_too_long(name, found))
    return found


def _too_long(name: str, value: str) -> str:
    return f"`{name}` has {len(value)} characters; at most {_LONGEST[name]} are kept: shorten it"


def _refuse_typos(fields: Fields) -> None:
    """An unknown column is nobody's harm, but `prioriti` would silently be no priority."""
    for name in fields:
        near = get_close_matches(name, CONTROL, n=1, cutoff=0.8)
        if near and near[0] not in fields:
            raise Bad(f"unknown field {name!r}; did you mean {near[0]!r}?")


def _unspelled(record: Record) -> Mapping[str, Any]:
    """CSV's cells as what they spell; an empty one says nothing."""
    if not record.spelled:
        return record.fields
    fields = {name: cell for name, cell in record.fields.items() if cell != "" or name not in CONTROL}
    spelled = {name: fields.pop(name) for name in ("priority", "gold", "attention", "examples") if name in fields}
    return {**want.unspelled(fields), **{name: _json(str(cell), name) for name, cell in spelled.items()}}


def _json(cell: str, name: str) -> object:
    try:
        return json.loads(cell)
    except (ValueError, RecursionError) as error:
        raise Bad(f"`{name}` is {shown(cell)}; it must be JSON, such as a number or an object") from error


def _check_characters(fields: Fields) -> None:
    """Everything a row says is stored and shown, also what no parser of rows looks at."""
    for name, value in fields.items():
        if why := odd_text((name, value)):
            raise Bad(f"`{name.encode(errors='backslashreplace').decode()}` {why}")
