"""Destinations that are paused."""

import sqlalchemy as sa
from alembic import op

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None
LOST = "which destinations are paused: they get what waits for them"  #: by going back


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "paused_destination",
        sa.Column("destination", sa.String(64), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("by", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("destination", name="pk_paused_destination"),
    )


def downgrade() -> None:
    """Take it away."""
    op.drop_table("paused_destination")
