"""`/mydata` as a member uses it."""

import io
import zipfile
from datetime import UTC, datetime, timedelta

import pytest

from bot.client.client import Atelier
from bot.client.services import Services
from bot.jobs.database.store import Store
from bot.jobs.model import Job, Painted, State, new_id
from bot.sandbox import LocalDiscord, Member, Message
from engine.recipe import Inputs, Recipe
from tests.bot.conftest import STYLE, handled, is_private_answer
from tests.doubles.executor import FakeExecutor
from tests.doubles.jobs import insert_job

PICTURE = b"\x89PNG\r\n\x1a\n" + bytes(4000)


@pytest.fixture
async def ada(discord: LocalDiscord, client: Atelier, services: Services, client_store: Store) -> Member:
    """A member with three finished paintings and a saved style."""
    ada = discord.member("Ada")
    assert isinstance(services.executor, FakeExecutor)
    blob = services.executor.blobs.put
    for number in range(3):
        job = Job(
            id=new_id(),
            owner=ada.id,
            guild_id=None,
            recipe=Recipe(),
            inputs=Inputs(blob(b"photo %d" % number), (blob(b"style"),)),
            address="",
            description="town, painted in the style of strokes",
            max_bytes=2**20,
            state=State.DELIVERED,
            created_at=datetime(2026, 11, 22, 12, tzinfo=UTC) + timedelta(minutes=number),
            painted=Painted(blob(PICTURE + bytes([number])), "png", 96, 72, 60, 8.0, "finished"),
        )
        await insert_job(client_store, job)
    added = await ada.invoke("style add", picture=STYLE, name="Strokes")
    await added.wait_until(is_private_answer)
    return ada


def names(*messages: Message) -> list[str]:
    """The names of the files in the ZIP files of these messages."""
    archives = [zipfile.ZipFile(io.BytesIO(each.data)) for message in messages for each in message.attachments]
    return [name for archive in archives for name in archive.namelist()]


async def test_a_member_privately_gets_a_copy_of_everything(
    discord: LocalDiscord, ada: Member, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = await (await ada.invoke("mydata export")).wait_until(is_private_answer)
    assert whole.content == "Your data."
    assert [each.filename for each in whole.attachments] == ["atelier-1.zip"]
    everything = names(whole)
    endings = ["painting.png", "photo.bin", "picture.json", "recipe.json", "style-0.bin"] * 3
    assert sorted(name.rpartition("/")[2] for name in everything) == sorted([*endings, "style.json", "style.png"])
    await handled()
    # If an export ends early, its last part says how to continue.
    monkeypatch.setattr("bot.features.my_data.command.FILE_SIZE", 0)
    monkeypatch.setattr("bot.features.my_data.command.LARGEST_PART", 8000)
    monkeypatch.setattr("bot.features.my_data.command.PARTS", 2)
    export = await ada.invoke("mydata export")
    last = await export.wait_until(lambda message: "There is more" in message.content)
    first = export.history[1]
    assert first.content == "Your data, part 1."
    after = last.content.rpartition("after:")[2].partition("`")[0]
    await handled()
    monkeypatch.undo()
    rest = await (await ada.invoke("mydata export", after=after)).wait_until(is_private_answer)
    assert sorted({*names(first, last), *names(rest)}) == sorted(everything)
    nothing = await (await discord.member("Bob").invoke("mydata export")).wait_until(is_private_answer)
    assert nothing.content == "I have stored nothing of yours."
    assert discord.channel_messages == []


async def test_everything_is_deleted_after_a_confirmation(
    discord: LocalDiscord, ada: Member, services: Services
) -> None:
    asked = await (await ada.invoke("mydata delete")).wait_until(is_private_answer)
    assert "3 pictures with photos, style pictures and recipes, and 1 saved style." in asked.content
    answers = []
    for _ in range(2):
        press = await ada.press(asked, "Delete everything")
        answer = await press.wait_until(lambda message: is_private_answer(message) and message.id != asked.id)
        answers.append(answer.content)
    assert answers == ["Deleted: 3 pictures and 1 saved style.", "I have stored nothing of yours."]
    assert isinstance(services.executor, FakeExecutor)
    assert list(services.executor.blobs) == []
    again = await (await ada.invoke("mydata delete")).wait_until(is_private_answer)
    assert (again.content, again.buttons) == ("I have stored nothing of yours.", ())
