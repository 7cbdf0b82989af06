"""Rows condensed after the files are gone, and indexes by which retention finds what it needs."""

import sqlalchemy as sa
from alembic import op

revision = "0027"
down_revision = "0026"
branch_labels = None
depends_on = None
LOST = (
    "what was condensed: instances that come again count as new, and rejection notes name no"
    " further objects of old results"
)
SOME = (
    ("instance", "ix_instance_kept", "received_at", "purged_at IS NULL"),
    ("instance", "ix_instance_gone", "purged_at", "purged_at IS NOT NULL"),
    ("result", "ix_result_kept", "created_at", "purged_at IS NULL"),
)


def upgrade() -> None:
    """Make table, column and indexes; nothing is condensed yet."""
    op.create_table(
        "condensed_instances",
        sa.Column("series_instance_uid", sa.String(64), nullable=False),
        sa.Column("sop_class_uid", sa.String(64), nullable=False),
        sa.Column("purged_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.Column("entries", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint(
            "series_instance_uid", "sop_class_uid", "purged_at", name="pk_condensed_instances"
        ),
        sa.ForeignKeyConstraint(
            ["series_instance_uid"],
            ["series.series_instance_uid"],
            name="fk_condensed_instances_series_instance_uid",
        ),
    )
    op.add_column("result_object", sa.Column("further", sa.LargeBinary(), nullable=True))
    op.create_index("ix_series_state_since", "series", ["state", "since"])
    for table, name, column, condition in SOME:
        where = sa.text(condition)
        columns = [column, "series_instance_uid"]
        op.create_index(name, table, columns, sqlite_where=where, postgresql_where=where)


def downgrade() -> None:
    """Take them away."""
    for table, name, _, _ in SOME:
        op.drop_index(name, table)
    op.drop_index("ix_series_state_since", "series")
    op.drop_column("result_object", "further")
    op.drop_table("condensed_instances")
