"""Tries to log in at the console, and those that failed."""

import sqlalchemy as sa
from alembic import op

revision = "0024"
down_revision = "0023"
branch_labels = None
depends_on = None
LOST = "waits and failed logins of the console: nobody waits for another try"  #: by going back


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "console_tries",
        sa.Column("key", sa.String(64), nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.Column("last_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("key", name="pk_console_tries"),
    )
    op.create_index("ix_console_tries_last_at", "console_tries", ["last_at"])
    op.create_table(
        "console_failed_login",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("user", sa.Text(), nullable=False),
        sa.Column("address", sa.Text(), nullable=False),
        sa.Column("reason", sa.String(32), nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.Column("first_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("last_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_console_failed_login"),
    )
    op.create_index("ix_console_failed_login_last_at", "console_failed_login", ["last_at"])


def downgrade() -> None:
    """Take them away."""
    op.drop_table("console_failed_login")
    op.drop_table("console_tries")
