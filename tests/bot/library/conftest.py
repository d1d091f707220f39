"""The fixtures of the tests of jobs: databases, and a service that does not run yet."""

from tests.bot.jobs.conftest import harness, postgresql_with_tables, store, url

__all__ = ["harness", "postgresql_with_tables", "store", "url"]
