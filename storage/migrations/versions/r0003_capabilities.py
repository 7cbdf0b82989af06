"""Capabilities of destinations."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None
LOST = "what destinations take; what was replaced counts as refused"  #: by going back


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "capability",
        sa.Column("destination", sa.String(64), nullable=False),
        sa.Column("sop_class_uid", sa.String(64), nullable=False),
        sa.Column("transfer_syntax_uid", sa.String(64), nullable=False),
        sa.Column("accepted", sa.Boolean(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("destination", "sop_class_uid", name="pk_capability"),
    )


def downgrade() -> None:
    """Drop it; what was replaced counts as refused."""
    op.drop_table("capability")
    op.execute("UPDATE delivery SET state = 'refused' WHERE state IN ('declined', 'replaced')")
