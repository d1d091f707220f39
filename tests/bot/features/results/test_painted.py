"""The buttons of results, painted by a real worker."""

import pytest

from bot.sandbox import LocalDiscord
from tests.bot.conftest import CONTENT, STYLE, is_final, is_painting, is_private_answer

TIMEOUT = 60


@pytest.mark.usefixtures("bot")
async def test_a_result_is_continued_enlarged_finished_early_and_deleted(discord: LocalDiscord) -> None:
    ada, bob = discord.member("Ada"), discord.member("Bob")
    ordered = await ada.invoke("stylize", content=CONTENT, style=STYLE, quality="quick")
    first = await ordered.wait_until(is_final)
    stronger = await (await bob.press(first, "More style")).wait_until(is_final)
    assert "· strength 75 ·" in stronger.content
    assert stronger.attachments[0].data != first.attachments[0].data
    assert stronger.attachments[0].description == first.attachments[0].description
    larger = await (await bob.press(stronger, "Bigger")).wait_until(is_final)
    assert "· 128 × 96 · strength 75 ·" in larger.content

    enlarging = await ada.press(larger, "Bigger")  # of thousands of steps
    painting = await enlarging.wait_until(is_painting)
    pinging = await ada.press(painting, "Ping me when done")
    await pinging.wait_until(is_private_answer)
    await (await ada.press(painting, "Good enough")).wait_until(is_private_answer)
    final = await enlarging.wait_until(is_final)
    assert "Stopped early" in final.content
    listed = await (await ada.invoke("jobs")).wait_until(is_private_answer)
    job_id = final.attachments[0].filename.removeprefix("painting-").partition(".")[0]
    again = await (await ada.choose(listed, "jobs:show", job_id)).wait_until(is_final)
    deleting = await ada.press(again, "Delete")
    deleted = await deleting.wait_until(lambda message: is_private_answer(message) and not is_final(message))
    assert deleted.content == "Deleted."
    shown = [message.id for message in discord.channel_messages if message.attachments]
    assert shown == [first.id, stronger.id, larger.id]
    assert [message.pings for message in discord.channel_messages if message.pings] == [{ada.id}]
