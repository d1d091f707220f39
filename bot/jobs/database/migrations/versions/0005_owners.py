"""Claims that jobs, styles and members may own; the server of a job; clearer names of columns.

Jobs in flight keep their states and claims. If a bot of the previous version still runs, its statements fail: it can
neither change jobs nor sweep blobs, and other bots adopt its jobs when its lease expires.
"""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Move the claims of jobs to the new table. The servers of existing jobs are unknown."""
    op.alter_column("jobs", "pool", new_column_name="cluster_id")
    op.alter_column("jobs", "way", new_column_name="delivered_by")
    op.add_column("jobs", sa.Column("guild_id", sa.BigInteger, nullable=True))
    op.create_table(
        "claims",
        sa.Column("owner_kind", sa.String(16), primary_key=True),
        sa.Column("owner_id", sa.String(32), primary_key=True),
        sa.Column("role", sa.String(16), primary_key=True),
        sa.Column("name", sa.String(64), nullable=False, index=True),
    )
    op.execute("INSERT INTO claims (owner_kind, owner_id, role, name) SELECT 'job', job, role, name FROM blobs")
    op.drop_table("blobs")


def downgrade() -> None:
    """Move the claims of jobs back. Those of others are lost, and so are the jobs' servers."""
    op.create_table(
        "blobs",
        sa.Column("job", sa.String(16), primary_key=True),
        sa.Column("role", sa.String(16), primary_key=True),
        sa.Column("name", sa.String(64), nullable=False, index=True),
    )
    op.execute("INSERT INTO blobs (job, role, name) SELECT owner_id, role, name FROM claims WHERE owner_kind = 'job'")
    op.drop_table("claims")
    op.drop_column("jobs", "guild_id")
    op.alter_column("jobs", "delivered_by", new_column_name="way")
    op.alter_column("jobs", "cluster_id", new_column_name="pool")
