"""A real Chromium for the tests of pages: fixtures, loaded by ``tests/conftest.py``.

One browser serves a pytest process, on the event loop of the session. Tests that use it run on that loop, too:
``pytestmark = pytest.mark.asyncio(loop_scope="session")``.
"""

import os
import shutil
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import pytest_asyncio
from playwright.async_api import Browser, BrowserContext, ConsoleMessage, Dialog, Page, Request, async_playwright

ARTIFACTS = Path(__file__).parents[1] / "artifacts"
"""The folder for screenshots. Git ignores it."""
ARGUMENTS = (
    "--no-sandbox",  # Chromium's own sandbox refuses root
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
AXE = (files("axe_playwright_python") / "axe.min.js").read_text(encoding="utf-8")
WITHIN = 60
"""The maximum seconds to wait for a change of a page, such as the end of a painting."""
SERIOUS = {"serious", "critical"}


def program() -> str | None:
    """The path of Chromium: that of the variable CHROMIUM, or of Debian's package, or of another name on the path."""
    names = "chromium", "chromium-browser", "google-chrome"
    return os.environ.get("CHROMIUM") or next((path for name in names if (path := shutil.which(name))), None)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser() -> AsyncIterator[Browser]:
    """One browser for each pytest process. Without Chromium, tests that need it are skipped, but fail in CI."""
    path = program()
    if path is None:
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)("Chromium is not installed")
    async with async_playwright() as playwright:
        chromium = await playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
        yield chromium
        await chromium.close()


@dataclass
class Watched:
    """The actions of pages that no page of the project may do."""

    faults: list[str] = field(default_factory=list)

    async def watch(self, context: BrowserContext) -> None:
        """Note errors, dialogs, violations of the content security policy, and requests to other hosts."""
        context.on("weberror", lambda error: self.faults.append(f"error: {error.error}"))
        context.on("console", self._console)
        context.on("request", self._request)
        context.on("dialog", self._dialog)

    def _console(self, message: ConsoleMessage) -> None:
        # A picture that was replaced while the page asked for it is no fault.
        path = urlsplit(message.location["url"]).path
        replaced = "status of 404" in message.text and path.startswith(("/attachments/", "/operator/jobs/"))
        if message.type in {"error", "warning"} and not replaced:
            self.faults.append(f"{message.type}: {message.text}")

    def _request(self, request: Request) -> None:
        address = urlsplit(request.url)
        if address.scheme not in {"blob", "data"} and address.hostname != "127.0.0.1":
            self.faults.append(f"request to {request.url}")

    async def _dialog(self, dialog: Dialog) -> None:
        self.faults.append(f"dialog: {dialog.message}")
        await dialog.dismiss()


@pytest_asyncio.fixture(loop_scope="session")
async def watched(browser: Browser) -> AsyncIterator[Watched]:
    """Check at the end that no page did anything that is not allowed."""
    watched = Watched()
    yield watched
    assert watched.faults == []


@pytest_asyncio.fixture(loop_scope="session")
async def context(browser: Browser, watched: Watched, request: pytest.FixtureRequest) -> AsyncIterator[BrowserContext]:
    """A new profile with a window of the size of a laptop's. At the end, screenshots of its pages are kept."""
    context = await browser.new_context(
        viewport={"width": 1280, "height": 800}, locale="en-US", reduced_motion="reduce"
    )
    context.set_default_timeout(WITHIN * 1000)
    await watched.watch(context)
    yield context
    for number, page in enumerate(context.pages):
        await keep(page, f"{request.node.name}-{number}" if number else request.node.name)
    await context.close()


@pytest_asyncio.fixture(loop_scope="session")
async def page(context: BrowserContext) -> Page:
    """An empty page."""
    return await context.new_page()


async def keep(page: Page, name: str) -> None:
    """Keep a screenshot."""
    await page.screenshot(path=ARTIFACTS / f"{name}.png")


async def findings(page: Page, *rules: str) -> list[str]:
    """The serious findings of axe-core about the current page, by these rules or by all."""
    await page.evaluate(AXE)
    found = await page.evaluate(
        "rules => axe.run({resultTypes: ['violations'], ...(rules.length ? {runOnly: rules} : {})})", rules
    )
    return [
        f"{violation['id']} ({violation['impact']}): {node['target']} {node['failureSummary']}"
        for violation in found["violations"]
        if violation["impact"] in SERIOUS
        for node in violation["nodes"]
    ]


async def scrolls_sideways(page: Page) -> bool:
    """Whether the page is wider than its window."""
    wider: bool = await page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth")
    return wider
