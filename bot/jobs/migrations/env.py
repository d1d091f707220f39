"""Run by Alembic with the connection that :mod:`bot.jobs.database` opened."""

from alembic import context

from bot.jobs.tables import Base

context.configure(connection=context.config.attributes["connection"], target_metadata=Base.metadata)
with context.begin_transaction():
    context.run_migrations()
