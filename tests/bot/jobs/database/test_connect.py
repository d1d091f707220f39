"""The connection to a database, its concurrency and durability, and its migrations."""

import asyncio
import json
import os
import sqlite3
import stat
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, MetaData, insert, inspect, text
from sqlalchemy.event import listen
from sqlalchemy.exc import InvalidRequestError, SQLAlchemyError
from sqlalchemy.ext.asyncio import create_async_engine

from bot.jobs.database.cipher import Cipher
from bot.jobs.database.connect import REVISION, connected, is_full
from bot.jobs.database.store import Store
from bot.jobs.database.tables import Base
from bot.jobs.errors import TooManyJobs
from bot.jobs.model import Painted, State
from engine.recipe import Recipe
from tests.bot.jobs.conftest import KEY, SECRET, job, opened
from tests.postgresql import Server

Check = Callable[[Callable[[Connection], object]], Awaitable[object]]
ROOT = Path(__file__).parents[4]
sqlite_only = pytest.mark.parametrize("url", ["sqlite"], indirect=True)
OPEN_IT = """
import asyncio, sys
from bot.jobs.database.cipher import Cipher
from bot.jobs.database.connect import connected
async def open_it():
    print("ready", flush=True)
    sys.stdin.readline()
    async with connected(sys.argv[1]) as engine, engine.connect() as connection:
        print((await connection.exec_driver_sql("SELECT count(*) FROM jobs")).scalar_one())
asyncio.run(open_it())
"""


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A database of each kind, without tables."""
    if request.param == "sqlite":
        return f"sqlite+aiosqlite:///{tmp_path / 'atelier.db'}"
    url: str = request.getfixturevalue("postgresql_url")
    return url


def alembic(connection: Connection) -> Config:
    """Alembic's own view of our migrations."""
    config = Config()
    config.set_main_option("script_location", "bot.jobs.database:migrations")
    config.attributes["connection"] = connection
    return config


def modes(folder: Path) -> dict[str, int]:
    """The modes of the files in ``folder``."""
    return {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()}


def open_to_others(folder: Path) -> None:
    """Let all users read the files in ``folder``."""
    for path in folder.iterdir():
        path.chmod(0o644)


@sqlite_only
async def test_the_files_of_the_database_are_private(url: str, tmp_path: Path) -> None:
    private = dict.fromkeys(("atelier.db", "atelier.db-shm", "atelier.db-wal"), 0o600)
    before = os.umask(0)
    try:
        async with connected(url):
            assert modes(tmp_path) == private
            open_to_others(tmp_path)
            async with connected(url):
                assert modes(tmp_path) == private
    finally:
        os.umask(before)


async def test_a_reopened_database_has_kept_everything(url: str) -> None:
    stored = job()
    async with opened(url) as store:
        await store.add(stored, "me", "cluster", 3)
        await store.set_synced("global", "a")
    async with opened(url) as store:
        found = await store.get(stored.id)
        assert found is not None
        assert (found.id, found.address) == (stored.id, stored.address)
        assert await store.synced("global") == "a"


async def test_closing_waits_for_running_queries_and_refuses_new_ones(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bot.jobs.database.connect.CLOSE_WITHIN", 20)
    connections = Counter[str]()
    async with connected(url) as engine:
        for name in ("connect", "close"):
            listen(engine.sync_engine, name, lambda *_, name=name: connections.update([name]))
        reads, may_end = asyncio.Event(), asyncio.Event()

        async def read() -> None:
            async with engine.connect() as one, engine.connect():  # the second is a new connection
                reads.set()
                await may_end.wait()
                await one.execute(text("SELECT 1"))

        reading = asyncio.create_task(read())
        await reads.wait()
        asyncio.get_running_loop().call_later(0.05, may_end.set)
    assert reading.done()
    await reading
    assert connections["close"] == connections["connect"] + 1
    with pytest.raises(InvalidRequestError):
        await engine.connect()


async def test_several_processes_can_create_the_database_at_once(url: str) -> None:
    pipe = asyncio.subprocess.PIPE
    processes = [
        await asyncio.create_subprocess_exec(
            sys.executable, "-c", OPEN_IT, url, stdin=pipe, stdout=pipe, stderr=pipe, cwd=ROOT
        )
        for _ in range(2)
    ]
    for process in processes:
        assert process.stdout is not None
        assert await process.stdout.readline() == b"ready\n"
    told = await asyncio.gather(*(process.communicate(b"\n") for process in processes))
    assert [(out, error.decode()) for out, error in told] == [(b"0\n", "")] * 2


async def test_orders_of_one_member_in_several_processes_respect_the_limit(url: str) -> None:
    async with opened(url) as one, opened(url) as other:
        adding = [each.add(job(), "me", "cluster", 7) for each in (one, other) for _ in range(10)]
        outcomes = await asyncio.gather(*adding, return_exceptions=True)
        assert [type(outcome) for outcome in outcomes if outcome is not None] == [TooManyJobs] * 13
        assert await one.count_open(1) == await other.count_open(1) == 7


async def test_errors_show_no_parameters(url: str) -> None:
    async with connected(url) as engine, engine.connect() as connection:
        with pytest.raises(SQLAlchemyError) as refused:
            await connection.execute(text("SELECT :secret FROM nowhere"), {"secret": "the token"})
        assert "the token" not in str(refused.value)


@sqlite_only
class TestSqlite:
    async def test_reports_a_full_disk(self, store: Store) -> None:
        async with store._engine.connect() as connection:
            await connection.exec_driver_sql("PRAGMA max_page_count=1")
            with pytest.raises(SQLAlchemyError) as full:
                await connection.exec_driver_sql("CREATE TABLE large AS SELECT zeroblob(10000000) AS zeros")
            assert is_full(full.value)
            with pytest.raises(SQLAlchemyError) as wrong:
                await connection.exec_driver_sql("SELECT nothing")
            assert not is_full(wrong.value)
            await connection.exec_driver_sql("PRAGMA max_page_count=4294967294")

    async def test_has_a_job_on_disk_once_it_is_committed(self, store: Store, tmp_path: Path) -> None:
        stored = job()
        await store.add(stored, "me", "cluster", 3)
        other = sqlite3.connect(tmp_path / "atelier.db")
        assert other.execute("SELECT id FROM jobs").fetchall() == [(stored.id,)]
        other.close()

    async def test_stores_no_token_in_plain_text(self, store: Store, tmp_path: Path) -> None:
        stored = job(address="an interaction's token")
        await store.add(stored, "me", "cluster", 3)
        files = await asyncio.to_thread(lambda: b"".join(path.read_bytes() for path in tmp_path.glob("atelier.db*")))
        assert stored.id.encode() in files
        assert b"an interaction's token" not in files

    async def test_lets_others_read_while_one_writes(self, store: Store, tmp_path: Path) -> None:
        stored = job()
        await store.add(stored, "me", "cluster", 3)
        other = sqlite3.connect(tmp_path / "atelier.db", isolation_level=None)
        assert other.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        other.execute("BEGIN IMMEDIATE")
        other.execute("UPDATE jobs SET state = 'failed'")
        found = await store.get(stored.id)
        assert found is not None
        assert found.state is State.QUEUED
        other.execute("ROLLBACK")
        other.close()

    async def test_lets_a_writer_wait_for_another(self, store: Store, tmp_path: Path) -> None:
        stored = job()
        await store.add(stored, "me", "cluster", 3)
        other = sqlite3.connect(tmp_path / "atelier.db", isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        change = asyncio.create_task(store.begin(stored.id, "me", "cluster"))
        done, _ = await asyncio.wait([change], timeout=0.3)
        assert not done
        other.execute("COMMIT")
        other.close()
        assert await change

    async def test_rejects_a_file_that_is_not_a_database(self, url: str, tmp_path: Path) -> None:
        (tmp_path / "atelier.db").write_text("my diary, which is rather long and no database at all. " * 20)
        with pytest.raises(SQLAlchemyError):
            async with connected(url):
                pass
        assert (tmp_path / "atelier.db").read_text().startswith("my diary")


async def test_a_connection_that_postgresql_closed_is_replaced(postgresql: Server) -> None:
    with postgresql.database() as url:
        async with connected(url) as engine:

            async def backend() -> int:
                async with engine.connect() as connection:
                    return int((await connection.execute(text("SELECT pg_backend_pid()"))).scalar_one())

            before = await backend()
            assert await backend() == before, "it is kept otherwise"
            postgresql.say("psql", "--command", f"SELECT pg_terminate_backend({before}, 5000)", "postgres")
            await asyncio.sleep(0.1)
            assert await backend() != before


class TestMigrations:
    @pytest.fixture
    async def check(self, url: str) -> AsyncIterator[Check]:
        """Runs a function with a plain connection to a new database."""
        async with connected(url) as engine, engine.begin() as connection:
            yield connection.run_sync

    async def test_make_the_tables_that_the_code_expects(self, check: Check) -> None:
        options = {"compare_type": True, "compare_server_default": True}
        assert await check(lambda c: compare_metadata(MigrationContext.configure(c, opts=options), Base.metadata)) == []

    async def test_differ_from_the_code_if_an_index_is_missing(self, check: Check) -> None:
        def differences(connection: Connection) -> object:
            connection.exec_driver_sql("DROP INDEX ix_jobs_history")
            return compare_metadata(MigrationContext.configure(connection), Base.metadata)

        assert await check(differences) != []

    async def test_have_one_head(self, check: Check) -> None:
        def heads(connection: Connection) -> object:
            (head,) = ScriptDirectory.from_config(alembic(connection)).get_heads()
            return head, MigrationContext.configure(connection).get_current_heads()

        assert await check(heads) == (REVISION, (REVISION,))

    async def test_carry_over_the_jobs_of_revision_0002(self, tmp_path: Path, url: str) -> None:
        """A bot of that revision was killed. No job is lost, expired or out of turn."""
        engine = create_async_engine(url)
        before = {
            "process": "killed", "pool": "old", "address": Cipher([KEY]).encrypt(SECRET), "description": "A town",
            "recipe": Recipe().model_dump_json(), "max_bytes": 10**7, "cause": "", "way": "",
        }  # fmt: skip
        painted = json.dumps(asdict(Painted("9" * 64, "png", 512, 384, 90, 41.5, "finished", 512)))
        moment = datetime(2026, 11, 1, tzinfo=UTC)
        rows: list[dict[str, Any]] = [
            before
            | {"id": f"{number:016x}", "owner": number, "state": state, "turn": turn, "painted": done}
            | {"created_at": moment + timedelta(seconds=number), "changed_at": moment}
            for number, (state, turn, done) in enumerate(
                [
                    ("queued", 1, ""),
                    ("running", 0, ""),
                    ("queued", 0, ""),
                    ("delivering", 0, painted),
                    ("delivered", 0, painted),
                ]
            )
        ]
        roles = [{"job": row["id"], "role": role, "name": "c" * 64} for row in rows for role in ("content", "style-0")]
        async with engine.begin() as connection:
            await connection.run_sync(lambda c: command.upgrade(alembic(c), "0002"))
            tables = MetaData()
            await connection.run_sync(tables.reflect)
            await connection.execute(insert(tables.tables["jobs"]), rows)
            await connection.execute(insert(tables.tables["blobs"]), roles)
            seen = {"id": "killed", "seen": time.time() - 60}
            await connection.execute(insert(tables.tables["processes"]), seen)
        await engine.dispose()
        async with opened(url) as store:
            await store.renew("me")
            assert sorted(await store.adopt("me", "cluster")) == [
                (f"{0:016x}", State.QUEUED),
                (f"{1:016x}", State.QUEUED),
                (f"{2:016x}", State.QUEUED),
                (f"{3:016x}", State.DELIVERING),
            ]
            assert await store.overdue("me", 60) == []
            new = job(owner=9)
            await store.add(new, "me", "cluster", 3)
            assert [each.id for each in (await store.queue("me", "cluster")).waiting] == [
                f"{1:016x}", f"{2:016x}", new.id, f"{0:016x}",
            ]  # fmt: skip
            found = [await store.get(row["id"]) for row in rows]
            assert [(each.address, each.cause) for each in found if each] == [(SECRET, None)] * 5
            assert found[3]
            assert found[3].painted == Painted("9" * 64, "png", 512, 384, 90, 41.5, "finished", 512)

    async def test_can_be_downgraded_and_upgraded_again(self, check: Check) -> None:
        def down_and_up(connection: Connection) -> object:
            command.downgrade(alembic(connection), "base")
            assert set(inspect(connection).get_table_names()) <= {"alembic_version"}
            command.upgrade(alembic(connection), "head")
            return compare_metadata(MigrationContext.configure(connection), Base.metadata)

        assert await check(down_and_up) == []
