"""Keys that a server signs with. They live in the store, so that a restart signs nobody out, and in none of its backups."""

from __future__ import annotations

import secrets

from sqlalchemy import insert, select

from accordant.feedback import schema
from accordant.feedback.store import Store


def secret(store: Store, name: str) -> str:
    """The key of this name, made when it is first asked for: 256 random bits in hexadecimal."""
    with store.write() as connection:
        found = connection.scalar(select(schema.secret.c.value).where(schema.secret.c.name == name))
        if found is None:
            found = secrets.token_hex(32)
            connection.execute(insert(schema.secret).values(name=name, value=found))
        return str(found)
