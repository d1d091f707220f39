"""An index for the pages of a member's history, and the ids of recipes, by which jobs are found."""

import json

import sqlalchemy as sa
from alembic import op

from engine.recipe import Recipe

revision = "0009"
down_revision = "0008"

_AT_ONCE = 500


def upgrade() -> None:
    """Add the column and fill it for the existing jobs. A job whose row can't be read has no id of a recipe."""
    op.add_column("jobs", sa.Column("recipe_id", sa.String(8), nullable=True))
    jobs = sa.table("jobs", *map(sa.column, ("id", "recipe", "recipe_id", "painted")))
    connection = op.get_bind()
    last = ""
    while rows := connection.execute(
        sa.select(jobs.c.id, jobs.c.recipe, jobs.c.painted).where(jobs.c.id > last).order_by(jobs.c.id).limit(_AT_ONCE)
    ).all():
        last = rows[-1].id
        ids = [{"of_job": row.id, "found": found} for row in rows if (found := _recipe_id(row.recipe, row.painted))]
        if ids:
            change = sa.update(jobs).where(jobs.c.id == sa.bindparam("of_job"))
            connection.execute(change.values(recipe_id=sa.bindparam("found")), ids)
    op.create_index("ix_jobs_recipe_id", "jobs", ["recipe_id"])
    op.create_index("ix_jobs_history", "jobs", ["owner", "created_at", "id"])
    op.drop_index("ix_jobs_owner", "jobs")


def downgrade() -> None:
    """Remove the column. The claims of frames and thumbnails stay until their jobs are removed."""
    op.create_index("ix_jobs_owner", "jobs", ["owner"])
    op.drop_index("ix_jobs_history", "jobs")
    op.drop_index("ix_jobs_recipe_id", "jobs")
    op.drop_column("jobs", "recipe_id")


def _recipe_id(recipe: object, painted: object) -> str:
    try:
        ordered = Recipe.model_validate_json(recipe)  # type: ignore[arg-type] # SQLite may hold any type
        size = json.loads(painted).get("size") if isinstance(painted, str) and painted else None
        return (ordered if size is None else ordered.model_copy(update={"size": size})).id
    except (AttributeError, TypeError, ValueError):
        return ""
