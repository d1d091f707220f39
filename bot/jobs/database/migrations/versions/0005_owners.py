"""Columns with the terms of the field."""

from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Rename two columns of the jobs. Their values stay."""
    op.alter_column("jobs", "pool", new_column_name="cluster_id")
    op.alter_column("jobs", "way", new_column_name="delivered_by")


def downgrade() -> None:
    """Undo :func:`upgrade`."""
    op.alter_column("jobs", "delivered_by", new_column_name="way")
    op.alter_column("jobs", "cluster_id", new_column_name="pool")
