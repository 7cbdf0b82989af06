"""Scanner and kernel of the images that a result is of."""

import sqlalchemy as sa
from alembic import op

revision = "0023"
down_revision = "0022"
branch_labels = None
depends_on = None
LOST = "scanner and kernel of results"  #: by going back

COLUMNS = ("scanner", "kernel")


def upgrade() -> None:
    """Make the columns, empty for the results so far, and their indexes."""
    for name in COLUMNS:
        column = sa.Column(name, sa.String(64), nullable=False, server_default="")
        op.add_column("result", column)
        op.create_index(f"ix_result_{name}", "result", [name])


def downgrade() -> None:
    """Take them away."""
    for name in COLUMNS:
        op.drop_index(f"ix_result_{name}", "result")
        op.drop_column("result", name)
