"""Instances that a work item names by their UIDs, instead of by their number."""

import sqlalchemy as sa
from alembic import op

revision = "0036"
down_revision = "0035"
branch_labels = None
depends_on = None
LOST = "which instances open work items name: their series count as whole"


def upgrade() -> None:
    """Keep their UIDs; of those that are open only the series are known."""
    op.add_column(
        "work_item_series", sa.Column("named", sa.Text(), nullable=False, server_default="[]")
    )
    op.drop_column("work_item_series", "instances")


def downgrade() -> None:
    """Keep how many again, which then are none."""
    op.add_column(
        "work_item_series", sa.Column("instances", sa.Integer(), nullable=False, server_default="0")
    )
    op.drop_column("work_item_series", "named")
