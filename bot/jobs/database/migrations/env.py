"""Run by Alembic with the connection that :mod:`bot.jobs.database.connect` opened."""

from alembic import context

from bot.jobs.database.tables import Base

context.configure(connection=context.config.attributes["connection"], target_metadata=Base.metadata)
with context.begin_transaction():
    context.run_migrations()
