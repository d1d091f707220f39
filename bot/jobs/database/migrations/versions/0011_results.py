"""What members do with results: jobs that go on from others, and wishes about running jobs."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    """Add the columns. Existing jobs go on from no other, and their members wish nothing."""
    op.add_column("jobs", sa.Column("parent", sa.String(16), nullable=False, server_default=""))
    op.add_column("jobs", sa.Column("action", sa.String(32), nullable=False, server_default=""))
    op.add_column("jobs", sa.Column("pings", sa.Boolean, nullable=False, server_default=sa.false()))
    op.add_column("jobs", sa.Column("finishing", sa.Boolean, nullable=False, server_default=sa.false()))


def downgrade() -> None:
    """Drop them."""
    for name in ("finishing", "pings", "action", "parent"):
        op.drop_column("jobs", name)
