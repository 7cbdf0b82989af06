"""Model, method and settings that found the figures of a scanner's series."""

import sqlalchemy as sa
from alembic import op

revision = "0031"
down_revision = "0030"
branch_labels = None
depends_on = None
LOST = "with which model and settings figures of scanners were found: all are compared again"


def upgrade() -> None:
    """Make the column; of figures so far it is not known."""
    op.add_column("drift_sample", sa.Column("basis", sa.Text(), nullable=False, server_default=""))


def downgrade() -> None:
    """Take it away."""
    op.drop_column("drift_sample", "basis")
