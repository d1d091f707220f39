"""Rules of servers, jobs that count towards a day's quota, blocked members, and the operators' controls."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    """Create the tables. Jobs of the last 24 hours count."""
    op.create_table(
        "guilds",
        sa.Column("id", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("rules", sa.Text, nullable=False),
    )
    op.create_table(
        "usage",
        sa.Column("job", sa.String(16), primary_key=True),
        sa.Column("owner", sa.BigInteger, nullable=False),
        sa.Column("guild_id", sa.BigInteger, nullable=True),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False, index=True),
    )
    op.create_index("ix_usage_owner", "usage", ["owner", "at"])
    op.execute(
        "INSERT INTO usage (job, owner, guild_id, at) SELECT id, owner, guild_id, created_at FROM jobs "
        "WHERE state NOT IN ('failed', 'cancelled', 'expired')"
    )
    op.create_table(
        "blocked",
        sa.Column("member", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
    )
    op.create_table("controls", sa.Column("name", sa.String(16), primary_key=True))


def downgrade() -> None:
    """Drop the tables."""
    for table in ("controls", "blocked", "usage", "guilds"):
        op.drop_table(table)
