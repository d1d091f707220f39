"""The fixtures of the tests of jobs: databases, and a service that does not run yet."""

from tests.bot.jobs.conftest import postgresql_with_tables, store, url, workshop

__all__ = ["postgresql_with_tables", "store", "url", "workshop"]
