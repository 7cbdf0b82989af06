"""Addresses of callers that were refused."""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None
LOST = "addresses of callers that were refused"  #: by going back

KEY = ("calling_ae", "address", "what", "reason")


def upgrade() -> None:
    """Make the table anew, as its key changes; its rows, a few hundred at most, are kept."""
    rows = _rows()
    op.drop_table("refusal")
    table = op.create_table(
        "refusal",
        sa.Column("calling_ae", sa.String(16), nullable=False),
        sa.Column("address", sa.String(64), nullable=False),
        sa.Column("what", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.Column("last_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint(*KEY, name="pk_refusal"),
    )
    if rows:
        op.bulk_insert(table, [{**row, "address": ""} for row in rows])


def downgrade() -> None:
    """Take the addresses away; refusals that differ in nothing else are counted together."""
    counted: dict[tuple[str, str, str], dict[str, Any]] = {}
    for row in _rows():
        del row["address"]
        known = counted.setdefault((row["calling_ae"], row["what"], row["reason"]), row)
        if known is not row:
            known["count"] += row["count"]
            known["last_at"] = max(known["last_at"], row["last_at"])
    op.drop_table("refusal")
    table = op.create_table(
        "refusal",
        sa.Column("calling_ae", sa.String(16), nullable=False),
        sa.Column("what", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.Column("last_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("calling_ae", "what", "reason", name="pk_refusal"),
    )
    if counted:
        op.bulk_insert(table, list(counted.values()))


def _rows() -> list[dict[str, Any]]:
    table = sa.Table("refusal", sa.MetaData(), autoload_with=op.get_bind())
    return [dict(row) for row in op.get_bind().execute(sa.select(table)).mappings()]
