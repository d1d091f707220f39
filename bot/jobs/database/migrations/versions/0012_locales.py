"""The language of a job's reply, and descriptions of jobs that are in no language."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"

_SENTENCE = ", painted in the style of "
_SEPARATOR = "\x1f"


def upgrade() -> None:
    """Add the columns. Existing replies are in English. Of their descriptions, only the names stay."""
    for table in ("jobs", "acknowledged"):
        op.add_column(table, sa.Column("locale", sa.String(16), nullable=False, server_default="en-US"))
        _replace(table, _SENTENCE, _SEPARATOR)


def downgrade() -> None:
    """Drop the columns, and describe jobs in English."""
    for table in ("jobs", "acknowledged"):
        _replace(table, _SEPARATOR, _SENTENCE)
        op.drop_column(table, "locale")


def _replace(name: str, old: str, new: str) -> None:
    table = sa.table(name, sa.column("description", sa.Text))
    op.execute(sa.update(table).values(description=sa.func.replace(table.c.description, old, new)))
