"""Mark of urgent series."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None
LOST = "which series are urgent"  #: by going back


def upgrade() -> None:
    """Add the mark."""
    op.add_column(
        "series", sa.Column("urgent", sa.Boolean(), nullable=False, server_default=sa.false())
    )


def downgrade() -> None:
    """Take it away."""
    op.drop_column("series", "urgent")
