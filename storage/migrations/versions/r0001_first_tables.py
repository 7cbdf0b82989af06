"""The first tables."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None
LOST = "everything"  #: by going back


def upgrade() -> None:
    """Make every table; what is referred to comes first."""
    _quarantine()
    _refusal()
    _series()
    _instance()
    _result()
    _result_object()
    _delivery()


def downgrade() -> None:
    """Drop every table, in the opposite order."""
    for table in (
        "delivery",
        "result_object",
        "result",
        "instance",
        "series",
        "refusal",
        "quarantine",
    ):
        op.drop_table(table)


def _quarantine() -> None:
    op.create_table(
        "quarantine",
        sa.Column("path", sa.String(255), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("calling_ae", sa.String(16), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("path", name="pk_quarantine"),
    )


def _refusal() -> None:
    op.create_table(
        "refusal",
        sa.Column("calling_ae", sa.String(16), nullable=False),
        sa.Column("what", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.Column("last_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("calling_ae", "what", "reason", name="pk_refusal"),
    )


def _series() -> None:
    op.create_table(
        "series",
        sa.Column("series_instance_uid", sa.String(64), nullable=False),
        sa.Column("study_instance_uid", sa.String(64), nullable=False),
        sa.Column("modality", sa.Text(), nullable=False),
        sa.Column("sop_class_uid", sa.String(64), nullable=False),
        sa.Column("calling_ae", sa.String(16), nullable=False),
        sa.Column("first_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("last_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("instances", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("since", sa.DateTime(timezone=True), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("generation", sa.Integer(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("reopened", sa.Boolean(), nullable=False),
        sa.Column("result_key", sa.String(64), nullable=True),
        sa.PrimaryKeyConstraint("series_instance_uid", name="pk_series"),
    )
    op.create_index("ix_series_last_at", "series", ["last_at"], unique=False)
    op.create_index("ix_series_state", "series", ["state"], unique=False)


def _instance() -> None:
    op.create_table(
        "instance",
        sa.Column("sop_instance_uid", sa.String(64), nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("series_instance_uid", sa.String(64), nullable=False),
        sa.Column("sop_class_uid", sa.String(64), nullable=False),
        sa.Column("transfer_syntax_uid", sa.String(64), nullable=False),
        sa.Column("path", sa.String(255), nullable=False),
        sa.Column("bytes", sa.BigInteger(), nullable=False),
        sa.Column("calling_ae", sa.String(16), nullable=False),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("superseded", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(
            ["series_instance_uid"],
            ["series.series_instance_uid"],
            name="fk_instance_series_instance_uid",
        ),
        sa.PrimaryKeyConstraint("sop_instance_uid", "digest", name="pk_instance"),
        sa.UniqueConstraint("path", name="uq_instance_path"),
    )
    op.create_index(
        "ix_instance_series_instance_uid", "instance", ["series_instance_uid"], unique=False
    )


def _result() -> None:
    op.create_table(
        "result",
        sa.Column("key", sa.String(64), nullable=False),
        sa.Column("series_instance_uid", sa.String(64), nullable=False),
        sa.Column("generation", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("model", sa.String(255), nullable=False),
        sa.Column("score", sa.Double(), nullable=False),
        sa.Column("positive", sa.Boolean(), nullable=False),
        sa.Column("summary", sa.Text(), nullable=False),
        sa.Column("folder", sa.String(255), nullable=False),
        sa.ForeignKeyConstraint(
            ["series_instance_uid"],
            ["series.series_instance_uid"],
            name="fk_result_series_instance_uid",
        ),
        sa.PrimaryKeyConstraint("key", name="pk_result"),
    )
    op.create_index(
        "ix_result_series_instance_uid", "result", ["series_instance_uid"], unique=False
    )


def _result_object() -> None:
    op.create_table(
        "result_object",
        sa.Column("sop_instance_uid", sa.String(64), nullable=False),
        sa.Column("result_key", sa.String(64), nullable=False),
        sa.Column("kind", sa.String(32), nullable=False),
        sa.Column("sop_class_uid", sa.String(64), nullable=False),
        sa.Column("series_instance_uid", sa.String(64), nullable=False),
        sa.Column("transfer_syntax_uid", sa.String(64), nullable=False),
        sa.Column("path", sa.String(255), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["result_key"], ["result.key"], name="fk_result_object_result_key"),
        sa.PrimaryKeyConstraint("sop_instance_uid", name="pk_result_object"),
    )
    op.create_index("ix_result_object_result_key", "result_object", ["result_key"], unique=False)


def _delivery() -> None:
    op.create_table(
        "delivery",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("sop_instance_uid", sa.String(64), nullable=False),
        sa.Column("destination", sa.String(64), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("first_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("next_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["sop_instance_uid"],
            ["result_object.sop_instance_uid"],
            name="fk_delivery_sop_instance_uid",
        ),
        sa.PrimaryKeyConstraint("id", name="pk_delivery"),
        sa.UniqueConstraint(
            "sop_instance_uid", "destination", name="uq_delivery_sop_instance_uid_destination"
        ),
    )
    op.create_index(
        "ix_delivery_destination_state_next_at",
        "delivery",
        ["destination", "state", "next_at"],
        unique=False,
    )
