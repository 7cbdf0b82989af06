"""Deliveries whose last attempt had no answer."""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None
LOST = "which deliveries had no answer"  #: by going back


def upgrade() -> None:
    """Add the column; what is pending counts as answered until it is tried."""
    op.add_column(
        "delivery",
        sa.Column("unanswered", sa.Boolean(), nullable=False, server_default=sa.false()),
    )


def downgrade() -> None:
    """Take it away."""
    op.drop_column("delivery", "unanswered")
