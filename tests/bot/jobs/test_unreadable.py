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
from tests.bot.jobs.conftest import ANN, BOB, Workshop
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
    async def test_fails_its_job_with_a_text_and_affects_no_other(self, workshop: Workshop, url: str) -> None:
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
                job = jobs[f"{name}, waits: {waits}"] = await workshop.accept(
                    owner, b"content", b"one", b"two", b"three"
                )
                if not waits:
                    await workshop.store.begin(job.id, workshop.jobs.process, workshop.executor.cluster_id)
                    await workshop.store.finish(job.id, workshop.jobs.process, None)
                where = " = :id" if statement.endswith("owner_id") else " WHERE id = :id"
                async with workshop.store._engine.begin() as connection:
                    await connection.execute(text(statement + where), {"it": value, "id": job.id})
        sound = await workshop.accept(ANN)
        await workshop.store.queue_stats()
        workshop.executor.slots_now = 1000
        async with workshop.running():
            (await workshop.executor.painting()).finish()
            await workshop.until(sound, "delivered")
            await eventually(lambda: all(workshop.replies.endings(job) for job in jobs.values()))
            await eventually(lambda: not workshop.jobs._tasks)
        assert len(workshop.executor.paintings) == 1
        for name, job in jobs.items():
            assert [type(ending) for ending in workshop.replies.endings(job)] == [JobUnreadable], name
        async with workshop.store._engine.connect() as connection:
            states: dict[str, int] = dict(
                (await connection.execute(text("SELECT state, count(*) FROM jobs GROUP BY state"))).all()
            )
        assert states == {"delivered": 1, "failed": len(jobs)}
        for owner, name in enumerate(statements, 100):
            if not name.startswith("owner"):
                page = await JobHistory(workshop.store, workshop.storage, workshop.executor).page(owner, 10)
                assert "".join(texts.listed(page.jobs)).count("failed (My record of this picture is damaged") == 2, name
        assert await workshop.store.count_open() == 0

    async def test_with_an_invalid_address_affects_only_its_own_delivery(self, workshop: Workshop) -> None:
        """The decrypted text is no address. The painting is kept for ``/jobs``."""

        def confused(job: Job, may_edit: Callable[[], bool]) -> FakeReply:
            if job.owner == ANN:
                raise ValueError("no address")
            return workshop.replies(job, may_edit)

        workshop.jobs._replies._reply_to = confused
        jobs = [await workshop.accept(ANN), await workshop.accept(BOB)]
        workshop.executor.slots_now = 2
        async with workshop.running():
            for number in (1, 2):
                (await workshop.executor.painting(number)).finish()
            for job in jobs:
                await workshop.until(job, "delivered")
        assert [(await workshop.found(job)).delivered_by for job in jobs] == ["kept", "token"]


async def test_a_job_whose_address_no_key_decrypts_is_kept_for_its_member(workshop: Workshop) -> None:
    job = await workshop.accept(ANN)
    workshop.store = Store(workshop.store._engine, Cipher([new_key()]))
    workshop.restart()
    async with workshop.running():
        (await workshop.executor.painting()).finish(b"painting")
        await workshop.until(job, "delivered")
    assert (await workshop.found(job)).delivered_by == "kept"
    assert (await workshop.jobs.picture(job.id, ANN))[1] == b"painting"


async def test_jobs_from_before_an_upgrade_are_painted_and_shown_after_it(workshop: Workshop) -> None:
    async with workshop.running():
        ended, painting = await workshop.accept_and_paint(ANN)
        painting.finish(b"an old painting")
        await workshop.until(ended, "delivered")
    workshop.restart()
    waiting = await workshop.accept(ANN)
    found = await workshop.found(ended)
    assert found.painted is not None
    painted = PAINTED_OF_VERSION_1.replace("PICTURE", found.painted.picture)
    async with workshop.store._engine.begin() as connection:
        await connection.execute(text("UPDATE jobs SET recipe = :recipe"), {"recipe": RECIPE_OF_VERSION_1})
        await connection.execute(text("UPDATE jobs SET painted = :it WHERE painted != ''"), {"it": painted})
    async with workshop.running():
        painting = await workshop.executor.painting(2)
        painting.finish(b"a new painting")
        await workshop.until(waiting, "delivered")
    asked = {"size": 384, "steps": 50, "strength": 70, "colours": "content", "noise": 0.03, "seed": 7}
    assert painting.recipe.model_dump(include=set(asked)) == asked
    assert painting.recipe.version == Recipe().version
    job, picture = await workshop.jobs.picture(ended.id, ANN)
    assert (picture, job.painted_recipe) == (b"an old painting", painting.recipe)
    assert (await workshop.jobs.picture(waiting.id, ANN))[1] == b"a new painting"
