"""Results that are begun: what comes first is kept while the rest is still encoded."""

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None
LOST = "which results are only begun: they count as whole"  #: by going back


def upgrade() -> None:
    """Add the column; results kept before are whole."""
    op.add_column(
        "result", sa.Column("begun_on", sa.String(100), nullable=False, server_default="")
    )


def downgrade() -> None:
    """Take it away."""
    op.drop_column("result", "begun_on")
