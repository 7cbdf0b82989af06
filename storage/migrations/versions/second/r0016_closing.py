"""Places of slices, notifications of other systems, and how series were closed."""

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None
LOST = (
    "places of slices, what other systems notified of, and how series were closed"  #: by going back
)

OF_INSTANCES = ("acquisition_number", "images_in_acquisition", "instance_number", "frames")


def upgrade() -> None:
    """Make the tables; of instances received before, nothing is known of that."""
    for column in OF_INSTANCES:
        op.add_column("instance", sa.Column(column, sa.BigInteger(), nullable=True))
    op.add_column("instance", sa.Column("plane", sa.String(64), nullable=False, server_default=""))
    op.add_column("instance", sa.Column("height_mm", sa.Double(), nullable=True))
    op.create_table(
        "notification",
        sa.Column("sop_instance_uid", sa.String(64), nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("calling_ae", sa.String(16), nullable=False),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("sop_instance_uid", name="pk_notification"),
    )
    op.create_index("ix_notification_changed_at", "notification", ["changed_at"])
    op.create_table(
        "notified_series",
        sa.Column("notification_uid", sa.String(64), nullable=False),
        sa.Column("series_instance_uid", sa.String(64), nullable=False),
        sa.Column("instances", sa.Text(), nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint(
            "notification_uid", "series_instance_uid", name="pk_notified_series"
        ),
        sa.ForeignKeyConstraint(
            ["notification_uid"],
            ["notification.sop_instance_uid"],
            name="fk_notified_series_notification_uid",
        ),
    )
    op.create_index(
        "ix_notified_series_series_instance_uid", "notified_series", ["series_instance_uid"]
    )
    op.create_table(
        "closing",
        sa.Column("series_instance_uid", sa.String(64), nullable=False),
        sa.Column("generation", sa.Integer(), nullable=False),
        sa.Column("calling_ae", sa.String(16), nullable=False),
        sa.Column("closed_by", sa.String(32), nullable=False),
        sa.Column("instances", sa.Integer(), nullable=False),
        sa.Column("waited_seconds", sa.Double(), nullable=False),
        sa.Column("closed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("late_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("series_instance_uid", "generation", name="pk_closing"),
        sa.ForeignKeyConstraint(
            ["series_instance_uid"],
            ["series.series_instance_uid"],
            name="fk_closing_series_instance_uid",
        ),
    )
    for column in ("closed_at", "late_at"):
        op.create_index(f"ix_closing_{column}", "closing", [column])


def downgrade() -> None:
    """Drop them; series close by their quiet time again."""
    for table in ("closing", "notified_series", "notification"):
        op.drop_table(table)
    for column in ("height_mm", "plane", *reversed(OF_INSTANCES)):
        op.drop_column("instance", column)
