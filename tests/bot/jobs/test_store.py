"""Jobs in a real database: what is acknowledged stays, each change happens once, and secrets go when a job ends."""

import asyncio
import sqlite3
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, create_engine, inspect
from sqlalchemy.exc import IntegrityError, SQLAlchemyError

from bot.jobs.job import OPEN, Job, State, new_id
from bot.jobs.store import REVISION, Base, Store
from engine.recipe import Recipe

ROOT = Path(__file__).parents[3]
ENDS = sorted(set(State) - OPEN)
SECRET = '{"token":"aW50ZXJhY3Rpb24"}'


def job(owner: int = 1, state: State = State.QUEUED) -> Job:
    """A job as it is accepted."""
    return Job(new_id(), owner, Recipe(seed=7, strength=33.3), SECRET, "A “town” – ☃ 🎨", 10**7, state)


def alembic(connection: Connection) -> Config:
    """Alembic's own view of our migrations."""
    config = Config()
    config.set_main_option("script_location", "bot.jobs:migrations")
    config.attributes["connection"] = connection
    return config


async def added(store: Store, *jobs: Job) -> list[Job]:
    for each in jobs:
        await store.add(each)
    return list(jobs)


class TestAJob:
    @pytest.mark.parametrize("state", list(State))
    async def test_comes_back_as_it_was_stored(self, store: Store, state: State) -> None:
        (stored,) = await added(store, job(state=state))
        assert await store.get(stored.id) == stored

    async def test_of_the_largest_discord_id_comes_back(self, store: Store) -> None:
        (stored,) = await added(store, job(owner=2**63 - 1))
        assert await store.get(stored.id) == stored

    async def test_that_was_never_there_is_none(self, store: Store) -> None:
        assert await store.get(new_id()) is None

    async def test_is_stored_once(self, store: Store) -> None:
        (stored,) = await added(store, job())
        with pytest.raises(IntegrityError):
            await store.add(stored)

    @pytest.mark.parametrize("end", ENDS)
    async def test_that_ends_forgets_where_to_answer(self, store: Store, url: str, end: State) -> None:
        ended, other = await added(store, job(), job())
        assert await store.change(ended.id, end, since=OPEN, cause="why")
        found = await store.get(ended.id)
        assert found is not None
        assert (found.state, found.address) == (end, "")
        assert await store.get(other.id) == other

    @pytest.mark.parametrize("state", sorted(OPEN))
    async def test_that_goes_on_still_knows_where_to_answer(self, store: Store, state: State) -> None:
        (stored,) = await added(store, job())
        assert await store.change(stored.id, state, since={State.QUEUED})
        found = await store.get(stored.id)
        assert found is not None
        assert (found.state, found.address) == (state, SECRET)


class TestAChange:
    async def test_happens_only_from_the_states_it_is_meant_for(self, store: Store) -> None:
        (stored,) = await added(store, job())
        assert not await store.change(stored.id, State.DELIVERED, since={State.RUNNING, State.DELIVERING})
        assert await store.get(stored.id) == stored

    async def test_of_an_unknown_job_does_not_happen(self, store: Store) -> None:
        assert not await store.change(new_id(), State.RUNNING, since=OPEN)

    @pytest.mark.parametrize("end", ENDS)
    async def test_never_leads_out_of_an_end(self, store: Store, end: State) -> None:
        (stored,) = await added(store, job(state=end))
        for state in State:
            assert not await store.change(stored.id, state, since=OPEN)

    async def test_that_eight_want_at_once_happens_once(self, store: Store) -> None:
        stored, other = await added(store, job(), job())
        outcomes = await asyncio.gather(
            *(store.change(stored.id, State.RUNNING, since={State.QUEUED}) for _ in range(8))
        )
        assert sorted(outcomes) == [False] * 7 + [True]
        assert await store.get(other.id) == other

    async def test_that_several_processes_want_at_once_happens_once(self, store: Store, url: str) -> None:
        (stored,) = await added(store, job())
        async with AsyncExitStack() as stack:
            stores = [await stack.enter_async_context(Store.open(url)) for _ in range(4)]
            outcomes = await asyncio.gather(
                *(each.change(stored.id, State.CANCELLED, since=OPEN) for each in stores for _ in range(4))
            )
        assert sorted(outcomes) == [False] * 15 + [True]

    async def test_notes_why_and_when(self, store: Store, tmp_path: Path) -> None:
        (stored,) = await added(store, job())
        await store.change(stored.id, State.FAILED, since=OPEN, cause="OutOfMemory")
        with sqlite3.connect(tmp_path / "atelier.db") as connection:
            (row,) = connection.execute("SELECT state, cause, created_at <= changed_at FROM jobs").fetchall()
        connection.close()
        assert row == ("failed", "OutOfMemory", 1)


class TestOpenJobs:
    async def test_are_those_that_have_not_ended_oldest_first(self, store: Store) -> None:
        jobs = await added(store, *(job(state=state) for state in [*State, *State]))
        assert await store.open_jobs() == [each for each in jobs if each.state in OPEN]

    async def test_are_counted_for_each_member(self, store: Store) -> None:
        await added(store, *(job(1, state) for state in State), job(2))
        assert [await store.count_open(owner) for owner in (1, 2, 3)] == [len(OPEN), 1, 0]

    async def test_are_fewer_when_one_ends(self, store: Store) -> None:
        first, second = await added(store, job(), job())
        await store.change(first.id, State.DELIVERED, since=OPEN)
        assert await store.open_jobs() == [second]
        assert await store.count_open(1) == 1


class TestSync:
    async def test_is_remembered_for_each_scope(self, store: Store) -> None:
        await store.set_synced("global", "a")
        await store.set_synced("42", "b")
        await store.set_synced("global", "c")
        assert [await store.synced(scope) for scope in ("global", "42", "43")] == ["c", "b", None]


class TestTheDatabase:
    async def test_keeps_everything_when_it_is_opened_again(self, url: str) -> None:
        async with Store.open(url) as store:
            stored, ended = await added(store, job(), job())
            await store.change(ended.id, State.CANCELLED, since=OPEN)
            await store.set_synced("global", "a")
        async with Store.open(url) as store:
            assert await store.open_jobs() == [stored]
            assert await store.synced("global") == "a"

    async def test_has_a_job_on_disk_as_soon_as_it_is_acknowledged(self, store: Store, tmp_path: Path) -> None:
        (stored,) = await added(store, job())
        other = sqlite3.connect(tmp_path / "atelier.db")
        assert other.execute("SELECT id FROM jobs").fetchall() == [(stored.id,)]
        other.close()

    async def test_lets_others_read_while_one_writes(self, store: Store, tmp_path: Path) -> None:
        (stored,) = await added(store, job())
        other = sqlite3.connect(tmp_path / "atelier.db", isolation_level=None)
        assert other.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        other.execute("BEGIN IMMEDIATE")
        other.execute("UPDATE jobs SET cause = 'in between'")
        assert await store.get(stored.id) == stored
        other.execute("ROLLBACK")
        other.close()

    async def test_lets_a_writer_wait_for_another(self, store: Store, tmp_path: Path) -> None:
        (stored,) = await added(store, job())
        other = sqlite3.connect(tmp_path / "atelier.db", isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        change = asyncio.create_task(store.change(stored.id, State.RUNNING, since=OPEN))
        done, _ = await asyncio.wait([change], timeout=0.3)
        assert not done
        other.execute("COMMIT")
        other.close()
        assert await change

    async def test_takes_many_jobs_from_several_processes(self, store: Store, url: str) -> None:
        async with Store.open(url) as other:
            jobs = [job() for _ in range(20)]
            await asyncio.gather(
                *(each.add(stored) for each, stored in zip([store, other] * 10, jobs, strict=True)),
            )
            assert await store.count_open(1) == await other.count_open(1) == 20

    async def test_can_be_opened_first_by_several_processes_at_once(self, url: str) -> None:
        script = (
            "import asyncio, sys\n"
            "from bot.jobs.store import Store\n"
            "async def open_it():\n"
            "    print('ready', flush=True)\n"
            "    sys.stdin.readline()\n"
            "    async with Store.open(sys.argv[1]) as store:\n"
            "        print(len(await store.open_jobs()))\n"
            "asyncio.run(open_it())\n"
        )
        pipe = asyncio.subprocess.PIPE
        processes = [
            await asyncio.create_subprocess_exec(
                sys.executable, "-c", script, url, stdin=pipe, stdout=pipe, stderr=pipe, cwd=ROOT
            )
            for _ in range(2)
        ]
        for process in processes:
            assert process.stdout is not None
            assert await process.stdout.readline() == b"ready\n"
        told = await asyncio.gather(*(process.communicate(b"\n") for process in processes))
        assert [(out, error.decode()) for out, error in told] == [(b"0\n", "")] * 2

    async def test_that_is_no_database_is_refused(self, url: str, tmp_path: Path) -> None:
        (tmp_path / "atelier.db").write_text("my diary, which is rather long and no database at all. " * 20)
        with pytest.raises(SQLAlchemyError):
            async with Store.open(url):
                pass
        assert (tmp_path / "atelier.db").read_text().startswith("my diary")


class TestMigrations:
    @pytest.fixture
    async def connection(self, store: Store, tmp_path: Path) -> AsyncIterator[Connection]:
        """A plain connection to a database that was just made."""
        engine = create_engine(f"sqlite:///{tmp_path / 'atelier.db'}")
        with engine.begin() as connection:
            yield connection
        engine.dispose()

    async def test_make_the_tables_that_the_code_expects(self, connection: Connection) -> None:
        context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": True})
        assert compare_metadata(context, Base.metadata) == []

    async def test_would_be_missed(self, connection: Connection) -> None:
        connection.exec_driver_sql("DROP INDEX ix_jobs_owner")
        assert compare_metadata(MigrationContext.configure(connection), Base.metadata) != []

    async def test_form_one_line(self, connection: Connection) -> None:
        (head,) = ScriptDirectory.from_config(alembic(connection)).get_heads()
        assert MigrationContext.configure(connection).get_current_heads() == (head,)
        assert head == REVISION

    async def test_can_be_taken_back_and_made_again(self, connection: Connection) -> None:
        command.downgrade(alembic(connection), "base")
        assert set(inspect(connection).get_table_names()) <= {"alembic_version"}
        command.upgrade(alembic(connection), "head")
        assert compare_metadata(MigrationContext.configure(connection), Base.metadata) == []
