"""Alembic revisions of the tables, run from inside the package."""
