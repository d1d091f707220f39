"""The service's own clock, and orders that are acknowledged but not stored yet."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Existing jobs count as accepted when the clock starts."""
    op.add_column("jobs", sa.Column("accepted", sa.Double, nullable=False, server_default="0"))
    op.create_table(
        "clock",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("seconds", sa.Double, nullable=False),
        sa.Column("moved", sa.Double, nullable=False),
    )
    op.create_table(
        "acknowledged",
        sa.Column("id", sa.String(16), primary_key=True),
        sa.Column("owner", sa.BigInteger, nullable=False),
        sa.Column("process", sa.String(16), nullable=False),
        sa.Column("interrupted", sa.Boolean, nullable=False),
        sa.Column("address", sa.Text, nullable=False),
        sa.Column("description", sa.Text, nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
    )


def downgrade() -> None:
    """Drop the tables and the column."""
    op.drop_table("acknowledged")
    op.drop_table("clock")
    op.drop_column("jobs", "accepted")
