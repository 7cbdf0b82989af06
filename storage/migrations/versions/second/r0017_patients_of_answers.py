"""Of which patient a document is; which series are of documents."""

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None
LOST = "of which patient an answer is, and which series are of documents"  #: by going back

DOCUMENTS = (
    "1.2.840.10008.5.1.4.1.1.88.11",
    "1.2.840.10008.5.1.4.1.1.88.22",
    "1.2.840.10008.5.1.4.1.1.88.33",
    "1.2.840.10008.5.1.4.1.1.88.34",
    "1.2.840.10008.5.1.4.1.1.88.59",
)
"""Basic Text, Enhanced, Comprehensive and Comprehensive 3D SR; Key Object Selection."""


def upgrade() -> None:
    """Add the columns; of what was received before, the Patient ID alone is not known."""
    for table, name in (
        ("series", "patient_digest"),
        ("feedback", "patient_digest"),
        ("feedback", "birth_digest"),
    ):
        column = sa.Column(name, sa.String(64), nullable=False, server_default="")
        op.add_column(table, column)
    op.add_column(
        "series",
        sa.Column("of_documents", sa.Boolean(), nullable=False, server_default=sa.false()),
    )
    series, instance = (
        sa.table(name, *map(sa.column, ("series_instance_uid", "sop_class_uid", "of_documents")))
        for name in ("series", "instance")
    )
    images = sa.exists().where(
        instance.c.series_instance_uid == series.c.series_instance_uid,
        instance.c.sop_class_uid.not_in(DOCUMENTS),
    )
    op.execute(
        series.update()
        .where(series.c.sop_class_uid.in_(DOCUMENTS), ~images)
        .values(of_documents=sa.true())
    )


def downgrade() -> None:
    """Drop them."""
    for table, name in (
        ("feedback", "birth_digest"),
        ("feedback", "patient_digest"),
        ("series", "of_documents"),
        ("series", "patient_digest"),
    ):
        op.drop_column(table, name)
