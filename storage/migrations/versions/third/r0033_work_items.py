"""Work items that the node performs for a worklist manager, and the series that are their input."""

import sqlalchemy as sa
from alembic import op

revision = "0033"
down_revision = "0032"
branch_labels = None
depends_on = None
LOST = "which work items of the worklist manager are the node's: those IN PROGRESS stay so"


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "work_item",
        sa.Column("sop_instance_uid", sa.String(64), nullable=False),
        sa.Column("transaction_uid", sa.String(64), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("claimed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("since", sa.DateTime(timezone=True), nullable=False),
        sa.Column("told", sa.Integer(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("next_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("cancel_requested_at", sa.DateTime(timezone=True)),
        sa.Column("code", sa.String(16), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("sop_instance_uid", name="pk_work_item"),
    )
    op.create_index("ix_work_item_state_since", "work_item", ["state", "since"])
    op.create_table(
        "work_item_series",
        sa.Column("work_item_uid", sa.String(64), nullable=False),
        sa.Column("series_instance_uid", sa.String(64), nullable=False),
        sa.Column("study_instance_uid", sa.String(64), nullable=False),
        sa.Column("instances", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("work_item_uid", "series_instance_uid", name="pk_work_item_series"),
        sa.ForeignKeyConstraint(
            ["work_item_uid"],
            ["work_item.sop_instance_uid"],
            name="fk_work_item_series_work_item_uid",
        ),
    )
    op.create_index(
        "ix_work_item_series_series_instance_uid", "work_item_series", ["series_instance_uid"]
    )


def downgrade() -> None:
    """Take them away."""
    for table in ("work_item_series", "work_item"):
        op.drop_table(table)
