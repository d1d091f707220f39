"""Rows that are damaged, or were written by another version of the program."""

from collections.abc import Callable

from sqlalchemy import text

from bot.features.my_jobs import texts
from bot.jobs.database.cipher import Cipher, new_key
from bot.jobs.database.store import Store
from bot.jobs.errors import JobUnreadable
from bot.jobs.history import JobHistory
from bot.jobs.model import Job
from engine.recipe import Recipe
from tests.bot.jobs.conftest import ANN, BOB, JobHarness
from tests.doubles.reply import FakeReply
from tests.waiting import eventually

RECIPE_OF_VERSION_1 = (
    '{"version":1,"method":"gatys","size":384,"steps":50,"strength":70.0,"content_weight":1.0,"style_weight":1.0,'
    '"content_layers":{"relu4_2":1.0},'
    '"style_layers":{"relu1_1":1.0,"relu2_1":1.0,"relu3_1":1.0,"relu4_1":1.0,"relu5_1":1.0},'
    '"style_shares":[],"colours":"content","noise":0.03,"seed":7,"precision":"auto"}'
)
"""Written by the first version of the program."""

PAINTED_OF_VERSION_1 = (
    '{"picture": "PICTURE", "format": "png", "width": 384, "height": 288, "steps": 50, "seconds": 9.5, '
    '"ending": "finished"}'
)

DAMAGES: dict[str, tuple[str, object]] = {
    "state of another version": ("state", "drying"),
    "recipe cut off": ("recipe", '{"version":2,"size":'),
    "recipe of another version": ("recipe", '{"version":99}'),
    "recipe out of range": ("recipe", '{"size":1}'),
    "recipe with a field of another version": ("recipe", '{"glaze":1}'),
    "painted cut off": ("painted", '{"picture": "'),
    "painted that is a list": ("painted", "[]"),
    "painted without its picture": ("painted", '{"format": "png"}'),
    "painted in no time": (
        "painted",
        '{"picture":"","format":"png","width":1,"height":1,"steps":1,"seconds":NaN,"ending":"finished"}',
    ),
    "cause cut off": ("cause", '["OutOfMem'),
    "cause that is nothing": ("cause", "null"),
    "cause with too few fields": ("cause", '["OutOfMemory"]'),
    "cause with a field of another type": ("cause", '["PictureTooLarge","pixels","many",1]'),
    "limit of no bytes": ("max_bytes", 0),
}

ONLY_IN_SQLITE: dict[str, tuple[str, object]] = {
    "state that is a number": ("state", 5),
    "owner that is a word": ("owner", "Ann"),
    "turn that is a word": ("turn", "first"),
    "limit that is a word": ("max_bytes", "much"),
    "description that is bytes": ("description", b"\xff"),
    "recipe that is bytes": ("recipe", b"\xff"),
    "moment that is none": ("created_at", "the other day"),
    "moment that is a number": ("created_at", 5),
}
"""PostgreSQL has no such values in these columns."""


class TestARowThatCantBeRead:
    async def test_fails_its_job_with_a_text_and_affects_no_other(self, harness: JobHarness, url: str) -> None:
        """Each kind of damage to a queued job and to one that is about to be delivered, for different members."""
        in_sqlite = url.startswith("sqlite")
        damages = DAMAGES | (ONLY_IN_SQLITE if in_sqlite else {})
        statements = {
            name: (f"UPDATE jobs SET {column} = :it", value)  # noqa: S608 - a column of our own
            for name, (column, value) in damages.items()
        }
        for role in ("content", "style-0", "style-1"):
            statements[f"{role} missing"] = ("DELETE FROM claims WHERE role = :it AND owner_id", role)
        if in_sqlite:
            statements["recipe that is no text"] = ("UPDATE jobs SET recipe = CAST(:it AS TEXT)", b"\xff")
        jobs: dict[str, Job] = {}
        for owner, (name, (statement, value)) in enumerate(statements.items(), 100):
            for waits in (True, False):
                job = jobs[f"{name}, waits: {waits}"] = await harness.accept(
                    owner, b"content", b"one", b"two", b"three"
                )
                if not waits:
                    await harness.store.begin(job.id, harness.jobs.process, harness.executor.cluster_id)
                    await harness.store.finish(job.id, harness.jobs.process, None)
                where = " = :id" if statement.endswith("owner_id") else " WHERE id = :id"
                async with harness.store._engine.begin() as connection:
                    await connection.execute(text(statement + where), {"it": value, "id": job.id})
        sound = await harness.accept(ANN)
        await harness.store.queue_stats()
        harness.executor.slots_now = 1000
        async with harness.running():
            (await harness.executor.painting()).finish()
            await harness.until(sound, "delivered")
            await eventually(lambda: all(harness.replies.endings(job) for job in jobs.values()))
            await eventually(lambda: not harness.jobs._tasks)
        assert len(harness.executor.paintings) == 1
        for name, job in jobs.items():
            assert [type(ending) for ending in harness.replies.endings(job)] == [JobUnreadable], name
        async with harness.store._engine.connect() as connection:
            states: dict[str, int] = dict(
                (await connection.execute(text("SELECT state, count(*) FROM jobs GROUP BY state"))).all()
            )
        assert states == {"delivered": 1, "failed": len(jobs)}
        for owner, name in enumerate(statements, 100):
            if not name.startswith("owner"):
                page = await JobHistory(harness.store, harness.storage, harness.executor).page(owner, 10)
                assert "".join(texts.listed(page)).count("failed (My record of this picture is damaged") == 2, name
        assert await harness.store.count_open() == 0

    async def test_with_an_invalid_address_affects_only_its_own_delivery(self, harness: JobHarness) -> None:
        """The decrypted text is no address. The painting is kept for ``/jobs``."""

        def confused(job: Job, may_edit: Callable[[], bool]) -> FakeReply:
            if job.owner == ANN:
                raise ValueError("no address")
            return harness.replies(job, may_edit)

        harness.jobs._replies._reply_to = confused
        jobs = [await harness.accept(ANN), await harness.accept(BOB)]
        harness.executor.slots_now = 2
        async with harness.running():
            for number in (1, 2):
                (await harness.executor.painting(number)).finish()
            for job in jobs:
                await harness.until(job, "delivered")
        assert [(await harness.found(job)).delivered_by for job in jobs] == ["kept", "token"]


async def test_a_job_whose_address_no_key_decrypts_is_kept_for_its_member(harness: JobHarness) -> None:
    job = await harness.accept(ANN)
    harness.store = Store(harness.store._engine, Cipher([new_key()]))
    harness.restart()
    async with harness.running():
        (await harness.executor.painting()).finish(b"painting")
        await harness.until(job, "delivered")
    assert (await harness.found(job)).delivered_by == "kept"
    assert (await harness.jobs.picture(job.id, ANN))[1] == b"painting"


async def test_jobs_from_before_an_upgrade_are_painted_and_shown_after_it(harness: JobHarness) -> None:
    async with harness.running():
        ended, painting = await harness.accept_and_paint(ANN)
        painting.finish(b"an old painting")
        await harness.until(ended, "delivered")
    harness.restart()
    waiting = await harness.accept(ANN)
    found = await harness.found(ended)
    assert found.painted is not None
    painted = PAINTED_OF_VERSION_1.replace("PICTURE", found.painted.picture)
    async with harness.store._engine.begin() as connection:
        await connection.execute(text("UPDATE jobs SET recipe = :recipe"), {"recipe": RECIPE_OF_VERSION_1})
        await connection.execute(text("UPDATE jobs SET painted = :it WHERE painted != ''"), {"it": painted})
    async with harness.running():
        painting = await harness.executor.painting(2)
        painting.finish(b"a new painting")
        await harness.until(waiting, "delivered")
    asked = {"size": 384, "steps": 50, "strength": 70, "colours": "content", "noise": 0.03, "seed": 7}
    assert painting.recipe.model_dump(include=set(asked)) == asked
    assert painting.recipe.version == Recipe().version
    job, picture = await harness.jobs.picture(ended.id, ANN)
    assert (picture, job.painted_recipe) == (b"an old painting", painting.recipe)
    assert (await harness.jobs.picture(waiting.id, ANN))[1] == b"a new painting"
