"""Requests of senders for storage commitment that wait for their report."""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None
LOST = "requests of senders for commitment that wait for a report: they ask again"  #: by going back


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "commitment_request",
        sa.Column("calling_ae", sa.String(16), nullable=False),
        sa.Column("transaction_uid", sa.String(64), nullable=False),
        sa.Column("objects", sa.Text(), nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.Column("requested_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("next_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("calling_ae", "transaction_uid", name="pk_commitment_request"),
    )


def downgrade() -> None:
    """Drop it; senders without a report ask again."""
    op.drop_table("commitment_request")
