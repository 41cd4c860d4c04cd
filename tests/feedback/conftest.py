"""Every test of the store runs on SQLite and on PostgreSQL."""

from stores import clock, database_of_tables, dialect, file_of_tables, place, postgres, store

__all__ = ["clock", "database_of_tables", "dialect", "file_of_tables", "place", "postgres", "store"]
