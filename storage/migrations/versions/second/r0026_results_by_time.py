"""Index of results by the time of their making."""

from alembic import op

revision = "0026"
down_revision = "0025"
branch_labels = None
depends_on = None
LOST = "nothing but speed: a trial of a threshold reads all results"


def upgrade() -> None:
    """Make it."""
    op.create_index("ix_result_created_at", "result", ["created_at"])


def downgrade() -> None:
    """Take it away."""
    op.drop_index("ix_result_created_at", "result")
