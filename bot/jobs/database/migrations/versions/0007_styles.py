"""Saved styles. Existing rows stay as they are."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Create the table."""
    op.create_table(
        "styles",
        sa.Column("id", sa.String(16), primary_key=True),
        sa.Column("library_kind", sa.String(16), nullable=False),
        sa.Column("library_id", sa.BigInteger, nullable=False),
        sa.Column("key", sa.String(200), nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("added_by", sa.BigInteger, nullable=False),
        sa.Column("added_at", sa.DateTime(timezone=True), nullable=False),
    )
    op.create_index("ix_styles_library", "styles", ["library_kind", "library_id", "key"], unique=True)


def downgrade() -> None:
    """Drop the table. The blobs of the styles are no longer claimed, and the next sweep removes them."""
    op.execute("DELETE FROM claims WHERE owner_kind = 'style'")
    op.drop_table("styles")
