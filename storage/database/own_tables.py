"""Tables of this program in a database, told from those of something else.

A site may add to the database of the node (a schema, an extension, a view for reports), and may
hand us a database that is not ours at all. The first tables decide: every version has them.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from enum import Enum, auto
from typing import NamedTuple

from sqlalchemy import Connection

#: Tables of the first migration; each later version has them as well
FIRST = frozenset(
    {"delivery", "instance", "quarantine", "refusal", "result", "result_object", "series"}
)
NAMED = 3  #: names of something else that a sentence has
#: Tables and views that a name without a schema leads to, but for those that extensions have made
#: (PostgreSQL 15, chapters 53.11 and 53.18; sqlite.org/schematab.html)
IN_POSTGRESQL = """
SELECT relname, relkind IN ('r', 'p') FROM pg_class JOIN pg_namespace s ON s.oid = relnamespace
WHERE relkind IN ('r', 'p', 'f', 'v', 'm') AND pg_table_is_visible(pg_class.oid)
AND nspname NOT IN ('pg_catalog', 'information_schema')
AND NOT EXISTS (SELECT FROM pg_depend WHERE classid = 'pg_class'::regclass
AND objid = pg_class.oid AND deptype = 'e')
"""
IN_SQLITE = """
SELECT name, type = 'table' FROM sqlite_master
WHERE type IN ('table', 'view') AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'
"""


class Relation(NamedTuple):
    """A table or a view."""

    name: str
    is_table: bool


class Owner(Enum):
    """Of whom the tables of a database are."""

    NOBODY = auto()  #: there are none
    US = auto()
    OTHERS = auto()


def relations_of(connection: Connection | sqlite3.Connection) -> list[Relation]:
    """List the tables and views of a database by their names; nothing of them is read."""
    if isinstance(connection, sqlite3.Connection):
        rows: Sequence[Sequence[object]] = connection.execute(IN_SQLITE).fetchall()
    else:
        is_sqlite = connection.dialect.name == "sqlite"
        rows = connection.exec_driver_sql(IN_SQLITE if is_sqlite else IN_POSTGRESQL).all()
    return sorted(Relation(str(name), bool(is_table)) for name, is_table in rows)


def owner_of(relations: Sequence[Relation]) -> Owner:
    """Tell of whom the tables are: ours if most of the first are there, whatever else is.

    A few names mean nothing, archives have a table `series` too; and of our own one may be lost.
    """
    if not relations:
        return Owner.NOBODY
    found = FIRST & {one.name for one in relations if one.is_table}
    return Owner.US if 2 * len(found) > len(FIRST) else Owner.OTHERS


def of_something_else(relations: Sequence[Relation]) -> str:
    """Say that a database holds something else; a few names tell the reader of whom it is."""
    names = ", ".join(one.name for one in relations[:NAMED])
    if len(relations) > NAMED:
        names += f" and {len(relations) - NAMED} more"
    return (
        f"the database holds tables of something else ({names})"
        " and none of this program: give the node a database of its own ([storage] database_url)"
    )
