"""Requests for storage commitment."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None
LOST = "requests for storage commitment; what waits for one counts as accepted"  #: by going back


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "commitment",
        sa.Column("transaction_uid", sa.String(64), nullable=False),
        sa.Column("destination", sa.String(64), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("requested_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("transaction_uid", name="pk_commitment"),
    )
    op.create_table(
        "commitment_item",
        sa.Column("transaction_uid", sa.String(64), nullable=False),
        sa.Column("delivery_id", sa.Integer(), nullable=False),
        sa.Column("failure", sa.Integer(), nullable=True),
        sa.PrimaryKeyConstraint("transaction_uid", "delivery_id", name="pk_commitment_item"),
        sa.ForeignKeyConstraint(
            ["transaction_uid"],
            ["commitment.transaction_uid"],
            name="fk_commitment_item_transaction_uid",
        ),
        sa.ForeignKeyConstraint(
            ["delivery_id"], ["delivery.id"], name="fk_commitment_item_delivery_id"
        ),
    )
    op.create_index("ix_commitment_item_delivery_id", "commitment_item", ["delivery_id"])


def downgrade() -> None:
    """Drop them; what was not committed counts as accepted."""
    op.drop_table("commitment_item")
    op.drop_table("commitment")
    op.execute("UPDATE delivery SET state = 'accepted' WHERE state = 'uncommitted'")
