"""Environment of Alembic, on the connection of :func:`storage.database.engine.migrate`."""

from alembic import context

from storage.database import (
    console_tables,  # noqa: F401  # its tables are part of the metadata
    report_tables,  # noqa: F401  # likewise
    watch_tables,  # noqa: F401  # likewise
    work_item_tables,  # noqa: F401  # likewise
)
from storage.database.schema import Base

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    transactional_ddl=True,  # SQLite can; its driver could not before open_database's BEGIN
    render_as_batch=True,  # SQLite alters tables by copying them
)
with context.begin_transaction():
    context.run_migrations()
