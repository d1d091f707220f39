"""The turns of servers, so that servers take turns as well as their members.

The queued jobs of a server keep their order. Stop the bots of the previous version before: they store no such turns.
"""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    """Give each server as many turns as it has open jobs, from the turn of its first one."""
    op.add_column("jobs", sa.Column("server", sa.BigInteger, nullable=False, server_default="0"))
    op.add_column("jobs", sa.Column("server_turn", sa.Integer, nullable=False, server_default="0"))
    op.execute("UPDATE jobs SET server = COALESCE(guild_id, -owner)")
    op.execute(
        "UPDATE jobs SET server_turn = given.turn FROM ("
        "SELECT id, MIN(turn) OVER (PARTITION BY server) - 1"
        " + ROW_NUMBER() OVER (PARTITION BY server ORDER BY turn, accepted, created_at, id) AS turn "
        "FROM jobs WHERE state IN ('queued', 'running', 'delivering')) AS given WHERE given.id = jobs.id"
    )
    op.drop_index("ix_jobs_state", "jobs")
    op.create_index("ix_jobs_state", "jobs", ["state", "server_turn"])
    op.create_index("ix_jobs_server", "jobs", ["server", "state", "server_turn"])


def downgrade() -> None:
    """Drop the turns of servers."""
    op.drop_index("ix_jobs_server", "jobs")
    op.drop_index("ix_jobs_state", "jobs")
    op.create_index("ix_jobs_state", "jobs", ["state", "turn"])
    op.drop_column("jobs", "server_turn")
    op.drop_column("jobs", "server")
