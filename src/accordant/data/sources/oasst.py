"""OpenAssistant's message trees."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

from accordant.data import rows
from accordant.data.fields import Bad, EmptyAnswer
from accordant.data.files import Complaint, Record, records, shown
from accordant.data.kinds import PARSERS
from accordant.data.loaded import Loaded
from accordant.data.sources.loaded import one_of, passed_over
from accordant.types import Chat, Prompt, Ranking, Rating, Row, Source

_ROLES = {"prompter": "user", "assistant": "assistant"}
_KINDS: dict[str, type[Row]] = {"threads": Chat, "rankings": Ranking, "ratings": Rating, "prompts": Prompt}


@dataclass
class _Node:
    """A message with the messages that answer it."""

    fields: Mapping[str, Any]
    source: Source
    replies: list[_Node] = field(default_factory=list)
    turns: tuple[dict[str, str], ...] = ()  # from the root to this message

    @property
    def role(self) -> str:
        return _ROLES[self.fields["role"]]

    @property
    def rank(self) -> int | None:
        rank: int | None = self.fields.get("rank")
        return rank


Left: TypeAlias = "dict[str, list[_Node]]"
"""The messages that are left out, by what they are; those below them go with them."""


def oasst(
    path: str | Path,
    *,
    what: str = "threads",
    best_only: bool = False,
    lang: str = "",
    unreviewed: bool = False,
    deleted: bool = False,
    synthetic: bool = True,
) -> Loaded:
    """OASST1 and OASST2 (arXiv 2304.07327): trees of messages, or the flat messages of the hub, which are put together.

    A message that is left out takes the replies to it with it; both are counted.

    Args:
        path: the trees or messages as JSONL (also .jsonl.gz), or "hub:OpenAssistant/oasst1:train".
        what: "threads", a `Chat` for each assistant message, the turns before it as the prompt; "rankings", a `Ranking` of the
            ranked replies (0 = best) to each prompter message; "ratings", the quality labels (quality, toxicity, humor,
            helpfulness, ...) of each assistant message that has them; "prompts", the first messages.
        best_only: of replies that were ranked, only the best, in threads.
        lang: keep only messages of this language, such as en; "": all.
        unreviewed: keep messages that the reviewers refused or have not seen (`review_result` is not true).
        deleted: keep deleted messages.
        synthetic: keep messages that a model wrote.

    Example row: `Ranking((Message("user", "Why is the sky blue?"),), ("It scatters.", "No."), ((0,), (1,)))`.
    Licence: Apache-2.0.
    """
    one_of("oasst", "what", what, list(_KINDS))
    roots, complaints = _forest(path)
    left: Left = {}

    def refused(node: _Node) -> str:
        given = node.fields
        if given.get("deleted") and not deleted:
            return "deleted messages"
        if "review_result" in given and given["review_result"] is not True and not unreviewed:
            return "messages not reviewed or refused"
        if lang and given.get("lang") != lang:
            return f"messages not in the language {lang!r}"
        return "synthetic messages" if given.get("synthetic") and not synthetic else ""

    kept = [node for root in roots for node in _walk(root, refused, left, best_only and what == "threads")]
    found: list[Row] = []
    for node in kept:
        for fields, source in _made(node, what):
            try:
                found.append(PARSERS[_KINDS[what]](fields, source))
            except Bad as bad:
                complaints.append(bad.at(source))
    unranked = sum(_partly_ranked(node) for node in kept) if what == "rankings" else 0
    unrated = sum(node.role == "assistant" and not _labels(node) for node in kept) if what == "ratings" else 0
    notes = [
        f"{what}, left out: {len(nodes):,}, and replies to them: {sum(map(_below, nodes)):,}"
        for what, nodes in sorted(left.items())
    ]
    notes += passed_over("assistant messages without quality labels, left out", unrated)
    notes += passed_over("replies not ranked beside others that were, left out", unranked)
    return Loaded(found, complaints, tuple(notes))


# --- what a message gives --------------------------------------------------------------------------------------------


def _made(node: _Node, what: str) -> Iterator[tuple[dict[str, Any], Source]]:
    before = list(node.turns[:-1])
    text = node.turns[-1]["content"]
    if what == "prompts" and not before and node.role == "user":
        yield {"prompt": list(node.turns)}, node.source
    elif what == "threads" and node.role == "assistant" and before:
        yield {"prompt": before, "completion": text}, node.source
    elif what == "ratings" and node.role == "assistant" and before and (labels := _labels(node)):
        yield {"prompt": before, "completion": text, "scores": labels, "labeler": "mean of the labelers"}, node.source
    elif what == "rankings" and node.role == "user" and len(replies := _ranked(node)) > 1:
        ranks = [reply.rank for reply in replies]
        texts = [reply.fields["text"] for reply in replies]
        yield (
            {"prompt": list(node.turns), "completions": texts, "ranks": ranks, "labeler": "the labelers' consensus"},
            node.source,
        )


def _ranked(node: _Node) -> list[_Node]:
    return [reply for reply in node.replies if reply.rank is not None and reply.role == "assistant"]


def _partly_ranked(node: _Node) -> int:
    held = len(_ranked(node))
    return sum(reply.rank is None for reply in node.replies) if held > 1 else 0


def _labels(node: _Node) -> dict[str, float]:
    """Means by name: {"quality": {"value": 0.7, "count": 3}} in trees, {"name": [...], "value": [...]} on the hub."""
    given = node.fields.get("labels")
    if not given:
        return {}
    if isinstance(given, dict) and isinstance(given.get("name"), list) and isinstance(given.get("value"), list):
        return dict(zip(given["name"], given["value"], strict=False))
    if isinstance(given, dict) and all(isinstance(label, dict) and "value" in label for label in given.values()):
        return {name: label["value"] for name, label in given.items()}
    return {"labels": given}  # which the parser of ratings refuses, naming it


# --- files -> trees --------------------------------------------------------------------------------------------------


def _forest(path: str | Path) -> tuple[list[_Node], list[Complaint]]:
    """The first message of each tree with all that answers it, and complaints."""
    roots: list[_Node] = []
    flat: list[_Node] = []
    complaints: list[Complaint] = []
    for found in records(path):
        if not isinstance(found, Record):
            complaints.append(found)
            continue
        fields = found.fields
        try:
            if "prompt" in fields or "replies" in fields:
                roots.append(_tree(fields.get("prompt", fields), found.source))
            else:
                flat.append(_message(fields, found.source))
        except Bad as bad:
            complaints.append(bad.at(found.source))
    assembled, orphans = _assembled(flat)
    roots, complaints = roots + assembled, complaints + orphans
    return roots, complaints if roots else rows.once(complaints)


def _tree(value: object, source: Source) -> _Node:
    """Without recursion: a file may nest deeper than Python does."""
    root = _message(value, source)
    waiting = [root]
    while waiting:
        node = waiting.pop()
        replies = node.fields.get("replies") or []
        if not isinstance(replies, list):
            raise Bad(f"`replies` must be a list of messages, found {shown(replies)}")
        node.replies = [_message(reply, source) for reply in replies]
        waiting += node.replies
    return root


def _message(value: object, source: Source) -> _Node:
    if not isinstance(value, dict):
        raise Bad(f'a message must be {{"text": ..., "role": ..., "replies": [...]}}, found {shown(value)}')
    for name in ("text", "role"):
        if not isinstance(value.get(name), str):
            raise Bad(f"a message has no `{name}`, or it is not text; its fields are {sorted(value)}")
    if value["role"] not in _ROLES:
        raise Bad(f"a message's `role` is {shown(value['role'])}; it must be prompter or assistant")
    rank = value.get("rank")
    if rank is not None and (isinstance(rank, bool) or not isinstance(rank, int)):
        raise Bad(f"a message's `rank` must be a whole number or null, found {shown(rank)}")
    if not value["text"].strip():
        empty = EmptyAnswer if value["role"] == "assistant" else Bad
        raise empty("a message's `text` is empty; write it, or delete the message and the replies to it")
    return _Node(value, source)


def _assembled(flat: list[_Node]) -> tuple[list[_Node], list[Complaint]]:
    by_id: dict[str, _Node] = {}
    roots: list[_Node] = []
    orphans: list[Complaint] = []
    for node in flat:
        if by_id.setdefault(str(node.fields.get("message_id")), node) is not node:
            orphans.append(
                Complaint(node.source, f"the message {shown(node.fields.get('message_id'))} is there twice; delete one")
            )
    for node in by_id.values():
        parent = node.fields.get("parent_id")
        if parent is None:
            roots.append(node)
        elif not _lost(node, by_id):
            by_id[str(parent)].replies.append(node)
        else:
            orphans.append(Complaint(node.source, f"answers the message {shown(parent)}, which is not in the file; add it"))
    # Below an orphan, or in a circle: such messages hang on no first message, and must not vanish without a word.
    told = {id(node) for root in roots for node in _all_of(root)} | {id(node) for node in by_id.values() if _lost(node, by_id)}
    orphans += [
        Complaint(node.source, "no first message is above it: what it answers is incomplete or goes in a circle; complete it")
        for node in by_id.values()
        if id(node) not in told
    ]
    return roots, orphans


def _lost(node: _Node, by_id: Mapping[str, _Node]) -> bool:
    parent = node.fields.get("parent_id")
    return parent is not None and str(parent) not in by_id


def _walk(root: _Node, refused: Callable[[_Node], str], left: Left, best_only: bool) -> Iterator[_Node]:
    """Every message that is kept, each with its turns, parents first, in the order of the file."""
    waiting = _kept([root], refused, left)
    while waiting:
        node = waiting.pop()
        node.turns = (*node.turns, {"role": node.role, "content": node.fields["text"]})
        node.replies = _kept(node.replies, refused, left)
        yield node
        ranked = [reply.rank for reply in _ranked(node) if reply.rank is not None]
        for reply in reversed(node.replies):
            reply.turns = node.turns
            if best_only and ranked and reply.rank != min(ranked):
                left.setdefault("replies that are not the best of those ranked", []).append(reply)
            else:
                waiting.append(reply)


def _kept(nodes: Sequence[_Node], refused: Callable[[_Node], str], left: Left) -> list[_Node]:
    kept = []
    for node in nodes:
        if why := refused(node):
            left.setdefault(why, []).append(node)
        else:
            kept.append(node)
    return kept


def _below(node: _Node) -> int:
    """How many messages answer it, and them."""
    return sum(1 for _ in _all_of(node)) - 1


def _all_of(root: _Node) -> Iterator[_Node]:
    """The message and all below it."""
    waiting = [root]
    while waiting:
        node = waiting.pop()
        yield node
        waiting += node.replies
