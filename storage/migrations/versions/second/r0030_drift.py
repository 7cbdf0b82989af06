"""Equipment of each series, figures of scanners, and what of them was found changed."""

import sqlalchemy as sa
from alembic import op

revision = "0030"
down_revision = "0029"
branch_labels = None
depends_on = None
LOST = "the figures and references of scanners, and what of them was found changed or accepted"


def upgrade() -> None:
    """Make the tables."""
    names = ("scanner", "manufacturer", "model", "station", "kernel", "software")
    op.create_table(
        "series_equipment",
        sa.Column("series_instance_uid", sa.String(64), nullable=False),
        *(sa.Column(name, sa.Text(), nullable=False) for name in names),
        sa.PrimaryKeyConstraint("series_instance_uid", name="pk_series_equipment"),
        sa.ForeignKeyConstraint(
            ["series_instance_uid"],
            ["series.series_instance_uid"],
            name="fk_series_equipment_series_instance_uid",
        ),
    )
    op.create_index("ix_series_equipment_scanner", "series_equipment", ["scanner"])
    op.create_table(
        "drift_sample",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("series_instance_uid", sa.String(64), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        *(sa.Column(name, sa.Text(), nullable=False) for name in ("scanner", "kernel", "software")),
        sa.Column("figures", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_drift_sample"),
        sa.UniqueConstraint("series_instance_uid", name="uq_drift_sample_series_instance_uid"),
        sa.ForeignKeyConstraint(
            ["series_instance_uid"],
            ["series.series_instance_uid"],
            name="fk_drift_sample_series_instance_uid",
        ),
    )
    op.create_index("ix_drift_sample_scanner_id", "drift_sample", ["scanner", "id"])
    op.create_table(
        "drift_finding",
        sa.Column("id", sa.Integer(), nullable=False),
        *(sa.Column(name, sa.Text(), nullable=False) for name in ("scanner", "what", "text")),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("action", sa.String(16), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True)),
        sa.Column("ended_by", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_drift_finding"),
    )
    op.create_index("ix_drift_finding_ended_at_scanner", "drift_finding", ["ended_at", "scanner"])
    op.create_table(
        "drift_baseline",
        sa.Column("scanner", sa.Text(), nullable=False),
        sa.Column("after_id", sa.Integer(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("by", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("scanner", name="pk_drift_baseline"),
    )


def downgrade() -> None:
    """Take them away."""
    for table in ("drift_baseline", "drift_finding", "drift_sample", "series_equipment"):
        op.drop_table(table)
