"""Getting work in: projects, guidelines, prompts, completions and the items made of them."""

from __future__ import annotations

import json
import math
import secrets
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any

from sqlalchemy import Connection, Row, Table, func, insert, select

from accordant.feedback import payload as payloads
from accordant.feedback.kept import unkept
from accordant.feedback.places import fill, lock, waited_for
from accordant.feedback.schema import TASKS, completion, guideline, item, item_completion, model, project, prompt
from accordant.feedback.store import INSERT, Store
from accordant.types import MADE, PromptText, Source, UserError

USE_CASES = (
    "generation", "open_qa", "brainstorming", "chat", "rewrite", "summarization", "classification", "other", "closed_qa",
    "extract",
)  # fmt: skip
"""What people use a model for, from often to rarely (Ouyang et al. 2022, arXiv 2203.02155, table 1)."""
ATTRIBUTES = ("quality", "relevance", "helpfulness", "harmfulness", "correctness", "realism", "comprehensibility")
ORDERS = ("random", "priority", "least_answered")
LONGEST_NAME = 200  # characters
MOST_ANSWERS = 1000  # of an item
LONGEST_LEASE = 7 * 24 * 60  # minutes
LONGEST_WHY = 300  # characters of a reason for halting
_ANSWERS: dict[str, range] = {"rank": range(2, 27), "pair": range(2, 3), "likert": range(1, 2), "thumb": range(1, 2)}
"""How many completions an item of a task has; the other tasks have none."""


@dataclass(frozen=True)
class Text:
    """A completion: what a model wrote, and how it was asked."""

    text: str
    model: str = "file"
    sampling: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Work:
    """One item to make: a prompt, the completions to judge, and what to do with them.

    `gold`: the expected answer as `payload` has it, with places 0..K-1 in `completions` where ids would stand; see `set_gold`.
    `attention`: of a gold item, that its own text gives the answer away.
    """

    task: str
    prompt: PromptText
    completions: tuple[Text, ...] = ()
    criterion: str = ""
    kind: str = "normal"
    use_case: str | None = None
    warning: str | None = None
    priority: float = 0.0
    row: Mapping[str, Any] | None = None
    gold: Mapping[str, Any] | None = None
    attention: bool = False
    source: Source = MADE


def drawn_seed() -> int:
    """A project's seed that nobody can guess: whoever knows it can tell which of their tasks are hidden gold."""
    return secrets.randbelow(2**31)


def make_project(
    store: Store, name: str, guidelines: str, *, overlap: int = 3, seed: int = 0, lease_minutes: float = 30,
    gold_share: float = 0.05, order_by: str = "random", random_share: float = 0.2, attributes: Sequence[str] = ATTRIBUTES,
    by: int | None = None,
) -> int:  # fmt: skip
    """A new project and the first version of its guidelines; returns its id.

    Raises:
        UserError: the name is taken or empty, or a number is out of range.
    """
    if not 1 <= len(name.strip()) <= LONGEST_NAME:
        raise UserError(f"a project needs a name of at most {LONGEST_NAME} characters, found {len(name.strip())}")
    _check_settings(overlap, lease_minutes, gold_share, order_by, random_share)
    if not attributes or len(set(attributes)) < len(attributes) or not all(one.strip() for one in attributes):
        raise UserError(f"the attributes are {', '.join(attributes) or 'none'}; give at least one, each a name of its own")
    with store.write() as connection:
        if connection.scalar(select(project.c.id).where(project.c.name == name.strip())) is not None:
            raise UserError(f"there is a project {name.strip()!r} already: choose another name")
        result = connection.execute(insert(project).values(
            name=name.strip(), seed=seed, overlap=overlap, lease_ms=round(lease_minutes * 60_000), gold_share=gold_share,
            order_by=order_by, random_share=random_share, attributes=list(attributes), created=store.now(),
        ))  # fmt: skip
        (number,) = result.inserted_primary_key or (0,)
        connection.execute(insert(guideline).values(project_id=number, version=1, text=guidelines, created=store.now()))
        store.log(connection, "project", by, project=number)
        return int(number)


def change(
    store: Store, project_id: int, *, overlap: int, lease_minutes: float, gold_share: float, order_by: str, random_share: float,
    by: int | None = None,
) -> dict[str, tuple[Any, Any]]:  # fmt: skip
    """Set what may change while people work; returns what did, as (before, after), and logs it.

    Answers already given stay: with a smaller overlap more items are full, with a larger one some are open again,
    and answers that were surplus count.

    Raises:
        UserError: there is no such project, or a number is out of range.
    """
    _check_settings(overlap, lease_minutes, gold_share, order_by, random_share)
    wanted = {
        "overlap": overlap, "lease_ms": round(lease_minutes * 60_000), "gold_share": gold_share, "order_by": order_by,
        "random_share": random_share,
    }  # fmt: skip
    with store.write() as connection:
        row = connection.execute(select(project).where(project.c.id == project_id).with_for_update()).one_or_none()
        if row is None:
            raise UserError(f"there is no project {project_id}")
        changed = {name: (row._mapping[name], value) for name, value in wanted.items() if row._mapping[name] != value}
        if changed:
            connection.execute(project.update().where(project.c.id == project_id).values(**wanted))
            store.log(connection, "settings", by, project=project_id, changed=changed)
            for number in lock(connection, waited_for(connection, project_id)):
                fill(store, connection, number)
        return changed


def revise_guidelines(store: Store, project_id: int, text: str, by: int | None = None) -> int:
    """The next version of the guidelines; every answer remembers which one it was given under."""
    with store.write() as connection:
        last = connection.scalar(select(func.max(guideline.c.version)).where(guideline.c.project_id == project_id))
        if last is None:
            raise UserError(f"there is no project {project_id}")
        version = int(last) + 1
        connection.execute(insert(guideline).values(project_id=project_id, version=version, text=text, created=store.now()))
        store.log(connection, "guidelines", by, project=project_id, version=version)
        return version


def add(store: Store, project_id: int, work: Sequence[Work], by: int | None = None, *, only_new: bool = False) -> list[int]:
    """Items of these, all or none; returns their ids in order. Each gets a prompt row of its own: equal texts stay apart.

    Args:
        only_new: refuse what is in the project already: the same task, prompt, set of completions and criterion.

    Raises:
        UserError: naming the place of the first that is wrong, or saying how many are there already.
    """
    for one in work:
        _check(one)
    with store.write() as connection:
        # Locked, so that of two imports at once the later one sees what the other has put in.
        query = select(project.c.attributes).where(project.c.id == project_id)
        attributes = connection.scalar(query.with_for_update() if only_new else query)
        if attributes is None:
            raise UserError(f"there is no project {project_id}")
        if only_new:
            _refuse_known(connection, project_id, work)
        ids = _add(connection, project_id, work, attributes, store.now())
        store.log(connection, "import", by, project=project_id, items=len(ids))
        return ids


def find_project(store: Store, name: str) -> int:
    """The id of the project of this name.

    Raises:
        UserError: there is none, with the nearest name.
    """
    with store.read() as connection:
        known = {row.name: int(row.id) for row in connection.execute(select(project.c.id, project.c.name))}
    if name.strip() in known:
        return known[name.strip()]
    near = get_close_matches(name, known, n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(sorted(known)) or 'none yet'}"
    raise UserError(f"there is no project {name!r}; {hint}")


def set_gold(
    store: Store, item_id: int, expected: Mapping[str, Any], by: int | None = None, *, attention: bool = False
) -> None:
    """Make an item gold: its answer is known, it is handed out unseen among the others, and it is never exported.

    `attention`: its text gives the answer away, so that it tells who reads, and nothing of how well somebody judges.

    Raises:
        UserError: there is no such item, or the expected answer is incomplete.
    """
    with store.write() as connection:
        row = connection.execute(select(item, project.c.attributes).join(project).where(item.c.id == item_id)).one_or_none()
        if row is None:
            raise UserError(f"there is no item {item_id}")
        ids = list(connection.scalars(select(item_completion.c.completion_id).where(item_completion.c.item_id == item_id)))
        kept = payloads.check(row.task, expected, ids, row.attributes, gold=True)
        connection.execute(item.update().where(item.c.id == item_id).values(gold=kept, attention=attention))
        store.log(connection, "attention" if attention else "gold", by, item=item_id)


def take_gold_back(store: Store, item_id: int, by: int | None = None) -> None:
    """Make a gold item an ordinary one: its answers count and are exported from now on, however many there are."""
    with store.write() as connection:
        if _item(connection, item_id).gold is None:
            raise UserError(f"item {item_id} is not gold")
        connection.execute(item.update().where(item.c.id == item_id).values(gold=None, attention=False))
        store.log(connection, "not_gold", by, item=item_id)


def halt(store: Store, item_id: int, why: str, by: int | None = None) -> None:
    """Give an item to nobody any more; who has it already may still answer.

    Raises:
        UserError: there is no such item, or the reason is empty or too long.
    """
    if not 1 <= len(why.strip()) <= LONGEST_WHY:
        raise UserError(f"say why the item is halted, in at most {LONGEST_WHY} characters; found {len(why.strip())}")
    with store.write() as connection:
        _item(connection, item_id)
        connection.execute(item.update().where(item.c.id == item_id).values(halted=why.strip()))
        store.log(connection, "halt", by, item=item_id, why=why.strip())


def reopen(store: Store, item_id: int, by: int | None = None) -> None:
    """Give a halted item out again."""
    with store.write() as connection:
        if _item(connection, item_id).halted is None:
            raise UserError(f"item {item_id} is not halted")
        connection.execute(item.update().where(item.c.id == item_id).values(halted=None))
        store.log(connection, "reopen", by, item=item_id)


def set_priority(store: Store, item_id: int, priority: float, by: int | None = None) -> None:
    """Higher goes first, where the project orders by priority."""
    if not math.isfinite(priority):
        raise UserError(f"the priority is {priority}; it must be a number")
    with store.write() as connection:
        _item(connection, item_id)
        connection.execute(item.update().where(item.c.id == item_id).values(priority=priority))
        store.log(connection, "priority", by, item=item_id, priority=priority)


def _item(connection: Connection, item_id: int) -> Row[Any]:
    row = connection.execute(select(item).where(item.c.id == item_id).with_for_update()).one_or_none()
    if row is None:
        raise UserError(f"there is no item {item_id}")
    return row


def _check_settings(overlap: int, lease_minutes: float, gold_share: float, order_by: str, random_share: float) -> None:
    if not 1 <= overlap <= MOST_ANSWERS:
        raise UserError(f"overlap is {overlap}; every item needs 1 to {MOST_ANSWERS} answers")
    if not 1 <= lease_minutes <= LONGEST_LEASE:
        raise UserError(f"a lease lasts {lease_minutes:g} minutes; it must be 1 to {LONGEST_LEASE} (a week)")
    for label, share in (("gold_share", gold_share), ("random_share", random_share)):
        if not 0 <= share <= 1:
            raise UserError(f"{label} is {share}; it is a share between 0 and 1")
    if order_by not in ORDERS:
        raise UserError(f"order_by is {order_by!r}; it must be {', '.join(ORDERS[:-1])} or {ORDERS[-1]}")


def _check(one: Work) -> None:
    if one.task not in TASKS:
        raise UserError(f"{one.source}: there is no task {one.task!r}; there are {', '.join(TASKS)}")
    allowed = _ANSWERS.get(one.task, range(1))
    if len(one.completions) not in allowed:
        wanted = f"{allowed.start}" if len(allowed) == 1 else f"{allowed.start} to {allowed.stop - 1}"
        raise UserError(f"{one.source}: a {one.task} task has {len(one.completions)} completions; it needs {wanted}")
    if one.attention and one.gold is None:
        raise UserError(f"{one.source}: an attention check has no expected answer; give it as `gold`")
    if one.task == "vet" and not one.row:
        raise UserError(f"{one.source}: a row to vet has no fields")
    for name, value in _stored(one):
        if why := unkept(value):
            raise UserError(f"{one.source}: {name} {why}")


def _stored(one: Work) -> Iterator[tuple[str, object]]:
    """What an item brings into the store from outside, and what to call it."""
    yield "the prompt", _content(one.prompt)
    yield "`criterion`", one.criterion
    yield "`warning`", one.warning
    yield "`priority`", one.priority
    yield "the row", one.row
    yield "`gold`", one.gold
    for i, text in enumerate(one.completions):
        yield f"`completions[{i}]`", text.text
        yield f"`completions[{i}].model`", text.model
        yield f"`completions[{i}].sampling`", text.sampling


def identity(one: Work) -> tuple[object, ...]:
    """What makes an item the same work as another one; who wrote the completions, and in which order they stand, does not."""
    texts = frozenset(text.text for text in one.completions)
    return _identity(one.task, one.criterion, _content(one.prompt), texts, one.row)


def _identity(task: str, criterion: str, content: Any, texts: frozenset[str], row: Any) -> tuple[object, ...]:
    return task, criterion, json.dumps(content, sort_keys=True), texts, json.dumps(row or None, sort_keys=True)


def _content(asked: PromptText) -> Any:
    """A prompt as it is stored."""
    return asked if isinstance(asked, str) else [{"role": turn.role, "content": turn.content} for turn in asked]


def _refuse_known(connection: Connection, project_id: int, work: Sequence[Work]) -> None:
    texts: defaultdict[int, set[str]] = defaultdict(set)
    of_project = item_completion.join(item).join(completion, completion.c.id == item_completion.c.completion_id)
    query = select(item_completion.c.item_id, completion.c.text).select_from(of_project).where(item.c.project_id == project_id)
    for number, text in connection.execute(query):
        texts[number].add(text)
    columns = (item.c.id, item.c.task, item.c.criterion, item.c.row, prompt.c.content)
    query = select(*columns).join(prompt, prompt.c.id == item.c.prompt_id).where(item.c.project_id == project_id)
    known = {
        _identity(one.task, one.criterion, one.content, frozenset(texts[one.id]), one.row): one.id
        for one in connection.execute(query)
    }
    there = [(one, known[key]) for one in work if (key := identity(one)) in known]
    if there:
        first, number = there[0]
        raise UserError(
            f"{len(there):,} of {len(work):,} items are in the project already, the first of them at {first.source} (it is "
            f"item {number}): nothing was put in; leave them out, or give --again (on the page: tick the box)"
        )


def _add(connection: Connection, project_id: int, work: Sequence[Work], attributes: Sequence[str], now: int) -> list[int]:
    """The rows of all the work, table by table: on SQLite nobody else writes meanwhile, and this takes a tenth of the time that
    going item by item does.
    """
    prompts = _insert(connection, prompt, [
        {
            "project_id": project_id, "content": _content(one.prompt), "kind": one.kind, "use_case": one.use_case,
            "warning": one.warning, "source": str(one.source)[-500:], "created": now,
        }
        for one in work
    ])  # fmt: skip
    models = _models(connection, dict.fromkeys(text.model for one in work for text in one.completions), now)
    numbers = iter(_insert(connection, completion, [
        {
            "prompt_id": asked, "model_id": models[text.model], "text": text.text, "sampling": dict(text.sampling),
            "created": now,
        }
        for asked, one in zip(prompts, work, strict=True) for text in one.completions
    ]))  # fmt: skip
    completions = [[next(numbers) for _ in one.completions] for one in work]
    items = _insert(connection, item, [
        {
            "project_id": project_id, "prompt_id": asked, "task": one.task, "criterion": one.criterion,
            "priority": one.priority, "row": dict(one.row) if one.row else None, "created": now,
            "gold": _gold(one, own, attributes), "attention": one.attention,
        }
        for asked, own, one in zip(prompts, completions, work, strict=True)
    ])  # fmt: skip
    places = [
        {"item_id": number, "place": place, "completion_id": one}
        for number, own in zip(items, completions, strict=True) for place, one in enumerate(own)
    ]  # fmt: skip
    if places:
        connection.execute(insert(item_completion), places)
    return items


def _insert(connection: Connection, table: Table, rows: list[dict[str, Any]]) -> list[int]:
    """The ids of these rows, in their order."""
    return list(connection.scalars(insert(table).returning(table.c.id, sort_by_parameter_order=True), rows)) if rows else []


def _models(connection: Connection, names: Iterable[str], now: int) -> dict[str, int]:
    """The id of each model, whose rows are made where there are none; somebody else may be making them, too."""
    rows = [{"name": name, "created": now} for name in names]
    if rows:
        connection.execute(INSERT[connection.dialect.name](model).on_conflict_do_nothing(), rows)
    known = select(model.c.name, model.c.id).where(model.c.name.in_([row["name"] for row in rows]))
    return {row.name: row.id for row in connection.execute(known)}


def _gold(one: Work, completions: Sequence[int], attributes: Sequence[str]) -> dict[str, Any] | None:
    """The expected answer as it is stored."""
    if one.gold is None:
        return None
    try:
        return payloads.check(one.task, payloads.with_ids(one.gold, completions), completions, attributes, gold=True)
    except UserError as error:
        raise UserError(f"{one.source}: the expected answer: {error}") from error
