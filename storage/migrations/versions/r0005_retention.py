"""Marks of purged instances and results."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None
LOST = "which files were removed for their age: they count as kept"  #: by going back


def upgrade() -> None:
    """Add the marks."""
    op.add_column(
        "series", sa.Column("purging", sa.Boolean(), nullable=False, server_default=sa.false())
    )
    for table in ("instance", "result"):
        op.add_column(table, sa.Column("purged_at", sa.DateTime(timezone=True), nullable=True))


def downgrade() -> None:
    """Take them away."""
    for table in ("instance", "result"):
        op.drop_column(table, "purged_at")
    op.drop_column("series", "purging")
