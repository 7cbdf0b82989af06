"""A database of PostgreSQL that knows no encoding is used as any other."""

import psycopg
import pytest
from sqlalchemy import text

from storage.database.engine import migrate, open_database
from tests.support.servers.postgresql import Cluster

pytestmark = pytest.mark.postgresql


def test_texts_of_a_database_in_sql_ascii_are_texts(postgresql: Cluster) -> None:
    with psycopg.connect(postgresql.address("postgres"), autocommit=True) as connection:
        connection.execute("CREATE DATABASE plain ENCODING 'SQL_ASCII' TEMPLATE template0")
    database = open_database(postgresql.address("plain"))
    migrate(database)
    with database.begin() as session:
        assert session.execute(text("SELECT 'größer'")).scalar_one() == "größer"
    database.dispose()
    with psycopg.connect(postgresql.address("postgres"), autocommit=True) as connection:
        connection.execute("DROP DATABASE plain")
