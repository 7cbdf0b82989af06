"""Environment of Alembic, on the connection of :func:`storage.database.engine.migrate`."""

from alembic import context

from storage.database.revisions import TABLES

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=TABLES,
    transactional_ddl=True,  # SQLite can; its driver could not before open_database's BEGIN
    render_as_batch=True,  # SQLite alters tables by copying them
)
with context.begin_transaction():
    context.run_migrations()
