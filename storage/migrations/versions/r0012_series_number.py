"""Series Number of received series."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None
LOST = "Series Numbers of received series"  #: by going back


def upgrade() -> None:
    """Add the number."""
    op.add_column("series", sa.Column("series_number", sa.BigInteger(), nullable=True))


def downgrade() -> None:
    """Take it away."""
    op.drop_column("series", "series_number")
