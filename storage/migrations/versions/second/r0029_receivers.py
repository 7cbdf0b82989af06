"""Receivers that share the database."""

import sqlalchemy as sa
from alembic import op

revision = "0029"
down_revision = "0028"
branch_labels = None
depends_on = None
LOST = "nothing: receivers enter themselves at their start"  #: by going back


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "receiver",
        sa.Column("holder", sa.String(32), nullable=False),
        sa.Column("name", sa.String(32), nullable=False),
        sa.Column("host", sa.Text(), nullable=False),
        sa.Column("pid", sa.Integer(), nullable=False),
        sa.Column("version", sa.Text(), nullable=False),
        sa.Column("since", sa.DateTime(timezone=True), nullable=False),
        sa.Column("beats", sa.BigInteger(), nullable=False),
        sa.Column("sending", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("holder", name="pk_receiver"),
        sa.UniqueConstraint("name", name="uq_receiver_name"),
    )


def downgrade() -> None:
    """Take it away."""
    op.drop_table("receiver")
