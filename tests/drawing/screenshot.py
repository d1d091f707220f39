"""The picture of the local Discord's page in the README.

``python -m tests.drawing.screenshot`` takes it again: it starts ``atelier sandbox``, orders the example, and waits for
the painting.
"""

import argparse
import asyncio
import io
import sys
from pathlib import Path

from PIL import Image
from playwright.async_api import async_playwright

from tests.browser import ARGUMENTS, program

FILE = Path(__file__).parents[2] / "docs" / "images" / "sandbox.png"
MOST_BYTES = 200_000
PAINT_WITHIN = 300_000
"""Milliseconds."""


async def take() -> bytes:
    """A PNG of the page with the finished painting."""
    sandbox = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "bot", "sandbox", "--no-open"), stdout=asyncio.subprocess.PIPE
    )
    try:
        assert sandbox.stdout is not None
        url = ""
        while not url.startswith("http://"):
            url = (await sandbox.stdout.readline()).decode()
        async with async_playwright() as playwright:
            browser = await playwright.chromium.launch(executable_path=program(), args=ARGUMENTS)
            tab = await browser.new_page(viewport={"width": 1280, "height": 880}, color_scheme="dark", locale="en-US")
            await tab.goto(url.strip())
            await tab.get_by_role("button", name="What Discord saw").click()
            await tab.get_by_role("button", name="Try it: ").click()
            painting = tab.locator('img[src*="/painting-"]')
            await painting.wait_for(timeout=PAINT_WITHIN)
            await painting.evaluate("image => image.decode()")
            await tab.get_by_role("textbox", name="Message ").focus()
            await tab.mouse.move(0, 0)
            return await tab.screenshot()
    finally:
        sandbox.terminate()
        await sandbox.wait()


def smaller(png: bytes) -> bytes:
    """The picture with as many colours as fit into :data:`MOST_BYTES`."""
    with Image.open(io.BytesIO(png)) as opened:
        image = opened.convert("RGB")
    for colours in (256, 192, 128, 96, 64):
        buffer = io.BytesIO()
        image.quantize(colours, dither=Image.Dither.NONE).save(buffer, "PNG", optimize=True)
        if buffer.tell() <= MOST_BYTES:
            break
    return buffer.getvalue()


def main() -> None:
    """Take the picture."""
    parser = argparse.ArgumentParser(description="Take the picture of the local Discord's page.")
    parser.add_argument("--file", type=Path, default=FILE)
    parser.parse_args().file.write_bytes(smaller(asyncio.run(take())))


if __name__ == "__main__":
    main()
