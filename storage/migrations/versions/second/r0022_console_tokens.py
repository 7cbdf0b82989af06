"""Tokens of programs that ask the API of the console."""

import sqlalchemy as sa
from alembic import op

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None
LOST = "tokens of programs"  #: by going back


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "console_token",
        sa.Column("name", sa.String(64), nullable=False),
        sa.Column("role", sa.String(16), nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("created_by", sa.String(64), nullable=False),
        sa.Column("used_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("name", name="pk_console_token"),
        sa.UniqueConstraint("digest", name="uq_console_token_digest"),
    )


def downgrade() -> None:
    """Take it away."""
    op.drop_table("console_token")
