"""Every test of the store runs on SQLite and on PostgreSQL."""

from stores import clock, place, postgres, store

__all__ = ["clock", "place", "postgres", "store"]
