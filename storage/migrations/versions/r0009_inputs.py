"""Inputs of results apart from their keys."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None
LOST = "inputs of results: a series that comes again is analysed again"  #: by going back


def upgrade() -> None:
    """Add the column; so far the key of a result was a digest of its inputs."""
    op.add_column("result", sa.Column("inputs", sa.String(64), nullable=False, server_default=""))
    op.execute("UPDATE result SET inputs = key")


def downgrade() -> None:
    """Take it away."""
    op.drop_column("result", "inputs")
