"""Signed reports: what they say of a study."""

import sqlalchemy as sa
from alembic import op

revision = "0035"
down_revision = "0034"
branch_labels = None
depends_on = None
LOST = "what signed reports said of studies: their senders have to send them again"


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "signed_report",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("order_key", sa.String(64), nullable=False),
        sa.Column("reference", sa.Text(), nullable=False),
        sa.Column("status", sa.String(1), nullable=False),
        *(
            sa.Column(name, sa.String(16), nullable=False)
            for name in ("diagnosis", "pneumonia", "covid_19")
        ),
        sa.Column("patient_digests", sa.Text(), nullable=False),
        sa.Column("birth_digest", sa.String(64), nullable=False),
        sa.Column("reported_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_signed_report"),
        sa.UniqueConstraint("order_key", name="uq_signed_report_order_key"),
    )
    op.create_index("ix_signed_report_received_at", "signed_report", ["received_at"])
    op.create_table(
        "signed_report_subject",
        sa.Column("report_id", sa.Integer(), nullable=False),
        sa.Column("value", sa.String(64), nullable=False),
        sa.PrimaryKeyConstraint("report_id", "value", name="pk_signed_report_subject"),
        sa.ForeignKeyConstraint(
            ["report_id"], ["signed_report.id"], name="fk_signed_report_subject_report_id"
        ),
    )
    op.create_index("ix_signed_report_subject_value", "signed_report_subject", ["value"])


def downgrade() -> None:
    """Take them away."""
    op.drop_table("signed_report_subject")
    op.drop_table("signed_report")
