"""Records of results whose rows were erased, without any identity."""

import sqlalchemy as sa
from alembic import op

revision = "0034"
down_revision = "0033"
branch_labels = None
depends_on = None
LOST = "the records of erased results, which name nobody: export them beforehand"


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "erased_result",
        sa.Column("id", sa.String(16), nullable=False),
        sa.Column("month", sa.String(7), nullable=False),
        sa.Column("record", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_erased_result"),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_erased_result_month", "erased_result", ["month"])


def downgrade() -> None:
    """Take it away."""
    op.drop_table("erased_result")
