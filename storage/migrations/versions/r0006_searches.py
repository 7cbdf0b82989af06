"""Searches for earlier studies of a patient."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None
LOST = "searches for earlier studies"  #: by going back


def upgrade() -> None:
    """Add the table."""
    op.create_table(
        "search",
        sa.Column("series_instance_uid", sa.String(64), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("next_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("study_instance_uid", sa.String(64), nullable=False),
        sa.Column("fetched_series_uid", sa.String(64), nullable=False),
        sa.PrimaryKeyConstraint("series_instance_uid", name="pk_search"),
        sa.ForeignKeyConstraint(
            ["series_instance_uid"],
            ["series.series_instance_uid"],
            name="fk_search_series_instance_uid",
        ),
    )


def downgrade() -> None:
    """Take it away."""
    op.drop_table("search")
