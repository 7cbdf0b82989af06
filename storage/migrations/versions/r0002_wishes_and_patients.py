"""Requested reruns, notices, revisions, and identities of patients and studies."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None
LOST = (
    "requested reruns, digests of patients, study dates, and how many earlier studies a "
    "result was compared with; notices become results with score 0"
)  #: by going back

ADDED = (
    ("patient_key", sa.String(64)),
    ("birth_digest", sa.String(64)),
    ("study_date", sa.String(8)),
    ("study_time", sa.String(16)),
)


def upgrade() -> None:
    """Add columns; results so far are the revisions of their generations."""
    op.add_column("series", sa.Column("wish", sa.String(16), nullable=True))
    for name, kind in ADDED:
        op.add_column("series", sa.Column(name, kind, nullable=False, server_default=""))
    op.create_index("ix_series_patient_key", "series", ["patient_key"], unique=False)
    for name in ("revision", "priors"):
        op.add_column("result", sa.Column(name, sa.Integer(), nullable=False, server_default="0"))
    op.execute("UPDATE result SET revision = generation")
    _replace("score", sa.Double(), nullable=True)
    _replace("positive", sa.Boolean(), nullable=True)


def downgrade() -> None:
    """Take the columns away; notices become results with score 0."""
    op.execute("UPDATE result SET score = 0 WHERE score IS NULL")
    op.execute("UPDATE result SET positive = false WHERE positive IS NULL")
    _replace("positive", sa.Boolean(), nullable=False, default=sa.false())
    _replace("score", sa.Double(), nullable=False, default="0")
    for name in ("revision", "priors"):
        op.drop_column("result", name)
    op.drop_index("ix_series_patient_key", "series")
    for name in ("wish", *(name for name, _ in ADDED)):
        op.drop_column("series", name)


def _replace(
    name: str,
    kind: sa.Double[float] | sa.Boolean,
    *,
    nullable: bool,
    default: str | sa.ColumnElement[bool] | None = None,
) -> None:
    """Put a column of another nullability in a column's place.

    SQLite alters a column only by copying its table, which others refer to.
    """
    old = f"old_{name}"
    op.execute(f"ALTER TABLE result RENAME COLUMN {name} TO {old}")
    op.add_column("result", sa.Column(name, kind, nullable=nullable, server_default=default))
    here, there = sa.column(name, kind), sa.column(old, kind)
    op.execute(sa.update(sa.table("result", here, there)).values({here: there}))
    op.drop_column("result", old)
