"""The console: its users, their sessions, what they changed; indexes of its worklist."""

import sqlalchemy as sa
from alembic import op

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None
LOST = "users of the console, their sessions, and what was changed by whom"  #: by going back


def upgrade() -> None:
    """Make the tables and the indexes."""
    op.create_table(
        "console_user",
        sa.Column("name", sa.String(64), nullable=False),
        sa.Column("role", sa.String(16), nullable=False),
        sa.Column("password", sa.String(255), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("disabled", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_console_user"),
    )
    op.create_table(
        "console_session",
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("user", sa.String(64), nullable=False),
        sa.Column("form_token", sa.String(64), nullable=False),
        sa.Column("opened_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("seen_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("address", sa.String(64), nullable=False),
        sa.Column("browser", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("digest", name="pk_console_session"),
        sa.ForeignKeyConstraint(["user"], ["console_user.name"], name="fk_console_session_user"),
    )
    op.create_index("ix_console_session_user", "console_session", ["user"])
    op.create_index("ix_console_session_seen_at", "console_session", ["seen_at"])
    op.create_table(
        "console_change",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("user", sa.String(64), nullable=False),
        sa.Column("action", sa.String(32), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("before", sa.Text(), nullable=False),
        sa.Column("after", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_console_change"),
    )
    op.create_index("ix_console_change_at", "console_change", ["at"])
    op.drop_index("ix_series_last_at", "series")  # those that follow begin with it
    op.drop_index("ix_series_state", "series")
    op.create_index(
        "ix_series_last_at_series_instance_uid", "series", ["last_at", "series_instance_uid"]
    )
    op.create_index(
        "ix_series_state_last_at_series_instance_uid",
        "series",
        ["state", "last_at", "series_instance_uid"],
    )
    op.create_index(
        "ix_series_calling_ae_last_at_series_instance_uid",
        "series",
        ["calling_ae", "last_at", "series_instance_uid"],
    )


def downgrade() -> None:
    """Take them away."""
    op.drop_index("ix_series_calling_ae_last_at_series_instance_uid", "series")
    op.drop_index("ix_series_state_last_at_series_instance_uid", "series")
    op.drop_index("ix_series_last_at_series_instance_uid", "series")
    op.create_index("ix_series_state", "series", ["state"])
    op.create_index("ix_series_last_at", "series", ["last_at"])
    op.drop_table("console_change")
    op.drop_table("console_session")
    op.drop_table("console_user")
