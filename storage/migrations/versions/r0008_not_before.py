"""Time before which a series is not analysed again."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None
LOST = "waits before another try of an analysis: it follows at once"  #: by going back


def upgrade() -> None:
    """Add the time."""
    op.add_column("series", sa.Column("not_before", sa.DateTime(timezone=True), nullable=True))


def downgrade() -> None:
    """Take it away."""
    op.drop_column("series", "not_before")
