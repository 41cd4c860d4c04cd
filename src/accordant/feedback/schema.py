"""The tables of the feedback store.

Ids everywhere: text is never joined by. Times are whole milliseconds since 1970, UTC. What the columns of JSON hold is said
beside each. `event` and `ruling` are append-only: nothing in the package updates or deletes a row of them, but for a
labeler's wish to be forgotten (`people.forget`).

::

    project -- guideline                    labeler -- invitation
       |                                       |
     prompt -- completion -- model             |
       |          |                            |
      item -- item_completion                  |
       |                                       |
       +------------- assignment --------------+
       |                 |
     ruling       answer (revisions), draft
"""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    false,
)

TASKS = ("rank", "pair", "likert", "thumb", "demonstration", "red_team", "vet")
"""What a labeler can be asked to do with an item."""

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(column_0_label)s", "uq": "uq_%(table_name)s_%(column_0_name)s", "fk": "fk_%(table_name)s_%(column_0_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s", "pk": "pk_%(table_name)s",
    }
)  # fmt: skip


def _one_of(column: str, *values: str) -> CheckConstraint:
    listed = ", ".join(f"'{value}'" for value in values)
    return CheckConstraint(f"{column} IN ({listed})", name=column)


project = Table(
    "project", metadata,
    Column("id", Integer, primary_key=True),
    Column("name", String(200), nullable=False, unique=True),
    Column("seed", Integer, nullable=False),
    Column("overlap", Integer, nullable=False),  # answers wanted of each item
    Column("lease_ms", BigInteger, nullable=False),
    Column("gold_share", Float, nullable=False),  # of a labeler's tasks that are hidden gold
    Column("order_by", String(20), nullable=False),
    Column("random_share", Float, nullable=False),  # of tasks drawn at random although order_by is another
    Column("attributes", JSON, nullable=False),  # names of the Likert scales
    Column("created", BigInteger, nullable=False),
    _one_of("order_by", "random", "priority", "least_answered"),
    CheckConstraint("overlap >= 1", name="overlap"),
)  # fmt: skip

guideline = Table(
    "guideline", metadata,
    Column("id", Integer, primary_key=True),
    Column("project_id", ForeignKey("project.id"), nullable=False),
    Column("version", Integer, nullable=False),
    Column("text", Text, nullable=False),
    Column("created", BigInteger, nullable=False),
    UniqueConstraint("project_id", "version"),
)  # fmt: skip

labeler = Table(
    "labeler", metadata,
    Column("id", Integer, primary_key=True),
    Column("name", String(200), nullable=False, unique=True),
    Column("kind", String(10), nullable=False),
    Column("role", String(10), nullable=False),
    Column("password", String(300)),  # scrypt, with its salt and parameters; null: cannot sign in
    Column("active", Boolean, nullable=False),
    Column("strata", JSON, nullable=False),  # {"language": "en", "region": ..., "expertise": ...}, each optional
    Column("declines", JSON, nullable=False),  # kinds of item that this person does not want to see
    Column("created", BigInteger, nullable=False),
    _one_of("kind", "human", "ai"),
    _one_of("role", "admin", "labeler"),
)  # fmt: skip

invitation = Table(
    "invitation", metadata,
    Column("id", Integer, primary_key=True),
    Column("token_hash", String(64), nullable=False, unique=True),  # SHA-256: the link itself is in nobody's backup
    Column("role", String(10), nullable=False),
    Column("expires", BigInteger, nullable=False),
    Column("used_by", ForeignKey("labeler.id")),
    Column("created", BigInteger, nullable=False),
    _one_of("role", "admin", "labeler"),
)  # fmt: skip

model = Table(
    "model", metadata,
    Column("id", Integer, primary_key=True),
    Column("name", String(500), nullable=False, unique=True),  # checkpoint, endpoint, or "file" for imported text
    Column("created", BigInteger, nullable=False),
)  # fmt: skip

prompt = Table(
    "prompt", metadata,
    Column("id", Integer, primary_key=True),
    Column("project_id", ForeignKey("project.id"), nullable=False, index=True),
    Column("content", JSON, nullable=False),  # text, or [{"role": ..., "content": ...}]
    Column("kind", String(20), nullable=False),
    Column("use_case", String(50)),
    Column("warning", String(200)),  # what to warn of before it is shown; null: nothing
    Column("source", String(500), nullable=False),  # file:line
    Column("created", BigInteger, nullable=False),
    _one_of("kind", "normal", "red_team", "demonstration"),
)  # fmt: skip

completion = Table(
    "completion", metadata,
    Column("id", Integer, primary_key=True),
    Column("prompt_id", ForeignKey("prompt.id"), nullable=False, index=True),
    Column("model_id", ForeignKey("model.id"), nullable=False),
    Column("text", Text, nullable=False),
    Column("sampling", JSON, nullable=False),  # {"temperature": ..., "seed": ..., "max_new_tokens": ...}; {} where unknown
    Column("created", BigInteger, nullable=False),
)  # fmt: skip

item = Table(
    "item", metadata,
    Column("id", Integer, primary_key=True),
    Column("project_id", ForeignKey("project.id"), nullable=False),
    Column("prompt_id", ForeignKey("prompt.id"), nullable=False, index=True),
    Column("task", String(20), nullable=False),
    Column("criterion", String(300), nullable=False),  # what to judge by, shown to the labeler
    Column("priority", Float, nullable=False),  # higher first, where the project orders by it
    Column("gold", JSON(none_as_null=True)),  # the expected answer's payload; null: no gold
    Column("attention", Boolean, nullable=False, server_default=false()),  # of gold: its own text gives the answer away
    Column("halted", String(300)),  # why nobody gets it any more; null: open
    Column("row", JSON(none_as_null=True)),  # of `vet`: the imported row as it came
    Column("created", BigInteger, nullable=False),
    _one_of("task", *TASKS),
    Index("ix_item_project_halted", "project_id", "halted"),
)  # fmt: skip

item_completion = Table(
    "item_completion", metadata,
    Column("item_id", ForeignKey("item.id"), primary_key=True),
    Column("place", Integer, primary_key=True),  # canonical order, never shown
    Column("completion_id", ForeignKey("completion.id"), nullable=False),
    UniqueConstraint("item_id", "completion_id"),
)  # fmt: skip

assignment = Table(
    "assignment", metadata,
    Column("id", Integer, primary_key=True),
    Column("item_id", ForeignKey("item.id"), nullable=False),
    Column("labeler_id", ForeignKey("labeler.id"), nullable=False, index=True),
    Column("display", JSON, nullable=False),  # completion ids in the order in which this labeler sees them
    Column("state", String(10), nullable=False),
    Column("leased_until", BigInteger, nullable=False),
    Column("chosen_by", String(20), nullable=False),  # why this item: gold, attention, random, or the project's order
    Column("created", BigInteger, nullable=False),
    UniqueConstraint("item_id", "labeler_id"),
    _one_of("state", "leased", "expired", "submitted", "surplus", "skipped"),
    Index("ix_assignment_item_state", "item_id", "state"),
)  # fmt: skip

answer = Table(
    "answer", metadata,
    Column("id", Integer, primary_key=True),
    Column("assignment_id", ForeignKey("assignment.id"), nullable=False),
    Column("revision", Integer, nullable=False),  # 1, 2, ...; the last one counts, all are kept
    Column("payload", JSON, nullable=False),  # by task: `payload.check`
    Column("ms_spent", BigInteger, nullable=False),
    Column("client_uuid", String(36), nullable=False, unique=True),  # of the submission: sent twice, it is stored once
    Column("guidelines_version", Integer, nullable=False),
    Column("created", BigInteger, nullable=False),
    UniqueConstraint("assignment_id", "revision"),
)  # fmt: skip

draft = Table(
    "draft", metadata,
    Column("assignment_id", ForeignKey("assignment.id"), primary_key=True),
    Column("payload", JSON, nullable=False),
    Column("saved", BigInteger, nullable=False),
)  # fmt: skip

ruling = Table(
    "ruling", metadata,
    Column("id", Integer, primary_key=True),
    Column("item_id", ForeignKey("item.id"), nullable=False, index=True),
    Column("labeler_id", ForeignKey("labeler.id"), nullable=False, index=True),  # the admin who ruled
    Column("payload", JSON, nullable=False),  # by task: `payload.check`; of an item's rulings the last one counts
    Column("reason", String(1000), nullable=False),
    Column("created", BigInteger, nullable=False),
)  # fmt: skip

secret = Table(
    "secret", metadata,
    Column("name", String(100), primary_key=True),
    Column("value", String(300), nullable=False),
)  # fmt: skip
"""What only the running program may know, such as the key that signs sessions. It is in no backup."""

event = Table(
    "event", metadata,
    Column("id", Integer, primary_key=True),
    Column("at", BigInteger, nullable=False, index=True),
    Column("labeler_id", Integer),  # who did it; null: the program. No foreign key: the log outlives what it tells of
    Column("kind", String(40), nullable=False),
    Column("what", JSON, nullable=False),
)  # fmt: skip
