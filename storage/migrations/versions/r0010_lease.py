"""Lease of the database, and the holders of claims."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None
LOST = "which node works on the database"  #: by going back


def upgrade() -> None:
    """Add the table, without a row, and the columns; claims so far are nobody's."""
    op.create_table(
        "lease",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("installation", sa.String(36), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("holder", sa.String(32), nullable=False),
        sa.Column("place", sa.Text(), nullable=False),
        sa.Column("folder", sa.Text(), nullable=False),
        sa.Column("host", sa.Text(), nullable=False),
        sa.Column("pid", sa.Integer(), nullable=False),
        sa.Column("since", sa.DateTime(timezone=True), nullable=False),
        sa.Column("beats", sa.BigInteger(), nullable=False),
        sa.Column("found", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_lease"),
    )
    for table in ("series", "delivery"):
        op.add_column(table, sa.Column("holder", sa.BigInteger(), nullable=True))


def downgrade() -> None:
    """Take them away."""
    for table in ("series", "delivery"):
        op.drop_column(table, "holder")
    op.drop_table("lease")
