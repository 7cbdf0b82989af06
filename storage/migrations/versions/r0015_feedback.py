"""Answers of readers to results; objects of results that are for one destination alone."""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None
LOST = "answers of readers; which rejection notes are for one destination alone"  #: by going back

BY_SERIES = "ix_result_object_series_instance_uid"


def upgrade() -> None:
    """Make the tables; objects of results are found by their series as well."""
    op.create_table(
        "feedback",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("document_uid", sa.String(64), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("series_instance_uid", sa.String(64), nullable=False),
        sa.Column("study_instance_uid", sa.String(64), nullable=False),
        sa.Column("predecessors", sa.Text(), nullable=False),
        sa.Column("answer", sa.String(16), nullable=False),
        sa.Column("finding", sa.String(64), nullable=False),
        sa.Column("finding_name", sa.String(64), nullable=False),
        sa.Column("reason_code", sa.Text(), nullable=False),
        sa.Column("reason_scheme", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("comment", sa.Text(), nullable=False),
        sa.Column("observer", sa.Text(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("said_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("calling_ae", sa.String(16), nullable=False),
        sa.Column("superseded", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_feedback"),
        sa.UniqueConstraint("document_uid", "position", name="uq_feedback_document_uid_position"),
        sa.ForeignKeyConstraint(
            ["series_instance_uid"],
            ["series.series_instance_uid"],
            name="fk_feedback_series_instance_uid",
        ),
    )
    for column in ("series_instance_uid", "study_instance_uid", "received_at"):
        op.create_index(f"ix_feedback_{column}", "feedback", [column])
    op.create_table(
        "feedback_subject",
        sa.Column("feedback_id", sa.Integer(), nullable=False),
        sa.Column("uid", sa.String(64), nullable=False),
        sa.PrimaryKeyConstraint("feedback_id", "uid", name="pk_feedback_subject"),
        sa.ForeignKeyConstraint(
            ["feedback_id"], ["feedback.id"], name="fk_feedback_subject_feedback_id"
        ),
    )
    op.create_index("ix_feedback_subject_uid", "feedback_subject", ["uid"])
    op.create_index(BY_SERIES, "result_object", ["series_instance_uid"])
    op.add_column(
        "result_object",
        sa.Column("only_for", sa.String(64), nullable=False, server_default=""),
    )


def downgrade() -> None:
    """Drop them; what readers said is lost."""
    op.drop_column("result_object", "only_for")
    op.drop_index(BY_SERIES, "result_object")
    op.drop_table("feedback_subject")
    op.drop_table("feedback")
