"""Runs of the self-test, and the mark of its series."""

import sqlalchemy as sa
from alembic import op

revision = "0028"
down_revision = "0027"
branch_labels = None
depends_on = None
LOST = (
    "the runs of the self-test, and which series are synthetic: erase those beforehand, by stopping"
    " the node while no self-test runs"
)


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "self_test",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("requested_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("requested_by", sa.Text(), nullable=False),
        sa.Column("began_at", sa.DateTime(timezone=True)),
        sa.Column("ended_at", sa.DateTime(timezone=True)),
        sa.Column("series_instance_uid", sa.String(64), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("basis", sa.Text(), nullable=False),
        sa.Column("found", sa.Text(), nullable=False),
        sa.Column("verdict", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_self_test"),
    )
    op.create_index("ix_self_test_state_requested_at", "self_test", ["state", "requested_at"])
    op.create_index("ix_self_test_ended_at", "self_test", ["ended_at"])
    op.create_index("ix_self_test_series_instance_uid", "self_test", ["series_instance_uid"])
    op.create_table(
        "self_test_series",
        sa.Column("series_instance_uid", sa.String(64), nullable=False),
        sa.PrimaryKeyConstraint("series_instance_uid", name="pk_self_test_series"),
        sa.ForeignKeyConstraint(
            ["series_instance_uid"],
            ["series.series_instance_uid"],
            name="fk_self_test_series_series_instance_uid",
        ),
    )


def downgrade() -> None:
    """Take them away."""
    op.drop_table("self_test_series")
    op.drop_table("self_test")
