"""`/stylize` as a member uses it, over real sockets, painted by a real worker."""

import asyncio
import io
import re
from collections.abc import Callable
from itertools import pairwise

import aiohttp
import pytest
from PIL import Image

from bot.delivery.reply import EDIT_EVERY
from bot.jobs.service import JobService
from bot.sandbox import Invocation, LocalDiscord, Message, Place, Upload
from bot.telemetry import logs
from tests.bot.conftest import CONTENT, STYLE, Bot, has_preview, is_final, is_painting, is_private_answer, photo
from tests.bot.features.stylize.conftest import cancel, plain, stylize

EDIT = "PATCH /webhooks/{webhook_id}/{webhook_token}/messages/{message_id}"


async def finish_early(discord: LocalDiscord, message: Message) -> None:
    """Let Ada press the button."""
    await (await discord.member("Ada").press(message, "Good enough")).wait_until(is_private_answer)


def says(text: str) -> Callable[[Message], bool]:
    return lambda message: text in message.content


def is_gone(message: Message) -> bool:
    return message.deleted


def opened(message: Message) -> Image.Image:
    (attachment,) = message.attachments
    return Image.open(io.BytesIO(attachment.data))


def step(message: Message) -> int:
    found = re.search(r"step (\d+) of", message.content)
    assert found
    return int(found[1])


@pytest.mark.usefixtures("bot")
class TestAPainting:
    async def test_arrives_in_one_reply(self, discord: LocalDiscord) -> None:
        invocation = await stylize(discord)
        final = await invocation.wait_until(is_final)

        assert invocation.acknowledged_after is not None
        assert invocation.acknowledged_after < 3
        assert invocation.history[0].thinking
        assert {message.id for message in invocation.history} == {final.id}
        assert [message.id for message in discord.channel_messages] == [final.id]
        picture = opened(final)
        assert (picture.format, picture.size) == ("PNG", (96, 72))
        assert final.attachments[0].description == "town, painted in the style of strokes"
        assert re.fullmatch(r"Painted in \d+ s · 96 × 72 · recipe `[0-9a-f]{8}`", final.content)
        assert "Cancel" not in {button.label for button in final.buttons}

    async def test_arrives_in_each_kind_of_place(self, discord: LocalDiscord) -> None:
        ada, bob = discord.member("Ada"), discord.member("Bob")
        abroad = discord.add_guild(installed="user")
        places = {
            "server": discord.add_guild(installed="both"),
            "thread": discord.add_thread(),
            "post in a forum": discord.add_post(),
            "server without the bot": abroad,
            "thread without the bot": discord.add_thread(place=abroad),
            "direct messages": discord.direct(ada),
            "direct messages of a member's own app": discord.direct(bob, installed="user"),
            "group": discord.add_group(ada, bob),
        }

        async def painted(name: str, place: Place) -> None:
            # Three of each member's jobs may be open.
            member = {"direct messages": ada, "direct messages of a member's own app": bob}.get(name)
            member = member or discord.member(f"member in the {name}")
            invocation = await member.at(place).invoke("stylize", content=CONTENT, style=STYLE, quality="quick")
            final = await invocation.wait_until(is_final)
            assert [message.id for message in discord.messages(place)] == [final.id]

        await asyncio.gather(*(painted(name, place) for name, place in places.items()))
        assert discord.channel_messages == []

    async def test_shows_its_progress(self, discord: LocalDiscord) -> None:
        invocation = await stylize(discord, quality="fine")
        first = await invocation.wait_until(is_painting)
        later = await invocation.wait_until(lambda message: is_painting(message) and step(message) > step(first))
        for message in (first, later):
            assert re.fullmatch(r"Painting [▰▱]{14} step \d+ of 5,000 · about .+ left", message.content)
            assert message.buttons[0].label == "Cancel"
        await cancel(discord, later)

    async def test_replaces_each_preview_by_the_next(self, discord: LocalDiscord) -> None:
        invocation = await stylize(discord, quality="fine")
        first = await invocation.wait_until(has_preview)
        second = await invocation.wait_until(lambda m: has_preview(m) and m.attachments != first.attachments)
        assert len(second.attachments) == 1
        assert opened(second).size == opened(first).size == (160, 120)
        assert opened(second).format == "JPEG"
        await cancel(discord, second)

    async def test_is_edited_at_most_every_two_seconds(
        self, discord: LocalDiscord, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("bot.delivery.reply.EDIT_EVERY", EDIT_EVERY)
        invocation = await stylize(discord, quality="fine")

        def edits() -> list[float]:
            return [request.at for request in discord.requests if request.method == "PATCH"]

        third = await invocation.wait_until(lambda _: len(edits()) >= 3)
        await cancel(discord, third)
        assert EDIT_EVERY == 2
        # The first preview may follow the first edit at once.
        assert all(later - earlier > 1.9 for earlier, later in pairwise(edits()[1:]))

    async def test_fits_the_upload_limit_of_the_server(self, discord: LocalDiscord) -> None:
        discord.attachment_size_limit = 12_000
        final = await (await stylize(discord)).wait_until(is_final)
        assert final.attachments[0].size <= 12_000
        assert (opened(final).format, opened(final).size) == ("JPEG", (96, 72))

    async def test_has_the_requested_strength_and_colours(self, discord: LocalDiscord) -> None:
        async def painted(**options: str | int) -> Image.Image:
            invocation = await stylize(discord, **options)
            return opened(await invocation.wait_until(is_final)).convert("RGB")

        content = Image.open(io.BytesIO(CONTENT.data)).convert("RGB").resize((96, 72), Image.Resampling.LANCZOS)
        faint, strong, own = await asyncio.gather(
            painted(strength=0), painted(strength=100), painted(strength=100, colours="content")
        )
        assert distance(faint, content) < distance(strong, content) / 2
        assert distance(chroma(own), chroma(content)) < distance(chroma(strong), chroma(content)) / 2

    async def test_of_two_styles_has_its_options_in_the_caption(self, discord: LocalDiscord) -> None:
        second = Upload("plain_red.png", plain((80, 80)))
        invocation = await stylize(discord, style2=second, mix="30 70", strength=80, colours="content")
        final = await invocation.wait_until(is_final)
        said = r"Painted in \d+ s · 96 × 72 · strength 80 · the photo's colours · styles 30 : 70 · recipe `[0-9a-f]{8}`"
        assert re.fullmatch(said, final.content)
        assert final.attachments[0].description == "town, painted in the style of strokes and plain red"

    async def test_of_a_saved_style_is_made_even_if_the_style_is_removed_meanwhile(self, discord: LocalDiscord) -> None:
        ada = discord.member("Ada")
        large = Upload("strokes.png", photo((640, 400), hue=2))
        added = await ada.invoke("style add", picture=large, name="Strokes")
        (thumbnail,) = (await added.wait_until(is_private_answer)).attachments
        assert Image.open(io.BytesIO(thumbnail.data)).size == (320, 200)
        invocation = await ada.invoke("stylize", content=CONTENT, saved_style="strokes", quality="fine")
        painting = await invocation.wait_until(is_painting)
        removed = await ada.invoke("style remove", name="strokes")
        await removed.wait_until(is_private_answer)
        await finish_early(discord, painting)
        final = await invocation.wait_until(is_final)
        assert final.attachments[0].description == "town, painted in the style of Strokes"

    async def test_keeps_transparency(self, discord: LocalDiscord) -> None:
        picture = Image.open(io.BytesIO(CONTENT.data)).convert("RGBA")
        picture.paste((0, 0, 0, 0), (0, 0, 60, 90))
        buffer = io.BytesIO()
        picture.save(buffer, "PNG")
        invocation = await stylize(discord, content=Upload("cut.png", buffer.getvalue()))
        alpha = opened(await invocation.wait_until(is_final)).getchannel("A")
        assert (alpha.getpixel((10, 40)), alpha.getpixel((85, 40))) == (0, 255)

    async def test_of_a_spoiler_is_a_spoiler_from_the_first_preview_on(self, discord: LocalDiscord) -> None:
        style = Upload(f"SPOILER_{STYLE.filename}", STYLE.data)
        invocation = await stylize(discord, style=style, quality="fine")
        await finish_early(discord, await invocation.wait_until(lambda message: bool(message.attachments)))
        final = await invocation.wait_until(lambda m: any("painting" in each.filename for each in m.attachments))
        shown = [attachment for message in invocation.history for attachment in message.attachments]
        assert {"SPOILER_preview.jpg", final.attachments[0].filename} == {each.filename for each in shown}
        assert final.attachments[0].filename.startswith("SPOILER_painting-")
        assert {each.description for each in shown} == {"town, painted in the style of strokes"}
        listing = await discord.member("Ada").invoke("jobs")
        jobs = await listing.wait_until(lambda m: "jobs:show" in str(m.components))
        assert "'spoiler': True" in str(jobs.components)
        (job,) = re.findall("SPOILER_painting-([0-9a-f]{16})", final.attachments[0].filename)
        again = await discord.member("Ada").choose(jobs, "jobs:show", job)
        shown_again = await again.wait_until(lambda m: m.ephemeral and bool(m.attachments))
        assert shown_again.attachments[0].filename == final.attachments[0].filename
        assert shown_again.attachments[0].description == final.attachments[0].description

    async def test_of_a_truncated_file_has_a_warning(self, discord: LocalDiscord) -> None:
        cut, without_end = CONTENT.data[: len(CONTENT.data) * 9 // 10], STYLE.data[:-12]
        assert without_end + b"\0\0\0\0IEND\xaeB`\x82" == STYLE.data
        files = {"content": Upload("town.png", cut), "style": Upload("strokes.png", without_end)}
        final = await (await stylize(discord, **files)).wait_until(is_final)
        _, content, style = final.content.splitlines()
        assert re.fullmatch(r"\*\*Content:\*\* The file is incomplete: \d+ % of the picture is missing\.", content)
        assert style == "**Style:** The file is incomplete, but only fine detail is missing."
        alpha = opened(final).getchannel("A")
        assert (alpha.getpixel((50, 5)), alpha.getpixel((50, 71))) == (255, 0)

    async def test_works_with_a_plain_style_and_with_the_content_as_style(self, discord: LocalDiscord) -> None:
        for style in (Upload("red.png", plain((80, 80))), CONTENT):
            invocation = await stylize(discord, style=style)
            assert opened(await invocation.wait_until(is_final)).size == (96, 72)


def distance(one: Image.Image, other: Image.Image) -> float:
    """Mean absolute difference of the channels."""
    pairs = list(zip(one.tobytes(), other.tobytes(), strict=True))
    return sum(abs(a - b) for a, b in pairs) / len(pairs)


def chroma(image: Image.Image) -> Image.Image:
    """The picture without lightness, as JPEG defines it."""
    _, blue, red = image.convert("YCbCr").split()
    return Image.merge("LA", (blue, red))


@pytest.mark.usefixtures("bot")
class TestCancelling:
    async def test_removes_the_reply_and_frees_the_worker(self, discord: LocalDiscord) -> None:
        first = await stylize(discord, quality="fine")
        painting = await first.wait_until(is_painting)
        second = await stylize(discord, "Bob")
        await second.wait_until(says("Next in line"))

        assert await cancel(discord, painting) == "Cancelled."
        await first.wait_until(is_gone)
        final = await second.wait_until(is_final)
        assert [message.id for message in discord.channel_messages] == [final.id]

    async def test_works_while_the_job_waits(self, discord: LocalDiscord) -> None:
        painting = await (await stylize(discord, quality="fine")).wait_until(is_painting)
        waiting = await stylize(discord, "Bob")
        queued = await waiting.wait_until(says("Next in line"))
        assert await cancel(discord, queued, "Bob") == "Cancelled."
        await waiting.wait_until(is_gone)
        await cancel(discord, painting)

    async def test_is_refused_to_other_members(self, discord: LocalDiscord) -> None:
        invocation = await stylize(discord, quality="fine")
        painting = await invocation.wait_until(is_painting)
        assert "Only the member who requested" in await cancel(discord, painting, "Bob")
        await finish_early(discord, painting)
        await invocation.wait_until(is_final)

    async def test_twice_at_once_is_answered_twice(self, discord: LocalDiscord) -> None:
        painting = await (await stylize(discord, quality="fine")).wait_until(is_painting)
        answers = await asyncio.gather(cancel(discord, painting), cancel(discord, painting))
        assert sorted(answers) == [
            "Cancelled.",
            "This picture is already finished, cancelled or deleted. `/jobs` shows your pictures.",
        ]


@pytest.mark.usefixtures("bot")
class TestTheQueue:
    async def test_takes_members_in_turns(self, discord: LocalDiscord) -> None:
        painting = await (await stylize(discord, quality="fine")).wait_until(is_painting)
        anns = [await stylize(discord)]
        await anns[0].wait_until(says("Next in line"))
        anns.append(await stylize(discord))
        await anns[1].wait_until(says("**1** before"))
        bobs = await stylize(discord, "Bob")
        await bobs.wait_until(says("Next in line"))
        await anns[1].wait_until(says("**2** before"))
        await cancel(discord, painting)
        await asyncio.gather(*(each.wait_until(is_final) for each in (*anns, bobs)))

    async def test_limits_the_open_jobs_of_a_member(self, discord: LocalDiscord) -> None:
        jobs = [await stylize(discord, quality="fine") for _ in range(4)]

        async def outcome(job: Invocation) -> Message:
            return await job.wait_until(lambda message: is_private_answer(message) or bool(message.buttons))

        outcomes = await asyncio.gather(*(outcome(job) for job in jobs))
        (refused,) = [message for message in outcomes if is_private_answer(message)]
        assert "You already have 3 pictures in progress" in refused.content
        for message in outcomes:
            if message is not refused:
                assert await cancel(discord, message) == "Cancelled."


class TestARestart:
    async def test_continues_a_half_finished_painting(
        self, discord: LocalDiscord, start: Bot, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("engine.executor.executor.CHECKPOINT_EVERY", 0.3)
        async with start():
            invocation = await stylize(discord, quality="fine")
            before = step(await invocation.wait_until(lambda m: is_painting(m) and step(m) > 10))
        seen = len(invocation.history)
        async with start():
            after = await invocation.wait_until(lambda m: m in invocation.history[seen:] and is_painting(m))
            assert step(after) > before / 2
            await cancel(discord, after)
            await invocation.wait_until(is_gone)

    async def test_finishes_running_and_waiting_jobs(self, discord: LocalDiscord, start: Bot) -> None:
        async with start():
            running = await stylize(discord, quality="fine")
            await running.wait_until(is_painting)
            waiting = await stylize(discord)
            await waiting.wait_until(says("Next in line"))
        seen = len(running.history)
        async with start():
            again = await running.wait_until(lambda m: m in running.history[seen:] and is_painting(m))
            await finish_early(discord, again)
            finals = [await each.wait_until(is_final) for each in (running, waiting)]
            assert [message.id for message in discord.channel_messages] == [message.id for message in finals]


@pytest.mark.usefixtures("bot")
class TestTrouble:
    async def test_a_bug_is_reported_to_the_member_and_logged_with_its_traceback(
        self, discord: LocalDiscord, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        async def broken(*_: object, **__: object) -> None:
            raise RuntimeError("a bug")

        logs.configure("INFO", "console")
        monkeypatch.setattr(JobService, "accept", broken)
        invocation = await stylize(discord)
        message = await invocation.wait_until(is_private_answer)
        assert message.content.startswith("Something went wrong. Try again.")
        assert str(invocation.id) in message.content
        assert discord.channel_messages == []
        logged = capsys.readouterr().err
        assert f"interaction={invocation.id}" in logged
        assert "RuntimeError: a bug" in logged
        assert invocation.token not in logged

    async def test_a_picture_arrives_after_the_token_has_expired(self, discord: LocalDiscord) -> None:
        invocation = await stylize(discord, quality="fine")
        painting = await invocation.wait_until(is_painting)
        arrived = asyncio.Event()
        discord.on_message(lambda message: arrived.set() if is_final(message) else None)
        discord.clock.advance(16 * 60)
        await finish_early(discord, painting)
        await arrived.wait()
        (final,) = discord.channel_messages
        assert opened(final).format == "PNG"
        assert "Cancel" not in {button.label for button in final.buttons}

    async def test_a_lost_gateway_loses_no_picture(self, discord: LocalDiscord) -> None:
        invocation = await stylize(discord, quality="fine")
        painting = await invocation.wait_until(is_painting)
        await discord.drop_gateway()
        await discord.wait_for_bot()
        await finish_early(discord, painting)
        await invocation.wait_until(is_final)
        await (await stylize(discord)).wait_until(is_final)

    async def test_a_rate_limit_and_a_server_error_lose_no_picture(self, discord: LocalDiscord) -> None:
        invocation = await stylize(discord, quality="fine")
        painting = await invocation.wait_until(is_painting)
        discord.rate_limit_next(EDIT, 0.5)
        discord.fail_next(EDIT, 500)
        await finish_early(discord, painting)
        await invocation.wait_until(is_final)

    async def test_after_a_deleted_reply_the_member_gets_the_picture_directly_and_the_next_one_as_usual(
        self, discord: LocalDiscord
    ) -> None:
        invocation = await stylize(discord, quality="standard")
        painting = await invocation.wait_until(is_painting)
        arrived = asyncio.Event()
        discord.on_message(lambda message: arrived.set() if is_final(message) else None)
        async with aiohttp.ClientSession(headers={"Authorization": f"Bot {discord.token}"}) as moderator:
            url = f"{discord.api_url}/channels/{discord.channel_id}/messages/{painting.id}"
            async with moderator.delete(url) as answer:
                assert answer.status == 204
        await arrived.wait()
        (message,) = discord.direct_messages(discord.member("Ada"))
        assert opened(message).size == (128, 96)
        assert discord.channel_messages == []
        await (await stylize(discord)).wait_until(is_final)
