"""Figures that a second model found beside results."""

import sqlalchemy as sa
from alembic import op

revision = "0032"
down_revision = "0031"
branch_labels = None
depends_on = None
LOST = "what a second model found beside results, and so the comparison with it"


def upgrade() -> None:
    """Make the table."""
    volumes = ("opacities_ml", "lungs_ml", "opacities_of_result_ml", "lungs_of_result_ml")
    op.create_table(
        "shadow_result",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("result_key", sa.String(64), nullable=False),
        sa.Column("series_instance_uid", sa.String(64), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("manifest_sha256", sa.String(64), nullable=False),
        sa.Column("software", sa.Text(), nullable=False),
        *(sa.Column(name, sa.Double()) for name in ("score", *volumes)),
        sa.Column("seconds", sa.Double(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_shadow_result"),
        sa.UniqueConstraint(
            "result_key", "manifest_sha256", name="uq_shadow_result_result_key_manifest_sha256"
        ),
        sa.ForeignKeyConstraint(["result_key"], ["result.key"], name="fk_shadow_result_result_key"),
        sa.ForeignKeyConstraint(
            ["series_instance_uid"],
            ["series.series_instance_uid"],
            name="fk_shadow_result_series_instance_uid",
        ),
    )
    for column in ("series_instance_uid", "manifest_sha256"):
        op.create_index(f"ix_shadow_result_{column}", "shadow_result", [column])


def downgrade() -> None:
    """Take it away."""
    op.drop_table("shadow_result")
