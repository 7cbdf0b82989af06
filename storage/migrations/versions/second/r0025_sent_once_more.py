"""Deliveries of results that a replaced destination gets once more."""

import sqlalchemy as sa
from alembic import op

revision = "0025"
down_revision = "0024"
branch_labels = None
depends_on = None
LOST = "what is sent once more to a replaced destination waits no longer behind new results"


def upgrade() -> None:
    """Make the column; nothing so far was sent once more."""
    op.add_column(
        "delivery", sa.Column("again", sa.Boolean(), nullable=False, server_default=sa.false())
    )


def downgrade() -> None:
    """Take it away."""
    op.drop_column("delivery", "again")
