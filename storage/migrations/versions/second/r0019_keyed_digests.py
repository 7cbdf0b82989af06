"""Accession numbers, and the key of the digests; indexes by which a study or patient is found.

The digests of before stay plain here: the first start of the node keys them, and enters the key
(`storage.database.identity_digests`).
"""

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None
LOST = (
    "accession numbers, and all digests of patients: no earlier study is found among what "
    "was received so far"
)  #: by going back

FOUND_BY = ("accession_key", "patient_digest", "study_instance_uid")
DIGESTS = {
    "series": ("patient_key", "patient_digest", "birth_digest"),
    "feedback": ("patient_digest", "birth_digest"),
}


def upgrade() -> None:
    """Add column, table and indexes; of what was received before, no accession number is known."""
    column = sa.Column("accession_key", sa.String(64), nullable=False, server_default="")
    op.add_column("series", column)
    for name in FOUND_BY:
        op.create_index(f"ix_series_{name}", "series", [name])
    op.create_table(
        "digest_key",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("fingerprint", sa.String(64), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_digest_key"),
    )


def downgrade() -> None:
    """Take them away, and empty the digests: a keyed one cannot be turned into a plain one again.

    No earlier study is found any more, and no document of another patient known by its digest,
    among what was received so far.
    """
    for table, names in DIGESTS.items():
        rows = sa.table(table, *map(sa.column, names))
        op.execute(rows.update().values(dict.fromkeys(names, "")))
    op.drop_table("digest_key")
    for name in reversed(FOUND_BY):
        op.drop_index(f"ix_series_{name}", "series")
    op.drop_column("series", "accession_key")
